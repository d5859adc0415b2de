//! HTTP message signatures (RFC 9421), with a digest of the body (RFC 9530).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::HeaderValue;
use http::request::Parts;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a signature covers.
mod base;

use base::Component;

use super::encoding::{KeyForm, hex};
use super::phrase::Hash;
use super::rendered::Signer;
use super::signing_key::{Algorithm, SigningKey};
use super::size::Size;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, rendered, slot};
use crate::material::{Material, MaterialKind, Secret};

static SIGNATURE: HeaderName = HeaderName::from_static("signature");
static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

const COMPONENTS_MAX: usize = 32;

/// Signs each request as RFC 9421 says, with a key that never leaves. What the application signed is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What signs.
    pub algorithm: Algorithm,
    /// The name of the key at the destination: the `keyid` of the signature.
    pub key_id: String,
    /// What is signed: `@method`, `@target-uri`, `@authority`, `@scheme`, `@request-target`, `@path`, `@query`, `@query-param;name="…"` and
    /// header fields; a field with a `?` behind it, such as `content-type?`, only where the request has it. At most 32. Default:
    /// `["@method", "@target-uri", content-digest]`.
    #[serde(default = "everything")]
    pub covers: Vec<String>,
    /// The name of the signature. Default `sig`.
    #[serde(default = "sig")]
    pub label: String,
    /// What the signature is for, as the destination names it: its `tag`. Default: none.
    pub tag: Option<String>,
    /// How long it may be used, such as `1m`. Default: it does not say.
    pub expires_in: Option<String>,
    /// Whether it has a nonce. Default `false`.
    #[serde(default)]
    pub nonce: bool,
    /// The hash function of the `content-digest`, which keygress makes where it is covered. Default `sha-256`.
    #[serde(default)]
    pub digest: DigestName,
    /// How the credential spells a shared key (`hmac-sha256`). Default `text`: its bytes are the key.
    #[serde(default)]
    pub key: KeyForm,
    /// The largest body that is read before it is sent, where its digest is covered. Default `1MiB`, at most `16MiB`.
    #[serde(default)]
    pub body_max: Size,
    /// What happens to a signature that the application sent. Default: `overwrite`. With `require_placeholder` its `keyid` must be the
    /// placeholder.
    #[serde(default)]
    pub existing: Existing,
}

fn everything() -> Vec<String> {
    ["@method", "@target-uri", "content-digest"].map(str::to_owned).to_vec()
}

fn sig() -> String {
    "sig".to_owned()
}

/// A hash function, as RFC 9530 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum DigestName {
    /// SHA-256.
    #[default]
    #[serde(rename = "sha-256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "sha-512")]
    Sha512,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct HttpSignature {
    algorithm: Algorithm,
    key: KeyForm,
    components: Vec<Component>,
    label: String,
    key_id: String,
    tag: Option<String>,
    expires_in: Option<SignedDuration>,
    nonce: bool,
    digest: DigestName,
    body_bytes_max: usize,
    existing: Existing,
}

