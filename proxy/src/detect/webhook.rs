//! Alerts, told to an URL: signed, and tried again until they are taken.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use keygress_policy::response::Response;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::Raised;
use crate::audit::Destination;
use crate::credentials::{Site, nonce};
use crate::metrics::Metrics;

/// The header that proves who tells it, and when: `t=SECONDS,v1=HEX`, an HMAC-SHA256 over `SECONDS.BODY`.
const SIGNATURE: HeaderName = HeaderName::from_static("keygress-signature");

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Alerts that may wait; more are not told, and counted.
const QUEUE_MAX: usize = 256;

/// Tries of one alert: with these rests between them, about two minutes.
const TRIES_MAX: u32 = 7;

/// The first rest; each is twice the one before.
const REST: Duration = Duration::from_secs(1);

/// Where alerts are told.
pub struct Webhook {
    site: Site,
    key: hmac::Key,
    metrics: Metrics,
}

/// The queue to a webhook. Dropping it lets the webhook end when it has told what waits.
pub struct Telling {
    queue: mpsc::Sender<Value>,
    metrics: Metrics,
}

impl Webhook {
    /// To this URL, signed with the secret of a file.
    ///
    /// # Errors
    /// What is wrong with either, with the remedy.
    pub fn new(url: &str, secret: &Path, roots: Arc<RootCertStore>, metrics: &Metrics) -> Result<Self, String> {
        let site = Site::at(url, roots).map_err(|(message, help)| format!("the webhook: {message}; {help}"))?;
        Ok(Self { site, key: read(secret)?, metrics: metrics.clone() })
    }

    /// The queue, and what must run so that it is told.
    pub fn start(self) -> (Telling, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let telling = Telling { queue, metrics: self.metrics.clone() };
        (telling, self.run(waiting))
    }

    async fn run(self, mut waiting: mpsc::Receiver<Value>) {
        while let Some(alert) = waiting.recv().await {
            let told = self.tell(alert.to_string().into_bytes()).await;
            self.metrics.webhook(if told { "ok" } else { "failed" });
        }
    }

    /// Whether it was taken in the end.
    async fn tell(&self, body: Vec<u8>) -> bool {
        let mut rest = REST;
        for attempt in 1..=TRIES_MAX {
            // Signed anew each time: a receiver may refuse what is old.
            let sent = self.site.send(self.headers(&body, Timestamp::now()), body.clone()).await;
            let Err(why) = sent else { return true };
            tracing::warn!(attempt, of = TRIES_MAX, "the webhook {why}");
            if attempt < TRIES_MAX {
                tokio::time::sleep(rest).await;
                rest *= 2;
            }
        }
        false
    }

    fn headers(&self, body: &[u8], now: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // It is made of digits: it is always a header.
        headers.extend(HeaderValue::try_from(signature(&self.key, body, now)).map(|value| (SIGNATURE, value)));
        headers
    }
}

impl Telling {
    /// Tells an alert soon, with what follows it. Never waits.
    pub fn tell(&self, raised: &Raised, response: Response) {
        if self.queue.try_send(told(raised, response)).is_err() {
            self.metrics.webhook("lost");
        }
    }
}

fn signature(key: &hmac::Key, body: &[u8], now: Timestamp) -> String {
    let seconds = now.as_second();
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    let digits: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={digits}")
}

fn read(path: &Path) -> Result<hmac::Key, String> {
    let name = path.display();
    let file = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    let (file, metadata) = file.map_err(|error| format!("the secret of the webhook `{name}` cannot be read: {error}"))?;
    if metadata.mode() & 0o006 != 0 {
        return Err(format!("the secret of the webhook `{name}` is one that everybody may read or write: `chmod o-rw {name}`"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4_096));
    let read = file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| format!("the secret of the webhook `{name}` cannot be read: {error}"))?;
    let secret = bytes.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN {
        let help = format!("make one with `head --bytes=32 /dev/urandom | base64 > {name}`");
        return Err(format!("the secret of the webhook `{name}` is shorter than {SECRET_BYTES_MIN} bytes: {help}"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// What is told: names, numbers and words of ours, as on record.
fn told(raised: &Raised, response: Response) -> Value {
    let Raised { detector, event, time, .. } = raised;
    let id: String = nonce().iter().map(|byte| format!("{byte:02x}")).collect();
    let evidence = event.evidence.as_deref();
    json!({
        "id": id,
        "detector": detector.as_str(),
        "response": response.as_str(),
        "time": format!("{time:.3}"),
        "message": event.message,
        "expected": evidence.map(|evidence| &evidence.expected),
        "seen": evidence.map(|evidence| &evidence.seen),
        "since": evidence.and_then(|evidence| evidence.since).map(|since| format!("{since:.3}")),
        "events": evidence.map(|evidence| evidence.events),
        "repeated": evidence.map(|evidence| evidence.repeated),
        "request": event.request,
        "workload": event.workload.as_deref(),
        "task": event.task.as_deref(),
        "credential": event.credential.as_deref(),
        "rule": event.rule.as_deref(),
        "method": event.method.as_ref().map(http::Method::as_str),
        "destination": event.destination.as_ref().map(|Destination { scheme, host, port }| format!("{}://{host}:{port}", scheme.as_str())),
        "path": event.path.as_ref().map(http::uri::PathAndQuery::path),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_signature_covers_the_moment_and_the_body() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        let at = |second| Timestamp::from_second(second).unwrap();
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let expected = "t=1700000000,v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
        assert_eq!(signature(&key, b"{}", at(1_700_000_000)), expected);
        assert_ne!(signature(&key, b"{ }", at(1_700_000_000)), expected);
        assert_ne!(signature(&key, b"{}", at(1_700_000_001))[13..], expected[13..]);
    }

    #[test]
    fn a_secret_that_others_read_or_guess_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let why = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path).err()
        };
        assert!(why("0123456789abcdef\n", 0o600).is_none() && why("0123456789abcdef\n", 0o640).is_none());
        assert!(why("0123456789abcde\n", 0o600).unwrap().contains("is shorter than 16 bytes"));
        assert!(why("0123456789abcdef\n", 0o644).unwrap().contains("chmod o-rw"));
    }
}
