//! An HMAC over what a template names, for the APIs that sign requests in a way of their own.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use http::HeaderName;
use http::request::Parts;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use schemars::JsonSchema;
use serde::Deserialize;

use super::encoding::{Encoding, KeyForm, hex};
use super::phrase::{Phrase, Values, Variable};
use super::size::Size;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

const HEADERS_MAX: usize = 16;

/// Signs each request with a shared key, which never leaves: an HMAC over the text that `sign` makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The hash function. Default `sha256`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// What is signed: text with `{method}`, `{host}`, `{path}`, `{query}` (as they are sent), `{timestamp}`, `{nonce}`, `{user}`,
    /// `{body}` or a hash of it (`{body_sha256_hex}`, `{body_sha256_base64}`, `{body_sha512_hex}`, `{body_sha512_base64}`).
    pub sign: String,
    /// Header to value: the same variables, and `{signature}`, which one of them must hold; at most 16.
    pub set: BTreeMap<String, String>,
    /// How the signature is written. Default `hex`.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the credential spells the key. Default `text`: its bytes are the key.
    #[serde(default)]
    pub key: KeyForm,
    /// How `{timestamp}` is written. Default `seconds`.
    #[serde(default)]
    pub timestamp: TimeForm,
    /// The largest body that is read before it is sent, where it is signed. Default `1MiB`, at most `16MiB`.
    #[serde(default)]
    pub body_max: Size,
    /// What happens to these headers where the application sent them. Default: `overwrite`. With `require_placeholder` the placeholder
    /// must stand where the signature will.
    #[serde(default)]
    pub existing: Existing,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-1, for services that know nothing better.
    Sha1,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// `2026-11-24T10:00:00Z`.
    Rfc3339,
    /// `Tue, 24 Nov 2026 10:00:00 GMT`, as in the header `date`.
    HttpDate,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Hmac {
    algorithm: hmac::Algorithm,
    sign: Phrase,
    set: Vec<(HeaderName, Phrase)>,
    encoding: Encoding,
    key: KeyForm,
    timestamp: TimeForm,
    takes: MaterialKind,
    body_bytes_max: Option<usize>,
    existing: Existing,
}

/// The key, made ready.
pub(super) struct Keyed {
    key: hmac::Key,
    user: String,
}

impl fmt::Debug for Keyed {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(…)")
    }
}

impl Hmac {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let sign = Phrase::parse(&shape.sign).map_err(|(message, help)| (format!("`sign`: {message}"), help))?;
        if sign.uses(Variable::Signature) || shape.sign.is_empty() {
            return Err(("`sign` is empty, or holds the signature itself".into(), "write what is signed, as in `{method}{path}`".into()));
        }
        let mut set: Vec<(HeaderName, Phrase)> = Vec::with_capacity(shape.set.len());
        for (name, value) in &shape.set {
            let (header, phrase) = (slot::header_name(name)?, value_of(name, value)?);
            if set.iter().any(|(other, _)| slot::is_spelling_of(&header, other)) {
                return Err((format!("`set` names the header `{name}` twice"), "keep one of them".into()));
            }
            let signs = phrase.uses(Variable::Signature);
            if shape.existing == Existing::RequirePlaceholder && signs && !phrase.is_only(Variable::Signature) {
                return Err((
                    format!("`require_placeholder` cannot be checked where the value of `{name}` holds more than the signature"),
                    "give the rest a header of its own, or use `overwrite`".into(),
                ));
            }
            set.push((header, phrase));
        }
        if set.len() > HEADERS_MAX || !set.iter().any(|(_, phrase)| phrase.uses(Variable::Signature)) {
            return Err(("`set` holds the signature nowhere, or too many headers".into(), "use `{signature}` in one of at most 16".into()));
        }
        let phrases = || std::iter::once(&sign).chain(set.iter().map(|(_, phrase)| phrase));
        let takes = if phrases().any(|phrase| phrase.uses(Variable::User)) { MaterialKind::UserPassword } else { MaterialKind::Token };
        let body_bytes_max = phrases().any(Phrase::uses_body).then_some(shape.body_max.0);
        Ok(Self {
            algorithm: shape.algorithm.of(),
            encoding: shape.encoding,
            key: shape.key,
            timestamp: shape.timestamp,
            existing: shape.existing,
            takes,
            body_bytes_max,
            sign,
            set,
        })
    }
}

/// The value of a header, which holds neither a line break nor the body.
fn value_of(name: &str, value: &str) -> Result<Phrase, Complaint> {
    let phrase = Phrase::parse(value).map_err(|(message, help)| (format!("`{name}`: {message}"), help))?;
    if value.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) || phrase.uses(Variable::Body) {
        return Err((format!("the value of `{name}` cannot stand in a header"), "use printable ASCII, and a hash of the body".into()));
    }
    Ok(phrase)
}

