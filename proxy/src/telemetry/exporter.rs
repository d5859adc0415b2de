use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::document::Resource;
use crate::credentials::Site;
use crate::metrics::Metrics;

/// How long what waits is gathered before it is sent.
const GATHER: Duration = Duration::from_secs(1);

/// Records that are sent at once; a batch of the audit is not cut.
const RECORDS_MAX: u64 = 512;

/// Tries of one document: with these rests between them, fifteen seconds.
const TRIES_MAX: u32 = 5;

/// The first rest; each is twice the one before.
const REST: Duration = Duration::from_secs(1);

/// One kind of what is told.
pub(super) struct Signal<T> {
    /// The label of its metrics.
    pub(super) name: &'static str,
    /// How many records there are in one piece.
    pub(super) records: fn(&T) -> u64,
    /// The document of several.
    pub(super) document: fn(&Resource, &[T]) -> Vec<u8>,
    /// Where it is told too that records were lost.
    pub(super) lost: fn(&Metrics, u64),
}

/// Sends what waits in a queue to a collector.
pub(super) struct Exporter<T> {
    pub(super) signal: Signal<T>,
    pub(super) site: Site,
    pub(super) headers: HeaderMap,
    pub(super) resource: Resource,
    pub(super) queue: mpsc::Receiver<T>,
    /// Told when nothing more comes.
    pub(super) closing: Arc<Notify>,
    pub(super) metrics: Metrics,
}

impl<T> Exporter<T> {
    /// Runs until the queue is closed and everything in it was told, or could not be.
    pub(super) async fn run(mut self) {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for result in ["sent", "rejected", "failed", "lost"] {
            self.metrics.otlp(self.signal.name, result, 0);
        }
        let mut is_failing = false;
        while let Some((batch, records)) = self.gathered().await {
            let document = (self.signal.document)(&self.resource, &batch);
            drop(batch);
            let told = self.tell(document).await;
            let rejected = told.as_ref().map_or(0, |rejected| (*rejected).min(records));
            match told {
                Ok(_) => {
                    self.metrics.otlp(self.signal.name, "sent", records - rejected);
                    self.metrics.otlp(self.signal.name, "rejected", rejected);
                    (self.signal.lost)(&self.metrics, rejected);
                    if std::mem::take(&mut is_failing) {
                        tracing::info!(signal = self.signal.name, "the collector takes what it is told again");
                    }
                }
                Err(why) => {
                    self.metrics.otlp(self.signal.name, "failed", records);
                    (self.signal.lost)(&self.metrics, records);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(signal = self.signal.name, "the collector {why}: what it is told is lost there");
                    }
                }
            }
        }
    }

    /// The next pieces, and how many records they hold; `None` at the end.
    async fn gathered(&mut self) -> Option<(Vec<T>, u64)> {
        let first = loop {
            tokio::select! {
                biased;
                first = self.queue.recv() => break first?,
                () = self.closing.notified() => self.queue.close(),
            }
        };
        let mut records = (self.signal.records)(&first);
        let mut batch = vec![first];
        let until = Instant::now() + GATHER;
        while records < RECORDS_MAX {
            tokio::select! {
                biased;
                next = timeout_at(until, self.queue.recv()) => {
                    let Ok(Some(next)) = next else { break };
                    records += (self.signal.records)(&next);
                    batch.push(next);
                }
                () = self.closing.notified() => self.queue.close(),
            }
        }
        Some((batch, records))
    }

    /// Sends a document, again where the collector may take it later. How many records it rejected.
    async fn tell(&self, document: Vec<u8>) -> Result<u64, String> {
        let mut rest = REST;
        let mut attempt = 1;
        loop {
            match self.site.send(self.headers.clone(), document.clone()).await {
                Ok(answer) => return Ok(rejected(&answer)),
                Err(untaken) if untaken.is_final || attempt == TRIES_MAX || self.queue.is_closed() => return Err(untaken.to_string()),
                Err(_) => sleep(rest).await,
            }
            attempt += 1;
            rest *= 2;
        }
    }
}

/// How many records a collector says it did not keep (`partialSuccess`).
fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let counts = ["rejectedSpans", "rejectedLogRecords"].map(|key| answer.get("partialSuccess").and_then(|part| part.get(key)).cloned());
    // Numbers of 64 bits are texts.
    let count = |value: Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    counts.into_iter().flatten().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_rejects_is_counted() {
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedLogRecords":2}}"#), 2);
        assert_eq!((rejected(b"{}"), rejected(b""), rejected(br#"{"partialSuccess":null}"#)), (0, 0, 0));
    }
}
