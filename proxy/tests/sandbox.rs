//! What `keygress serve` gives up at start, and what somebody beside it can still see: nothing of its memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// `nobody`: whom keygress and its neighbour run as where the test is root.
const NOBODY: u32 = 65534;

/// A proxy in its own process; killed where a test fails.
struct Served {
    folder: tempfile::TempDir,
    child: Child,
    address: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that the user of keygress owns.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    own(folder.path());
    folder
}

fn own(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn put(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    own(&path);
    path
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command of the user that keygress runs as.
fn as_user(program: &str) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A copy of the binary: the user of keygress may not reach where cargo builds.
fn binary_in(folder: &Path) -> PathBuf {
    let binary = folder.join("keygress");
    fs::copy(env!("CARGO_BIN_EXE_keygress"), &binary).unwrap();
    binary
}

/// Starts a program that was copied just now: a child of another test may hold the copy open for writing until it is itself.
fn start(command: &mut Command) -> Child {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            started => return started.unwrap(),
        }
    }
}

fn serve(folder: &Path, binary: &Path) -> Command {
    let mut command = as_user(binary.to_str().unwrap());
    command.args(["serve", "--unsafe-same-uid", "--listen", "127.0.0.1:0", "--workers", "2"]);
    for (flag, name) in [("--policy", "policy.yaml"), ("--audit", "audit.jsonl"), ("--admin-socket", "admin.sock")] {
        command.arg(flag).arg(folder.join(name));
    }
    command.env_clear().env("CANARY", "canary-in-the-environment").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Served {
    fn start(policy: &str, folder: tempfile::TempDir) -> Self {
        put(folder.path(), "policy.yaml", policy, 0o600);
        let binary = binary_in(folder.path());
        let mut child = start(&mut serve(folder.path(), &binary));
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let banner = log.find(|line| line.contains(" listens on ")).expect("it starts");
        let (_, rest) = banner.split_once(" listens on ").unwrap();
        let address = rest.split([':', ',']).take(2).collect::<Vec<_>>().join(":").parse().unwrap();
        std::thread::spawn(move || log.for_each(drop));
        Self { folder, child, address }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    /// One request to the admin socket.
    fn control(&self, method: &str, path: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("admin.sock")).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn get(&self, url: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        write!(stream, "GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Why this policy may not come into force.
    fn rejected(&self, policy: &str) -> String {
        put(self.folder.path(), "policy.yaml", policy, 0o600);
        let answer: Value = serde_json::from_str(&self.control("POST", "/reload")).unwrap();
        answer["error"].as_str().unwrap_or_else(|| panic!("it was taken: {answer}")).to_owned()
    }
}

/// An upstream that answers one request after the other, and tells what credential came with each.
fn upstream() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sent, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let credential = lines.find(|line| line.to_ascii_lowercase().starts_with("authorization:")).unwrap_or_default();
            lines.for_each(drop);
            let _ = sent.send(credential);
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, seen)
}

fn policy(source: &str, port: u16) -> String {
    format!(
        "version: 1
workloads: {{ us: {{ process: {{ uid: {uid} }} }}, root: {{ process: {{ uid: 0 }} }} }}
credentials:
  key: {{ owner: a@example.com, source: {source}, inject: bearer, only_to: [127.0.0.1] }}
rules:
  one: {{ from: [us, root], to: 'http://127.0.0.1:{port}', unsafe_plaintext: true, allow_ips: [127.0.0.1], allow: [GET /**], credential: key }}
",
        uid = if is_root() { NOBODY } else { rustix::process::geteuid().as_raw() }
    )
}

fn file(path: &Path) -> String {
    format!("{{ file: {{ path: {}, rotates: true }} }}", path.display())
}

fn status(id: u32, thread: &str, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{id}/task/{thread}/status")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap().trim().to_owned()
}

#[test]
fn every_thread_has_given_up_what_a_proxy_does_not_need() {
    let served = Served::start("version: 1\nrules: { docs: { to: 'https://docs.example.com' } }\n", folder());
    let metrics = served.control("GET", "/metrics");
    let measures: Vec<_> = metrics.lines().filter(|line| line.starts_with("keygress_sandbox_enforced{")).collect();
    assert_eq!(measures.len(), 7, "{metrics}");
    assert!(measures.iter().all(|line| line.ends_with(" 1")), "{measures:?}");
    let threads = fs::read_dir(format!("/proc/{}/task", served.id())).unwrap().flatten();
    let threads: Vec<_> = threads.map(|thread| thread.file_name().into_string().unwrap()).collect();
    assert!(threads.len() > 3, "{threads:?}");
    for thread in &threads {
        for (field, value) in [("CapEff", "0000000000000000"), ("CapPrm", "0000000000000000"), ("NoNewPrivs", "1"), ("Seccomp", "2")] {
            assert_eq!(status(served.id(), thread, field), value, "{field}");
        }
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_neighbour_of_the_same_user_reads_nothing_of_it() {
    let folder = folder();
    let key = put(folder.path(), "key", "canary-in-the-file-0123", 0o600);
    let (port, seen) = upstream();
    let served = Served::start(&policy(&file(&key), port), folder);
    served.get(&format!("http://127.0.0.1:{port}/"));
    assert!(seen.recv_timeout(Duration::from_secs(20)).unwrap().contains("canary-in-the-file-0123"), "it holds the secret");

    let mut ordinary = as_user("cat");
    let mut ordinary = ordinary.env("CANARY", "canary-in-the-environment").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // What fails here works on an ordinary process of that user: the readers can read.
    for (reader, arguments) in READERS {
        let read = |id: u32| {
            let arguments = arguments.iter().map(|argument| argument.replace("PID", &id.to_string()));
            as_user(reader).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{reader}: {error}"))
        };
        assert!(succeeds(&read(ordinary.id())), "{reader} {arguments:?}: {:?}", read(ordinary.id()));
        let refused = read(served.id());
        assert!(!succeeds(&refused), "{reader} {arguments:?}: {refused:?}");
        assert!(!String::from_utf8_lossy(&refused.stdout).contains("canary"), "{reader} {arguments:?}");
    }
    drop(ordinary.stdin.take());
    ordinary.wait().unwrap();
}

/// The readers of a process of the same user: its environment, its memory map and memory, a copy of its memory, a debugger.
const READERS: [(&str, &[&str]); 5] = [
    ("cat", &["/proc/PID/environ"]),
    ("cat", &["/proc/PID/maps"]),
    ("python3", &["-c", "open('/proc/PID/mem','rb')"]),
    ("python3", &["-c", VM_READ, "PID"]),
    ("python3", &["-c", ATTACH, "PID"]),
];

/// `process_vm_readv` of the byte at which the reader's own interpreter lies: whether it is there is another matter (EFAULT).
const VM_READ: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
class Vector(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
room = ctypes.create_string_buffer(1)
ours, theirs = Vector(ctypes.addressof(room), 1), Vector(4096, 1)
got = libc.process_vm_readv(int(sys.argv[1]), ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
assert got == 1 or ctypes.get_errno() == 14, ctypes.get_errno()
";

/// What a debugger does first.
const ATTACH: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
assert libc.ptrace(16, pid, None, None) == 0, ctypes.get_errno()
os.waitpid(pid, 0)
assert libc.ptrace(17, pid, None, None) == 0
";

fn succeeds(output: &Output) -> bool {
    output.status.success()
}

#[test]
fn programs_of_the_policy_run_and_no_other() {
    let folder = folder();
    let issue = put(folder.path(), "issue", "#!/bin/sh\necho '{\"token\":\"canary-of-the-program\",\"expires_in\":3600}'\n", 0o700);
    let other = put(folder.path(), "other", "#!/bin/sh\necho '{\"token\":\"x\",\"expires_in\":3600}'\n", 0o700);
    let (port, seen) = upstream();
    let of = |program: &Path| policy(&format!("{{ exec: {{ command: [/bin/sh, {}] }} }}", program.display()), port);
    let served = Served::start(&of(&issue), folder);
    let answer = served.get(&format!("http://127.0.0.1:{port}/"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(seen.recv_timeout(Duration::from_secs(20)).unwrap().to_ascii_lowercase(), "authorization: bearer canary-of-the-program");
    let why = served.rejected(&of(&other));
    assert_eq!(why, "credential `key`: the program `/bin/sh` was not in the policy at start; start keygress again");
}

#[test]
fn a_program_that_fails_is_told_and_one_that_hangs_is_ended_with_what_it_started() {
    let folder = folder();
    let hang =
        put(folder.path(), "hang", &format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", folder.path().join("pid").display()), 0o700);
    let (port, _seen) = upstream();
    let source = format!("{{ exec: {{ command: [/bin/sh, {}], timeout: 1s }} }}", hang.display());
    let served = Served::start(&policy(&source, port), folder);
    let answer = served.get(&format!("http://127.0.0.1:{port}/"));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("took too long and was ended"), "{answer}");
    let id: i32 = fs::read_to_string(served.folder.path().join("pid")).unwrap().trim().parse().unwrap();
    let process = rustix::process::Pid::from_raw(id).unwrap();
    while rustix::process::test_kill_process(process).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_policy_that_needs_another_folder_is_rejected_with_the_reason() {
    let (folder, elsewhere) = (folder(), self::folder());
    let key = put(folder.path(), "key", "a-secret-that-is-long", 0o600);
    let far = put(elsewhere.path(), "key", "a-secret-that-is-long", 0o600);
    let near = put(folder.path(), "near", "a-secret-that-is-new", 0o600);
    let (port, seen) = upstream();
    let served = Served::start(&policy(&file(&key), port), folder);
    let why = served.rejected(&policy(&file(&far), port));
    assert!(why.contains(&format!("`{}` is outside the folders that keygress left itself at start", far.display())), "{why}");
    put(served.folder.path(), "policy.yaml", &policy(&file(&near), port), 0o600);
    assert!(served.control("POST", "/reload").contains("generation"));
    served.get(&format!("http://127.0.0.1:{port}/"));
    assert!(seen.recv_timeout(Duration::from_secs(20)).unwrap().ends_with("a-secret-that-is-new"));
}

#[test]
fn what_a_workload_could_write_is_not_trusted() {
    let folder = folder();
    let key = put(folder.path(), "key", "a-secret-that-is-long", 0o600);
    put(folder.path(), "policy.yaml", &policy(&file(&key), 9), 0o600);
    let binary = binary_in(folder.path());
    for (path, mode) in [("policy.yaml", 0o602), ("key", 0o602), ("keygress", 0o757), (".", 0o777)] {
        let path = folder.path().join(path);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let output = start(&mut serve(folder.path(), &binary)).wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("a workload could change what keygress trusts") && text.contains("may be written by everybody"), "{text}");
        assert!(text.contains("--unsafe-writable-files"), "{text}");
        fs::set_permissions(&path, before).unwrap();
    }
}
