//! Tasks at a running keygress: opened on the admin socket, proven by a token, ended by whoever opened them or by their deadline.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use keygress_tests::client::bare;
use keygress_tests::proxy::{Proxy, binary};
use keygress_tests::servers::echo::Echo;
use keygress_tests::servers::issuer::Issuer;
use keygress_tests::site::Site;
use keygress_tests::tools;
use serde_json::{Value, json};

/// As many tasks as may be open.
const TASKS_MAX: usize = 1024;

/// A credential that is minted for tasks of the kind `ci`.
struct World {
    issuer: Issuer,
    echo: Echo,
    proxy: Proxy,
    site: Site,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "echo.test").unwrap();
        let issuer = Issuer::start(&site, 300).unwrap();
        let secret = site.write_secret("client-secret", &issuer.basic_secret).unwrap();
        let (token_url, revocation_url) = (issuer.url("/token"), issuer.url("/token/revocation"));
        let policy = format!(
            "version: 1
workloads:
  job: {{ task: {{ labels: {{ kind: ci }} }} }}
credentials:
  minted:
    owner: tests@example.com
    source:
      oauth2_client_credentials:
        {{ token_url: {token_url}, revocation_url: {revocation_url}, client_id: basic, client_secret: {{ file: {} }}, scope: [read] }}
    inject: bearer
    only_to: [echo.test]
    placeholder: {{ env: API_TOKEN, like: pt_ }}
rules:
  echo:
    from: [job]
    to: https://echo.test:{}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, GET /events]
    credential: minted
",
            secret.display(),
            echo.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { issuer, echo, proxy, site }
    }

    fn open(&self, kind: &str, deadline: &str) -> Value {
        let (status, task) = self.proxy.control("POST", "/tasks", &json!({ "labels": { "kind": kind }, "deadline": deadline })).unwrap();
        assert_eq!(status, 200, "{task}");
        task
    }

    /// curl through this proxy.
    fn curl(&self, proxy: &str, path: &str) -> Command {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--proxy", proxy, "--cacert"]).arg(self.site.folder().join("keygress-ca.pem"));
        curl.arg(format!("https://echo.test:{}{path}", self.echo.port));
        curl
    }

    /// The status of a request through this proxy, or that of the `CONNECT` where it went no further.
    fn status(&self, proxy: &str) -> String {
        let mut curl = self.curl(proxy, "/hello");
        curl.args(["--output", "/dev/null", "--write-out", "%{http_connect} %{http_code}"]);
        let printed = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        let (connect, status) = printed.split_once(' ').unwrap();
        if status == "000" { connect.to_owned() } else { status.to_owned() }
    }

    /// The token that the upstream saw with its request of this number.
    fn token(&self, number: usize) -> String {
        self.echo.seen()[number].values("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned()
    }

    fn keygress(&self, arguments: &[&str]) -> Output {
        let mut command = bare(binary().unwrap());
        command.arg("task").args(arguments).arg("--admin-socket").arg(self.site.folder().join("admin.sock")).output().unwrap()
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {value}"))
}

#[test]
fn a_task_that_is_closed_is_refused_its_streams_end_and_its_leases_are_revoked() {
    let world = World::new();
    let (task, other) = (world.open("ci", "1h"), world.open("else", "1h"));
    let (proxy, id) = (text(&task, "proxy"), text(&task, "id"));
    assert_eq!(world.status(proxy), "200");
    assert_eq!(world.status(text(&other, "proxy")), "403", "another kind of task");
    assert_eq!(world.status(&format!("http://{}", world.proxy.address())), "403", "no task");
    assert_eq!(world.status(&format!("http://task:{id}@{}", world.proxy.address())), "407", "the id is no token");
    assert!(world.issuer.is_active(&world.site, &world.token(0)).unwrap());

    let (_, listed) = world.proxy.control("GET", "/tasks", &json!({})).unwrap();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2);
    let mut running = world.curl(proxy, "/events").arg("--no-buffer").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "data: first\n");

    let (status, closed) = world.proxy.control("POST", "/tasks/close", &json!({ "id": id })).unwrap();
    assert_eq!((status, &closed["leases"]), (200, &json!({ "revoked": 1, "dropped": 0, "failed": 0 })));
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.trim().is_empty() && !running.wait().unwrap().success(), "{rest}");
    assert!(!world.issuer.is_active(&world.site, &world.token(0)).unwrap());
    assert_eq!(world.status(proxy), "407");
    assert_eq!(world.proxy.control("POST", "/tasks/close", &json!({ "id": id })).unwrap().0, 404);

    let records = world.proxy.record_lines().join("\n");
    for activity in ["task_opened", "task_closed"] {
        assert!(records.contains(&format!("\"activity\":\"{activity}\"")), "{records}");
    }
    for secret in [text(&task, "token"), text(&other, "token"), task["placeholders"]["API_TOKEN"].as_str().unwrap()] {
        assert!(!records.contains(secret) && !listed.to_string().contains(secret) && !world.proxy.metrics().contains(secret));
    }
}

