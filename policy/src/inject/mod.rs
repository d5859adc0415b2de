//! The list of injections: how a credential goes on the wire. One file each.
//!
//! In the order in which a request meets them: `admit` looks at what the application sent in the slot, `strip` takes its own
//! credentials off, `act` puts ours on.

use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

/// `Authorization: Basic …`.
mod basic;

/// `Authorization: Bearer …`.
mod bearer;

/// One header with a template.
mod header;

/// Several headers with templates.
mod headers;

/// One key of the query.
mod query;

/// One cookie.
mod cookie;

/// One segment of the path.
mod path_segment;

/// One field of a form.
mod form_field;

/// One field of a JSON body.
mod json_field;

/// AWS Signature Version 4.
mod sigv4;

/// An HMAC over what a template names.
mod hmac;

/// A client certificate in the TLS handshake with the destination.
mod mutual_tls;

/// HTTP message signatures.
mod http_signature;

/// Tokens that are bound to a key.
mod dpop;

/// What an injection may know of a request beside its head, and what becomes of the body.
mod sending;

/// How much of a body may be held.
mod size;

/// Header slots: what the five have in common.
mod slot;

/// `{token}`, `{user}` and `{password}` in the value of a header.
mod template;

/// Text with what is known of a request in it.
mod phrase;

/// Bytes as text, and how a credential spells a shared key.
mod encoding;

/// Keys that sign messages.
mod signing_key;

/// The query of a URI, pair by pair.
mod pairs;

/// Rendered material, and what it must not contain.
mod rendered;

/// The caller's own credentials.
mod strip;

/// The shapes, as the policy spells them.
mod shape;

pub use dpop::{Prover, Proving};
pub use rendered::{ClientCertificate, Rendered};
pub use sending::{Nonce, Payload, Sending};
pub use shape::{Existing, Kind, Shape};
pub use sigv4::Chunks;
pub use strip::{Filled, Stripped, strip};

use crate::material::{Material, MaterialKind, Secret};

/// How a credential goes on the wire: [`Shape`] compiled, so that it cannot be wrong.
#[derive(Debug)]
pub enum Injection {
    /// `Authorization: Bearer …`.
    Bearer(bearer::Bearer),
    /// `Authorization: Basic …`.
    Basic(basic::Basic),
    /// One header with a template.
    Header(header::Header),
    /// Several headers with templates.
    Headers(headers::Headers),
    /// One key of the query.
    Query(query::Query),
    /// One cookie.
    Cookie(cookie::Cookie),
    /// One segment of the path.
    PathSegment(path_segment::PathSegment),
    /// One field of a form.
    FormField(form_field::FormField),
    /// One field of a JSON body.
    JsonField(json_field::JsonField),
    /// AWS Signature Version 4.
    Sigv4(sigv4::Sigv4),
    /// An HMAC over what a template names.
    Hmac(hmac::Hmac),
    /// A client certificate in the TLS handshake with the destination.
    MutualTls(mutual_tls::MutualTls),
    /// HTTP message signatures (RFC 9421).
    HttpSignature(http_signature::HttpSignature),
    /// A token that is bound to a key (RFC 9449).
    Dpop(dpop::Dpop),
}

/// A message and the help that goes with it, in the words of the YAML.
pub type Complaint = (String, String);

/// Why a request's own content in the slot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRefusal {
    /// `if_absent` and the slot is occupied.
    Occupied,
    /// `require_placeholder` and the slot is empty, occupied twice, or holds something else.
    NotThePlaceholder,
    /// What stands there can be read in more than one way; the sentence says how.
    Unreadable(&'static str),
}

/// What an answer says to what was put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that calls for more.
    Nothing,
    /// What was missing came with it: the same request, put on again with the same credential, may be answered.
    Again,
}

/// What every injection does; one file implements it for one injection.
trait Inject {
    /// The material that it takes.
    fn takes(&self) -> MaterialKind;

    /// What happens to what the application sent in the slot.
    fn existing(&self) -> Existing;

    /// Whether a header is a slot of this injection, in whatever spelling.
    fn owns_header(&self, name: &HeaderName) -> bool;

    /// Whether a key of the query, still percent-encoded, is a slot of this injection.
    fn owns_query_key(&self, key: &str) -> bool;

    /// Renders material of the kind that it takes.
    fn render(&self, material: &Material) -> Result<Rendered, String>;

