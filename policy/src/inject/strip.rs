use http::request::Parts;
use http::{HeaderMap, HeaderName};

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

/// Removes the caller's own credential-shaped slots, a closed list, but for the headers in `keep` and the slot of the injection, which
/// [`Injection::act`] replaces anyway. The order is [`Injection::admit`], `strip`, [`Injection::act`].
///
/// Of the query it removes `access_token`, `api_key` and the like; `key`, `token` and `auth` only where the value looks like a vendor's
/// key; the signature of a presigned URL only where something is injected. Bodies are not looked at.
pub fn strip(head: &mut Parts, keep: &[HeaderName], injection: Option<&Injection>) {
    let spared = |name: &HeaderName| keep.contains(name) || injection.is_some_and(|injection| injection.owns_header(name));
    let next = |headers: &HeaderMap| headers.keys().filter(|name| !spared(name)).find_map(Found::by);
    while let Some(found) = next(&head.headers) {
        match found {
            Found::Listed(name) => head.headers.remove(name),
            Found::Spelled(name) => head.headers.remove(name),
        };
    }
    let goes = |pair: pairs::Pair<'_>| {
        is_credential_pair(pair, injection.is_some()) && !injection.is_some_and(|injection| injection.owns_query_key(pair.key))
    };
    if let Some(kept) = head.uri.query().and_then(|query| pairs::without(query, goes))
        && let Ok(uri) = pairs::with_query(&head.uri, &kept)
    {
        head.uri = uri;
    }
}

/// A header on the list.
enum Found {
    /// As it is listed: removed by the listed name, since cloning the caller's would allocate.
    Listed(&'static str),
    /// With an underscore for a hyphen.
    Spelled(HeaderName),
}

impl Found {
    fn by(name: &HeaderName) -> Option<Self> {
        let text = name.as_str();
        if !text.contains('_') {
            let at = HEADERS.binary_search(&text).ok()?;
            return HEADERS.get(at).map(|listed| Self::Listed(listed));
        }
        let folded = text.bytes().map(slot::fold);
        HEADERS.binary_search_by(|listed| listed.bytes().cmp(folded.clone())).ok().map(|_| Self::Spelled(name.clone()))
    }
}

fn is_credential_pair(pair: pairs::Pair<'_>, injected: bool) -> bool {
    let mut room = [0; KEY_BYTES_MAX];
    let Some(key) = loosely(pair.key, &mut room) else { return false };
    let is_any = |keys: &[&str]| keys.binary_search_by(|listed| listed.as_bytes().cmp(key)).is_ok();
    is_any(&KEYS)
        || (injected && is_any(&SIGNATURES))
        || (is_any(&KEYS_BY_VALUE) && {
            let value = pairs::decode(pair.value);
            PREFIXES.iter().any(|prefix| value.trim_ascii_start().starts_with(prefix.as_bytes()))
        })
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
        let longest = KEYS.iter().chain(&KEYS_BY_VALUE).chain(&SIGNATURES).map(|key| key.len()).max();
        assert_eq!(longest, Some(KEY_BYTES_MAX));
    }

    #[test]
    fn the_callers_own_credentials_are_removed() {
        let mut head = head(
            "/p?api_key=1&a=1&Access-Token=2&%61pikey=3",
            &[("authorization", "a"), ("authorization", "b"), ("cookie", "c"), ("x_api_key", "d"), ("accept", "e"), ("x-vault-token", "f")],
        );
        strip(&mut head, &[], None);
        assert_eq!(head.uri, "/p?a=1");
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_the_rule_forwards_is_kept() {
        let mut head = head("/", &[("cookie", "c"), ("x-api-key", "d")]);
        strip(&mut head, &["cookie".parse().unwrap()], None);
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["cookie"]);
    }

    #[test]
    fn the_injected_slot_is_left_to_the_injection() {
        let mut bearer = head("/", &[("authorization", "a"), ("cookie", "c")]);
        strip(&mut bearer, &[], Some(&injection("bearer")));
        assert_eq!(bearer.headers.keys().collect::<Vec<_>>(), ["authorization"]);
        let mut query = head("/?api_key=1&apikey=2", &[("authorization", "a")]);
        strip(&mut query, &[], Some(&injection("query: { key: api_key }")));
        assert_eq!((query.uri.to_string().as_str(), query.headers.len()), ("/?api_key=1", 0));
    }

    #[test]
    fn ordinary_words_go_only_with_the_value_of_a_key() {
        let mut head = head("/?key=title&token=page2&key=AIzaSyD&token=%78oxb-1&auth=eyJh", &[]);
        strip(&mut head, &[], None);
        assert_eq!(head.uri, "/?key=title&token=page2");
    }

    #[test]
    fn a_signed_url_passes_unless_a_credential_is_injected() {
        let signed = "/o?X-Amz-Credential=c&X-Amz-Signature=s&x=1&sig=2";
        let mut passed = head(signed, &[]);
        strip(&mut passed, &[], None);
        assert_eq!(passed.uri, signed);
        let mut injected = head(signed, &[]);
        strip(&mut injected, &[], Some(&injection("bearer")));
        assert_eq!(injected.uri, "/o?x=1");
    }
}
