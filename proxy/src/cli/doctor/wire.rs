use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Finding, Level};
use crate::audit::Sink;
use crate::cli::serve::Prepared;
use crate::config::Settings;
use crate::sandbox::Measure;

/// The longest wait for an answer or a record.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many characters of a credential are shown.
const SHOWN: usize = 4;

/// A proxy with a policy of its own, inside the sandbox, and a server that tells what reaches it.
pub(super) struct Wire {
    prepared: Prepared,
    echo: TcpListener,
    records: Receiver<String>,
    secret: Zeroizing<String>,
    /// Holds the policy and the secret.
    _folder: tempfile::TempDir,
    elsewhere: tempfile::NamedTempFile,
}

impl Wire {
    /// Makes it, and enters the sandbox: from here on for the whole process.
    pub(super) fn prepare() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keygress-doctor-").permissions(PermissionsExt::from_mode(0o700)).tempdir()?;
        let elsewhere = tempfile::Builder::new().prefix("keygress-elsewhere-").tempfile()?;
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow!("no randomness"))?;
        let secret = Zeroizing::new(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let key = folder.path().join("key");
        write(&key, &secret)?;
        let policy = folder.path().join("policy.yaml");
        write(&policy, &policy_text(&key, echo.local_addr()?.port()))?;
        let (sender, records) = channel();
        let prepared = Prepared::new(Settings {
            policy: vec![policy],
            tcp: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            audit: Sink::Memory(sender),
            unsafe_same_uid: true,
            drain_grace: Duration::from_secs(1),
            ..Settings::default()
        })?;
        Ok(Self { prepared: prepared.confined()?, echo, records, secret, _folder: folder, elsewhere })
    }

    /// How far each measure of the sandbox holds.
    pub(super) fn measures(&self) -> &[Measure] {
        self.prepared.measures()
    }

    /// A file that nobody declared.
    pub(super) fn elsewhere(&self) -> &Path {
        self.elsewhere.path()
    }

    /// Sends the request, and tells what became of it.
    pub(super) fn prove(self) -> Vec<Finding> {
        self.send().unwrap_or_else(|error| vec![Finding::new("request", Level::Bad, format!("{error:#}"))])
    }

    fn send(self) -> anyhow::Result<Vec<Finding>> {
        let Self { prepared, echo, records, secret, _folder, elsewhere: _ } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let port = echo.local_addr()?.port();
        let running = runtime.block_on(async { prepared.start() })?;
        let proxy = *running.tcp.first().context("no listener")?;
        let seen = std::thread::spawn(move || serve_one(&echo));
        let answer = ask(proxy, port)?;
        let seen = seen.join().map_err(|_| anyhow!("the server broke"))??;
        let used = records.iter().find(|record| record.contains("\"activity\":\"used\"")).context("no record of it")?;
        runtime.block_on(running.stop());
        Ok(judge(&answer, &seen, &serde_json::from_str(&used)?, &secret))
    }
}

fn write(path: &PathBuf, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))
}

fn policy_text(key: &Path, port: u16) -> String {
    format!(
        "version: 1
workloads: {{ you: {{ process: {{ uid: {uid} }} }} }}
credentials:
  probe:
    owner: doctor@keygress.invalid
    source: {{ file: {{ path: '{key}', rotates: true }} }}
    inject: bearer
    only_to: [127.0.0.1]
rules:
  probe:
    from: [you]
    to: http://127.0.0.1:{port}
    allow: [GET /probe]
    credential: probe
    allow_ips: [127.0.0.1]
    unsafe_plaintext: true
",
        uid = rustix::process::geteuid().as_raw(),
        key = key.display()
    )
}

/// The request of an application that brings keys of its own.
fn ask(proxy: SocketAddr, port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET http://127.0.0.1:{port}/probe HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer of-the-application\r\nX-Api-Key: of-the-application\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Takes one request, and sends back what it held: an upstream that would give the credential away.
fn serve_one(echo: &TcpListener) -> anyhow::Result<Vec<String>> {
    let (mut stream, _) = echo.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect::<Vec<_>>();
    let body = lines.join("\n");
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
    Ok(lines)
}

/// What went out, what did not, and what came back.
fn judge(answer: &str, seen: &[String], record: &Value, secret: &str) -> Vec<Finding> {
    let good = |is_good| if is_good { Level::Good } else { Level::Bad };
    let field = |name: &str| record.pointer(&format!("/keygress/{name}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let header = |name: &str| seen.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let arrived = header("authorization").map(|(_, value)| value).unwrap_or_default();
    let masked = arrived.strip_prefix("Bearer ").map(|value| value.get(..SHOWN).unwrap_or_default()).unwrap_or_default();
    let own = seen.iter().any(|line| line.contains("of-the-application"));
    let returned = answer.contains(secret);
    vec![
        Finding::new("request", good(status == "200"), format!("GET /probe by rule `{}`: {status}", field("rule"))),
        Finding::new(
            "injected",
            good(arrived.strip_prefix("Bearer ") == Some(secret)),
            format!(
                "Authorization: Bearer {masked}… ({} bytes) of credential `{}`, lease {}, read just now",
                secret.len(),
                field("credential"),
                field("lease")
            ),
        ),
        match own {
            false => Finding::new("stripped", Level::Good, "the application's own Authorization and X-Api-Key did not arrive"),
            true => Finding::new("stripped", Level::Bad, "a key of the application's own arrived"),
        },
        match returned {
            false => Finding::new("came back", Level::Good, "the server repeated the credential; the application got it masked"),
            true => Finding::new("came back", Level::Bad, "the application got to see the credential that the server repeated"),
        },
        Finding::new("on record", good(!field("fingerprint").is_empty()), format!("fingerprint {}, never the value", field("fingerprint"))),
    ]
}
