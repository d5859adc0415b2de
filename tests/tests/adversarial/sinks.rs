//! The process as it is run: `keygress serve` with every sink that it can have. What it writes anywhere while it is attacked, and when it
//! ends, holds no secret; its core file is the affair of `sandbox`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use keygress_tests::attack::capture::Place;
use keygress_tests::attack::ground;
use keygress_tests::attack::h1;
use keygress_tests::attack::oracle::Oracle;
use keygress_tests::attack::way::{Answer, Request, Way};
use keygress_tests::attack::wire::{TIME_MAX, Target};
use keygress_tests::client::bare;
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::servers::scripted::{Scripted, bearer};
use keygress_tests::site::{Site, canary};
use serde_json::{Value, json};

/// Everybody has this name: the real process pins no other to this host.
const HOST: &str = "localhost";

/// What files of the site only keygress reads.
const SECRET_FILES: [&str; 4] = ["key", "client-secret", "hook-secret", "state-key"];

/// A process under attack, all of its sinks, and what must be in none of them.
struct Run {
    process: Process,
    target: Target,
    /// The upstream whose credential is minted.
    minted: Target,
    admin: PathBuf,
    metrics: std::net::SocketAddr,
    key: String,
    issuer: Scripted,
    hook: Scripted,
    oracle: Oracle,
    site: Site,
    back: Vec<u8>,
    upstreams: [Scripted; 2],
}

/// An upstream that says back what it was sent: in a field, and in the body.
fn parrot(site: &Site) -> Scripted {
    let answer = |request: &str| {
        let key = bearer(request);
        format!("HTTP/1.1 200 OK\r\nX-Echo: {key}\r\nContent-Length: {}\r\n\r\nit was {key}", key.len() + 7).into_bytes()
    };
    Scripted::start(site, HOST, answer).unwrap()
}

fn issuer(site: &Site, token: &str) -> Scripted {
    let body = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    Scripted::start(site, HOST, move |_| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").into()
    })
    .unwrap()
}

fn policy(site: &Site, issuer: u16, [api, minted]: [u16; 2]) -> String {
    let file = |name: &str| site.folder().join(name).display().to_string();
    let rule = |name: &str, port: u16, credential: &str| {
        format!(
            "  {name}:\n    from: any\n    to: https://{HOST}:{port}\n    allow: [GET /**]\n    credential: {credential}\n    route: {name}\n    \
             allow_ips: [127.0.0.0/8, \"::1/128\"]\n"
        )
    };
    format!(
        "version: 1
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {key} }}
    inject: bearer
    only_to: [{HOST}]
  minted:
    owner: tests@example.com
    source: {{ oauth2_client_credentials: {{ token_url: 'https://{HOST}:{issuer}/token', revocation_url: 'https://{HOST}:{issuer}/revoke', client_id: tests, client_secret: {{ file: {client} }} }} }}
    inject: bearer
    only_to: [{HOST}]
rules:
{}{}",
        rule("api", api, "key"),
        rule("minted", minted, "minted"),
        key = file("key"),
        client = file("client-secret"),
    )
}

impl Run {
    fn new() -> Self {
        let site = ground::site().unwrap();
        let mut oracle = Oracle::default();
        for name in SECRET_FILES {
            let secret = canary().unwrap();
            oracle.hide(name, &secret);
            site.write_secret(name, &secret).unwrap();
        }
        let key = std::fs::read_to_string(site.folder().join("key")).unwrap();
        let token = canary().unwrap();
        oracle.hide("minted", &token);
        let (issuer, upstreams) = (issuer(&site, &token), [parrot(&site), parrot(&site)]);
        let hook = Scripted::start(&site, HOST, |_| b"HTTP/1.1 204 Taken\r\nContent-Length: 0\r\n\r\n".to_vec()).unwrap();
        let ports = [upstreams[0].port, upstreams[1].port];
        site.write("policy.yaml", &policy(&site, issuer.port, ports)).unwrap();
        let (place, metrics) = (Place::free().unwrap(), Place::free().unwrap().listener);
        let out = site.folder().join("out");
        for folder in ["out", "out/tmp", "out/ca"] {
            std::fs::create_dir(site.folder().join(folder)).unwrap();
        }
        let process = begun(&site, &out, (place, metrics, hook.port));
        let listening = process.wait_for("listens on ").unwrap();
        let listener = listening.split(',').next().unwrap().parse().unwrap();
        process.wait_for("captures on ").unwrap();
        let target = Target {
            listener,
            socket: Some(out.join("callers.sock")),
            captured: Some(place.dialled),
            ca_pem: std::fs::read_to_string(out.join("ca.pem")).unwrap(),
            token: None,
            host: HOST.to_owned(),
            port: ports[0],
            route: "api".to_owned(),
        };
        let minted = Target { port: ports[1], route: "minted".to_owned(), ..target.clone() };
        let admin = out.join("admin.sock");
        Self { process, target, minted, admin, metrics, key, issuer, hook, oracle, site, back: Vec::new(), upstreams }
    }

    fn ask(&mut self, target: &Target, way: Way, request: &Request) -> Answer {
        let answer = target.ask(way, request).unwrap_or_else(|why| panic!("{way}: {why:#}"));
        self.back.extend(&answer.raw);
        self.back.extend(&answer.body);
        answer
    }

