//! `keygress run`: the command holds a placeholder, what it is issued ends with it, its exit code is ours.

use std::process::Output;

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::issuer::Issuer;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

/// Runs a shell script inside `keygress run`, as a task of this kind.
fn run(site: &Site, kind: &str, script: &str) -> Output {
    let mut command = bare(binary().unwrap());
    command.args(["run", "--label", &format!("kind={kind}"), "--policy"]).arg(site.folder().join("policy.yaml"));
    command.arg("--trust-ca").arg(site.upstream_ca()).args(["--", "sh", "-c", script]);
    command.output().unwrap()
}

/// A policy whose task `job` may ask `localhost`, with this credential.
fn write_policy(site: &Site, credential: &str, port: u16) {
    let policy = format!(
        "version: 1
workloads:
  job: {{ task: {{ labels: {{ kind: job }} }} }}
credentials:
  key:
    owner: tests@example.com
{credential}
    only_to: [localhost]
rules:
  echo:
    from: [job]
    to: https://localhost:{port}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /hello]
    credential: key
"
    );
    site.write("policy.yaml", &policy).unwrap();
}

#[test]
fn the_command_holds_a_placeholder_that_is_exchanged_only_in_its_slot() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let key = canary().unwrap();
    let file = site.write_secret("key", &key).unwrap();
    let credential = format!(
        "    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: {{ bearer: {{ existing: require_placeholder }} }}
    placeholder: {{ env: API_KEY, like: sk_live_ }}",
        file.display()
    );
    write_policy(&site, &credential, echo.port);
    let url = format!("https://localhost:{}/hello", echo.port);
    let curl = "curl --silent --max-time 60 --output /dev/null --write-out '%{http_code} '";
    let script = format!(
        "echo \"$API_KEY\"; {curl} --header \"Authorization: Bearer $API_KEY\" {url}; {curl} {url}; \
         {curl} --header \"Authorization: Bearer sk_live_wrong\" {url}; exit 7"
    );
    let done = run(&site, "job", &script);
    let printed = String::from_utf8(done.stdout).unwrap();
    let (placeholder, statuses) = printed.split_once('\n').unwrap();
    assert_eq!(done.status.code(), Some(7));
    assert_eq!(statuses, "200 403 403 ", "{}", String::from_utf8_lossy(&done.stderr));
    assert!(placeholder.starts_with("sk_live_") && placeholder.len() > 20, "{placeholder}");
    assert_eq!(echo.seen().len(), 1);
    assert_eq!(echo.seen()[0].values("authorization"), [format!("Bearer {key}")]);
    assert!(!printed.contains(&key) && !String::from_utf8_lossy(&done.stderr).contains(&key));
}

#[test]
fn java_finds_the_proxy_and_trusts_its_ca() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let key = canary().unwrap();
    let file = site.write_secret("key", &key).unwrap();
    let credential =
        format!("    static: {{ reason: a test, expires: 2099-12-31 }}\n    source: {{ file: {} }}\n    inject: bearer", file.display());
    write_policy(&site, &credential, echo.port);
    let client = tools::root().join("tests/clients/JavaClient.java");
    let url = format!("https://localhost:{}", echo.port);
    let java = tools::program("java").unwrap();
    let done = run(&site, "job", &format!("{} {} {url}/hello {url}/forbidden", java.display(), client.display()));
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut lines = printed.lines();
    assert!(lines.next().unwrap().starts_with(r#"{"status": 200"#) && lines.next().unwrap().starts_with(r#"{"status": 403"#), "{printed}");
    assert_eq!(echo.seen().len(), 1);
    assert_eq!(echo.seen()[0].values("authorization"), [format!("Bearer {key}")]);
}

#[test]
fn another_task_is_refused() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let file = site.write_secret("key", &canary().unwrap()).unwrap();
    let credential =
        format!("    static: {{ reason: a test, expires: 2099-12-31 }}\n    source: {{ file: {} }}\n    inject: bearer", file.display());
    write_policy(&site, &credential, echo.port);
    let script = format!("curl --silent --max-time 60 --write-out '%{{http_connect}}' https://localhost:{}/hello", echo.port);
    let done = run(&site, "other", &script);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(printed.contains("403"), "{printed}");
    assert!(echo.seen().is_empty());
}

#[test]
fn what_was_issued_ends_with_the_command() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let issuer = Issuer::start(&site, 300).unwrap();
    let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
    let credential = format!(
        "    source: {{ oauth2_client_credentials: {{ token_url: \"{}\", revocation_url: \"{}\", client_id: basic, client_secret: {{ file: {} }} }} }}
    inject: bearer",
        issuer.url("/token"),
        issuer.url("/token/revocation"),
        secret.display()
    );
    write_policy(&site, &credential, echo.port);
    let done = run(&site, "job", &format!("curl --silent --max-time 60 --fail https://localhost:{}/hello", echo.port));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let token = echo.seen()[0].values("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(issuer.issued(), 1);
    assert!(!issuer.is_active(&site, &token).unwrap(), "{said}");
    assert!(said.contains("revoked") && !said.contains(&token), "{said}");
}
