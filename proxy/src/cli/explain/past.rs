use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{anyhow, bail, ensure};
use http::Method;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::explain::{Explanation, Hypothesis};
use serde::Serialize;

use crate::Policy;
use crate::audit::PATH_MASKED;
use crate::cli::check::counted;
use crate::records::{self, Line, Step, when};
use crate::refusal::Code;

/// How a refusal names its request.
const URN: &str = "urn:keygress:request:";

/// Refusals of the policy itself: what else was refused, the policy may have allowed.
const DENIALS: [Code; 7] = [
    Code::UnknownDestination,
    Code::CallerNotAllowed,
    Code::NotAllowed,
    Code::Excepted,
    Code::Minting,
    Code::Ambiguous,
    Code::PathAmbiguous,
];

/// By what a request is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// Its number in its process.
    Number(u64),
    /// The id of one of its records, of its trace, or its name at both ends of a broker.
    Name(String),
}

impl FromStr for Id {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let text = text.trim();
        let text = text.strip_prefix(URN).unwrap_or(text);
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

/// A request that was made, as it is on record.
#[derive(Debug, Default, Serialize)]
pub(super) struct Past {
    pub(super) request: u64,
    /// The process that carried it.
    pub(super) process: String,
    pub(super) time: String,
    #[serde(skip)]
    at: i64,
    /// `sent`, `failed` (sent, and then there was no answer that may pass) or `refused`.
    pub(super) outcome: &'static str,
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) caller: Caller,
    pub(super) asked: Asked,
    pub(super) rule: Option<String>,
    pub(super) broker: Option<String>,
    /// The policy that decided, and since when it was in force.
    pub(super) generation: Option<u64>,
    pub(super) generation_since: Option<String>,
    pub(super) credential: Option<Credential>,
    /// Which of the application's own credentials did not leave.
    pub(super) stripped: Vec<String>,
    /// Occurrences of the credential that were masked in the answer.
    pub(super) masked: Option<u64>,
    /// What is on record of it, in order.
    pub(super) records: Vec<Entry>,
    /// What the policy that was given says to the like.
    pub(super) now: Option<Explanation>,
    /// Whether that is another decision, rule or credential.
    pub(super) changed: Option<bool>,
    /// What somebody should know who trusts it.
    pub(super) caveats: Vec<String>,
}

/// Who called, as far as it is on record.
#[derive(Debug, Default, Serialize)]
pub(super) struct Caller {
    pub(super) workload: Option<String>,
    pub(super) task: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) pid: Option<u32>,
    pub(super) peer: Option<String>,
    pub(super) way: Option<String>,
}

/// What was asked for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Asked {
    pub(super) method: Option<String>,
    pub(super) scheme: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: u16,
    pub(super) path: Option<String>,
}

/// The credential, and how fresh it was.
#[derive(Debug, Default, Serialize)]
pub(super) struct Credential {
    pub(super) name: String,
    /// Whether it was put on.
    pub(super) used: bool,
    pub(super) lease: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) issued: Option<String>,
    /// How old it was, in seconds.
    pub(super) age: Option<u64>,
    /// How long it had left, in seconds, where it ends by itself.
    pub(super) left: Option<u64>,
    /// What became of its lease since.
    pub(super) ended: Option<Entry>,
}

/// One record.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Entry {
    pub(super) record: String,
    pub(super) event: String,
    pub(super) time: String,
}

impl Entry {
    fn of(line: &Line<'_>) -> Self {
        let (record, event) = (line.metadata.uid.as_str(), line.activity.as_str());
        Self { record: record.to_owned(), event: event.to_owned(), time: when::precise(line.time) }
    }
}