impl Algorithm {
    fn of(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => HMAC_SHA256,
            Self::Sha384 => HMAC_SHA384,
            Self::Sha512 => HMAC_SHA512,
            Self::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

impl TimeForm {
    fn write(self, now: Timestamp) -> Result<String, String> {
        Ok(match self {
            Self::Seconds => now.as_second().to_string(),
            Self::Milliseconds => now.as_millisecond().to_string(),
            Self::Rfc3339 => format!("{now:.0}"),
            Self::HttpDate => {
                rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).map_err(|_| "the time cannot be written")?
            }
        })
    }
}

impl Inject for Hmac {
    fn takes(&self) -> MaterialKind {
        self.takes
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        self.set.iter().any(|(own, _)| slot::is_spelling_of(name, own))
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let (user, spelled) = match material {
            Material::Token(token) => ("", token),
            Material::UserPassword { user, password } => (user.as_str(), password),
            Material::AwsKeys { .. } | Material::Certificate { .. } | Material::PrivateKey(_) | Material::BoundToken { .. } => {
                return Err("it is no shared key".to_owned());
            }
        };
        if !user.is_empty() {
            rendered::refuse_unprintable(user.as_bytes())?;
        }
        let key = self.key.read(spelled)?;
        let mut needles = vec![Secret::new(spelled.expose().to_vec())];
        if !spelled.is(&key) {
            needles.push(Secret::new(key.to_vec()));
        }
        let keyed = Keyed { key: hmac::Key::new(self.algorithm, &key), user: user.to_owned() };
        Ok(Rendered { signer: Some(rendered::Signer::Hmac(Box::new(keyed))), needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        self.set.iter().any(|(name, _)| slot::occupied(&head.headers, name))
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        self.set.iter().filter(|(_, phrase)| phrase.uses(Variable::Signature)).all(|(name, phrase)| {
            let value = slot::only(&head.headers, name).and_then(|value| phrase.around(value.as_bytes()));
            value.is_some_and(|value| placeholder.is(value))
        })
    }

    fn body_bytes_max(&self, _head: &Parts, _authority: &str) -> Option<usize> {
        self.body_bytes_max
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let Some(rendered::Signer::Hmac(keyed)) = &rendered.signer else {
            return Err("the credential was rendered for another injection".to_owned());
        };
        let Keyed { key, user } = &**keyed;
        let timestamp = self.timestamp.write(sending.now)?;
        let nonce = hex(&(sending.nonce)());
        let unsigned = Values { head, sending, timestamp: &timestamp, nonce: &nonce, user, signature: "" };
        let mut text = Vec::with_capacity(256);
        self.sign.write(&unsigned, &mut text)?;
        let signature = self.encoding.write(hmac::sign(key, &text).as_ref());
        let values = Values { signature: &signature, ..unsigned };
        let value = |phrase: &Phrase| {
            let mut text = Vec::with_capacity(128);
            phrase.write(&values, &mut text)?;
            rendered::sensitive(&text)
        };
        let set = self.set.iter().map(|(name, phrase)| Ok((name.clone(), value(phrase)?))).collect::<Result<_, String>>()?;
        slot::put(&mut head.headers, set)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complaint, head, injection, sending, token, user_password};
    use super::*;

    fn signed(yaml: &str, material: &Material, uri: &str, body: &[u8]) -> Parts {
        let injection = injection(yaml);
        let mut head = head(uri, &[("x-signature", "mine"), ("x_signature", "mine too"), ("accept", "*/*")]);
        let rendered = injection.render(material).unwrap();
        injection.act(&mut head, &rendered, &Sending { body: Some(body), ..sending() }).unwrap();
        head
    }

    /// RFC 4231, test case 2, and its like for SHA-1 in RFC 2202.
    #[test]
    fn the_published_vectors_come_out() {
        for (algorithm, signature) in [
            ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            ("sha384", "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"),
            (
                "sha512",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ] {
            let yaml = format!("hmac: {{ algorithm: {algorithm}, sign: '{{body}}', set: {{ x-signature: '{{signature}}' }} }}");
            let head = signed(&yaml, &token("Jefe"), "/", b"what do ya want for nothing?");
            assert_eq!(head.headers["x-signature"], signature);
            assert_eq!(head.headers.len(), 2, "what the application sent is gone in every spelling");
            assert!(head.headers["x-signature"].is_sensitive());
        }
    }

    #[test]
    fn the_key_is_read_and_the_signature_written_as_the_policy_says() {
        for (form, spelled) in [("text", "Jefe"), ("hex", "4a656665"), ("base64", "SmVmZQ=="), ("base64url", "SmVmZQ")] {
            let yaml = format!("hmac: {{ key: {form}, encoding: base64, sign: '{{body}}', set: {{ x-signature: 'v1={{signature}}' }} }}");
            let head = signed(&yaml, &token(spelled), "/", b"what do ya want for nothing?");
            assert_eq!(head.headers["x-signature"], "v1=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
        }
    }

    #[test]
    fn another_path_query_time_or_body_is_another_signature() {
        let yaml = "hmac: { sign: \"{method}\\n{path}\\n{query}\\n{timestamp}\\n{body_sha256_hex}\", set: { x-signature: '{signature}' } }";
        let of = |uri: &str, body: &[u8]| signed(yaml, &token("k"), uri, body).headers["x-signature"].clone();
        let all = [of("/a", b""), of("/b", b""), of("/a?b", b""), of("/a", b"b")];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one));
        }
        assert_eq!(of("/a?b", b"c"), of("/a?b", b"c"));
    }

    #[test]
    fn user_time_and_nonce_stand_in_headers_of_their_own() {
        for (form, written) in [
            ("seconds", "1767225600"),
            ("milliseconds", "1767225600000"),
            ("rfc3339", "2026-01-01T00:00:00Z"),
            ("http_date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ] {
            let yaml = format!(
                "hmac: {{ timestamp: {form}, sign: '{{timestamp}}{{nonce}}', set: {{ x-signature: '{{user}}:{{signature}}', x-time: \
                 '{{timestamp}}', x-nonce: '{{nonce}}' }} }}"
            );
            let head = signed(&yaml, &user_password("me", "k"), "/", b"");
            assert_eq!(head.headers["x-time"], written);
            assert_eq!(head.headers["x-nonce"], "07".repeat(16));
            assert!(head.headers["x-signature"].to_str().unwrap().starts_with("me:"));
        }
    }

    #[test]
    fn a_body_is_read_only_where_it_is_signed() {
        let head = head("/", &[]);
        let bytes = |yaml: &str| injection(yaml).body_bytes_max(&head, "h.test");
        assert_eq!(bytes("hmac: { sign: '{path}', set: { a: '{signature}' } }"), None);
        assert_eq!(bytes("hmac: { sign: '{body}', set: { a: '{signature}' }, body_max: 64KiB }"), Some(65_536));
        assert_eq!(bytes("hmac: { sign: x, set: { a: '{signature}', b: '{body_sha256_hex}' } }"), Some(1 << 20));
    }

    #[test]
    fn the_placeholder_stands_where_the_signature_will() {
        let injection =
            injection("hmac: { sign: '{path}', set: { x-s: 'v1={signature}', x-t: '{timestamp}' }, existing: require_placeholder }");
        let placeholder = Secret::new(b"ph".to_vec());
        let admits = |headers: &[(&str, &str)]| injection.admit(&head("/", headers), Some(&placeholder)).is_ok();
        assert!(admits(&[("x-s", "v1=ph"), ("x-t", "whatever")]));
        for refused in [&[("x-s", "v1=other")][..], &[("x-s", "ph")], &[("x-t", "v1=ph")], &[("x-s", "v1=ph"), ("x_s", "v1=ph")]] {
            assert!(!admits(refused), "{refused:?}");
        }
    }

    #[test]
    fn shapes_that_cannot_be_meant_are_refused() {
        for (yaml, word) in [
            ("hmac: { sign: '', set: { a: '{signature}' } }", "`sign` is empty"),
            ("hmac: { sign: '{signature}', set: { a: '{signature}' } }", "the signature itself"),
            ("hmac: { sign: '{token}', set: { a: '{signature}' } }", "`{token}`"),
            ("hmac: { sign: x, set: { a: b } }", "nowhere"),
            ("hmac: { sign: x, set: {} }", "nowhere"),
            ("hmac: { sign: x, set: { host: '{signature}' } }", "`host`"),
            ("hmac: { sign: x, set: { a-b: '{signature}', A_B: x } }", "twice"),
            ("hmac: { sign: x, set: { a: '{signature}{body}' } }", "cannot stand in a header"),
            ("hmac: { sign: x, set: { a: '{signature}{nonce}' }, existing: require_placeholder }", "more than the signature"),
        ] {
            assert!(complaint(yaml).0.contains(word), "{yaml}: {}", complaint(yaml).0);
        }
    }

    #[test]
    fn the_key_never_stands_in_the_request_and_is_a_needle() {
        let yaml = "hmac: { key: hex, sign: '{path}', set: { x-signature: '{signature}' } }";
        let rendered = injection(yaml).render(&token("000102030405060708090a0b")).unwrap();
        assert!(rendered.needles()[0].is(b"000102030405060708090a0b") && rendered.needles()[1].is(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        assert!(!format!("{rendered:?}").contains("0001"));
        assert!(injection(yaml).render(&token("no hex")).is_err());
    }
}
