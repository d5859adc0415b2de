//! What an application must not show: values of credentials, and what it may show in one place alone: placeholders and task tokens.
//! Asked for every request, so it looks at lengths first; only what has the length of something known is hashed, under a random key.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use keygress_policy::material::Secret;
use percent_encoding::percent_decode_str;

use crate::needles::VALUE_BYTES_MIN;

/// How many values are known, and how many stand-ins and tokens; of each the oldest make room. Tasks come and go by the thousand, and must
/// not make keygress forget the value of a credential that is read once.
const THINGS_MAX: usize = 32_768;

/// The longest value that is recognised, in bytes.
const VALUE_BYTES_MAX: usize = 4_095;

/// A bit for each length.
const WORDS: usize = (VALUE_BYTES_MAX + 1) / 64;

/// Something that is recognised where an application sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// The value of a credential, or a form in which it goes on the wire.
    Value {
        /// Whose value.
        credential: Arc<str>,
        /// Under which lease it was issued.
        lease: Arc<str>,
        /// Its keyed fingerprint, as the audit has it.
        fingerprint: Arc<str>,
    },
    /// The stand-in that a task holds for a credential.
    Placeholder {
        /// For which credential.
        credential: Arc<str>,
        /// Which task holds it.
        task: Arc<str>,
    },
    /// What proves a task to keygress, and to nobody else.
    Token {
        /// Which task.
        task: Arc<str>,
    },
}

/// The things that are known. What is looked up is compared by a hash of 64 bits under a random key: nobody without the key finds two
/// values with the same one.
pub struct Known {
    lengths: [AtomicU64; WORDS],
    keyed: RandomState,
    things: RwLock<Things>,
    /// Whether nothing was added yet: then a request costs one load.
    is_empty: AtomicBool,
    is_off: bool,
}

#[derive(Default)]
struct Things {
    by_hash: HashMap<u64, Arc<Thing>>,
    values: VecDeque<u64>,
    others: VecDeque<u64>,
}

impl Things {
    fn put(&mut self, hash: u64, thing: Thing) {
        let order = if matches!(thing, Thing::Value { .. }) { &mut self.values } else { &mut self.others };
        if self.by_hash.insert(hash, Arc::new(thing)).is_none() {
            order.push_back(hash);
        }
        if order.len() > THINGS_MAX
            && let Some(oldest) = order.pop_front()
        {
            self.by_hash.remove(&oldest);
        }
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            lengths: std::array::from_fn(|_| AtomicU64::new(0)),
            keyed: RandomState::new(),
            things: RwLock::default(),
            is_empty: AtomicBool::new(true),
            is_off: false,
        }
    }
}

impl Known {
    /// Recognises nothing, whatever is added.
    #[must_use]
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// From now on this is recognised. What is too short or too long to be told from ordinary text is not.
    pub fn add(&self, secret: &Secret, thing: Thing) {
        if self.is_off || !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&secret.len()) {
            return;
        }
        let hash = secret.hash_with(&self.keyed);
        let mut things = self.things.write().unwrap_or_else(PoisonError::into_inner);
        things.put(hash, thing);
        drop(things);
        if let Some(word) = self.lengths.get(secret.len() / 64) {
            word.fetch_or(1 << (secret.len() % 64), Ordering::Release);
        }
        self.is_empty.store(false, Ordering::Release);
    }

    /// What a request shows: a value before anything else. Looked for in headers, cookies, the query and the segments of the path, not in
    /// the body.
    #[must_use]
    pub fn shown(&self, head: &Parts) -> Option<Arc<Thing>> {
        if self.is_empty.load(Ordering::Acquire) {
            return None;
        }
        let mut found = None;
        let mut look = |text: &[u8]| {
            if let Some(thing) = self.find(text)
                && (found.is_none() || matches!(*thing, Thing::Value { .. }))
            {
                found = Some(thing);
            }
        };
        for (name, value) in &head.headers {
            let bytes = value.as_bytes();
            if bytes.len() < VALUE_BYTES_MIN || name == PROXY_AUTHORIZATION {
                continue;
            }
            look(bytes);
            if name == COOKIE {
                let pairs = bytes.split(|byte| *byte == b';').filter_map(|pair| pair.splitn(2, |byte| *byte == b'=').nth(1));
                pairs.for_each(|value| look(value.trim_ascii()));
            } else if let Some(space) = bytes.iter().rposition(|byte| *byte == b' ') {
                // `Bearer …`, `Basic …`, `token …`.
                look(bytes.get(space + 1..).unwrap_or_default());
            }
        }
        head.uri.path().split('/').for_each(|segment| look_at(segment, &mut look));
        for pair in head.uri.query().iter().flat_map(|query| query.split('&')) {
            let value = pair.split_once('=').map_or(pair, |(_, value)| value);
            look_at(value, &mut look);
        }
        found
    }

    /// Whether the path shows it: then the path is not for the audit, which is read by many.
    #[must_use]
    pub fn is_in_path(&self, path: &str) -> bool {
        let mut is_there = false;
        path.split('/').for_each(|segment| look_at(segment, &mut |text| is_there |= self.find(text).is_some()));
        is_there
    }

    /// What a name shows as one of its labels: a name that is looked up, or asked for, is told to many.
    #[must_use]
    pub fn in_host(&self, name: &str) -> Option<Arc<Thing>> {
        name.split('.').find_map(|label| self.find(label.as_bytes()))
    }

    fn find(&self, text: &[u8]) -> Option<Arc<Thing>> {
        let word = self.lengths.get(text.len() / 64)?.load(Ordering::Acquire);
        if word >> (text.len() % 64) & 1 == 0 {
            return None;
        }
        let hash = self.keyed.hash_one(text);
        self.things.read().unwrap_or_else(PoisonError::into_inner).by_hash.get(&hash).cloned()
    }
}

