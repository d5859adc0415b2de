use std::cell::Cell;
use std::fmt;

use http::HeaderName;
use http::request::Parts;

use super::{Injection, pairs, slot};

/// Headers that carry a credential, sorted; hyphens stand for underscores too.
const HEADERS: [&str; 51] = [
    "api-key",
    "apikey",
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-token",
    "circle-token",
    "cookie",
    "cookie2",
    "dd-api-key",
    "dd-application-key",
    "deploy-token",
    "dpop",
    "fastly-key",
    "job-token",
    "ocp-apim-subscription-key",
    "private-token",
    "proxy-authorization",
    "x-access-token",
    "x-algolia-api-key",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth-key",
    "x-auth-token",
    "x-authorization",
    "x-consul-token",
    "x-figma-token",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    "x-functions-key",
    "x-gitlab-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-honeycomb-team",
    "x-jfrog-art-api",
    "x-ms-authorization-auxiliary",
    "x-nomad-token",
    "x-nuget-apikey",
    "x-plex-token",
    "x-postmark-server-token",
    "x-rapidapi-key",
    "x-redmine-api-key",
    "x-registry-auth",
    "x-sentry-auth",
    "x-serverless-authorization",
    "x-shopify-access-token",
    "x-subscription-token",
    "x-vault-token",
    "xi-api-key",
];

/// The longest key on the lists below, in bytes.
const KEY_BYTES_MAX: usize = 17;

/// Keys of a query that are a credential whatever their value; without `-` and `_`.
const KEYS: [&str; 8] = ["accesstoken", "apikey", "apitoken", "authtoken", "clientsecret", "oauthtoken", "privatetoken", "xapikey"];

/// Keys that are a credential only where the value has the shape of one: the words are ordinary otherwise.
const KEYS_BY_VALUE: [&str; 4] = ["auth", "key", "subscriptionkey", "token"];

/// What vendors' keys begin with.
const PREFIXES: [&str; 17] = [
    "AIza",
    "AKIA",
    "ASIA",
    "eyJ",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "rk_live_",
    "sk-",
    "sk_live_",
    "sk_test_",
    "xox",
    "ya29.",
];

/// Keys that sign a URL. Upstreams hand such URLs out (downloads of releases, layers of images), so they pass where nothing is injected;
/// beside a credential of ours they would be a second one.
const SIGNATURES: [&str; 9] = [
    "awsaccesskeyid",
    "googleaccessid",
    "sig",
    "signature",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
    "xgoogcredential",
    "xgoogsignature",
];

/// Which of the caller's own credentials were found: names of our lists, never a value.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Stripped(u128);

/// A slot that a caller filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// A header, as it is listed.
    Header(&'static str),
    /// A key of the query, without `-` and `_`.
    Query(&'static str),
}

impl Stripped {
    /// Whether there was none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them once: headers first.
    pub fn filled(self) -> impl Iterator<Item = Filled> {
        let keys = KEYS.iter().chain(&KEYS_BY_VALUE).chain(&SIGNATURES).map(|key| Filled::Query(key));
        let all = HEADERS.iter().map(|name| Filled::Header(name)).chain(keys);
        all.enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, filled)| filled)
    }

    fn with(self, at: usize) -> Self {
        Self(self.0 | 1 << at)
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.write_str(name),
            Self::Query(key) => write!(f, "?{key}"),
        }
    }
}

impl fmt::Debug for Stripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.filled()).finish()
    }
}

/// Removes the caller's own credential-shaped slots, a closed list, but for the headers in `keep` and the slot of the injection, which
/// [`Injection::act`] replaces anyway. The order is [`Injection::admit`], `strip`, [`Injection::act`]. Says which there were, that of the
/// injection too.
///
/// Of the query it removes `access_token`, `api_key` and the like; `key`, `token` and `auth` only where the value looks like a vendor's
/// key; the signature of a presigned URL only where something is injected. Bodies are not looked at.
pub fn strip(head: &mut Parts, keep: &[HeaderName], injection: Option<&Injection>) -> Stripped {
    let mut stripped = Stripped::default();
    let mut look = |name: &HeaderName| {
        let found = Found::by(name)?;
        stripped = stripped.with(found.at);
        (!injection.is_some_and(|injection| injection.owns_header(name))).then_some(found)
    };
    loop {
        let found = head.headers.keys().filter(|name| !keep.contains(name)).find_map(&mut look);
        let Some(Found { at, spelled }) = found else { break };
        match (spelled, HEADERS.get(at)) {
            (Some(name), _) => head.headers.remove(name),
            (None, Some(name)) => head.headers.remove(*name),
            (None, None) => break,
        };
    }
    let keys = Cell::new(stripped);
    let goes = |pair: pairs::Pair<'_>| {
        let Some(at) = credential_pair(pair, injection.is_some()) else { return false };
        keys.set(keys.get().with(HEADERS.len() + at));
        !injection.is_some_and(|injection| injection.owns_query_key(pair.key))
    };
    if let Some(kept) = head.uri.query().and_then(|query| pairs::without(query, goes))
        && let Ok(uri) = pairs::with_query(&head.uri, &kept)
    {
        head.uri = uri;
    }
    keys.get()
}

/// A header on the list.
struct Found {
    /// Where it stands: it is removed by the listed name, since cloning the caller's would allocate.
    at: usize,
    /// As it came, with an underscore for a hyphen.
    spelled: Option<HeaderName>,
}

