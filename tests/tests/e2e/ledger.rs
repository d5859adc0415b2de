//! A keygress that is killed: the next one revokes what it left, and what was stopped by hand stays stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keygress_tests::client::bare;
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::issuer::Issuer;
use keygress_tests::site::Site;
use keygress_tests::tools;

/// The proxy as a process of its own, and where it listens.
pub(crate) fn serve(site: &Site) -> (Process, String) {
    serve_by(bare(binary().unwrap()), site)
}

/// The same, begun by a command that this is the beginning of.
pub(crate) fn serve_by(mut command: Command, site: &Site) -> (Process, String) {
    let path = |name: &str| site.folder().join(name);
    command.args(["serve", "--listen", "127.0.0.1:0", "--unsafe-same-uid", "--unsafe-writable-files", "--workers", "1", "--policy"]);
    command.arg(path("policy.yaml")).arg("--upstream-ca").arg(site.upstream_ca());
    for (flag, name) in [
        ("--state", "state"),
        ("--state-key", "state-key"),
        ("--audit", "audit.jsonl"),
        ("--ca-file", "keygress-ca.pem"),
        ("--admin-socket", "admin.sock"),
    ] {
        command.arg(flag).arg(path(name));
    }
    let process = Process::start(&mut command, "").unwrap();
    let listening = process.wait_for("listens on ").unwrap();
    let address = listening.split([':', ',']).take(2).collect::<Vec<_>>().join(":");
    (process, address)
}