#[test]
fn a_task_ends_at_its_deadline() {
    let world = World::new();
    let task = world.open("ci", "5s");
    // On a machine that is busy the deadline may have passed already.
    let was_served = world.status(text(&task, "proxy")) == "200";
    let record = world.proxy.await_record("\"activity\":\"task_closed\"").unwrap();
    assert!(record.contains("\"code\":\"deadline\"") && record.contains(text(&task, "id")), "{record}");
    assert_eq!(world.status(text(&task, "proxy")), "407");
    assert_eq!(world.proxy.control("GET", "/tasks", &json!({})).unwrap().1, json!({ "tasks": [] }));
    assert!(!was_served || !world.issuer.is_active(&world.site, &world.token(0)).unwrap());
}

#[test]
fn tasks_are_bounded_and_nothing_that_is_asked_wrongly_opens_one() {
    let world = World::new();
    for wrong in [
        json!({}),
        json!([]),
        json!({ "deadline": "soon" }),
        json!({ "deadline": 30 }),
        json!({ "deadline": "0s" }),
        json!({ "deadline": "200h" }),
        json!({ "deadline": "1h", "labels": { "": "x" } }),
        json!({ "deadline": "1h", "labels": { "a": "\u{1b}[2J" } }),
        json!({ "deadline": "1h", "labels": { "a": "x".repeat(1000) } }),
        json!({ "deadline": "1h", "labels": { "a": 1 } }),
        json!({ "deadline": "1h", "token": "mine" }),
        json!({ "deadline": "x".repeat(70_000) }),
    ] {
        let (status, answer) = world.proxy.control("POST", "/tasks", &wrong).unwrap();
        assert!(status == 400 && answer["error"].is_string(), "{status} {answer}");
    }
    assert_eq!(world.proxy.control("DELETE", "/tasks", &json!({})).unwrap().0, 405);
    assert_eq!(world.proxy.control("GET", "/tasks/close", &json!({})).unwrap().0, 405);
    assert_eq!(world.proxy.control("POST", "/tasks/close", &json!({ "id": "../0" })).unwrap().0, 404);
    assert_eq!(world.proxy.control("GET", "/tasks", &json!({})).unwrap().1, json!({ "tasks": [] }));

    let tasks: Vec<_> = (0..TASKS_MAX).map(|_| world.open("ci", "1h")).collect();
    let (status, answer) = world.proxy.control("POST", "/tasks", &json!({ "deadline": "1h" })).unwrap();
    assert!(status == 507 && text(&answer, "error").contains("1024 tasks are open"), "{status} {answer}");
    assert_eq!(world.status(text(&tasks[TASKS_MAX - 1], "proxy")), "200");
    // What is revoked by hand gives its place back too.
    assert_eq!(world.proxy.control("POST", "/revoke", &json!({ "task": tasks[0]["id"] })).unwrap().0, 200);
    world.open("ci", "1h");
}

#[test]
fn the_command_opens_a_task_that_an_env_file_hands_on() {
    let world = World::new();
    let file = world.site.folder().join("task.env");
    let opened = world.keygress(&["open", "--label", "kind=ci", "--deadline", "10m", "--env-file", file.to_str().unwrap()]);
    assert!(opened.status.success() && opened.stdout.is_empty(), "{opened:?}");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777, 0o600);

    let script = format!(
        "set -a; . {}; curl --silent --fail --max-time 60 --cacert {} https://echo.test:{}/hello; echo $KEYGRESS_TASK $API_TOKEN",
        file.display(),
        world.site.folder().join("keygress-ca.pem").display(),
        world.echo.port
    );
    let done = bare("sh").args(["-c", &script]).output().unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    let (hello, rest) = printed.split_once('\n').unwrap();
    let (id, placeholder) = rest.trim().split_once(' ').unwrap();
    assert!(hello == "hello" && placeholder.starts_with("pt_"), "{printed}");

    let listed = String::from_utf8(world.keygress(&["list"]).stdout).unwrap();
    assert!(listed.contains(id) && listed.contains("kind=ci"), "{listed}");
    let closed = world.keygress(&["close", id]);
    assert!(closed.status.success(), "{closed:?}");
    assert!(String::from_utf8_lossy(&closed.stdout).contains("1 lease revoked"), "{closed:?}");
    assert!(!world.issuer.is_active(&world.site, &world.token(0)).unwrap());
    let again = world.keygress(&["close", id]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("no task of this id is open"), "{again:?}");
    let wrong = world.keygress(&["open", "--deadline", "soon"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("write it with its unit"), "{wrong:?}");
}