    /// One request to the admin socket, and all that comes back.
    fn order(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(TIME_MAX)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn clean(&self, sink: &str, bytes: &[u8]) {
        let found = self.oracle.finds(bytes);
        assert!(found.is_empty(), "{sink} holds {found:?}:\n{}", String::from_utf8_lossy(bytes));
    }
}

fn begun(site: &Site, out: &Path, (place, metrics, hook): (Place, std::net::SocketAddr, u16)) -> Process {
    let path = |name: &str| site.folder().join(name);
    let mut command = bare(binary().unwrap());
    command.args(["serve", "--listen", "127.0.0.1:0", "--unsafe-same-uid", "--unsafe-writable-files", "--detect-settle", "0s"]);
    command.arg("--transparent").arg(place.listener.to_string()).arg("--metrics").arg(metrics.to_string());
    command.arg("--alert-webhook").arg(format!("https://{HOST}:{hook}/alerts"));
    command.arg("--audit-also").arg("stdout").arg("--audit-strict").arg("--drain-grace").arg("1s");
    for (flag, name) in [
        ("--policy", "policy.yaml"),
        ("--upstream-ca", "upstream-ca.pem"),
        ("--alert-webhook-secret", "hook-secret"),
        ("--state-key", "state-key"),
        ("--state", "out/state"),
        ("--audit", "out/audit.jsonl"),
        ("--ca-file", "out/ca.pem"),
        ("--ca-folder", "out/ca"),
        ("--unix", "out/callers.sock"),
        ("--admin-socket", "out/admin.sock"),
    ] {
        command.arg(flag).arg(path(name));
    }
    Process::start(command.env("TMPDIR", out.join("tmp")).current_dir(out), "").unwrap()
}

/// Every file below a folder, sockets aside.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() { files(&path) } else { Vec::from_iter(kind.is_file().then_some(path)) }
        })
        .collect()
}

#[test]
fn nothing_that_the_process_writes_holds_a_secret() {
    let mut run = Run::new();
    let (target, minted) = (run.target.clone(), run.minted.clone());
    let opened = run.order("POST", "/tasks", &json!({ "labels": { "who": "one" }, "deadline": "1h" }).to_string());
    let task: Value = serde_json::from_str(opened.split_once("\r\n\r\n").unwrap().1).unwrap();
    run.oracle.hide("task token", task["token"].as_str().unwrap());
    let token = task["token"].as_str().unwrap().to_owned();
    let key = run.key.clone();
    for way in Way::ALL {
        for at in [&target, &minted] {
            let answer = run.ask(at, way, &Request::get("/hello"));
            assert_eq!((answer.status, answer.text().starts_with("it was ***")), (200, true), "{way}: {}", answer.text());
        }
        // What an application should not have, wherever it can write it: what is said and recorded of that must not repeat it.
        for secret in [&key, &token] {
            for request in [
                Request::get(&format!("/hello/{secret}")),
                Request::get(&format!("/hello?a={secret}")),
                Request::get("/hello").with("X-Note", secret).with("User-Agent", secret),
                Request::get("/hello").with("Cookie", &format!("a={secret}")),
                Request { method: "DELETE".to_owned(), ..Request::get(&format!("/{secret}")) },
                Request { method: secret.clone(), ..Request::get("/hello") },
                Request { authority: format!("{secret}.test"), ..Request::get("/hello") },
            ] {
                run.ask(&target, way, &request);
            }
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/policy", "/leases", "/stops", "/credentials", "/tasks", "/baselines"] {
        let answer = run.order("GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        run.clean(path, answer.as_bytes());
    }
    let mut scraped = std::net::TcpStream::connect(run.metrics).unwrap();
    let scraped = h1::converse(&mut scraped, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    assert!(scraped.text().contains("keygress_alerts_total"), "{}", scraped.text());
    run.clean("the metrics", &scraped.raw);
    for name in ["cmdline", "environ", "status", "maps", "mountinfo", "limits"] {
        let text = std::fs::read(format!("/proc/{}/{name}", run.process.id())).unwrap();
        run.clean(name, &text);
    }
    ended(run);
}

/// Ends it, and searches what it leaves.
fn ended(run: Run) {
    let Run { process, issuer, hook, oracle, site, back, upstreams, key, .. } = run;
    let lines = process.end().unwrap();
    let clean = |sink: &str, bytes: &[u8]| {
        let found = oracle.finds(bytes);
        assert!(found.is_empty(), "{sink} holds {found:?}:\n{}", String::from_utf8_lossy(bytes));
    };
    clean("what came back", &back);
    assert!(lines.iter().any(|line| line.contains("stopped")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("\"alert\"")), "the audit is on stdout too: {lines:#?}");
    clean("stdout or stderr", lines.join("\n").as_bytes());
    let told = hook.seen();
    assert!(told.iter().any(|told| told.contains("real_value")), "{told:?}");
    clean("the webhook", told.join("\n").as_bytes());
    let files = files(&site.folder().join("out"));
    for name in ["audit.jsonl", "ca.pem", "ledger"] {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name}: {files:?}");
    }
    for file in files {
        clean(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    // The twin: they were there to be found, each where it belongs.
    assert!(upstreams[0].seen().iter().all(|seen| bearer(seen) == key));
    assert!(issuer.seen().iter().any(|seen| seen.contains("/revoke")), "{:?}", issuer.seen());
    let asked = issuer.seen().concat();
    assert!(!oracle.finds(asked.as_bytes()).is_empty(), "{asked}");
}