/// Finds the request in these files.
///
/// # Errors
/// Where a file cannot be read, or holds no such request.
pub(super) fn find(files: &[PathBuf], id: &Id) -> anyhow::Result<Past> {
    ensure!(!files.iter().any(|file| file == Path::new("-")), "the audit is read more than once: name its file");
    let (number, process) = match id {
        Id::Number(number) => (*number, None),
        Id::Name(name) => named(files, name)?,
    };
    let mut past = gathered(files, number, process.as_deref())?;
    past.freshness(files)?;
    past.generation_since = past.loaded(files)?;
    Ok(past)
}

/// The request that a record is of, and the process that wrote it.
fn named(files: &[PathBuf], name: &str) -> anyhow::Result<(u64, Option<String>)> {
    let (mut found, mut is_known) = (None, false);
    let wanted = format!("\"{name}\"");
    records::read_files(files, wanted.as_bytes(), |_, line| {
        let ours = &line.keygress;
        if [&line.metadata.uid, &ours.trace, &ours.trace_id].iter().any(|text| text.as_str() == name) {
            is_known = true;
            found = ours.request.map(|request| (request, Some(line.instance().to_owned())));
        }
        Ok(if found.is_some() { Step::Enough } else { Step::On })
    })?;
    match found {
        Some(found) => Ok(found),
        None if is_known => bail!("`{name}` is a record, but none of a request"),
        None => Err(anyhow!("no request `{name}` is in this audit: name the file that was written when it was made")),
    }
}

/// What is on record of the request of this number: of the last process that had one, where none is named.
fn gathered(files: &[PathBuf], number: u64, process: Option<&str>) -> anyhow::Result<Past> {
    let mut past = Past::default();
    let mut others = 0_u64;
    let wanted = format!("\"request\":{number}");
    let reading = records::read_files(files, wanted.as_bytes(), |_, line| {
        let is_of_it = line.keygress.request == Some(number) && process.is_none_or(|process| process == line.instance());
        if is_of_it {
            if past.process != line.instance() {
                others += u64::from(!past.process.is_empty());
                past = Past { request: number, process: line.instance().to_owned(), ..Past::default() };
            }
            past.take(line);
        }
        Ok(Step::On)
    })?;
    ensure!(!past.records.is_empty(), "no request {number} is in this audit: name the file that was written when it was made");
    past.caveats = reading.caveats();
    if others > 0 {
        let were = counted(others, "earlier run");
        past.caveats.push(format!("{were} had a request {number} too; this is the last: name another by the id of its record"));
    }
    if past.outcome.is_empty() {
        past.caveats.push("how it ended is not on record: it is under way, or its end was lost".to_owned());
    }
    Ok(past)
}

impl Past {
    fn take(&mut self, line: &Line<'_>) {
        self.records.push(Entry::of(line));
        let ours = &line.keygress;
        self.masked = self.masked.max(ours.masked);
        let is_end = matches!(line.activity.as_str(), "used" | "denied");
        // An alert speaks of the request too, and knows less of it.
        if !is_end && (line.activity.as_str() != "intended" || !self.outcome.is_empty()) {
            return;
        }
        let given = |text: &records::line::Text<'_>| text.given().map(str::to_owned);
        (self.time, self.at) = (when::precise(line.time), line.time);
        if is_end {
            self.outcome = match (line.activity.as_str(), ours.code.given()) {
                ("used", None) => "sent",
                ("used", Some(_)) => "failed",
                _ => "refused",
            };
            self.status = Some(line.status_code).filter(|status| *status > 0);
            (self.code, self.message) = (given(&ours.code), given(&line.message));
        }
        let process = line.actor.process;
        let (workload, task, peer, way) = (given(&ours.workload), given(&ours.task), given(&ours.peer), given(&ours.way));
        self.caller = Caller { workload, task, uid: process.uid, pid: process.pid, peer, way };
        let url = &line.http_request.url;
        let (method, scheme) = (given(&line.http_request.http_method), given(&url.scheme));
        self.asked = Asked { method, scheme, host: given(&url.hostname), port: url.port, path: given(&url.path) };
        (self.rule, self.broker, self.generation) = (given(&ours.rule), given(&ours.broker), ours.generation);
        self.credential = ours.credential.given().map(|name| Credential {
            name: name.to_owned(),
            used: ours.lease.given().is_some(),
            lease: given(&ours.lease),
            fingerprint: given(&ours.fingerprint),
            ..Credential::default()
        });
        self.stripped = ours.stripped.as_str().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }

