//! SDKs that find their own credentials are given stand-ins; the real thing is put on when they use them.

use std::process::Command;

use keygress_tests::client::{Reply, bare, curl_reply, replies};
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::{Echo, only};
use keygress_tests::servers::moto::{HOST, Moto};
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

/// A credential of AWS and one of Google's, both for upstreams of the test.
struct World {
    moto: Moto,
    echo: Echo,
    key: String,
    proxy: Proxy,
    _site: Site,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let (moto, echo, key) = (Moto::start(&site).unwrap(), Echo::start(&site, "echo.test").unwrap(), canary().unwrap());
        let aws = site.write_secret("aws-secret-key", &moto.secret_access_key).unwrap();
        let google = site.write_secret("google-token", &key).unwrap();
        let policy = format!(
            "version: 1
credentials:
  aws:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {{ path: {}, access_key_id: {} }} }}
    inject: {{ sigv4: {{ services: [sts], regions: [eu-west-1] }} }}
    only_to: [{HOST}]
  google:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [storage.googleapis.com, acme.vault.azure.net, echo.test]
rules:
  aws:
    from: any
    to: https://{HOST}:{}
    allow_ips: [127.0.0.0/8, '::1/128']
    allow: [POST /]
    credential: aws
  google:
    from: any
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello]
    credential: google
",
            aws.display(),
            moto.access_key_id,
            google.display(),
            moto.port,
            echo.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { moto, echo, key, proxy, _site: site }
    }

    fn python(&self, task: &str, argument: &str, variables: &[(&str, &str)]) -> Reply {
        let mut python = self.proxy.client(tools::python().unwrap());
        python.envs(variables.iter().copied()).arg(tools::root().join("tests/clients/stand_ins.py")).args([task, argument]);
        replies(&mut python).unwrap().remove(0)
    }

    /// curl straight to the listener.
    fn curl(&self, path: &str, arguments: &[&str]) -> Reply {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
        curl_reply(curl.arg(format!("http://{}{path}", self.proxy.address()))).unwrap().0
    }
}

#[test]
fn boto3_asks_for_container_credentials_and_holds_nothing_that_signs() {
    let world = World::new();
    let url = format!("http://{}/.keygress/aws/aws", world.proxy.address());
    let reply = world.python("aws", &world.moto.url(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    assert_eq!(reply.content_type, "container-role", "{reply:?}");
    assert_eq!(reply.body, "keygress-stand-in arn:aws:iam::123456789012:user/keygress");
}

#[test]
fn google_auth_asks_the_metadata_server_and_holds_a_token_that_opens_nothing() {
    let world = World::new();
    let address = world.proxy.address().to_string();
    let url = format!("https://echo.test:{}/hello", world.echo.port);
    let reply = world.python("google", &url, &[("GCE_METADATA_HOST", &address), ("GCE_METADATA_IP", &address)]);
    assert_eq!(reply.body, "keygress-stand-in 200 hello\n", "{reply:?}");
    assert_eq!(only(world.echo.seen()).unwrap().values("authorization"), [format!("Bearer {}", world.key)]);
}

#[test]
fn the_identity_endpoint_and_a_token_endpoint_answer_as_they_are_asked() {
    let world = World::new();
    let asked = "/.keygress/azure?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";
    let reply = world.curl(asked, &["--header", "X-IDENTITY-HEADER: keygress"]);
    assert!(reply.status == 200 && reply.body.contains("\"resource\":\"https://vault.azure.net\""), "{reply:?}");
    assert!(reply.body.contains("\"access_token\":\"keygress-stand-in\"") && reply.body.contains("\"expires_on\":\""), "{reply:?}");
    let reply = world.curl("/.keygress/oauth2/google", &["--data", "grant_type=client_credentials"]);
    assert!(reply.status == 200 && reply.body.contains("\"token_type\":\"Bearer\""), "{reply:?}");
    assert!(!format!("{reply:?}").contains(&world.key));
}

#[test]
fn whatever_asks_in_another_way_is_refused_and_on_record() {
    let mut world = World::new();
    for (path, arguments, status) in [
        ("/.keygress/azure?resource=x", &[][..], 403),
        ("/computeMetadata/v1/instance/service-accounts/default/token", &[], 403),
        ("/computeMetadata/v1/instance/attributes/ssh-keys", &["--header", "Metadata-Flavor: Google"], 403),
        ("/.keygress/aws/nobody", &[], 403),
        ("/.keygress/other", &[], 403),
        ("/.keygress/oauth2/google", &[], 405),
        ("/.keygress/aws/aws", &["--data", "x"], 405),
        ("/.keygress/aws/aws", &["--header", "Host: evil.test"], 421),
        ("/.keygress/aws/aws", &["--header", "Origin: https://evil.test"], 403),
    ] {
        let reply = world.curl(path, arguments);
        assert_eq!(reply.status, status, "{path} {arguments:?} {reply:?}");
        assert!(!reply.body.contains("stand-in\""), "{reply:?}");
    }
    world.proxy.stop();
    let denied = world.proxy.records().unwrap().into_iter().filter(|record| record["activity"] == "denied").count();
    assert_eq!(denied, 9);
}

#[test]
fn run_sets_the_variables_and_takes_those_away_that_would_come_first() {
    let site = Site::new().unwrap();
    let policy = "version: 1
workloads:
  job: { task: { labels: { kind: job } } }
credentials:
  aws:
    owner: tests@example.com
    source: { exec: { command: [/bin/false], yields: aws_keys } }
    inject: { sigv4: { services: [s3], regions: [eu-west-1] } }
    only_to: [acme.s3.eu-west-1.amazonaws.com]
    placeholder: { env: KEY_ID, like: AKIA }
rules:
  read: { from: [job], to: 'https://acme.s3.eu-west-1.amazonaws.com', allow: [GET /**], credential: aws }
";
    let path = site.write("policy.yaml", policy).unwrap();
    let mut command: Command = bare(binary().unwrap());
    command.args(["run", "--quiet", "--label", "kind=job", "--policy"]).arg(path).env("AWS_ACCESS_KEY_ID", "the-real-one");
    let script = "echo \"$AWS_ACCESS_KEY_ID|$GCE_METADATA_HOST|$KEY_ID\"; curl --silent --max-time 60 --noproxy '*' \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\"";
    let output = command.args(["--", "sh", "-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (variables, given) = text.split_once('\n').unwrap();
    let held = variables.strip_prefix("||AKIA").unwrap_or_else(|| panic!("{text}"));
    assert!(given.contains(&format!("\"AccessKeyId\":\"AKIA{held}\"")), "{text}");
}
