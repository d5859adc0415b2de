use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error, Visitor};

/// One line of an audit. What is not known to this version is passed over; what is missing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Line<'l> {
    /// Position in its chain.
    pub seq: u64,
    /// Milliseconds since the epoch.
    pub time: i64,
    /// What happened, such as `used`; may be a word that this version does not know.
    #[serde(borrow)]
    pub activity: Text<'l>,
    /// Names the record, and with it the process that wrote it.
    #[serde(borrow)]
    pub metadata: Metadata<'l>,
    /// Who called, as the kernel names it.
    pub actor: Actor,
    /// What was asked for.
    #[serde(borrow)]
    pub http_request: Request<'l>,
    /// The status that the caller got; 0 where it got none.
    pub status_code: u16,
    /// One sentence.
    #[serde(borrow)]
    pub message: Text<'l>,
    /// What OCSF has no name for.
    #[serde(borrow)]
    pub keygress: Ours<'l>,
}

/// Names a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Metadata<'l> {
    /// The process and the position, joined by `-`.
    #[serde(borrow)]
    pub uid: Text<'l>,
}

/// Who called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// Its process.
    pub process: Process,
}

/// A process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Process {
    /// User id.
    pub uid: Option<u32>,
    /// Process id.
    pub pid: Option<u32>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Request<'l> {
    /// Its method.
    #[serde(borrow)]
    pub http_method: Text<'l>,
    /// Where it goes.
    #[serde(borrow)]
    pub url: Url<'l>,
}

/// Where a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Url<'l> {
    /// `https` or `http`.
    #[serde(borrow)]
    pub scheme: Text<'l>,
    /// Host.
    #[serde(borrow)]
    pub hostname: Text<'l>,
    /// Port.
    pub port: u16,
    /// Path without query.
    #[serde(borrow)]
    pub path: Text<'l>,
}

/// What OCSF has no name for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ours<'l> {
    /// Id of the request in its process.
    pub request: Option<u64>,
    /// Way in.
    #[serde(borrow)]
    pub way: Text<'l>,
    /// The peer over mutual TLS from which it came.
    #[serde(borrow)]
    pub peer: Text<'l>,
    /// The broker through which it went.
    #[serde(borrow)]
    pub broker: Text<'l>,
    /// Its name at both ends of a broker.
    #[serde(borrow)]
    pub trace: Text<'l>,
    /// Its trace, where it is traced.
    #[serde(borrow)]
    pub trace_id: Text<'l>,
    /// Keygress's span in it.
    #[serde(borrow)]
    pub span_id: Text<'l>,
    /// The caller, as recognised.
    #[serde(borrow)]
    pub workload: Text<'l>,
    /// Its task.
    #[serde(borrow)]
    pub task: Text<'l>,
    /// The rule that decided.
    #[serde(borrow)]
    pub rule: Text<'l>,
    /// The credential.
    #[serde(borrow)]
    pub credential: Text<'l>,
    /// The lease.
    #[serde(borrow)]
    pub lease: Text<'l>,
    /// Keyed fingerprint of the secret; comparable among processes that share a state folder, else within one.
    #[serde(borrow)]
    pub fingerprint: Text<'l>,
    /// Refusal or error.
    #[serde(borrow)]
    pub code: Text<'l>,
    /// Policy generation.
    pub generation: Option<u64>,
    /// Seconds until what was issued expires.
    pub expires_in: Option<u64>,
    /// Which of the application's own credentials did not leave, joined by `,`.
    #[serde(borrow)]
    pub stripped: Text<'l>,
    /// Occurrences that were masked.
    pub masked: Option<u64>,
    /// Events that were lost.
    pub lost: Option<u64>,
}

impl Line<'_> {
    /// The process that wrote it.
    #[must_use]
    pub fn instance(&self) -> &str {
        let uid = self.metadata.uid.as_str();
        uid.rsplit_once('-').map_or(uid, |(instance, _)| instance)
    }
}

/// Text of a line: borrowed where it has no escapes, which is almost always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'l>(Cow<'l, str>);

impl Text<'_> {
    /// The text; empty where the line has none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, where there is one.
    #[must_use]
    pub fn given(&self) -> Option<&str> {
        Some(self.as_str()).filter(|text| !text.is_empty())
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Text<'l> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}
