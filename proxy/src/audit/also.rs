//! Further places that get every record, after it was written where it must be. None of them is waited for: what one does not take is lost
//! there, counted, and said.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;

use super::Kind;
use crate::metrics::Metrics;

/// Batches that wait for one place; more are lost there.
const BATCHES_MAX: usize = 256;

/// How long one record may take.
const RECORD_TIME_MAX: Duration = Duration::from_millis(500);

/// How long closing waits for what is still on its way.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);

/// Where syslog and journald listen.
const SYSLOG: &str = "/dev/log";
const JOURNALD: &str = "/run/systemd/journal/socket";

/// Facility `log audit` of RFC 5424, times eight.
const FACILITY: u8 = 13 * 8;

/// Severities of RFC 5424.
const WARNING: u8 = 4;
const NOTICE: u8 = 5;

/// One further place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Also {
    /// Standard output.
    Stdout,
    /// A file, appended to, 0600: a copy without a repair of its own.
    File(PathBuf),
    /// A syslog (RFC 5424) on a Unix datagram socket.
    Syslog(PathBuf),
    /// journald, in its own protocol.
    Journald(PathBuf),
    /// The collector, as OTLP log records.
    Otlp,
}

impl FromStr for Also {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "stdout" => Ok(Self::Stdout),
            _ if text == "otlp" => Ok(Self::Otlp),
            _ if text == "syslog" => Ok(Self::Syslog(SYSLOG.into())),
            _ if text == "journald" => Ok(Self::Journald(JOURNALD.into())),
            Some(("syslog", path)) if path.starts_with('/') => Ok(Self::Syslog(path.into())),
            Some(("journald", path)) if path.starts_with('/') => Ok(Self::Journald(path.into())),
            None if text.starts_with('/') => Ok(Self::File(text.into())),
            _ => Err(format!(
                "`{text}` is no sink: write `stdout`, `otlp`, `syslog`, `syslog:/PATH`, `journald`, `journald:/PATH` or the `/PATH` of a file"
            )),
        }
    }
}

impl fmt::Display for Also {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Also {
    /// The path that is written, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout | Self::Otlp => None,
            Self::File(path) | Self::Syslog(path) | Self::Journald(path) => Some(path),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Journald(_) => "journald",
            Self::Otlp => "otlp",
        }
    }
}

/// A place, and who brings it what was written.
pub(super) struct Feed {
    name: &'static str,
    way: Way,
    metrics: Metrics,
    is_behind: bool,
}

enum Way {
    /// A thread of its own.
    Thread { batches: Option<SyncSender<Arc<[u8]>>>, closed: Receiver<()> },
    /// A queue that somebody else empties, and closes when it ends.
    Queue(mpsc::Sender<Arc<[u8]>>),
}

impl Feed {
    /// Starts the thread, where there must be one. The place itself need not be there yet.
    pub(super) fn start(also: Also, otlp: Option<&mpsc::Sender<Arc<[u8]>>>, metrics: &Metrics) -> io::Result<Self> {
        let name = also.name();
        metrics.audit_also_lost(name, 0);
        let way = if also == Also::Otlp {
            Way::Queue(otlp.cloned().ok_or_else(|| io::Error::other("there is no collector that would get the audit"))?)
        } else {
            thread(also, metrics)?
        };
        Ok(Self { name, way, metrics: metrics.clone(), is_behind: false })
    }

    /// Hands a batch of lines over, or counts it as lost where the place is too far behind. Never waits.
    pub(super) fn feed(&mut self, lines: &Arc<[u8]>) {
        let is_taken = match &self.way {
            Way::Thread { batches: Some(batches), .. } => batches.try_send(Arc::clone(lines)).is_ok(),
            Way::Thread { batches: None, .. } => return,
            Way::Queue(batches) => batches.try_send(Arc::clone(lines)).is_ok(),
        };
        if is_taken {
            self.is_behind = false;
            return;
        }
        self.metrics.audit_also_lost(self.name, memchr::memchr_iter(b'\n', lines).count() as u64);
        if !std::mem::replace(&mut self.is_behind, true) {
            tracing::error!(sink = self.name, "the sink is too slow for the audit: records are lost there");
        }
    }
}

fn thread(also: Also, metrics: &Metrics) -> io::Result<Way> {
    let name = also.name();
    let (batches, queue) = sync_channel::<Arc<[u8]>>(BATCHES_MAX);
    let (closing, closed) = sync_channel(1);
    let mut outlet = Outlet { also, open: None, is_refusing: false, metrics: metrics.clone() };
    std::thread::Builder::new().name(format!("audit-{name}")).spawn(move || {
        while let Ok(batch) = queue.recv() {
            outlet.write(&batch);
        }
        // Whoever closes may have stopped waiting.
        let _ = closing.send(());
    })?;
    Ok(Way::Thread { batches: Some(batches), closed })
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Way::Thread { batches, closed } = &mut self.way else { return };
        *batches = None;
        if let Err(RecvTimeoutError::Timeout) = closed.recv_timeout(CLOSING_TIME_MAX) {
            tracing::error!(sink = self.name, "the sink did not take the last records of the audit");
        }
    }
}

