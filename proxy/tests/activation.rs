//! `keygress serve` under a service manager: it takes listeners over, says when it is ready, and is exchanged without a failed request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What the service manager does: holds the listener, starts the process with it as descriptor 3, and hears what it says.
struct Manager {
    folder: tempfile::TempDir,
    listener: TcpListener,
    heard: UnixDatagram,
}

/// One process; killed where a test fails.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Manager {
    fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let heard = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        heard.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { folder, listener: TcpListener::bind("127.0.0.1:0").unwrap(), heard }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("/bin/sh");
        // The shell knows the number that the process will have.
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_keygress"), "serve"]);
        command.args(["--workers", "2", "--unsafe-same-uid"]).args(arguments);
        command.arg("--policy").arg(at("policy.yaml")).arg("--audit").arg(at("audit.jsonl"));
        command.env_clear().env("LISTEN_FDS", "1").env("NOTIFY_SOCKET", at("notify")).stdout(Stdio::null());
        command
    }

    /// Starts it with this listener as descriptor 3.
    fn start(&self, listener: &impl AsRawFd, mut command: Command) -> Service {
        let descriptor = listener.as_raw_fd();
        let pass = move || {
            // SAFETY: both are numbers of descriptors; the child uses 3 for nothing else.
            if unsafe { libc::dup2(descriptor, 3) } == 3 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: the child calls dup2(2) alone before it becomes the program.
        unsafe { command.pre_exec(pass) };
        Service(command.spawn().unwrap())
    }

    /// Hears up to this word.
    fn hear(&self, word: &str) -> String {
        loop {
            let mut message = [0; 256];
            let bytes = self.heard.recv(&mut message).unwrap_or_else(|error| panic!("{word} was not said: {error}"));
            let message = String::from_utf8(message[..bytes].to_vec()).unwrap();
            if message.contains(word) {
                return message;
            }
        }
    }
}

fn signal(service: &Service, signal: Signal) {
    kill_process(Pid::from_child(&service.0), signal).unwrap();
}

/// An upstream that answers whatever comes.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|bytes| bytes == 1) {
                    head.push(byte[0]);
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            });
        }
    });
    port
}

fn policy(port: u16) -> String {
    format!(
        "version: 1\nrules:\n  one: {{ to: 'http://127.0.0.1:{port}', unsafe_plaintext: true, allow_ips: [127.0.0.1], allow: [GET /**] }}\n"
    )
}

fn get(proxy: SocketAddr, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_service_manager_hears_of_every_step() {
    let port = upstream();
    let manager = Manager::new(&policy(port));
    let mut service = manager.start(&manager.listener, manager.command(&[]));
    manager.hear("READY=1");
    assert!(get(manager.address(), port).unwrap().starts_with("HTTP/1.1 200"));
    signal(&service, Signal::HUP);
    assert!(manager.hear("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.hear("READY=1");
    signal(&service, Signal::TERM);
    manager.hear("STOPPING=1");
    assert!(service.0.wait().unwrap().success());
}

#[test]
fn no_request_fails_while_the_process_is_exchanged() {
    let port = upstream();
    let manager = Manager::new(&policy(port));
    let start = || manager.start(&manager.listener, manager.command(&["--drain-grace", "20s"]));
    let mut service = start();
    manager.hear("READY=1");
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let address = manager.address();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let answer = get(address, port).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 20 {
            assert!(callers.iter().all(|caller| !caller.is_finished()), "a request failed");
            std::thread::yield_now();
        }
        signal(&service, Signal::TERM);
        assert!(service.0.wait().unwrap().success());
        service = start();
        manager.hear("READY=1");
    }
    done.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| caller.join().expect("no request failed"));
    assert!(answered.load(Ordering::Relaxed) >= 200);
}

#[test]
fn what_is_no_listener_or_not_on_loopback_is_refused() {
    let manager = Manager::new(&policy(9));
    let refused = |listener: &dyn Fn(Command) -> Service| {
        let mut command = manager.command(&[]);
        command.stderr(Stdio::piped());
        let mut service = listener(command);
        let mut text = String::new();
        service.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(service.0.wait().unwrap().code(), Some(1), "{text}");
        text
    };
    let file = fs::File::open(Path::new("/dev/null")).unwrap();
    assert!(refused(&|command| manager.start(&file, command)).contains("ocket"));
    let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(refused(&|command| manager.start(&datagram, command)).contains("is not one that listens for streams"));
    let wide = TcpListener::bind("0.0.0.0:0").unwrap();
    assert!(refused(&|command| manager.start(&wide, command)).contains("is not on loopback"));
}