    /// When the credential was issued, and what became of it.
    fn freshness(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        let Some((credential, lease)) = self.credential.as_mut().and_then(|credential| {
            let lease = credential.lease.clone()?;
            Some((credential, lease))
        }) else {
            return Ok(());
        };
        let at = self.at;
        records::read_files(files, format!("\"{lease}\"").as_bytes(), |_, line| {
            if line.keygress.lease.as_str() == lease {
                match line.activity.as_str() {
                    "issued" => {
                        let age = u64::try_from(at.saturating_sub(line.time) / 1000).unwrap_or_default();
                        credential.issued = Some(when::precise(line.time));
                        credential.age = Some(age);
                        credential.left = line.keygress.expires_in.map(|lifetime| lifetime.saturating_sub(age));
                    }
                    "revoked" | "revoke_failed" | "expired" => credential.ended = Some(Entry::of(line)),
                    _ => {}
                }
            }
            Ok(Step::On)
        })?;
        if credential.issued.is_none() {
            self.caveats.push(format!("the issuance of lease `{lease}` is not in these files"));
        }
        Ok(())
    }

    /// Since when the policy was in force that decided.
    fn loaded(&self, files: &[PathBuf]) -> anyhow::Result<Option<String>> {
        let (mut since, generation) = (None, self.generation);
        if generation.is_some() {
            records::read_files(files, b"\"policy_loaded\"", |_, line| {
                if line.instance() == self.process && line.keygress.generation == generation {
                    since = Some(when::precise(line.time));
                }
                Ok(Step::On)
            })?;
        }
        Ok(since)
    }

    /// Asks a policy about the like.
    pub(super) fn ask(&mut self, policy: &Policy) {
        let Asked { method, scheme, host, port, path } = &self.asked;
        let method = method.as_deref().and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let scheme = scheme.as_deref().and_then(|scheme| [Scheme::Http, Scheme::Https].into_iter().find(|known| known.as_str() == scheme));
        let host = host.as_deref().and_then(|host| Host::parse(host).ok());
        let path = path.as_deref().filter(|path| path.starts_with('/') && !path.ends_with('…') && *path != PATH_MASKED);
        let (Some(method), Some(scheme), Some(host), Some(path)) = (&method, scheme, &host, path) else {
            self.caveats.push("not all of the request is on record: what a policy says to the like cannot be told".to_owned());
            return;
        };
        let from = self.caller.workload.as_deref();
        let asked = |from| policy.explain(&Hypothesis { from, scheme, host, port: *port, method, path });
        let explanation = asked(from).or_else(|why| {
            self.caveats.push(format!("{why} in the policy that was given: asked as a caller whom no workload recognises"));
            asked(None)
        });
        let Ok(explanation) = explanation else { return };
        let credential = self.credential.as_ref().map(|credential| credential.name.as_str());
        let is_same = explanation.rule == self.rule && explanation.credential.as_deref() == credential;
        self.changed = self.was_allowed().map(|was| match explanation.decision == "allow" {
            true => !was || !is_same,
            false => was,
        });
        self.now = Some(explanation);
    }

    /// Whether the policy of then allowed it, where it was asked.
    fn was_allowed(&self) -> Option<bool> {
        let code = self.code.as_deref();
        match self.outcome {
            "refused" if DENIALS.iter().any(|denial| Some(denial.as_str()) == code) => Some(false),
            "refused" => self.rule.is_some().then_some(true),
            _ => Some(true),
        }
    }
}
