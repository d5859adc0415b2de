//! `keygress serve`: how it starts, what its admin sockets answer, how it reloads and stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use keygress::audit;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const POLICY: &str = "version: 1\nrules:\n  docs: { to: 'https://docs.example.com' }\n";
const TWO_RULES: &str = "version: 1\nrules:\n  docs: { to: 'https://docs.example.com' }\n  blog: { to: 'https://blog.example.com' }\n";

fn serve(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygress"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--workers", "1", "--drain-grace", "1s"]);
    for (flag, name) in [("--policy", "policy.yaml"), ("--audit", "audit.jsonl"), ("--admin-socket", "admin.sock"), ("--ca-file", "ca.pem")]
    {
        command.arg(flag).arg(folder.join(name));
    }
    command.env_clear().stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A proxy in its own process and folder; killed where a test fails.
struct Served {
    folder: tempfile::TempDir,
    child: Child,
    log: Receiver<String>,
    metrics: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
        Self::start_in(folder)
    }

    fn start_in(folder: tempfile::TempDir) -> Self {
        let mut child = serve(folder.path()).spawn().unwrap();
        let (sent, log) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sent.send(line)));
        let mut served = Self { folder, child, log, metrics: ([0, 0, 0, 0], 0).into() };
        let banner = served.log_line("listens on");
        let (_, rest) = banner.split_once("metrics on ").unwrap();
        served.metrics = rest.split_once(": ").unwrap().0.parse().unwrap();
        served
    }

    /// Reads the log up to the line with these words.
    fn log_line(&mut self, words: &str) -> String {
        let mut read = String::new();
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(20));
            let line = line.unwrap_or_else(|_| panic!("`{words}` is not in: {read}"));
            if line.contains(words) {
                return line;
            }
            read += &line;
            read.push('\n');
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// One request to the admin socket.
    fn control(&self, method: &str, path: &str) -> (u16, String) {
        ask(UnixStream::connect(self.path("admin.sock")).unwrap(), &format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n"))
    }

    /// One request to the read-only listener.
    fn read_only(&self, request: &str) -> (u16, String) {
        ask(TcpStream::connect(self.metrics).unwrap(), request)
    }

    fn activities(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["activity"].as_str().unwrap().to_owned()).collect()
    }
}

