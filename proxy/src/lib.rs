//! keygress: the application never holds a key. In the order in which a request meets the modules; start at [`exchange`].

/// One request, out and back.
pub mod exchange;

/// 1 · Connections in: forward, CONNECT, intercept, route, unix.
pub mod accept;

/// 1 · Whether a worker takes a request, or has too many.
pub mod admission;

/// 2 · Who is calling: one file per proof.
pub mod caller;

/// 3 · Counters between decide and credentials.
pub mod limits;

/// 4 · Credentials kept ready: one file per provider; slots and leases.
pub mod credentials;

/// 6 · To the destination: resolve, guard, dial, verify, send.
pub mod forward;

/// 7 · Secrets out of what comes back.
pub mod scrub;

/// What was suspended or revoked by hand, and what ends by it.
pub mod stops;

/// What outlives the process: leases that are alive, and what was stopped by hand.
pub mod state;

/// What must not come back, in every form.
pub mod needles;

/// What must not come from an application, or not there.
pub mod known;

/// 8 · On record, allowed or not.
pub mod audit;

/// Abnormal reuse: detectors behind the audit, off the request path.
pub mod detect;

/// What happened lately, for those who look; behind the audit too.
pub mod recent;

/// One thread, one runtime: what hyper spawns stays on it.
pub mod worker;

/// TCP: how the process dials, and a stream that writes small pieces in one go.
pub mod stream;

/// How many descriptors are left.
pub mod descriptors;

/// What SDKs are given that ask for their own credentials.
pub mod stand_ins;

/// Our own certificate over mutual TLS, and whom we trust at the other end.
pub mod identity;

/// What a keygress says to its broker of one request.
pub mod statement;

/// A client certificate that a destination is shown.
pub mod client_auth;

/// Bodies, streamed both ways.
pub mod body;

/// A stopped request: code, status, what to do.
pub mod refusal;

/// Prometheus metrics.
pub mod metrics;

/// Traces and logs for a collector (OTLP).
pub mod telemetry;

/// The policy in force, and its replacement.
pub mod reload;

/// How the process itself runs.
pub mod config;

/// What the process gives up.
pub mod sandbox;

/// A command in namespaces of its own, where keygress is the only way out.
pub mod confine;

/// Health, metrics and control.
pub mod admin;

/// The admin page, between a browser and the admin socket.
pub mod ui;

/// The audit, read back.
pub mod records;

/// Which credentials there are, who may spend them, and who did.
pub mod inventory;

/// What a provider logged, compared with the audit.
pub mod reconcile;

/// Keys that lie about: what keygress would take the place of.
pub mod scan;

/// How the runtimes of applications find keygress, and trust it.
pub mod runtimes;

/// A pod of Kubernetes, and keygress beside its containers.
pub mod sidecar;

/// The admission webhook that adds it.
pub mod webhook;

/// Logins that are there already, on their way into a policy.
pub mod logins;

/// One file per subcommand.
pub mod cli;

/// The policy with this crate's providers.
pub type Policy = keygress_policy::Policy<credentials::Source>;

/// A credential of such a policy.
pub type Credential = keygress_policy::Credential<credentials::Source>;