/// The status of a request through the proxy.
pub(crate) fn get(site: &Site, proxy: &str, url: &str) -> String {
    let mut curl = bare(tools::program("curl").unwrap());
    curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", "--write-out", "%{http_code}", "--proxy"]);
    curl.arg(format!("http://{proxy}")).arg("--cacert").arg(site.folder().join("keygress-ca.pem")).arg(url);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

fn command(site: &Site, arguments: &[&str]) -> String {
    let mut command: Command = bare(binary().unwrap());
    let output = command.args(arguments).arg("--admin-socket").arg(site.folder().join("admin.sock")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn audit(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A policy with a credential that is minted and revoked.
fn write_policy(site: &Site, issuer: &Issuer, echo: &Echo, secret: &Path) {
    let (token_url, revocation_url, port) = (issuer.url("/token"), issuer.url("/token/revocation"), echo.port);
    let policy = format!(
        "version: 1
credentials:
  minted:
    owner: tests@example.com
    source:
      oauth2_client_credentials:
        {{ token_url: {token_url}, revocation_url: {revocation_url}, client_id: basic, client_secret: {{ file: {} }}, scope: [read] }}
    inject: bearer
    only_to: [localhost]
rules:
  echo:
    from: any
    to: https://localhost:{port}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /hello]
    credential: minted
",
        secret.display()
    );
    site.write("policy.yaml", &policy).unwrap();
}

#[test]
fn a_keygress_that_is_killed_leaves_nothing_alive() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let issuer = Issuer::start(&site, 300).unwrap();
    let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    write_policy(&site, &issuer, &echo, &secret);
    let url = format!("https://localhost:{}/hello", echo.port);

    let (killed, address) = serve(&site);
    assert_eq!(get(&site, &address, &url), "200");
    assert!(command(&site, &["leases"]).contains("minted"));
    let told = command(&site, &["suspend", "--credential", "minted", "--reason", "a test"]);
    assert_eq!(told.trim(), "suspended: credential `minted`, in force");
    let seen = echo.seen();
    let token = seen[0].values("authorization")[0].strip_prefix("Bearer ").unwrap();
    killed.kill().unwrap();
    assert!(issuer.is_active(&site, token).unwrap(), "a process that is killed revokes nothing by itself");
    assert!(!audit(&site.folder().join("state/ledger")).contains(token));

    let (_running, address) = serve(&site);
    let begun = Instant::now();
    while issuer.is_active(&site, token).unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", audit(&site.folder().join("audit.jsonl")));
    }
    assert_eq!(get(&site, &address, &url), "403", "what was stopped by hand stays stopped");
    assert_eq!(echo.seen().len(), 1);
    command(&site, &["resume", "--credential", "minted"]);
    assert_eq!(get(&site, &address, &url), "200");
    let records = audit(&site.folder().join("audit.jsonl"));
    assert_eq!(records.matches("\"activity\":\"revoked\"").count(), 1, "{records}");
}

/// A `keygress run` whose command has asked once and now waits for its standard input to end.
fn run(site: &Site, echo: &Echo) -> Child {
    let mut command = bare(binary().unwrap());
    command.arg("run").arg("--policy").arg(site.folder().join("policy.yaml")).arg("--trust-ca").arg(site.upstream_ca());
    for (flag, name) in [("--state", "state"), ("--state-key", "state-key")] {
        command.arg(flag).arg(site.folder().join(name));
    }
    let script =
        format!("curl --silent --fail --output /dev/null --max-time 60 https://localhost:{}/hello && echo ready; read -r _", echo.port);
    command.args(["--", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// Lets the command end, and returns what keygress said.
fn finish(mut run: Child) -> String {
    drop(run.stdin.take());
    let done = run.wait_with_output().unwrap();
    String::from_utf8(done.stderr).unwrap()
}

#[test]
fn a_run_that_is_killed_leaves_nothing_alive_and_runs_beside_it_are_not_touched() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let issuer = Issuer::start(&site, 300).unwrap();
    let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    write_policy(&site, &issuer, &echo, &secret);
    let token = |number: usize| echo.seen()[number].values("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned();
    let is_active = |number| issuer.is_active(&site, &token(number)).unwrap();

    let mut killed = run(&site, &echo);
    let beside = run(&site, &echo);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(is_active(0) && is_active(1), "a run that is killed revokes nothing by itself");

    let next = run(&site, &echo);
    let said = finish(next);
    assert!(!is_active(0) && is_active(1) && !is_active(2), "{said}");
    assert!(said.contains("an earlier process left leases") && said.contains("2 revoked"), "{said}");
    assert!(finish(beside).contains("1 revoked"));
    assert!(!is_active(1));

    let mut killed = run(&site, &echo);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let (_serving, _) = serve(&site);
    let begun = Instant::now();
    while is_active(3) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", audit(&site.folder().join("audit.jsonl")));
    }
    let left: Vec<_> = std::fs::read_dir(site.folder().join("state/runs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "nothing is left of runs that have ended");
}

/// The fingerprints on record.
fn fingerprints(records: &str) -> Vec<&str> {
    let named = records.split("\"fingerprint\":\"").skip(1);
    named.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn one_value_has_one_fingerprint_in_every_process_with_the_folder() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let secret = site.write_secret("key", "a-value-that-stays").unwrap();
    // The credential has another name each time: only the value ties them together.
    let ask = |name: &str| {
        let policy = format!(
            "version: 1
credentials:
  {name}:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
rules:
  echo:
    from: any
    to: https://localhost:{}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /hello]
    credential: {name}
",
            secret.display(),
            echo.port
        );
        site.write("policy.yaml", &policy).unwrap();
        let (process, address) = serve(&site);
        assert_eq!(get(&site, &address, &format!("https://localhost:{}/hello", echo.port)), "200");
        process.kill().unwrap();
        audit(&site.folder().join("audit.jsonl"))
    };
    let before = ask("one");
    let after = ask("two");
    let (first, all) = (fingerprints(&before), fingerprints(&after));
    assert!(!first.is_empty() && all.len() > first.len(), "{after}");
    assert!(all.iter().all(|one| *one == first[0]), "{after}");
    site.write_secret("key", "another-value").unwrap();
    let changed = ask("two");
    assert_ne!(fingerprints(&changed).last(), Some(&first[0]), "{changed}");
}
