use http::{HeaderName, HeaderValue};

use super::signing_key::SigningKey;
use super::sigv4::Keys;
use super::{dpop, hmac};
use crate::material::Secret;

/// Material rendered for one injection: made when the material is fetched, so that a request only clones reference counts.
#[derive(Debug, Default)]
pub struct Rendered {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The key, and its percent-encoded value.
    pub(super) query: Option<(String, Secret)>,
    /// What goes into the path or the body, as it stands there, under the YAML key of its injection.
    pub(super) text: Option<(&'static str, Secret)>,
    /// What signs.
    pub(super) aws: Option<Keys>,
    /// What signs, elsewhere than at AWS.
    pub(super) signer: Option<Signer>,
    /// What proves a client in the TLS handshake.
    pub(super) certificate: Option<ClientCertificate>,
    /// What must not come back.
    pub(super) needles: Vec<Secret>,
}

/// A key made ready for the injection that signs with it.
#[derive(Debug)]
pub(super) enum Signer {
    Hmac(Box<hmac::Keyed>),
    HttpSignature(SigningKey),
    Dpop(Box<dpop::Bound>),
}

/// A certificate and its key, for the TLS handshake with the destination.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The certificate, then those of its issuers; each in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, in DER.
    pub key: Secret,
}

impl Rendered {
    /// What must not come back, for the scrubber only: the secret itself, and every form it goes out in that does not hold it in the
    /// clear (the base64 of `basic`, the percent-encoded value of a query key).
    #[must_use]
    pub fn needles(&self) -> &[Secret] {
        &self.needles
    }

    /// What proves a client in the TLS handshake, where that is how the credential is shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref()
    }

    /// What was rendered for this injection.
    pub(super) fn text_of(&self, kind: &str) -> Result<&str, String> {
        let text = self.text.as_ref().filter(|(own, _)| *own == kind).and_then(|(_, text)| std::str::from_utf8(text.expose()).ok());
        text.ok_or_else(|| "the credential was rendered for another injection".to_owned())
    }
}

/// A header value that HPACK does not index and `Debug` does not print.
pub(super) fn sensitive(bytes: &[u8]) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_bytes(bytes).map_err(|_| "it holds a byte that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Refuses empty material, a newline and other control bytes.
pub(super) fn refuse_control(bytes: &[u8]) -> Result<(), String> {
    let what = if bytes.is_empty() {
        "it is empty"
    } else if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        "it holds a newline"
    } else if bytes.contains(&0) {
        "it holds a NUL byte"
    } else if bytes.iter().any(u8::is_ascii_control) {
        "it holds a control byte"
    } else {
        return Ok(());
    };
    Err(what.to_owned())
}

/// Refuses what [`refuse_control`] refuses, and whatever is not ASCII: upstreams disagree about such header values.
pub(super) fn refuse_unprintable(bytes: &[u8]) -> Result<(), String> {
    refuse_control(bytes)?;
    if bytes.is_ascii() { Ok(()) } else { Err("it holds a byte that is not ASCII, which cannot stand in a header".to_owned()) }
}

/// Refuses space around the value: it is lost on the wire.
pub(super) fn refuse_outer_space(bytes: &[u8]) -> Result<(), String> {
    if bytes.first() == Some(&b' ') || bytes.last() == Some(&b' ') {
        return Err("it begins or ends with a space".to_owned());
    }
    Ok(())
}
