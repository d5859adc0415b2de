use http::request::Parts;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::super::{Complaint, Sending, slot};
use crate::destination::Scheme;

/// What stands for itself in the value of `@query-param` (RFC 9421, section 2.2.8).
const FORM_ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// One component of a signature.
#[derive(Debug)]
pub(super) struct Component {
    /// As it stands in the signature: quoted, with its parameters.
    shown: String,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    QueryParam(String),
    Field { name: HeaderName, optional: bool },
}

const DERIVED: [(&str, What); 7] = [
    ("@method", What::Method),
    ("@target-uri", What::TargetUri),
    ("@authority", What::Authority),
    ("@scheme", What::Scheme),
    ("@request-target", What::RequestTarget),
    ("@path", What::Path),
    ("@query", What::Query),
];

impl Component {
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = || {
            let known: Vec<&str> = DERIVED.iter().map(|(name, _)| *name).collect();
            (
                format!("`{text}` is nothing that can be signed"),
                format!("use {}, `@query-param;name=\"…\"`, or the name of a header field in lower case", known.join(", ")),
            )
        };
        if let Some((name, what)) = DERIVED.into_iter().find(|(name, _)| *name == text) {
            return Ok(Self { shown: format!("\"{name}\""), what });
        }
        if let Some(name) = text.strip_prefix("@query-param;name=\"").and_then(|rest| rest.strip_suffix('"')) {
            let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
            let what = What::QueryParam(name.to_owned());
            return if plain { Ok(Self { shown: format!("\"@query-param\";name=\"{name}\""), what }) } else { Err(wrong()) };
        }
        let (field, optional) = text.strip_suffix('?').map_or((text, false), |field| (field, true));
        let name = HeaderName::from_bytes(field.as_bytes()).map_err(|_| wrong())?;
        let moves = matches!(name.as_str(), "host" | "connection" | "transfer-encoding" | "te" | "signature" | "signature-input");
        if moves || name.as_str() != field {
            return Err(wrong());
        }
        Ok(Self { shown: format!("\"{field}\""), what: What::Field { name, optional } })
    }

    /// As it stands in the signature.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.shown == other.shown
    }

    pub(super) fn is_field(&self, field: &HeaderName) -> bool {
        matches!(&self.what, What::Field { name, .. } if name == field)
    }

    /// What is signed for it; `None` where it need not be there and is not. Headers of `set` come with the signature, whatever the request has.
    pub(super) fn value(&self, head: &Parts, sending: &Sending<'_>, set: &[(HeaderName, HeaderValue)]) -> Result<Option<String>, String> {
        let (path, query) = (head.uri.path(), head.uri.query());
        let target = || head.uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Some(match &self.what {
            What::Method => head.method.as_str().to_owned(),
            What::TargetUri => format!("{}://{}{}", sending.scheme.as_str(), authority(sending), target()),
            What::Authority => authority(sending),
            What::Scheme => sending.scheme.as_str().to_owned(),
            What::RequestTarget => target().to_owned(),
            What::Path => path.to_owned(),
            What::Query => format!("?{}", query.unwrap_or_default()),
            What::QueryParam(name) => parameter(query.unwrap_or_default(), name)?,
            What::Field { name, optional } => match field(head, set, name)? {
                None if *optional => return Ok(None),
                None => return Err(format!("the request has no `{name}`, which its signature must cover")),
                Some(value) => value,
            },
        }))
    }
}

/// In lower case, without the port that is the scheme's own.
fn authority(sending: &Sending<'_>) -> String {
    let own = match sending.scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    sending.authority.strip_suffix(own).unwrap_or(sending.authority).to_ascii_lowercase()
}

/// The values of a field, joined; refused where another spelling stands beside it, which some upstreams take for the same.
fn field(head: &Parts, set: &[(HeaderName, HeaderValue)], name: &HeaderName) -> Result<Option<String>, String> {
    let text = |value: &HeaderValue| value.to_str().map(|text| text.trim().to_owned()).map_err(|_| format!("`{name}` cannot be signed"));
    if let Some((_, value)) = set.iter().find(|(own, _)| own == name) {
        return text(value).map(Some);
    }
    if head.headers.keys().any(|other| other != name && slot::is_spelling_of(other, name)) {
        return Err(format!("`{name}` stands there in two spellings"));
    }
    let values = head.headers.get_all(name).iter().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok((!values.is_empty()).then(|| values.join(", ")))
}

/// The value of one parameter of the query, decoded and encoded again; there must be one.
fn parameter(query: &str, name: &str) -> Result<String, String> {
    let decoded = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect::<Vec<u8>>();
    let encoded = |text: &str| percent_encode(&decoded(text), &FORM_ENCODED).to_string();
    let mut found = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).filter(|(key, _)| encoded(key) == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(encoded(value)),
        (None, _) => Err(format!("the query has no `{name}`, which its signature must cover")),
        (Some(_), Some(_)) => Err(format!("the query has more than one `{name}`")),
    }
}
