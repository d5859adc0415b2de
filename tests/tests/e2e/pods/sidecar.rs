use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use keygress_tests::alone::alone;
use keygress_tests::client::{Reply, bare, curl_reply, output};
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::signer::{Signer, service_account};
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

use super::{IMAGES, fed};

const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod",
  "metadata": {"name": "billing", "labels": {"keygress.dev/inject": "true"}, "annotations": {"keygress.dev/secrets": "api"}},
  "spec": {"containers": [{"name": "billing", "image": "billing:7"}]}}"#;

/// What a pod has of the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// That of the machine: ports are any, and callers come by a proxy variable.
    Shared,
    /// One of its own, as a pod has: ports are as they are written, and callers know nothing of keygress.
    Own,
}

/// A pod without a cluster: the sidecar runs as its container would, with its variables, user and group, and volumes as the kubelet lays them.
struct Pod {
    network: Network,
    sidecar: Process,
    application: Value,
    proxy: String,
    metrics: SocketAddr,
    echo: Echo,
    key: String,
    site: Site,
}

impl Pod {
    fn start(network: Network) -> Self {
        let site = Site::new().unwrap();
        let host = if network == Network::Own { "echo.test" } else { "localhost" };
        let (echo, key) = (Echo::start(&site, host).unwrap(), canary().unwrap());
        let injected = fed(bare(binary().unwrap()).args(["inject", "--ipv4-only"]).args(IMAGES).arg("-"), POD);
        let spec: Value = serde_json::from_slice(&in_json(&injected.stdout)).unwrap();
        let spec = &spec["spec"];
        let container = |name: &str| spec["initContainers"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        lay(&site, &key, &origin(network, &echo));
        let mut command = bare(tools::program("setpriv").unwrap());
        if network == Network::Own {
            // First the rules, then the sidecar: the order of the pod.
            output(bare(binary().unwrap()).args(words(&container("keygress-capture")["args"]))).unwrap();
            command = seeing_the_destination(&site, &echo);
        }
        let sidecar = container("keygress");
        let context = &sidecar["securityContext"];
        command.args(["--no-new-privs", "--bounding-set=-all", "--clear-groups", "--reuid"]).arg(context["runAsUser"].to_string());
        command.arg("--regid").arg(context["runAsGroup"].to_string()).arg(binary().unwrap()).args(words(&sidecar["args"]));
        command.envs(variables(&site, sidecar, network)).env("KEYGRESS_UPSTREAM_CA", site.upstream_ca());
        let started = Process::start(&mut command, "").unwrap();
        let banner = started.wait_for(" listens on ").unwrap();
        let (proxy, rest) = banner.split_once(',').unwrap();
        let metrics =
            rest.split_once("metrics on ").unwrap().1.split(':').take(2).collect::<Vec<_>>().join(":").replace("0.0.0.0", "127.0.0.1");
        let proxy = format!("http://{proxy}");
        Self {
            network,
            sidecar: started,
            application: spec["containers"][0].clone(),
            proxy,
            metrics: metrics.parse().unwrap(),
            echo,
            key,
            site,
        }
    }

    /// curl in the application's container.
    fn curl(&self, path: &str) -> Reply {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.envs(variables(&self.site, &self.application, self.network)).args(["--silent", "--show-error", "--max-time", "60"]);
        if self.network == Network::Shared {
            curl.args(["--proxy", &self.proxy]);
        }
        curl_reply(curl.arg(format!("https://{}{path}", origin(self.network, &self.echo)))).unwrap().0
    }

    /// Waits as its startup probe does: it listens before its first credential is there.
    fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.is_ready() {
            assert!(Instant::now() < deadline, "it does not become ready: {:?}", self.sidecar.lines());
        }
    }

    fn is_ready(&self) -> bool {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--fail", "--max-time", "60", &format!("http://{}/readyz", self.metrics)]).output().unwrap().status.success()
    }
}