    /// Whether something of the caller's stands in a slot.
    fn occupied(&self, head: &Parts) -> bool;

    /// Whether the slot holds exactly this placeholder, once.
    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool;

    /// Why what stands in the slots cannot be read in one way only.
    fn unreadable(&self, _head: &Parts) -> Option<&'static str> {
        None
    }

    /// Why it cannot be put on requests to this authority, as (message, help): asked when the policy is compiled.
    fn misplaced(&self, _authority: &str) -> Option<Complaint> {
        None
    }

    /// Whether it works in the TLS handshake with the destination.
    fn needs_tls(&self) -> bool {
        false
    }

    /// The most bytes of the body that it reads; `None` where the body streams past it.
    fn body_bytes_max(&self, _head: &Parts, _authority: &str) -> Option<usize> {
        None
    }

    /// What `admit` is for the head, for those whose slot is in the body.
    fn admit_body(&self, _head: &Parts, _body: &[u8], _placeholder: Option<&Secret>) -> Result<(), SlotRefusal> {
        Ok(())
    }

    /// What an answer to a request that it was put on says.
    fn hear(&self, _rendered: &Rendered, _status: StatusCode, _headers: &HeaderMap) -> Heard {
        Heard::Nothing
    }

    /// Replaces every occurrence of the slot.
    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String>;
}

impl Injection {
    /// Compiles a shape.
    ///
    /// # Errors
    /// What is wrong with it and what to do instead: a header that frames the message, an unknown `{…}`, a bad name.
    pub fn compile(shape: &Shape) -> Result<Self, Complaint> {
        Ok(match &shape.0 {
            Kind::Bearer(shape) => Self::Bearer(bearer::Bearer::compile(shape)),
            Kind::Basic(shape) => Self::Basic(basic::Basic::compile(shape)),
            Kind::Header(shape) => Self::Header(header::Header::compile(shape)?),
            Kind::Headers(shape) => Self::Headers(headers::Headers::compile(shape)?),
            Kind::Query(shape) => Self::Query(query::Query::compile(shape)?),
            Kind::Cookie(shape) => Self::Cookie(cookie::Cookie::compile(shape)?),
            Kind::PathSegment(shape) => Self::PathSegment(path_segment::PathSegment::compile(shape)?),
            Kind::FormField(shape) => Self::FormField(form_field::FormField::compile(shape)?),
            Kind::JsonField(shape) => Self::JsonField(json_field::JsonField::compile(shape)?),
            Kind::Sigv4(shape) => Self::Sigv4(sigv4::Sigv4::compile(shape)?),
            Kind::Hmac(shape) => Self::Hmac(hmac::Hmac::compile(shape)?),
            Kind::MutualTls(_) => Self::MutualTls(mutual_tls::MutualTls),
            Kind::Dpop(shape) => Self::Dpop(dpop::Dpop::compile(shape)),
            Kind::HttpSignature(shape) => Self::HttpSignature(http_signature::HttpSignature::compile(shape)?),
        })
    }

    /// Signs for one service of AWS in one region, for calls of our own.
    ///
    /// # Errors
    /// Where these are no names of AWS.
    pub fn sigv4(service: &str, region: &str) -> Result<Self, Complaint> {
        sigv4::Sigv4::own(service, region).map(Self::Sigv4)
    }

