use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::RootCertStore;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::document::{self, Resource};
use super::exporter::{Exporter, Signal};
use super::{Ended, Traces};
use crate::credentials::{Site, nonce};
use crate::metrics::Metrics;

/// Traced requests that may wait; more are lost, and counted.
const REQUESTS_MAX: usize = 2_048;

/// Batches of the audit that may wait; more are lost there, and counted.
const BATCHES_MAX: usize = 256;

/// The largest file of headers, in bytes.
const HEADERS_BYTES_MAX: u64 = 16_384;

/// A collector, and what it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Its URL, to which `/v1/traces` and `/v1/logs` are added.
    pub endpoint: String,
    /// The file of the headers that it wants to see.
    pub headers: Option<PathBuf>,
    /// The share of requests that are traced of those whose caller began no trace, from 0 to 1.
    pub traces: f64,
    /// What it knows us by.
    pub service: String,
    /// What it is told of us besides.
    pub resource: Vec<(String, String)>,
}

/// What tells a collector.
#[derive(Default)]
pub struct Telemetry {
    /// Where requests are handed on.
    pub traces: Option<Traces>,
    /// Where batches of the audit are.
    pub logs: Option<mpsc::Sender<Arc<[u8]>>>,
    /// End when everything was told.
    pub telling: Vec<JoinHandle<()>>,
}

impl Telemetry {
    /// Starts to tell, within a runtime. The collector itself need not be there yet.
    ///
    /// # Errors
    /// An URL that cannot be called; headers that cannot be read.
    pub fn start(otlp: &Otlp, roots: &Arc<RootCertStore>, metrics: &Metrics) -> Result<Self, String> {
        let headers = otlp.headers.as_deref().map_or_else(|| Ok(HeaderMap::new()), read)?;
        let instance: String = nonce().iter().map(|byte| format!("{byte:02x}")).collect();
        let own = [("service.name", &*otlp.service), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", &instance)];
        let given = otlp.resource.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let resource = Resource::of(own.into_iter().chain(given.filter(|(key, _)| own.iter().all(|(known, _)| known != key))));
        let site = |path: &str| {
            let url = format!("{}{path}", otlp.endpoint.trim_end_matches('/'));
            Site::at(&url, Arc::clone(roots)).map_err(|(message, help)| format!("the OTLP endpoint: {message}; {help}"))
        };
        let closing: Arc<Notify> = Arc::default();
        let (requests, waiting) = mpsc::channel::<Box<Ended>>(REQUESTS_MAX);
        let traces = Traces::new(otlp.traces, requests, Arc::clone(&closing), metrics.clone());
        let spans = Signal::<Box<Ended>> {
            name: "traces",
            records: |ended| if ended.upstream.is_some() { 2 } else { 1 },
            document: document::spans,
            lost: |_, _| {},
        };
        let (spans_site, logs_site) = (site("/v1/traces")?, site("/v1/logs")?);
        let spans = Exporter {
            signal: spans,
            site: spans_site,
            headers: headers.clone(),
            resource: resource.clone(),
            queue: waiting,
            closing,
            metrics: metrics.clone(),
        };
        let (batches, waiting) = mpsc::channel::<Arc<[u8]>>(BATCHES_MAX);
        let logs = Signal::<Arc<[u8]>> {
            name: "logs",
            records: |lines| memchr::memchr_iter(b'\n', lines).count() as u64,
            document: document::logs,
            lost: |metrics, lost| metrics.audit_also_lost("otlp", lost),
        };
        let closing = Arc::default();
        let logs = Exporter { signal: logs, site: logs_site, headers, resource, queue: waiting, closing, metrics: metrics.clone() };
        let telling = vec![tokio::spawn(spans.run()), tokio::spawn(logs.run())];
        Ok(Self { traces: Some(traces), logs: Some(batches), telling })
    }
}

/// Reads headers, `NAME: VALUE` each on a line of its own.
fn read(path: &Path) -> Result<HeaderMap, String> {
    let name = path.display();
    let unread = |error: std::io::Error| format!("the OTLP headers `{name}` cannot be read: {error}");
    let file = File::open(path).map_err(unread)?;
    if file.metadata().map_err(unread)?.mode() & 0o006 != 0 {
        return Err(format!("the OTLP headers `{name}` are ones that everybody may read or write: `chmod o-rw {name}`"));
    }
    let mut text = Zeroizing::new(String::with_capacity(4_096));
    file.take(HEADERS_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let field = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::try_from(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let (name, value) = field.ok_or_else(|| format!("the OTLP headers `{name}`: line {} is no `NAME: VALUE`", at + 1))?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn headers_are_read_from_a_file_that_others_do_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let read = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path)
        };
        let headers = read("Authorization: Basic eA==\n\nX-Tenant:shop\n", 0o640).unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-tenant"]),
            (&"Basic eA==".parse().unwrap(), &"shop".parse::<HeaderValue>().unwrap())
        );
        assert!(headers["authorization"].is_sensitive());
        assert!(read("A: b\n", 0o644).unwrap_err().contains("chmod o-rw"));
        let wrong = read("A: b\nsecret-without-name\n", 0o600).unwrap_err();
        assert!(wrong.contains("line 2") && !wrong.contains("secret"), "{wrong}");
    }
}