fn ask(mut stream: impl Read + Write, head: &str) -> (u16, String) {
    write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_admin_socket_answers_its_owner() {
    let served = Served::start();
    assert_eq!(fs::metadata(served.path("admin.sock")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(served.control("GET", "/healthz").0, 200);
    let (mut status, mut ready) = served.control("GET", "/readyz");
    while status == 503 {
        // Only the credentials can be missing, and these begin at once.
        assert_eq!(json(&ready)["reasons"][0], "the credentials of the policy are being fetched");
        (status, ready) = served.control("GET", "/readyz");
    }
    assert_eq!((status, json(&ready)["ready"].as_bool()), (200, Some(true)));
    let (_, policy) = served.control("GET", "/policy");
    assert_eq!(json(&policy), json(r#"{"generation":1,"rules":1,"credentials":0,"last_failure":null}"#));
    assert!(served.control("GET", "/metrics").1.contains("keygress_policy_generation 1\n"));
    assert_eq!(served.control("HEAD", "/metrics"), (200, String::new()));
    assert_eq!(served.control("GET", "/nothing").0, 404);
}

#[test]
fn health_asks_either_socket_whether_it_is_ready() {
    let served = Served::start();
    while served.control("GET", "/readyz").0 == 503 {}
    for (flag, place) in [("--admin-socket", served.path("admin.sock").display().to_string()), ("--metrics", served.metrics.to_string())] {
        let output = Command::new(env!("CARGO_BIN_EXE_keygress")).args(["health", flag, &place]).output().unwrap();
        assert!(output.status.success(), "{flag}: {output:?}");
    }
}

#[test]
fn a_reload_is_asked_for_and_answered() {
    let served = Served::start();
    assert_eq!(served.control("GET", "/reload").0, 405, "reading has no effect");
    assert_eq!(json(&served.control("POST", "/reload").1)["generation"], 2);
    fs::write(served.path("policy.yaml"), "version: 1\nruls: {}\n").unwrap();
    let (status, answer) = served.control("POST", "/reload");
    assert_eq!((status, json(&answer)["generation"].as_u64()), (422, Some(2)));
    assert!(json(&answer)["error"].as_str().unwrap().contains("policy.yaml:2:1"), "{answer}");
    let (_, policy) = served.control("GET", "/policy");
    assert_eq!(json(&policy)["last_failure"], json(&answer)["error"]);
    assert_eq!(served.control("GET", "/readyz").0, 200, "the last good policy is in force");
}

#[test]
fn the_tcp_listener_is_read_only_and_not_for_web_pages() {
    let served = Served::start();
    let host = format!("Host: {}\r\n", served.metrics);
    assert_eq!(served.read_only(&format!("GET /healthz HTTP/1.1\r\n{host}")).0, 200);
    assert!(served.read_only(&format!("GET /metrics HTTP/1.1\r\n{host}")).1.contains("# TYPE keygress_connections gauge\n"));
    assert_eq!(served.read_only(&format!("GET /policy HTTP/1.1\r\n{host}")).0, 404);
    assert_eq!(served.read_only(&format!("POST /reload HTTP/1.1\r\n{host}")).0, 404);
    assert_eq!(served.read_only("GET /metrics HTTP/1.1\r\nHost: rebind.example\r\n").0, 403);
    assert_eq!(served.read_only(&format!("GET /metrics HTTP/1.1\r\n{host}Sec-Fetch-Site: cross-site\r\n")).0, 403);
    assert_eq!(served.read_only(&format!("GET /metrics HTTP/1.1\r\n{host}Origin: http://127.0.0.1\r\n")).0, 403);
}

#[test]
fn sighup_reloads_and_sigterm_ends_with_everything_on_record() {
    let mut served = Served::start();
    served.signal(Signal::HUP);
    served.log_line("generation=2");
    assert!(fs::read_to_string(served.path("ca.pem")).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(served.stop(Signal::TERM).success());
    assert_eq!(served.activities(), ["opened", "policy_loaded", "policy_loaded", "closed"]);
    let verified = audit::verify(&served.path("audit.jsonl")).unwrap();
    assert_eq!((verified.records, verified.first_bad), (4, None));
    assert!(!served.path("admin.sock").exists());
}

#[test]
fn a_changed_file_is_loaded_without_being_asked() {
    let mut served = Served::start();
    fs::write(served.path("new"), TWO_RULES).unwrap();
    fs::rename(served.path("new"), served.path("policy.yaml")).unwrap();
    served.log_line("generation=2");
    assert_eq!(json(&served.control("GET", "/policy").1)["rules"], 2);
}

#[test]
fn the_next_process_says_that_the_one_before_was_killed() {
    let mut served = Served::start();
    let records = || fs::read_to_string(served.path("audit.jsonl")).unwrap().lines().count();
    while records() < 2 {
        std::thread::yield_now();
    }
    served.stop(Signal::KILL);
    let folder = std::mem::replace(&mut served.folder, tempfile::tempdir().unwrap());
    let mut served = Served::start_in(folder);
    assert!(served.stop(Signal::INT).success());
    assert_eq!(served.activities(), ["opened", "policy_loaded", "opened", "recovered", "policy_loaded", "closed"]);
    assert_eq!(audit::verify(&served.path("audit.jsonl")).unwrap().first_bad, None);
}

#[test]
fn what_is_wrong_at_the_start_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), "version: 1\nruls: {}\n").unwrap();
    let failed = |arguments: &[&str]| {
        let output = serve(folder.path()).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = failed(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("error: the policy does not load\n") && text.contains("policy.yaml:2:1"), "{text}");
    assert!(!folder.path().join("audit.jsonl").exists(), "nothing was begun");

    let (code, text) = failed(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("`0.0.0.0:0` is not a loopback address") && text.contains("help: "), "{text}");
    assert_eq!(failed(&["--nonsense"]).0, 2);

    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    fs::write(folder.path().join("audit.jsonl"), "notes\n").unwrap();
    let (code, text) = failed(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("holds something else than audit records"), "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("audit.jsonl")).unwrap(), "notes\n");
}
