use std::fmt;

use http::Method;

/// Every method that a rule may allow: those of RFC 9110 and WebDAV, without CONNECT, TRACE and TRACK.
pub const METHODS: [&str; 23] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "ACL",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "SEARCH",
    "UNLOCK",
    "VERSION-CONTROL",
];

/// Whether a method is on the list: exact and case-sensitive.
#[must_use]
pub fn is_listed(method: &Method) -> bool {
    MethodSet::of(method).is_some()
}

/// A set of listed methods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MethodSet(u32);

impl MethodSet {
    /// Every method of the list.
    pub(crate) const ANY: Self = Self((1 << METHODS.len()) - 1);

    /// The set of one listed method.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        Self::named(method.as_str())
    }

    /// The set of one listed method, by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        METHODS.iter().position(|listed| *listed == name).map(|bit| Self(1 << bit))
    }

    pub(crate) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The methods that are in both.
    pub(crate) fn shared(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The methods of the set.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        METHODS.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_exact_and_listed() {
        for name in METHODS {
            assert!(is_listed(&Method::from_bytes(name.as_bytes()).unwrap()));
        }
        for name in ["get", "Get", "GE!T", "TRACE", "TRACK", "CONNECT", "FOO"] {
            assert!(!is_listed(&Method::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
    }

    #[test]
    fn any_is_every_listed_method_and_no_other() {
        assert_eq!(MethodSet::ANY.names().count(), METHODS.len());
    }
}