/// Where the application asks.
fn origin(network: Network, echo: &Echo) -> String {
    match network {
        Network::Shared => format!("localhost:{}", echo.port),
        Network::Own => "echo.test".to_owned(),
    }
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// `setpriv` for the sidecar alone: to it the name of the destination leads to the upstream of the test, to everybody else out of the pod.
fn seeing_the_destination(site: &Site, echo: &Echo) -> Command {
    // keygress asks for the absolute name, and the file is searched for exactly that.
    let hosts = site.write("hosts", "127.0.0.1 localhost localhost. echo.test.\n").unwrap();
    let rules = format!(
        "table ip destination {{ chain output {{ type nat hook output priority -90; ip daddr 127.0.0.1 tcp dport 443 redirect to :{}; }}; }}",
        echo.port
    );
    output(bare(tools::program("nft").unwrap()).arg(rules)).unwrap();
    let mut command = bare(tools::program("unshare").unwrap());
    command
        .args(["--mount", "sh", "-c", "umount /etc/hosts && mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts)
        .arg(tools::program("setpriv").unwrap());
    command
}

/// The variables of a container; its paths lie in the folder of the test, its ports are any.
fn variables(site: &Site, container: &Value, network: Network) -> BTreeMap<String, String> {
    let folder = |path: &str| format!("{}{path}", site.folder().display());
    let entries = container["env"].as_array().unwrap().iter();
    let value = |value: &str| {
        let value = match network {
            Network::Own => value.to_owned(),
            Network::Shared => value.replace(":8787", ":0").replace(":8788", ":0").replace("0.0.0.0:8790", "127.0.0.1:0"),
        };
        ["/etc/keygress", "/run/keygress", "/var/run/secrets"].into_iter().fold(value, |value, path| value.replace(path, &folder(path)))
    };
    entries.map(|entry| (entry["name"].as_str().unwrap().to_owned(), value(entry["value"].as_str().unwrap()))).collect()
}

/// YAML as JSON, by a library that knows nothing of ours.
fn in_json(yaml: &[u8]) -> Vec<u8> {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let done = fed(bare(tools::python().unwrap()).args(["-c", script]), std::str::from_utf8(yaml).unwrap());
    assert!(done.status.success(), "{done:?}");
    done.stdout
}

fn policy(folder: &Path, origin: &str, allow: &str) -> String {
    let secret = folder.join("run/secrets/api/key");
    let host = origin.split(':').next().unwrap();
    format!(
        "version: 1
workloads:
  billing: {{ kubernetes: {{ namespace: payments, service_account: billing }} }}
credentials:
  api:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [{host}]
rules:
  hello:
    from: [billing]
    to: https://{origin}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [{allow}]
    credential: api
",
        secret.display()
    )
}

/// The volumes of the pod, root's, for group 0 alone where they hold secrets; the one for the CA is open to all, as an emptyDir is.
fn lay(site: &Site, key: &str, origin: &str) {
    let at = |path: &str| {
        let folder = site.folder().join(path);
        fs::create_dir_all(&folder).unwrap();
        folder
    };
    fs::set_permissions(site.folder(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(at("run/keygress"), Permissions::from_mode(0o777)).unwrap();
    let (token, jwks) = token();
    for (file, text) in [(at("run/secrets/api").join("key"), key), (at("var/run/secrets/keygress").join("token"), &token)] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
    }
    fs::write(at("etc/keygress/cluster").join("jwks.json"), jwks).unwrap();
    swap(&at("etc/keygress/policy"), &policy(site.folder(), origin, "GET /hello"), "..1");
}

/// As the kubelet brings a ConfigMap: `policy.yaml` → `..data/policy.yaml`, `..data` → a dated folder, replaced by renaming.
fn swap(volume: &Path, policy: &str, dated: &str) {
    fs::create_dir(volume.join(dated)).unwrap();
    fs::write(volume.join(dated).join("policy.yaml"), policy).unwrap();
    symlink(dated, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if !volume.join("policy.yaml").exists() {
        symlink("..data/policy.yaml", volume.join("policy.yaml")).unwrap();
    }
}

/// The token of the pod, and the keys that verify it.
fn token() -> (String, String) {
    let signer = Signer::new("k1").unwrap();
    (signer.sign(&service_account("https://kubernetes.default.svc.cluster.local", "keygress")).unwrap(), signer.jwks())
}

#[test]
fn it_starts_as_its_container_says_and_a_new_config_map_is_in_force() {
    let pod = Pod::start(Network::Shared);
    pod.until_ready();
    let reply = pod.curl("/hello");
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello\n"), "{:?}", pod.sidecar.lines());
    assert_eq!(pod.echo.seen()[0].values("authorization"), [format!("Bearer {}", pod.key)]);
    assert_eq!(pod.curl("/events").status, 403);
    pod.sidecar.wait_for("\"workload\":\"billing\"").expect("the audit is its standard output");
    let lines = pod.sidecar.lines().join("\n");
    assert!(!lines.contains(&pod.key), "{lines}");

    // What the others trust, and may read.
    for name in ["ca.pem", "bundle.pem", "trust.jks"] {
        let mode = fs::metadata(pod.site.folder().join("run/keygress").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }

    let volume = pod.site.folder().join("etc/keygress/policy");
    swap(&volume, &policy(pod.site.folder(), &origin(pod.network, &pod.echo), "GET /status/200"), "..2");
    let deadline = Instant::now() + Duration::from_secs(60);
    while pod.curl("/hello").status != 403 {
        assert!(Instant::now() < deadline, "the new policy is not in force: {:?}", pod.sidecar.lines());
    }
    assert_eq!(pod.curl("/status/200").status, 200);
}

#[test]
fn an_application_that_knows_nothing_of_it_goes_through_it() {
    alone("pods::sidecar::an_application_that_knows_nothing_of_it_goes_through_it", || {
        let pod = Pod::start(Network::Own);
        pod.until_ready();
        let reply = pod.curl("/hello");
        assert_eq!((reply.status, reply.body.as_str()), (200, "hello\n"), "{:?}", pod.sidecar.lines());
        assert_eq!(pod.echo.seen()[0].values("authorization"), [format!("Bearer {}", pod.key)]);
        pod.curl("/events").is_denied().unwrap();
        pod.sidecar.wait_for("\"way\":\"transparent\"").unwrap();
    })
    .unwrap();
}
