//! On record, allowed or not: JSON lines, hash-chained. One writer thread owns the sink; nobody waits for it but who asks to.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use http::uri::PathAndQuery;
use jiff::Timestamp;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::inject::Stripped;
use tokio::sync::mpsc;

use crate::known::Thing;
use crate::metrics::Metrics;
use crate::telemetry::Context;

/// What happened, in one word.
mod kind;

/// One line: the fields of a record.
mod record;

/// What ties the lines together.
mod chain;

/// What makes that hard to write anew: signatures.
mod checkpoint;

/// Whether an audit is what was written.
mod verify;

/// Events that wait to be written.
mod queue;

/// The thread that writes them.
mod sink;

/// Where lines end up: a file that holds whole lines only, standard output, memory.
mod store;

/// Files that are put aside when they are full or old.
mod segments;

/// Further places that get every record.
mod also;

/// Who looks at what was written.
mod tap;

pub use also::Also;
pub use checkpoint::{Anchor, PublicKey, Signing, SigningKey};
pub use kind::Kind;
pub use segments::Rotation;
pub use tap::{Tap, Written};
pub use verify::{Expected, Verified, verify, verify_all};

/// How long [`Audit::durable`] waits before it says that the sink refuses.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The path on record of a request whose own shows what no reader of the audit may see.
pub const PATH_MASKED: &str = "/masked";

/// The code of the alert that the end of the audit is missing.
const CUT_OFF: &str = "audit_cut_off";

/// One event; its texts are shared, so that a request clones reference counts alone. Ids and names only, never a secret; the sink adds time, sequence and chain.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Id of the request.
    pub request: Option<u64>,
    /// Way in: `forward`, `intercept`, `tunnel`, `transparent`, `mtls`.
    pub way: Option<&'static str>,
    /// The caller, as recognised and as proven.
    pub workload: Option<Arc<str>>,
    /// Task id.
    pub task: Option<Arc<str>>,
    /// The caller's uid and pid.
    pub uid: Option<u32>,
    /// The caller's pid.
    pub pid: Option<u32>,
    /// The peer over mutual TLS from which it came: the SPIFFE ID or a DNS name of its certificate.
    pub peer: Option<Arc<str>>,
    /// The broker through which it goes.
    pub broker: Option<Arc<str>>,
    /// Its name at both ends of a broker: the same in the audit of each.
    pub trace: Option<Arc<str>>,
    /// Its trace, and keygress's span in it, where it is traced.
    pub span: Option<Context>,
    /// Request method.
    pub method: Option<http::Method>,
    /// Where the request goes.
    pub destination: Option<Destination>,
    /// Its path; the query is never recorded.
    pub path: Option<PathAndQuery>,
    /// Rule that decided.
    pub rule: Option<Arc<str>>,
    /// Credential.
    pub credential: Option<Arc<str>>,
    /// Lease.
    pub lease: Option<Arc<str>>,
    /// Keyed fingerprint of the secret.
    pub fingerprint: Option<Arc<str>>,
    /// Refusal code, or error code.
    pub code: Option<&'static str>,
    /// HTTP status that the caller got.
    pub status: Option<u16>,
    /// Policy generation.
    pub generation: Option<u64>,
    /// Seconds until expiry of what was issued.
    pub expires_in: Option<u64>,
    /// Which of the application's own credentials did not leave.
    pub stripped: Stripped,
    /// How many occurrences of the credential were masked in the answer.
    pub masked: Option<u64>,
    /// Whether the body of the answer passed without a search: the rule says `unsafe_unscrubbed_body`.
    pub unscrubbed: bool,
    /// Whether the answer is a credential: a rule names the request in full.
    pub mints: bool,
    /// How many events a [`Kind::Gap`] stands for.
    pub lost: Option<u64>,
    /// What the caller's process is, as far as it is proven. Not on record: for whoever looks at what was written.
    pub process: Option<Arc<str>>,
    /// What the application showed that it should not, or not there. Not on record, likewise: an alert says so.
    pub shown: Option<Arc<Thing>>,
    /// What a [`Kind::Alert`] rests on.
    pub evidence: Option<Box<Evidence>>,
    /// One sentence, free of text from outside.
    pub message: Option<Cow<'static, str>>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
}

impl Event {
    /// An event of this kind with nothing else said.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            request: None,
            way: None,
            workload: None,
            task: None,
            uid: None,
            pid: None,
            peer: None,
            broker: None,
            trace: None,
            span: None,
            method: None,
            destination: None,
            path: None,
            rule: None,
            credential: None,
            lease: None,
            fingerprint: None,
            code: None,
            status: None,
            generation: None,
            expires_in: None,
            stripped: Stripped::default(),
            masked: None,
            unscrubbed: false,
            mints: false,
            lost: None,
            process: None,
            shown: None,
            evidence: None,
            message: None,
        }
    }
}

