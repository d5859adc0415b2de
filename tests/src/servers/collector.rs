//! A collector of OTLP over HTTP that understands what OpenTelemetry's own messages do, and nothing else.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::client;
use crate::process::Process;
use crate::tools;

/// A running collector.
pub struct Collector {
    /// Where it listens.
    pub url: String,
    process: Process,
}

impl Collector {
    /// Starts it; its first answers have these statuses.
    ///
    /// # Errors
    /// Where Python or the messages cannot be had.
    pub fn start(first: &[&str]) -> Result<Self> {
        let mut command = client::bare(tools::python()?);
        command.env("PYTHONPATH", tools::otlp()?).arg(tools::root().join("tests/servers/collector.py")).args(first);
        let process = Process::start(&mut command, "")?;
        Ok(Self { url: format!("http://127.0.0.1:{}", process.port()?), process })
    }

    /// The documents of a signal (`traces`, `logs`) so far, each with the headers it came with.
    ///
    /// # Errors
    /// Where it did not understand one, or has failed.
    pub fn taken(&self, signal: &str) -> Result<Vec<(Value, Value)>> {
        let lines = self.process.lines();
        let mut taken = Vec::new();
        for line in lines.iter().filter(|line| !line.starts_with("ready ")) {
            let (name, rest) = line.split_once(' ').context("it failed").with_context(|| lines.join("\n"))?;
            anyhow::ensure!(["traces", "logs"].contains(&name), "{}", lines.join("\n"));
            let mut parts = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let (headers, document) = (parts.next().context("no headers")??, parts.next().context("no document")??);
            if name == signal {
                taken.push((headers, document));
            }
        }
        Ok(taken)
    }

    /// The records of a signal so far: spans, or log records.
    ///
    /// # Errors
    /// As [`Collector::taken`].
    pub fn records(&self, signal: &str) -> Result<Vec<Value>> {
        let [resources, scopes, records] = match signal {
            "traces" => ["resourceSpans", "scopeSpans", "spans"],
            _ => ["resourceLogs", "scopeLogs", "logRecords"],
        };
        let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let documents = self.taken(signal)?;
        let resources = documents.iter().flat_map(|(_, document)| list(document, resources));
        Ok(resources.flat_map(|resource| list(&resource, scopes)).flat_map(|scope| list(&scope, records)).collect())
    }

    /// Waits until it has printed this.
    ///
    /// # Errors
    /// Where it does not within a minute.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.process.wait_for(text)
    }
}

/// The value of an attribute, as text.
#[must_use]
pub fn attribute(record: &Value, key: &str) -> Option<String> {
    let found = record.get("attributes")?.as_array()?.iter().find(|attribute| attribute.get("key").is_some_and(|name| name == key))?;
    let value = found.get("value")?;
    let text = value.get("stringValue").or_else(|| value.get("intValue"))?;
    Some(text.as_str().map_or_else(|| text.to_string(), str::to_owned))
}
