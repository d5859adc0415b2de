use http::request::Parts;
use percent_encoding::percent_encode;

use super::super::query::ENCODED;
use super::super::{Payload, Sending, pairs};
use super::chunks::Streaming;
use super::{ALGORITHM, AMZ_CONTENT_SHA256, Signing, UNSIGNED_PAYLOAD, payload_hash, replace};
use crate::material::Secret;

/// How long a URL that we sign may be used, in seconds: it leaves at once.
const LIFETIME_SECONDS_MAX: u32 = 300;

/// The keys of a signature in the query.
const KEYS: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// Whether a key of a query, still encoded, belongs to the signature.
pub(super) fn is_key(encoded: &str) -> bool {
    KEYS.iter().any(|key| pairs::is_spelling_of(encoded, key))
}

/// Whether the request was signed in its query.
pub(super) fn stands_in(head: &Parts) -> bool {
    let signs =
        |encoded: &str| ["x-amz-signature", "x-amz-credential", "x-amz-algorithm"].iter().any(|key| pairs::is_spelling_of(encoded, key));
    head.uri.query().is_some_and(|query| pairs::pairs(query).any(|pair| signs(pair.key)))
}

/// Whether the only credential in the query begins with the placeholder.
pub(super) fn holds(head: &Parts, placeholder: &Secret) -> bool {
    let query = head.uri.query().unwrap_or_default();
    let mut found = pairs::pairs(query).filter(|pair| pairs::is_spelling_of(pair.key, "x-amz-credential"));
    match (found.next(), found.next()) {
        (Some(pair), None) => pairs::decode(pair.value).split(|byte| *byte == b'/').next().is_some_and(|id| placeholder.is(id)),
        _ => false,
    }
}

/// The session token, and the form in which it stands in a query.
pub(super) fn needles(token: &Secret) -> Vec<Secret> {
    let encoded: String = percent_encode(token.expose(), &ENCODED).collect();
    let encoded = Secret::new(encoded.into_bytes());
    let token = Secret::new(token.expose().to_vec());
    if token.is(encoded.expose()) { vec![token] } else { vec![token, encoded] }
}

/// Signs the query anew: the other keys stay as they are, the signature of the application goes.
pub(super) fn sign(head: &mut Parts, signing: &Signing<'_>, sending: &Sending<'_>) -> Result<Payload, String> {
    let payload_hash = match head.headers.contains_key(&AMZ_CONTENT_SHA256) || !signing.scope.is_s3() {
        true => payload_hash(head, signing.scope, sending)?,
        false => UNSIGNED_PAYLOAD.into(),
    };
    if Streaming::parse(&payload_hash).is_some() {
        return Err("a body in chunks cannot be sent to a URL that was signed".to_owned());
    }
    let old = head.uri.query().unwrap_or_default();
    let mut query = pairs::without(old, |pair| is_key(pair.key)).unwrap_or_else(|| old.to_owned());
    let mut add = |key: &str, value: &[u8]| {
        if !query.is_empty() && !query.ends_with('&') {
            query.push('&');
        }
        query.extend([key, "="]);
        query.extend(percent_encode(value, &ENCODED));
    };
    let lifetime = lifetime(old).to_string();
    let signed = signing.canonical(head, sending, &[], "", "").names().join(";");
    add("X-Amz-Algorithm", ALGORITHM.as_bytes());
    add("X-Amz-Credential", signing.credential().as_bytes());
    add("X-Amz-Date", signing.stamp.as_str().as_bytes());
    add("X-Amz-Expires", lifetime.as_bytes());
    if let Some(token) = &signing.keys.session_token {
        add("X-Amz-Security-Token", token.as_bytes());
    }
    add("X-Amz-SignedHeaders", signed.as_bytes());
    let (canonical, _) = signing.canonical(head, sending, &[], &query, &payload_hash).write();
    query.extend(["&X-Amz-Signature=", &signing.sign(&canonical)]);
    let uri = pairs::with_query(&head.uri, &query)?;
    replace(head, Vec::new())?;
    head.uri = uri;
    Ok(Payload::AsItCame)
}

/// What the application asked for, within the limit.
fn lifetime(query: &str) -> u32 {
    let asked = pairs::pairs(query).find(|pair| pairs::is_spelling_of(pair.key, "x-amz-expires"));
    let seconds = asked.and_then(|pair| pair.value.parse::<u32>().ok()).unwrap_or(LIFETIME_SECONDS_MAX);
    seconds.clamp(1, LIFETIME_SECONDS_MAX)
}