/// The thread's own.
struct Outlet {
    also: Also,
    open: Option<Open>,
    is_refusing: bool,
    metrics: Metrics,
}

enum Open {
    Stream(Box<dyn Write + Send>),
    Datagrams(UnixDatagram),
}

impl Outlet {
    fn write(&mut self, batch: &[u8]) {
        let lines: Vec<_> = batch.split_inclusive(|byte| *byte == b'\n').collect();
        for (at, line) in lines.iter().enumerate() {
            // What listens may have been started anew: one further attempt with a fresh connection.
            if let Err(error) = self.put(line).or_else(|_| self.put(line)) {
                self.metrics.audit_also_lost(self.also.name(), (lines.len() - at) as u64);
                if !std::mem::replace(&mut self.is_refusing, true) {
                    tracing::error!(sink = self.also.name(), %error, "the sink takes no audit records: they are lost there");
                }
                return;
            }
        }
        if std::mem::take(&mut self.is_refusing) {
            tracing::info!(sink = self.also.name(), "the sink takes audit records again");
        }
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open(&self.also)?,
        };
        match &mut open {
            Open::Stream(stream) => stream.write_all(line).and_then(|()| stream.flush())?,
            Open::Datagrams(socket) => drop(socket.send(&message(&self.also, line))?),
        }
        // Kept where it worked; what failed is opened anew.
        self.open = Some(open);
        Ok(())
    }
}

fn open(also: &Also) -> io::Result<Open> {
    Ok(match also {
        Also::Stdout => Open::Stream(Box::new(io::stdout())),
        Also::Otlp => return Err(io::Error::other("it has a queue of its own")),
        Also::File(path) => {
            let mut options = File::options();
            Open::Stream(Box::new(options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?))
        }
        Also::Syslog(path) | Also::Journald(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_write_timeout(Some(RECORD_TIME_MAX))?;
            Open::Datagrams(socket)
        }
    })
}

/// What of a record the envelope repeats.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'l> {
    timestamp: &'l str,
    activity: &'l str,
    seq: u64,
}

/// A record as a datagram; it is one line of ASCII as it stands.
fn message(also: &Also, line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(line.trim_ascii_end());
    let Envelope { timestamp, activity, seq } = serde_json::from_str(&text).unwrap_or_default();
    let is_bad = Kind::TROUBLING.iter().any(|kind| kind.as_str() == activity);
    let severity = if is_bad { WARNING } else { NOTICE };
    match also {
        Also::Journald(_) => {
            let fields = format!("PRIORITY={severity}\nSYSLOG_IDENTIFIER=keygress\nKEYGRESS_ACTIVITY={activity}\nKEYGRESS_SEQ={seq}\n");
            format!("MESSAGE={text}\n{fields}").into_bytes()
        }
        Also::Stdout | Also::File(_) | Also::Syslog(_) | Also::Otlp => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let (priority, pid) = (FACILITY + severity, std::process::id());
            format!("<{priority}>1 {timestamp} {host} keygress {pid} {activity} - {text}").into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"seq":7,"time":1,"timestamp":"2026-11-27T10:00:00.000Z","activity":"alert","keygress":{}}
"#;

    #[test]
    fn a_sink_is_named_by_its_kind_and_its_path() {
        let read = |text: &str| text.parse::<Also>();
        assert_eq!((read("stdout"), read("otlp")), (Ok(Also::Stdout), Ok(Also::Otlp)));
        assert_eq!(read("syslog"), Ok(Also::Syslog("/dev/log".into())));
        assert_eq!(read("journald:/run/j"), Ok(Also::Journald("/run/j".into())));
        assert_eq!(read("/var/log/copy.jsonl"), Ok(Also::File("/var/log/copy.jsonl".into())));
        for wrong in ["", "copy.jsonl", "syslog:", "http://collector"] {
            assert!(read(wrong).unwrap_err().contains("is no sink"), "{wrong}");
        }
    }

    #[test]
    fn a_record_for_syslog_is_one_of_rfc_5424() {
        let text = String::from_utf8(message(&Also::Syslog(SYSLOG.into()), LINE)).unwrap();
        let parts: Vec<_> = text.splitn(8, ' ').collect();
        assert_eq!(parts[0], "<108>1", "log audit, warning");
        assert_eq!((parts[1], parts[3]), ("2026-11-27T10:00:00.000Z", "keygress"));
        assert_eq!((parts[4].parse(), parts[5], parts[6]), (Ok(std::process::id()), "alert", "-"));
        assert_eq!(parts[7].as_bytes(), LINE.trim_ascii_end());
    }

    #[test]
    fn a_record_for_journald_has_fields() {
        let text = String::from_utf8(message(&Also::Journald(JOURNALD.into()), LINE)).unwrap();
        let fields: Vec<_> = text.lines().collect();
        assert!(fields[0].starts_with("MESSAGE={\"seq\":7,"));
        assert_eq!(&fields[1..], ["PRIORITY=4", "SYSLOG_IDENTIFIER=keygress", "KEYGRESS_ACTIVITY=alert", "KEYGRESS_SEQ=7"]);
    }
}