impl Found {
    fn by(name: &HeaderName) -> Option<Self> {
        let text = name.as_str();
        if !text.contains('_') {
            return HEADERS.binary_search(&text).ok().map(|at| Self { at, spelled: None });
        }
        let folded = text.bytes().map(slot::fold);
        let at = HEADERS.binary_search_by(|listed| listed.bytes().cmp(folded.clone())).ok()?;
        Some(Self { at, spelled: Some(name.clone()) })
    }
}

/// Where a pair that is a credential stands on the lists.
fn credential_pair(pair: pairs::Pair<'_>, injected: bool) -> Option<usize> {
    let mut room = [0; KEY_BYTES_MAX];
    let key = loosely(pair.key, &mut room)?;
    let find = |keys: &[&str]| keys.binary_search_by(|listed| listed.as_bytes().cmp(key)).ok();
    let by_value = || {
        let at = find(&KEYS_BY_VALUE)?;
        let value = pairs::decode(pair.value);
        PREFIXES.iter().any(|prefix| value.trim_ascii_start().starts_with(prefix.as_bytes())).then_some(at)
    };
    let signature = || if injected { find(&SIGNATURES) } else { None };
    let (after_keys, after_both) = (KEYS.len(), KEYS.len() + KEYS_BY_VALUE.len());
    find(&KEYS).or_else(|| Some(after_keys + by_value()?)).or_else(|| Some(after_both + signature()?))
}

/// An encoded key without case, `-` and `_`; `None` where it is longer than any on the lists.
fn loosely<'r>(encoded: &str, room: &'r mut [u8; KEY_BYTES_MAX]) -> Option<&'r [u8]> {
    let decoded = pairs::decode(encoded);
    let name = decoded.split(|byte| matches!(byte, 0 | b'[')).next().unwrap_or_default().trim_ascii();
    let mut length = 0;
    for byte in name.iter().filter(|byte| !matches!(byte, b'-' | b'_')) {
        *room.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    room.get(..length)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{head, injection};
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(HEADERS.is_sorted() && KEYS.is_sorted() && KEYS_BY_VALUE.is_sorted() && SIGNATURES.is_sorted() && PREFIXES.is_sorted());
        assert!(HEADERS.len() + KEYS.len() + KEYS_BY_VALUE.len() + SIGNATURES.len() <= 128, "one bit each");
        let longest = KEYS.iter().chain(&KEYS_BY_VALUE).chain(&SIGNATURES).map(|key| key.len()).max();
        assert_eq!(longest, Some(KEY_BYTES_MAX));
    }

    #[test]
    fn the_callers_own_credentials_are_removed() {
        let mut head = head(
            "/p?api_key=1&a=1&Access-Token=2&%61pikey=3",
            &[("authorization", "a"), ("authorization", "b"), ("cookie", "c"), ("x_api_key", "d"), ("accept", "e"), ("x-vault-token", "f")],
        );
        let stripped = strip(&mut head, &[], None);
        let names: Vec<_> = stripped.filled().map(|filled| filled.to_string()).collect();
        assert_eq!(names, ["authorization", "cookie", "x-api-key", "x-vault-token", "?accesstoken", "?apikey"]);
        assert_eq!(head.uri, "/p?a=1");
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_the_rule_forwards_is_kept() {
        let mut head = head("/", &[("cookie", "c"), ("x-api-key", "d")]);
        let stripped = strip(&mut head, &["cookie".parse().unwrap()], None);
        assert_eq!(stripped.filled().collect::<Vec<_>>(), [Filled::Header("x-api-key")]);
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["cookie"]);
    }

    #[test]
    fn the_injected_slot_is_left_to_the_injection() {
        let mut bearer = head("/", &[("authorization", "a"), ("cookie", "c")]);
        let stripped = strip(&mut bearer, &[], Some(&injection("bearer")));
        // It is replaced: what the application sent there does not leave either.
        assert_eq!(format!("{stripped:?}"), r#"{Header("authorization"), Header("cookie")}"#);
        assert_eq!(bearer.headers.keys().collect::<Vec<_>>(), ["authorization"]);
        let mut query = head("/?api_key=1&apikey=2", &[("authorization", "a")]);
        strip(&mut query, &[], Some(&injection("query: { key: api_key }")));
        assert_eq!((query.uri.to_string().as_str(), query.headers.len()), ("/?api_key=1", 0));
    }

    #[test]
    fn ordinary_words_go_only_with_the_value_of_a_key() {
        let mut head = head("/?key=title&token=page2&key=AIzaSyD&token=%78oxb-1&auth=eyJh", &[]);
        let stripped = strip(&mut head, &[], None);
        assert_eq!(stripped.filled().collect::<Vec<_>>(), ["auth", "key", "token"].map(Filled::Query));
        assert_eq!(head.uri, "/?key=title&token=page2");
    }

    #[test]
    fn a_signed_url_passes_unless_a_credential_is_injected() {
        let signed = "/o?X-Amz-Credential=c&X-Amz-Signature=s&x=1&sig=2";
        let mut passed = head(signed, &[]);
        assert!(strip(&mut passed, &[], None).is_empty());
        assert_eq!(passed.uri, signed);
        let mut injected = head(signed, &[]);
        let stripped = strip(&mut injected, &[], Some(&injection("bearer")));
        assert_eq!(stripped.filled().collect::<Vec<_>>(), ["sig", "xamzcredential", "xamzsignature"].map(Filled::Query));
        assert_eq!(injected.uri, "/o?x=1");
    }
}
