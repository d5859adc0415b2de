//! Where a request goes: schemes, hosts, ports, methods, canonical paths. Strings become these types at the edge.

/// Hosts, host patterns and authorities.
mod host;

/// The closed list of methods.
mod method;

/// What makes a path ambiguous, and how its segments compare.
mod path;

/// `METHOD /path` of a rule.
mod pattern;

pub use host::{Host, HostPattern, parse_authority};
pub use method::{METHODS, is_listed};
pub use path::path_ambiguity;

pub(crate) use host::parse_port;
pub(crate) use method::MethodSet;
pub(crate) use path::{SlashInSegment, compare_segment, path_problem};
pub(crate) use pattern::{RequestPattern, Segment};

/// The scheme of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`: plaintext.
    Http,
    /// `https`: TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}