impl HttpSignature {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let components = shape.covers.iter().map(|text| Component::parse(text)).collect::<Result<Vec<_>, _>>()?;
        if components.is_empty() || components.len() > COMPONENTS_MAX {
            return Err((
                "`covers` lists nothing, or too much".into(),
                format!("list 1 to {COMPONENTS_MAX} components, as in `[\"@method\", \"@target-uri\"]`"),
            ));
        }
        if let Some(twice) = components.iter().enumerate().find(|(at, one)| components.iter().skip(at + 1).any(|other| other.is(one))) {
            return Err((format!("`covers` lists `{}` twice", twice.1.shown()), "keep one of them".into()));
        }
        let is_key = |label: &str| {
            label.starts_with(|first: char| first.is_ascii_lowercase())
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte))
        };
        if !is_key(&shape.label) {
            return Err((format!("`{}` is no label", shape.label), "use lower-case letters, digits, `_`, `-`, `.` and `*`".into()));
        }
        for text in std::iter::once(&shape.key_id).chain(&shape.tag) {
            if text.is_empty() || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && !b"\"\\".contains(&byte)) {
                return Err((format!("`{text}` cannot stand in a signature"), "use printable ASCII without quotes and backslashes".into()));
            }
        }
        let expires_in = shape.expires_in.as_ref().map(|text| match text.parse::<SignedDuration>() {
            Ok(time) if time.as_secs() > 0 => Ok(time),
            Ok(_) | Err(_) => Err((format!("`{text}` is not a time with its unit"), "write it as `30s` or `5m`".to_owned())),
        });
        Ok(Self {
            algorithm: shape.algorithm,
            key: shape.key,
            components,
            label: shape.label.clone(),
            key_id: shape.key_id.clone(),
            tag: shape.tag.clone(),
            expires_in: expires_in.transpose()?,
            nonce: shape.nonce,
            digest: shape.digest,
            body_bytes_max: shape.body_max.0,
            existing: shape.existing,
        })
    }

    fn covers_digest(&self) -> bool {
        self.components.iter().any(|component| component.is_field(&CONTENT_DIGEST))
    }

    /// The parameters of the signature, in the order of the RFC's examples.
    fn parameters(&self, sending: &Sending<'_>) -> String {
        let created = sending.now.as_second();
        let mut text = format!(";created={created}");
        if let Some(time) = self.expires_in {
            text.push_str(&format!(";expires={}", created.saturating_add(time.as_secs())));
        }
        text.push_str(&format!(";keyid=\"{}\"", self.key_id));
        if self.nonce {
            text.push_str(&format!(";nonce=\"{}\"", hex(&(sending.nonce)())));
        }
        if let Some(tag) = &self.tag {
            text.push_str(&format!(";tag=\"{tag}\""));
        }
        text
    }

    fn content_digest(&self, sending: &Sending<'_>) -> Result<HeaderValue, String> {
        let (name, hash) = match self.digest {
            DigestName::Sha256 => ("sha-256", Hash::Sha256),
            DigestName::Sha512 => ("sha-512", Hash::Sha512),
        };
        let body = sending.body.ok_or("the body must be read before it is signed")?;
        value(&format!("{name}=:{}:", STANDARD.encode(hash.of(body))))
    }
}

impl Inject for HttpSignature {
    fn takes(&self) -> MaterialKind {
        self.algorithm.takes()
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        slot::is_spelling_of(name, &SIGNATURE)
            || slot::is_spelling_of(name, &SIGNATURE_INPUT)
            || (self.covers_digest() && slot::is_spelling_of(name, &CONTENT_DIGEST))
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let (key, secret) = SigningKey::of(self.algorithm, material, self.key)?;
        let needles = vec![Secret::new(secret.expose().to_vec())];
        Ok(Rendered { signer: Some(Signer::HttpSignature(key)), needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        [&SIGNATURE, &SIGNATURE_INPUT].iter().any(|name| slot::occupied(&head.headers, name))
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        let input = slot::only(&head.headers, &SIGNATURE_INPUT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut ids = input.split(";keyid=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        matches!((ids.next(), ids.next()), (Some(id), None) if placeholder.is(id.as_bytes()))
    }

    fn body_bytes_max(&self, _head: &Parts, _authority: &str) -> Option<usize> {
        self.covers_digest().then_some(self.body_bytes_max)
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let Some(Signer::HttpSignature(key)) = &rendered.signer else {
            return Err("the credential was rendered for another injection".to_owned());
        };
        let mut set = Vec::with_capacity(3);
        if self.covers_digest() {
            set.push((CONTENT_DIGEST.clone(), self.content_digest(sending)?));
        }
        let mut covered = Vec::with_capacity(self.components.len());
        let mut text = String::with_capacity(512);
        for component in &self.components {
            let Some(value) = component.value(head, sending, &set)? else { continue };
            covered.push(component.shown());
            text.extend([component.shown(), ": ", &value, "\n"]);
        }
        let params = format!("({}){}", covered.join(" "), self.parameters(sending));
        text.extend(["\"@signature-params\": ", &params]);
        let signature = STANDARD.encode(key.sign(text.as_bytes())?);
        let mut signed = value(&format!("{}=:{signature}:", self.label))?;
        signed.set_sensitive(true);
        set.push((SIGNATURE_INPUT.clone(), value(&format!("{}={params}", self.label))?));
        set.push((SIGNATURE.clone(), signed));
        slot::put(&mut head.headers, set)
    }
}

fn value(text: &str) -> Result<HeaderValue, String> {
    rendered::refuse_unprintable(text.as_bytes())?;
    HeaderValue::from_str(text).map_err(|_| "the signature fits no header".to_owned())
}

#[cfg(test)]
mod tests;
