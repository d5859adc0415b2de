//! `keygress run`: what the command gets, what it does not get, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The value that the environment provider reads; the command must never see it.
const REAL: &str = "real-token-that-the-command-must-not-see";

fn run(command: &[&str]) -> Command {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/first-run");
    let mut keygress = Command::new(env!("CARGO_BIN_EXE_keygress"));
    keygress.arg("run").arg("--policy").arg(policy).args(["--label", "kind=first-run", "--"]).args(command);
    keygress
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("GITHUB_TOKEN", REAL)
        .env("NO_PROXY", "*")
        .env("ALL_PROXY", "socks5://127.0.0.1:9");
    keygress
}

fn output(command: &[&str]) -> Output {
    run(command).output().unwrap()
}

fn environment() -> std::collections::BTreeMap<String, String> {
    let output = output(&["env", "-0"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn the_command_finds_the_proxy_and_nothing_leads_round_it() {
    let environment = environment();
    let proxy = &environment["HTTPS_PROXY"];
    assert!(proxy.starts_with("http://task:") && proxy.contains("@127.0.0.1:"), "{proxy}");
    for name in ["HTTP_PROXY", "http_proxy", "https_proxy", "KEYGRESS_PROXY"] {
        assert_eq!(&environment[name], proxy, "{name}");
    }
    for name in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"] {
        assert!(!environment.contains_key(name), "{name}");
    }
    assert_eq!(environment["KEYGRESS_TASK"].len(), 16);
}

#[test]
fn every_runtime_is_told_of_the_ca_and_the_files_go_away() {
    let environment = environment();
    let bundle = &environment["SSL_CERT_FILE"];
    let same = ["REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "CURL_CA_BUNDLE"];
    for name in same {
        assert_eq!(&environment[name], bundle, "{name}");
    }
    assert!(environment["NODE_EXTRA_CA_CERTS"].ends_with("/ca.pem"));
    assert!(environment["JAVA_TOOL_OPTIONS"].contains(&bundle.replace("bundle.pem", "trust.jks")));
    assert!(!Path::new(bundle).exists() && !Path::new(bundle).parent().unwrap().exists());
    let output = output(&["sh", "-c", r#"grep -c BEGIN "$NODE_EXTRA_CA_CERTS"; stat -c %a "$(dirname "$SSL_CERT_FILE")""#]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n700\n");
}

#[test]
fn the_command_holds_a_placeholder_and_never_the_key() {
    let environment = environment();
    let placeholder = environment["GITHUB_TOKEN"].strip_prefix("ghp_").unwrap();
    assert_eq!(placeholder.len(), 32);
    assert!(environment.values().all(|value| !value.contains(REAL)));
}

#[test]
fn the_exit_code_is_the_commands() {
    for (command, code) in [
        (&["sh", "-c", "exit 3"][..], 3),
        (&["true"], 0),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["no-such-command-at-all"], 127),
        (&["/"], 126),
    ] {
        let output = output(command);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn banner_and_summary_are_on_standard_error() {
    let output = output(&["echo", "result"]);
    assert_eq!(output.stdout, b"result\n");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("This run is cooperative"), "{text}");
    assert!(text.contains("requests     0 allowed, 0 denied"), "{text}");
    assert!(!text.contains(REAL));
}

#[test]
fn signals_reach_the_command() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3)] {
        let script = format!("trap 'kill $child; exit {}' {signal}; sleep 60 & child=$!; echo ready; wait", 40 + number);
        // In a process group of its own, as a service manager would start it: a terminal's foreground group gets its keys anyway.
        let inside = run(&["sh", "-c", &script]);
        // What the tests themselves were started with, such as nohup, must not decide.
        let mut keygress = Command::new("env");
        keygress.arg("--default-signal").arg(inside.get_program()).args(inside.get_args());
        keygress.process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = keygress.spawn().unwrap();
        wait_until_ready(&mut child);
        let killed = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(40 + number), "{signal}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let keygress = run(&["sh", "-c", "echo ready; read -r _; exit 5"]);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", r#"trap "" HUP; exec "$@""#, "sh"]).arg(keygress.get_program()).args(keygress.get_args());
    let mut child = nohup.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_until_ready(&mut child);
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_failure_of_keygress_itself_has_its_own_exit_code() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_keygress")).args(["run", "--policy", "/nowhere/policy.yaml", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{output:?}");
}

#[test]
fn a_client_that_can_send_no_token_uses_the_routes_of_the_task() {
    let script = r#"echo "$KEYGRESS_ROUTES"; echo "$KEYGRESS_PROXY"; read -r _"#;
    let mut child = run(&["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let (routes, proxy) = (printed.next().unwrap().unwrap(), printed.next().unwrap().unwrap());
    let ask = |address: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /api.github.com/user/keys HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask(routes.strip_prefix("http://").unwrap());
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"not_allowed\""), "{answer}");
    let answer = ask(proxy.rsplit('@').next().unwrap());
    assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

fn wait_until_ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}
