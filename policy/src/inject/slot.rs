use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::template::{Template, Variable};
use super::{Complaint, Existing, Payload, Rendered, rendered};
use crate::material::{Material, MaterialKind, Secret};

/// Headers that frame the message, name its destination or belong to one hop: no credential can stand there.
const FRAMING: [HeaderName; 12] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    TE,
    TRAILER,
    UPGRADE,
    EXPECT,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
];

/// One header and the template of its value.
#[derive(Debug)]
pub(super) struct HeaderSlot {
    pub(super) name: HeaderName,
    pub(super) template: Template,
}

impl HeaderSlot {
    /// Compiles one header as the policy writes it.
    pub(super) fn compile(name: &str, value: &str, existing: Existing) -> Result<Self, Complaint> {
        let slot = Self {
            name: header_name(name)?,
            template: Template::parse(value).map_err(|(message, help)| (format!("`{name}`: {message}"), help))?,
        };
        let secret = slot.template.is_secret();
        if slot.template.uses(Variable::Token) && (slot.template.uses(Variable::User) || slot.template.uses(Variable::Password)) {
            return Err((
                format!("the value of `{name}` mixes `{{token}}` with `{{user}}` or `{{password}}`"),
                "a credential holds a token, or a user and a password: use the variables of one".into(),
            ));
        }
        if existing == Existing::RequirePlaceholder && secret && slot.template.uses(Variable::User) {
            return Err((
                format!("`require_placeholder` cannot be checked where the value of `{name}` holds `{{user}}` too"),
                "use `basic`, a header of its own for the user, or `overwrite`".into(),
            ));
        }
        Ok(slot)
    }

    /// The material that its variables come from.
    pub(super) fn takes(&self) -> MaterialKind {
        if self.template.uses(Variable::User) || self.template.uses(Variable::Password) {
            MaterialKind::UserPassword
        } else {
            MaterialKind::Token
        }
    }

    /// The header with the material in it.
    pub(super) fn render(&self, material: &Material) -> Result<(HeaderName, HeaderValue), String> {
        Ok((self.name.clone(), rendered::sensitive(&self.template.render(material)?)?))
    }

    /// Whether this slot holds the placeholder, once. Slots without a secret may hold anything: it is replaced.
    pub(super) fn holds(&self, headers: &HeaderMap, placeholder: &Secret) -> bool {
        !self.template.is_secret()
            || only(headers, &self.name).is_some_and(|value| self.template.is_placeholder(value.as_bytes(), placeholder))
    }
}

/// Parses a header name, refusing those that frame the message.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Complaint> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| (format!("`{text}` is not a header name"), "use a name such as `x-api-key`".to_owned()))?;
    let hop = name.as_str().starts_with("proxy-") || matches!(name.as_str(), "keep-alive" | "http2-settings");
    if hop || FRAMING.iter().any(|framing| is_spelling_of(&name, framing)) {
        return Err((
            format!("`{text}` frames the message or belongs to one hop: it cannot carry a credential"),
            "use the header that the service documents, such as `authorization` or `x-api-key`".into(),
        ));
    }
    Ok(name)
}

/// Whether an upstream may read a header as this slot: CGI and WSGI cannot tell `x_api_key` from `x-api-key`.
pub(super) fn is_spelling_of(name: &HeaderName, slot: &HeaderName) -> bool {
    name == slot || {
        let (name, slot) = (name.as_str().as_bytes(), slot.as_str().as_bytes());
        name.len() == slot.len() && name.iter().zip(slot).all(|(a, b)| fold(*a) == fold(*b))
    }
}

/// `_` as `-`; header names are lower case already.
pub(super) fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Whether the caller sent this header, in whatever spelling.
pub(super) fn occupied(headers: &HeaderMap, slot: &HeaderName) -> bool {
    headers.keys().any(|name| is_spelling_of(name, slot))
}

/// The one value of the slot; `None` where there is none, more than one, or another spelling.
pub(super) fn only<'h>(headers: &'h HeaderMap, slot: &HeaderName) -> Option<&'h HeaderValue> {
    let mut found = headers.iter().filter(|(name, _)| is_spelling_of(name, slot));
    match (found.next(), found.next()) {
        (Some((name, value)), None) if name == slot => Some(value),
        _ => None,
    }
}

/// Replaces every occurrence of the slots by what was rendered for them.
pub(super) fn replace<'s>(
    headers: &mut HeaderMap,
    slots: impl ExactSizeIterator<Item = &'s HeaderName>,
    rendered: &Rendered,
) -> Result<Payload, String> {
    let count = slots.len();
    if rendered.headers.len() != count || !slots.zip(&rendered.headers).all(|(slot, (name, _))| slot == name) {
        return Err("the credential was rendered for another injection".to_owned());
    }
    headers.try_reserve(count).map_err(|_| "the request has too many headers".to_owned())?;
    for (name, value) in &rendered.headers {
        while let Some(other) = headers.keys().find(|other| *other != name && is_spelling_of(other, name)).cloned() {
            headers.remove(other);
        }
        headers.try_insert(name.clone(), value.clone()).map_err(|_| "the request has too many headers".to_owned())?;
    }
    Ok(Payload::AsItCame)
}

/// Replaces every occurrence of these headers, in whatever spelling, by what was made for this request.
pub(super) fn put(headers: &mut HeaderMap, set: Vec<(HeaderName, HeaderValue)>) -> Result<Payload, String> {
    headers.try_reserve(set.len()).map_err(|_| TOO_MANY)?;
    for (name, value) in set {
        while let Some(other) = headers.keys().find(|other| **other != name && is_spelling_of(other, &name)).cloned() {
            headers.remove(other);
        }
        headers.try_insert(name, value).map_err(|_| TOO_MANY)?;
    }
    Ok(Payload::AsItCame)
}

const TOO_MANY: &str = "the request has too many headers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_frame_the_message_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Transfer_Encoding",
            "connection",
            "te",
            "trailer",
            "upgrade",
            "proxy-authorization",
            "Proxy-X",
            "keep-alive",
            ":path",
            "a b",
            "",
        ] {
            assert!(HeaderSlot::compile(name, "{token}", Existing::Overwrite).is_err(), "{name}");
        }
        assert_eq!(HeaderSlot::compile("X-Api-Key", "{token}", Existing::Overwrite).unwrap().name, "x-api-key");
    }

    #[test]
    fn variables_of_two_materials_do_not_mix() {
        assert!(HeaderSlot::compile("x", "{user}:{token}", Existing::Overwrite).is_err());
        assert!(HeaderSlot::compile("x", "{user}:{password}", Existing::RequirePlaceholder).is_err());
        assert!(HeaderSlot::compile("x", "{user}:{password}", Existing::Overwrite).is_ok());
    }
}
