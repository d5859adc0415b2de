//! What keygress promises, end to end: real clients, the real proxy, real servers. One module a promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

/// The servers of the harness themselves, without keygress: a test is worth what its upstream is worth.
mod servers;

/// The usual world of a test.
mod world;

/// Every way in, with curl.
mod curl;

/// What can be read in two ways is refused.
mod gate;

/// Clients that know of no proxy.
mod capture;

/// Python, Node, Go: requests, streams, sockets.
mod runtimes;

/// Bodies, both ways, and what HTTP says around them.
mod bodies;

/// What comes back does not hold the credential.
mod scrub;

/// gRPC on the C core.
mod grpc;

/// Who calls.
mod callers;

/// One command, its placeholders and its end.
mod run;

/// One command whose only way out is keygress.
mod confined;

/// `git clone` inside `keygress run`.
mod git;

/// A short-lived credential, from mint to revocation.
mod issuer;

/// A keygress that is killed, and the one after it.
mod ledger;

/// Tasks that are opened and closed at a running keygress.
mod tasks;

/// What is suspended or revoked by hand stops at once, also where it runs.
mod stops;

/// The admin page, and what it is made of.
mod ui;

/// A broker holds the key, for callers on other hosts.
mod broker;

/// The other grants of OAuth 2.0, and the other ways for a client to prove itself.
mod grants;

/// A GitHub App.
mod github;

/// OpenBao: stored secrets, leases, logins.
mod openbao;

/// A secret that stands in the policy, sealed.
mod sealed;

/// Slots that are no header.
mod slots;

/// Requests that keygress signs.
mod signed;

/// A client certificate towards the destination.
mod mutual_tls;

/// Tokens that are bound to a key.
mod dpop;

/// SDKs that find their own credentials.
mod stand_ins;

/// Requests whose answer is a credential.
mod minting;

/// AWS: signed by keygress, verified by moto.
mod aws;

/// The policy is replaced while it is used.
mod reload;

/// More than a worker can do.
mod overload;

/// The policy is replaced again and again under load.
mod flips;

/// What goes wrong outside.
mod bad_input;

/// What the README shows.
mod readme;

/// The units of the examples.
mod units;

/// Pods of Kubernetes: manifests, the webhook, the chart.
mod pods;

/// The Debian package.
mod package;

/// The examples that play something, as their reader runs them.
mod examples;

/// What is on record.
mod records;

/// Traces and logs for a collector.
mod telemetry;

/// Metrics, alert rules and dashboard, by Prometheus itself.
mod observability;

/// Keys that are not yet behind the proxy.
mod scan;

/// The audit in other forms.
mod export;

/// Lints for code hosts and editors.
mod lints;

/// Controls, and what was seen of them.
mod report;

/// Abnormal reuse.
mod alerts;

/// What follows an alert.
mod responses;

/// What is on record before it happens.
mod strict;

/// Upstreams and callers that mean harm.
mod hostile;