    /// The YAML key, such as `bearer`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "bearer",
            Self::Basic(_) => "basic",
            Self::Header(_) => "header",
            Self::Headers(_) => "headers",
            Self::Query(_) => "query",
            Self::Cookie(_) => "cookie",
            Self::PathSegment(_) => "path_segment",
            Self::FormField(_) => "form_field",
            Self::JsonField(_) => "json_field",
            Self::Sigv4(_) => "sigv4",
            Self::Hmac(_) => "hmac",
            Self::MutualTls(_) => "mutual_tls",
            Self::HttpSignature(_) => "http_signature",
            Self::Dpop(_) => "dpop",
        }
    }

    fn inner(&self) -> &dyn Inject {
        match self {
            Self::Bearer(bearer) => bearer,
            Self::Basic(basic) => basic,
            Self::Header(header) => header,
            Self::Headers(headers) => headers,
            Self::Query(query) => query,
            Self::Cookie(cookie) => cookie,
            Self::PathSegment(segment) => segment,
            Self::FormField(field) => field,
            Self::JsonField(field) => field,
            Self::Sigv4(sigv4) => sigv4,
            Self::Hmac(hmac) => hmac,
            Self::MutualTls(mutual_tls) => mutual_tls,
            Self::HttpSignature(signature) => signature,
            Self::Dpop(dpop) => dpop,
        }
    }

    /// The material that it takes.
    #[must_use]
    pub fn takes(&self) -> MaterialKind {
        self.inner().takes()
    }

    /// What happens to what the application itself sent in the slot.
    #[must_use]
    pub fn existing(&self) -> Existing {
        self.inner().existing()
    }

    /// Whether a header is a slot of this injection. `_` and `-` are the same here: CGI and WSGI upstreams cannot tell them apart.
    #[must_use]
    pub fn owns_header(&self, name: &HeaderName) -> bool {
        self.inner().owns_header(name)
    }

    /// Whether a key of the query, still percent-encoded, is a slot of this injection.
    #[must_use]
    pub fn owns_query_key(&self, key: &str) -> bool {
        self.inner().owns_query_key(key)
    }

    /// Renders fresh material for the wire; header values are marked sensitive.
    ///
    /// # Errors
    /// A message that names what is wrong with the material (a newline, a control byte, empty), never the material.
    pub fn render(&self, material: &Material) -> Result<Rendered, String> {
        if material.kind() != self.takes() {
            return Err(format!("`{}` takes {}, and this is {}", self.kind(), self.takes(), material.kind()));
        }
        self.inner().render(material)
    }

    /// Checks what the application sent in the slot. Called before the credential is fetched; `placeholder` is this task's.
    ///
    /// # Errors
    /// [`SlotRefusal`], by the credential's [`Existing`] mode. Without a task there is no placeholder, so `require_placeholder` refuses.
    pub fn admit(&self, head: &Parts, placeholder: Option<&Secret>) -> Result<(), SlotRefusal> {
        let inner = self.inner();
        if let Some(why) = inner.unreadable(head) {
            return Err(SlotRefusal::Unreadable(why));
        }
        match inner.existing() {
            Existing::Overwrite => Ok(()),
            Existing::IfAbsent if inner.occupied(head) => Err(SlotRefusal::Occupied),
            Existing::IfAbsent => Ok(()),
            Existing::RequirePlaceholder => match placeholder {
                Some(placeholder) if !placeholder.is_empty() && inner.holds(head, placeholder) => Ok(()),
                Some(_) | None => Err(SlotRefusal::NotThePlaceholder),
            },
        }
    }

    /// Why it cannot be put on requests to this authority (`host`, or `host:port`), as (message, help).
    #[must_use]
    pub fn misplaced(&self, authority: &str) -> Option<Complaint> {
        self.inner().misplaced(authority)
    }

    /// Whether it is shown in the TLS handshake, so that there is nothing to put on where the rule is `unsafe_plaintext`.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.inner().needs_tls()
    }

    /// The most bytes of this request's body that [`Injection::act`] must be handed, whole; `None` where the body streams past.
    #[must_use]
    pub fn body_bytes_max(&self, head: &Parts, authority: &str) -> Option<usize> {
        self.inner().body_bytes_max(head, authority)
    }

    /// Checks what the application sent in a slot of the body, once that is read: see [`Injection::body_bytes_max`].
    ///
    /// # Errors
    /// As [`Injection::admit`].
    pub fn admit_body(&self, head: &Parts, body: &[u8], placeholder: Option<&Secret>) -> Result<(), SlotRefusal> {
        self.inner().admit_body(head, body, placeholder)
    }

    /// Listens to the answer: some destinations give what the next signature must hold. Asked for every answer.
    #[must_use]
    pub fn hear(&self, rendered: &Rendered, status: StatusCode, headers: &HeaderMap) -> Heard {
        self.inner().hear(rendered, status, headers)
    }

    /// Puts the credential on: whatever stood in the slot is gone afterwards. Header slots allocate nothing where the head has
    /// spare capacity; a query key builds the URI anew. `rendered` comes from this injection's own [`Injection::render`].
    ///
    /// # Errors
    /// Where the URI or the body cannot carry it, there are too many headers, or `rendered` is another injection's; the head is then
    /// unchanged.
    pub fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        self.inner().act(head, rendered, sending)
    }
}

#[cfg(test)]
mod tests;
