//! OTLP: requests as traces, and the audit as logs, told to a collector. Off the path, in bounded memory; where nobody asked for it, nothing is done.

/// Who begins a trace, and who goes on with it (W3C Trace Context).
mod context;

/// What is kept of one request, and which requests are traced.
mod traces;

/// Both as OTLP has them, in JSON.
mod document;

/// The queue to a collector, and what is sent from it.
mod exporter;

/// What it takes to start.
mod start;

pub use context::Context;
pub use start::{Otlp, Telemetry};
pub use traces::{Ended, Span, Traces};
