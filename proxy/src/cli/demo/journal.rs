//! The audit of the demonstration, read while it is written.

use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

/// The longest wait for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// One audit record.
pub(super) struct Record {
    /// The line as it was written.
    pub(super) line: String,
    value: serde_json::Value,
}

impl Record {
    fn parse(line: String) -> anyhow::Result<Self> {
        let value = serde_json::from_str(&line).context("an audit line is not JSON")?;
        Ok(Self { line, value })
    }

    /// What happened.
    pub(super) fn activity(&self) -> &str {
        self.text("/activity")
    }

    /// A text field by its JSON pointer; empty where it is absent.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// A number by its JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Option<u64> {
        self.value.pointer(pointer)?.as_u64()
    }
}

/// The records so far, and those to come.
pub(super) struct Journal {
    records: Vec<Record>,
    incoming: UnboundedReceiver<String>,
}

impl Journal {
    /// A journal, and the sender by which the audit fills it.
    pub(super) fn open() -> (Sender<String>, Self) {
        let (sender, lines) = std::sync::mpsc::channel();
        let (forward, incoming) = mpsc::unbounded_channel();
        std::thread::spawn(move || lines.iter().try_for_each(|line| forward.send(line)));
        (sender, Self { records: Vec::new(), incoming })
    }

    /// Waits until this many records are as described.
    ///
    /// # Errors
    /// Where that takes longer than [`PATIENCE`], or the audit is closed.
    pub(super) async fn wait_for(&mut self, count: usize, wanted: impl Fn(&Record) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.records.iter().filter(|record| wanted(record)).count() < count {
            let line = tokio::time::timeout_at(deadline, self.incoming.recv()).await.context("an expected event did not come")?;
            self.records.push(Record::parse(line.context("the audit was closed")?)?);
        }
        Ok(())
    }

    /// Every record; called when the audit is closed.
    pub(super) async fn finish(mut self) -> anyhow::Result<Vec<Record>> {
        while let Some(line) = self.incoming.recv().await {
            self.records.push(Record::parse(line)?);
        }
        Ok(self.records)
    }
}
