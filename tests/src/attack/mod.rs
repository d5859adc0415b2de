//! Attacks, as data and as tools: what a hostile workload writes, by every way in, and what must come of it. The adversarial tests run
//! them against the proxy of this tree, `keygress-attack` against anybody's own.

/// The ways in, and what is asked by each.
pub mod way;

/// Connections as an attacker makes them: every byte is ours.
pub mod wire;

/// HTTP/1.1 by hand.
pub mod h1;

/// HTTP/2 by hand: frames and header blocks that no client library would write.
pub mod h2;

/// Where captured connections come from.
pub mod capture;

/// What one attack is, and what must come of it.
pub mod case;

/// The attacks that need nothing but an allowed upstream, a file a class.
pub mod cases;

/// Where a secret is found again: in any form, in any sink.
pub mod oracle;

/// The ground of the adversarial tests: two upstreams, identities, a proxy, and all their sinks.
pub mod ground;

/// The defences, and how each is taken away.
pub mod defences;
