//! `keygress run --confine`: keygress is the only way out, and what is secret is not there.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

/// A user who is nobody here, and has no privilege.
const NOBODY: u32 = 65534;

struct World {
    site: Site,
    echo: Echo,
    key: String,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let echo = Echo::start(&site, "localhost").unwrap();
        let key = canary().unwrap();
        std::fs::create_dir(site.folder().join("keys")).unwrap();
        let file = site.write_secret("keys/key", &key).unwrap();
        let policy = format!(
            "version: 1
workloads:
  job: {{ task: {{ labels: {{ kind: job }} }} }}
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
rules:
  echo:
    from: [job]
    to: https://localhost:{}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /hello]
    credential: key
",
            file.display(),
            echo.port
        );
        site.write("policy.yaml", &policy).unwrap();
        Self { site, echo, key }
    }

    /// `keygress run --confine` of a shell script that knows no proxy.
    fn command(&self, program: &Path, script: &str) -> Command {
        let mut command = bare(program);
        command.args(["run", "--confine", "--label", "kind=job", "--policy"]).arg(self.site.folder().join("policy.yaml"));
        command.arg("--trust-ca").arg(self.site.upstream_ca()).args(["--", "sh", "-c"]);
        command.arg(format!("unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NODE_USE_ENV_PROXY; {script}"));
        command
    }

    fn run(&self, script: &str) -> Output {
        self.command(&binary().unwrap(), script).output().unwrap()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/hello", self.echo.port)
    }

    fn injected(&self, requests: usize) {
        let seen = self.echo.seen();
        assert_eq!(seen.len(), requests, "{seen:?}");
        assert!(seen.iter().all(|one| one.values("authorization") == [format!("Bearer {}", self.key)]), "{seen:?}");
    }
}

fn printed(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn clients_that_know_no_proxy_get_the_credential() {
    let world = World::new();
    let url = world.url();
    let (python, node) = (tools::python().unwrap(), tools::node().unwrap());
    let script = format!(
        "curl --silent --fail --max-time 60 {url} && curl --silent --fail --max-time 60 --ipv6 {url} \
         && {} -c \"import urllib.request as u; print(u.urlopen('{url}', timeout=60).read().decode())\" \
         && {} -e \"fetch('{url}').then(r => r.text()).then(console.log)\"",
        python.display(),
        node.display()
    );
    let done = world.run(&script);
    assert!(done.status.success(), "{}", printed(&done));
    assert_eq!(String::from_utf8_lossy(&done.stdout).matches("hello").count(), 4, "{}", printed(&done));
    assert!(!printed(&done).contains(&world.key));
    world.injected(4);
}

/// Tries every way out, and prints the ways that there are.
const ATTEMPTS: &str = r#"
import os, socket, sys
tcp, udp, path, abstract, secret = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
def tried(name, attempt):
    try:
        attempt()
        print('open', name)
    except OSError:
        pass
for host in ['127.0.0.1', '127.9.9.9', '192.0.2.1', '::1', '2001:db8::1']:
    tried('tcp ' + host, lambda: socket.create_connection((host, tcp), 5))
for host, family in [('127.0.0.1', socket.AF_INET), ('192.0.2.1', socket.AF_INET), ('::1', socket.AF_INET6)]:
    tried('udp', lambda: socket.socket(family, socket.SOCK_DGRAM).sendto(b'out', (host, udp)) and None or sys.exit)
def unix(address):
    s = socket.socket(socket.AF_UNIX); s.connect(address)
tried('unix', lambda: unix(path))
tried('abstract', lambda: unix('\0' + abstract))
tried('vsock', lambda: socket.socket(40, socket.SOCK_STREAM))
tried('secret', lambda: open(secret).read())
tried('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
print('processes', sum(name.isdigit() for name in os.listdir('/proc')))
others = [p for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid(), os.getppid())]
for p in others:
    tried('environ of ' + p, lambda: open('/proc/%s/environ' % p).read())
print('done')
"#;

#[test]
fn nothing_else_leads_out_and_no_secret_is_there() {
    let world = World::new();
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let path = world.site.folder().join("host.sock");
    let _unix = UnixListener::bind(&path).unwrap();
    let name = canary().unwrap();
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let attempts = world.site.write("attempts.py", ATTEMPTS).unwrap();
    let script = format!(
        "exec python3 {} {} {} {} {name} {}",
        attempts.display(),
        tcp.local_addr().unwrap().port(),
        udp.local_addr().unwrap().port(),
        path.display(),
        world.site.folder().join("keys/key").display()
    );
    let done = world.run(&script);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.ends_with("done\n"), "{}", printed(&done));
    let open: Vec<_> = said.lines().filter(|line| line.starts_with("open ")).collect();
    // A datagram is taken by loopback inside; whether it arrives is asked below.
    assert!(open.iter().all(|line| *line == "open udp"), "{said}");
    assert!(!said.contains(&world.key), "{said}");
    udp.set_nonblocking(true).unwrap();
    assert!(udp.recv_from(&mut [0; 16]).is_err(), "a datagram came out");
    tcp.set_nonblocking(true).unwrap();
    assert!(tcp.accept().is_err(), "a connection came out");
}

#[test]
fn a_user_without_any_privilege_is_confined_alike() {
    if !rustix::process::geteuid().is_root() {
        // Then every test here is one.
        let done = World::new().run("true");
        assert!(done.status.success(), "{}", printed(&done));
        return;
    }
    let world = World::new();
    let copy = world.site.folder().join("keygress");
    std::fs::copy(binary().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["", "keys", "keys/key", "policy.yaml"] {
        std::os::unix::fs::chown(world.site.folder().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let inside = world.command(
        &copy,
        &format!(
            "id -u; cat {} 2>/dev/null && echo seen; curl --silent --fail --max-time 60 {}",
            world.site.folder().join("keys/key").display(),
            world.url()
        ),
    );
    let mut command = bare(tools::program("setpriv").unwrap());
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(inside.get_program()).args(inside.get_args()).current_dir("/").env("HOME", "/nonexistent");
    let done = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "65534\nhello\n", "{}", printed(&done));
    world.injected(1);
}

#[test]
fn the_exit_code_is_the_commands_and_signals_reach_it() {
    let world = World::new();
    assert_eq!(world.run("exit 7").status.code(), Some(7));
    assert_eq!(world.run("kill -KILL $$").status.code(), Some(137));
    assert_eq!(world.run("exec /no-such-program").status.code(), Some(127));
    let script = "trap 'kill $child; exit 55' TERM; sleep 60 & child=$!; echo ready; wait";
    let mut command = world.command(&binary().unwrap(), script);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert!(bare("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(55));
}

#[test]
fn what_cannot_be_hidden_or_confined_is_refused_with_the_remedy() {
    let world = World::new();
    let mut command = world.command(&binary().unwrap(), "echo ran");
    let done = command.current_dir(world.site.folder().join("keys")).output().unwrap();
    assert_eq!(done.status.code(), Some(125), "{}", printed(&done));
    assert!(printed(&done).contains("move it to a folder of its own") && !printed(&done).contains("ran\n"), "{}", printed(&done));
    // Without namespaces: none may be made inside a user namespace that allows no more.
    let inner = world.command(&binary().unwrap(), "echo ran");
    let mut nested = bare(tools::program("unshare").unwrap());
    nested.args(["--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh"]);
    let done = nested.arg(inner.get_program()).args(inner.get_args()).output().unwrap();
    assert_eq!(done.status.code(), Some(125), "{}", printed(&done));
    assert!(printed(&done).contains("max_user_namespaces") && !printed(&done).contains("ran\n"), "{}", printed(&done));
}
