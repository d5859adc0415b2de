use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_encode};
use zeroize::Zeroizing;

/// What `application/x-www-form-urlencoded` leaves as it is, besides letters and digits.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// A body of `application/x-www-form-urlencoded`.
#[derive(Default)]
pub(in super::super) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    /// The body of a grant.
    pub(in super::super) fn of_grant(grant_type: &str) -> Self {
        let mut form = Self::default();
        form.add("grant_type", grant_type.as_bytes());
        form
    }

    /// Adds a parameter.
    pub(in super::super) fn add(&mut self, name: &str, value: &[u8]) {
        // Grown by hand: a vector that grows by itself leaves a copy of what it held.
        let mut grown = Zeroizing::new(Vec::with_capacity(self.0.len() + name.len() + 3 * value.len() + 2));
        grown.extend_from_slice(&self.0);
        if !grown.is_empty() {
            grown.push(b'&');
        }
        grown.extend_from_slice(name.as_bytes());
        grown.push(b'=');
        encoded(value).for_each(|part| grown.extend_from_slice(part.as_bytes()));
        self.0 = grown;
    }

    /// The query of an URL, with its question mark; nothing where there is none. For what is no secret.
    pub(in super::super) fn as_query(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("?{}", String::from_utf8_lossy(&self.0)) }
    }

    /// The bytes.
    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// A value as a form spells it.
pub(super) fn encoded(value: &[u8]) -> PercentEncode<'_> {
    percent_encode(value, PLAIN)
}
