//! The attacks that need nothing but an allowed upstream, a file a class. Each file is a table; what needs a hostile upstream, another
//! identity or a clock stands with the adversarial tests.

use super::case::{Asked, Case, Expect, Written};

/// Who is asked: hosts, ports, addresses, and who may choose them.
pub mod destination;

/// Where a request ends and the next begins.
pub mod framing;

/// What HTTP/2 may carry that HTTP/1.1 would read otherwise.
pub mod streams;

/// Which resource is meant.
pub mod paths;

/// Whose credential, in which slot.
pub mod slots;

/// What others published.
pub mod requests;

/// What a captured connection begins with.
pub mod captured;

/// A `GET` that is refused as `bad_request` unless a case says otherwise.
const GET: Case = Case { name: "", attack: "", written: Written::Asked(Asked::GET), expect: Expect::Refused(400, "bad_request"), but: &[] };

/// Every class, by name.
#[must_use]
pub fn all() -> Vec<(&'static str, &'static [Case])> {
    vec![
        ("destination", destination::CASES),
        ("framing", framing::CASES),
        ("streams", streams::CASES),
        ("paths", paths::CASES),
        ("slots", slots::CASES),
        ("captured", captured::CASES),
        ("requests", requests::CASES),
    ]
}