/// What an alert rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Since when that is expected.
    pub since: Option<Timestamp>,
    /// How many events it is drawn from.
    pub events: u64,
    /// How many alerts like it were not given since the last one.
    pub repeated: u64,
}

/// Where the audit goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// A file, appended to, 0600.
    File(std::path::PathBuf),
    /// Standard output.
    Stdout,
    /// Lines kept in memory and handed out, without their newline: `demo` and tests.
    Memory(Sender<String>),
}

/// How the audit is kept. A bare [`Sink`] is one without anything else.
#[derive(Debug)]
pub struct Setup {
    /// Where it goes: what this does not take does not happen.
    pub sink: Sink,
    /// Whether a credential leaves only after the record of its use is on the disk: see [`Kind::Intended`].
    pub is_strict: bool,
    /// How it is signed; `None` where it is not.
    pub signing: Option<Signing>,
    /// When its file is put aside.
    pub rotation: Rotation,
    /// Where it goes too.
    pub also: Vec<Also>,
    /// The queue of [`Also::Otlp`].
    pub otlp: Option<mpsc::Sender<Arc<[u8]>>>,
}

impl From<Sink> for Setup {
    fn from(sink: Sink) -> Self {
        Self { sink, is_strict: false, signing: None, rotation: Rotation::default(), also: Vec::new(), otlp: None }
    }
}

/// The audit of this process. Cheap to clone. Dropping the last clone closes it.
#[derive(Clone)]
pub struct Audit {
    writer: Arc<sink::Writer>,
    is_strict: bool,
}

impl Audit {
    /// Opens the sink, recovers a torn tail, continues its chain and starts the writer thread.
    ///
    /// # Errors
    /// Where the sink cannot be opened, belongs to somebody else, is in use, or holds no record that can be continued.
    pub fn open(setup: impl Into<Setup>, metrics: Metrics) -> io::Result<Self> {
        let Setup { sink, is_strict, signing, rotation, also, otlp } = setup.into();
        let mut opened = store::open(sink, rotation)?;
        if let Some(why) = signing.as_ref().and_then(|signing| signing.cut_off(&opened.head)) {
            tracing::error!("the audit: {why}");
            opened.events.push(Event { code: Some(CUT_OFF), message: Some(why.into()), ..Event::new(Kind::Alert) });
        }
        let feeds = also.into_iter().map(|also| also::Feed::start(also, otlp.as_ref(), &metrics)).collect::<io::Result<_>>()?;
        Ok(Self { writer: Arc::new(sink::Writer::start(opened, signing, feeds, metrics)?), is_strict })
    }

    /// Whether a credential may leave only after that is on the disk.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Records an event soon: bounded loss (20 ms) if the process is killed. Never waits: where the queue (65,536) is full
    /// the event is lost, counted, and a `gap` record says so.
    pub fn record(&self, event: Event) {
        self.writer.record(event);
    }

    /// Records an event and returns when it is durable, within a second. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Where the sink refuses: what depended on it must not happen.
    pub async fn durable(&self, event: Event) -> io::Result<()> {
        let done = self.writer.durable(event)?;
        match tokio::time::timeout(DURABLE_TIMEOUT, done).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(io::Error::other("the audit is closed or its queue is full")),
            Err(_) => {
                self.writer.stalled();
                Err(io::Error::new(io::ErrorKind::TimedOut, "the audit did not take a record within 1 s"))
            }
        }
    }

    /// Has what is written from now on looked at, too. There is one tap; a second one takes its place.
    pub fn tap(&self, tap: Tap) {
        self.writer.tap(tap);
    }

    /// What a tap says goes on record by this.
    #[must_use]
    pub fn remarks(&self) -> Remarks {
        Remarks(Arc::clone(self.writer.queue()))
    }

    /// Whether the sink takes records: part of readiness; requests with a credential are refused while it does not.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.writer.healthy()
    }

    /// Writes what is queued and closes. Blocks, at most about a second where the sink refuses. What comes later is lost and counted.
    pub fn close(&self) {
        self.writer.close();
    }
}

/// Puts on record what a tap has to say. It keeps no audit open.
#[derive(Clone)]
pub struct Remarks(Arc<queue::Queue>);

impl Remarks {
    /// As [`Audit::record`], also while the audit closes.
    pub fn record(&self, event: Event) {
        self.0.remark(event);
    }
}

#[cfg(test)]
mod tests;