/// A text as it stands in a URL, and without its escapes.
fn look_at(text: &str, look: &mut impl FnMut(&[u8])) {
    look(text.as_bytes());
    if text.contains('%') {
        look(&std::borrow::Cow::from(percent_decode_str(text)));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    fn value() -> Thing {
        Thing::Value { credential: "crm".into(), lease: "l".into(), fingerprint: "f".into() }
    }

    fn known() -> Known {
        let known = Known::default();
        known.add(&secret("canary-value/1"), value());
        known.add(&secret("sk_test_0123456789"), Thing::Placeholder { credential: "stripe".into(), task: "t".into() });
        known.add(&secret("token-of-a-task"), Thing::Token { task: "t".into() });
        known
    }

    fn shown(known: &Known, uri: &str, headers: &[(&str, &str)]) -> Option<Thing> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        known.shown(&request.body(()).unwrap().into_parts().0).map(|thing| Thing::clone(&thing))
    }

    #[test]
    fn a_value_is_seen_wherever_it_stands_in_the_head() {
        let known = known();
        for headers in [
            &[("x-api-key", "canary-value/1")][..],
            &[("authorization", "Bearer canary-value/1")],
            &[("cookie", "a=b; session=canary-value/1")],
            // Beside a placeholder, before and after it.
            &[("a", "sk_test_0123456789"), ("b", "canary-value/1")],
            &[("a", "canary-value/1"), ("b", "sk_test_0123456789")],
        ] {
            assert_eq!(shown(&known, "/", headers), Some(value()), "{headers:?}");
        }
        for uri in ["/?key=canary-value/1", "/?a=b&key=canary-value%2F1", "/?canary-value/1"] {
            assert_eq!(shown(&known, uri, &[]), Some(value()), "{uri}");
        }
        let token = Thing::Token { task: "t".into() };
        assert_eq!(shown(&known, "/a/token-of-a-task/b", &[]), Some(token.clone()));
        assert!(known.is_in_path("/a/token-of-a-task/b") && !known.is_in_path("/a/token-of-another/b"));
        assert!(known.is_in_path("/a/%74oken-of%2Da-task") && known.is_in_path("/canary-value%2f1"));
        assert_eq!(shown(&known, "/canary-value%2F1", &[]), Some(value()));
        assert_eq!(known.in_host("x.token-of-a-task.evil.test").as_deref(), Some(&token));
        assert!(known.in_host("token-of-another.evil.test").is_none());
        assert_eq!(shown(&known, "/", &[("authorization", "Bearer token-of-a-task")]), Some(token));
    }

    #[test]
    fn what_only_looks_alike_is_not_seen() {
        let known = known();
        for headers in [
            &[("x-api-key", "canary-value/2")][..],
            &[("x-api-key", "canary-value/")],
            &[("x-api-key", "a canary-value/1 in a sentence")],
            // To keygress itself a task may show its token.
            &[("proxy-authorization", "Bearer token-of-a-task")],
        ] {
            assert_eq!(shown(&known, "/", headers), None, "{headers:?}");
        }
        let off = Known::off();
        off.add(&secret("canary-value/1"), value());
        for none in [Known::default(), off] {
            assert_eq!(shown(&none, "/?key=canary-value/1", &[]), None);
        }
    }

    #[test]
    fn what_is_known_is_bounded_and_short_values_are_left_alone() {
        let known = Known::default();
        known.add(&secret("1234567"), value());
        assert_eq!(shown(&known, "/", &[("x-api-key", "1234567")]), None);
        (0..=THINGS_MAX).for_each(|number| known.add(&secret(&format!("value-{number:08}")), value()));
        assert_eq!(shown(&known, "/", &[("x-api-key", "value-00000000")]), None, "the oldest made room");
        assert!(shown(&known, "/", &[("x-api-key", "value-00000001")]).is_some());
        assert_eq!(known.things.read().unwrap().by_hash.len(), THINGS_MAX);
        // However many tasks there were, values stay known.
        (0..=THINGS_MAX).for_each(|number| known.add(&secret(&format!("token-{number:08}")), Thing::Token { task: "t".into() }));
        assert!(shown(&known, "/", &[("x-api-key", "value-00000001")]).is_some());
        assert_eq!(known.things.read().unwrap().by_hash.len(), 2 * THINGS_MAX);
    }
}
