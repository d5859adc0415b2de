//! What a collector is told: flags over `proxy.yaml`. Where OpenTelemetry has a name for a variable, it is that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::Invalid;
use crate::telemetry::Otlp;

/// The flags of OTLP.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct OtlpFlags {
    /// Send traces, and the audit with `--audit-also otlp`, to the OpenTelemetry collector at this URL (OTLP over HTTP, in JSON): `https`, or
    /// `http` on loopback. `/v1/traces` and `/v1/logs` are added.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// The file of headers that the collector wants to see, `NAME: VALUE` a line.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_OTLP_HEADERS")]
    otlp_headers: Option<PathBuf>,
    /// Trace this share, from 0 to 1, of the requests whose caller began no trace; where it did, it decides. Default: 0.
    #[arg(long, value_name = "RATIO", env = "OTEL_TRACES_SAMPLER_ARG")]
    otlp_traces: Option<f64>,
    /// What the collector knows this process by. Default: keygress.
    #[arg(long, value_name = "NAME", env = "OTEL_SERVICE_NAME")]
    otlp_service: Option<String>,
    /// What the collector is told of this process besides: `KEY=VALUE`, several by commas.
    #[arg(long, value_name = "KEY=VALUE", env = "OTEL_RESOURCE_ATTRIBUTES", value_delimiter = ',')]
    otlp_resource: Vec<String>,
}

/// `otlp:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtlpFile {
    /// `https`, or `http` on loopback.
    endpoint: String,
    /// The file of headers.
    pub(super) headers: Option<PathBuf>,
    /// From 0 to 1.
    #[serde(default)]
    traces: Option<f64>,
    /// What it knows us by.
    service: Option<String>,
    /// What it is told of us besides.
    #[serde(default)]
    resource: BTreeMap<String, String>,
}

impl OtlpFlags {
    /// These flags over what the file says; `None` where no collector is named.
    ///
    /// # Errors
    /// A ratio that is none, an attribute that is none.
    pub(super) fn over(self, file: Option<OtlpFile>) -> Result<Option<Otlp>, Invalid> {
        let (endpoint, headers, traces, service, resource) = match file {
            Some(file) => (Some(file.endpoint), file.headers, file.traces, file.service, file.resource),
            None => Default::default(),
        };
        let Some(endpoint) = self.otlp_endpoint.or(endpoint) else { return Ok(None) };
        let traces = self.otlp_traces.or(traces).unwrap_or_default();
        if !(0.0..=1.0).contains(&traces) {
            return Err(Invalid::with_help(format!("`{traces}` is not a share of requests"), "write a number from 0 to 1"));
        }
        let given = self.otlp_resource.iter().map(|text| {
            let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty())?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        });
        let given = given.collect::<Option<Vec<_>>>();
        let given =
            given.ok_or_else(|| Invalid::with_help("an attribute of the resource is incomplete".to_owned(), "write it as `KEY=VALUE`"))?;
        let resource = if given.is_empty() { resource.into_iter().collect() } else { given };
        let service = self.otlp_service.or(service).unwrap_or_else(|| "keygress".to_owned());
        Ok(Some(Otlp { endpoint, headers: self.otlp_headers.or(headers), traces, service, resource }))
    }
}
