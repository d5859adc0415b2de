use aws_lc_rs::digest::{self, SHA256, SHA512};
use http::request::Parts;

use super::encoding::Encoding;
use super::{Complaint, Sending};

/// Text with what is known of a request in it: `{method}\n{path}`. `{{` and `}}` stand for the braces themselves.
#[derive(Debug)]
pub(super) struct Phrase(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(Variable),
}

/// What a phrase may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Method,
    Host,
    Path,
    Query,
    Timestamp,
    Nonce,
    Body,
    BodyHash(Hash, Encoding),
    User,
    Signature,
}

/// What the body is hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

const VARIABLES: [(&str, Variable); 13] = [
    ("method", Variable::Method),
    ("host", Variable::Host),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("timestamp", Variable::Timestamp),
    ("nonce", Variable::Nonce),
    ("body", Variable::Body),
    ("body_sha256_hex", Variable::BodyHash(Hash::Sha256, Encoding::Hex)),
    ("body_sha256_base64", Variable::BodyHash(Hash::Sha256, Encoding::Base64)),
    ("body_sha512_hex", Variable::BodyHash(Hash::Sha512, Encoding::Hex)),
    ("body_sha512_base64", Variable::BodyHash(Hash::Sha512, Encoding::Base64)),
    ("user", Variable::User),
    ("signature", Variable::Signature),
];

/// What the variables of one request stand for.
pub(super) struct Values<'v> {
    pub(super) head: &'v Parts,
    pub(super) sending: &'v Sending<'v>,
    pub(super) timestamp: &'v str,
    pub(super) nonce: &'v str,
    pub(super) user: &'v str,
    /// Empty until it is made.
    pub(super) signature: &'v str,
}

impl Phrase {
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        let unknown = |what: &str| {
            let known: Vec<String> = VARIABLES.iter().map(|(name, _)| format!("`{{{name}}}`")).collect();
            (format!("unknown variable `{what}`"), format!("use {}; a brace itself is written `{{{{` or `}}}}`", known.join(", ")))
        };
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.extend(brace.chars().next());
                rest = after;
                continue;
            }
            let Some((name, after)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return Err(unknown(brace));
            };
            let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(&format!("{{{name}}}")));
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Variable(*variable));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    pub(super) fn uses(&self, variable: Variable) -> bool {
        self.0.contains(&Piece::Variable(variable))
    }

    /// Whether it holds the body or a hash of it.
    pub(super) fn uses_body(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable(Variable::Body | Variable::BodyHash(..))))
    }

    /// Whether it holds nothing beside literals and this variable.
    pub(super) fn is_only(&self, variable: Variable) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Literal(_)) || *piece == Piece::Variable(variable))
    }

    /// The text around the only variable; `None` where there is more than one.
    pub(super) fn around<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let literal = |piece: &Piece| match piece {
            Piece::Literal(literal) => Some(literal.clone()),
            Piece::Variable(_) => None,
        };
        let at = self.0.iter().position(|piece| literal(piece).is_none())?;
        let before: String = self.0.iter().take(at).filter_map(literal).collect();
        let after: Option<String> = self.0.iter().skip(at + 1).map(literal).collect();
        value.strip_prefix(before.as_bytes())?.strip_suffix(after?.as_bytes())
    }

    /// Appends it with the values of one request.
    pub(super) fn write(&self, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
                Piece::Variable(variable) => variable.write(values, out)?,
            }
        }
        Ok(())
    }
}

impl Variable {
    fn write(self, values: &Values<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let body = || values.sending.body.ok_or("the body must be read before it is signed");
        let text = match self {
            Self::Method => values.head.method.as_str(),
            Self::Host => values.sending.authority,
            Self::Path => values.head.uri.path(),
            Self::Query => values.head.uri.query().unwrap_or_default(),
            Self::Timestamp => values.timestamp,
            Self::Nonce => values.nonce,
            Self::User => values.user,
            Self::Signature => values.signature,
            Self::Body => {
                out.extend_from_slice(body()?);
                return Ok(());
            }
            Self::BodyHash(hash, encoding) => {
                out.extend_from_slice(encoding.write(hash.of(body()?).as_ref()).as_bytes());
                return Ok(());
            }
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Hash {
    pub(super) fn of(self, bytes: &[u8]) -> digest::Digest {
        digest::digest(
            match self {
                Self::Sha256 => &SHA256,
                Self::Sha512 => &SHA512,
            },
            bytes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{head, sending};
    use super::*;

    #[test]
    fn every_variable_stands_for_what_its_name_says() {
        let head = head("/a%20b?x=1&y", &[]);
        let sending = Sending { body: Some(b"abc"), ..sending() };
        let values = Values { head: &head, sending: &sending, timestamp: "T", nonce: "N", user: "U", signature: "S" };
        for (text, written) in [
            ("{method} {host} {path} {query}", "GET h.test /a%20b x=1&y"),
            ("{timestamp}{nonce}{user}{signature}", "TNUS"),
            ("{{{body}}}\n", "{abc}\n"),
            ("{body_sha256_hex}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("{body_sha256_base64}", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ] {
            let mut out = Vec::new();
            Phrase::parse(text).unwrap().write(&values, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written, "{text}");
        }
        let unread = Sending { body: None, ..sending };
        let values = Values { sending: &unread, ..values };
        assert!(Phrase::parse("{body}").unwrap().write(&values, &mut Vec::new()).is_err());
    }

    #[test]
    fn whatever_else_stands_in_braces_is_refused() {
        for text in ["{token}", "{", "}", "{}", "{Method}", "{method"] {
            assert!(Phrase::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_for_the_only_variable_is_found() {
        let phrase = Phrase::parse("v1={signature};").unwrap();
        assert_eq!(phrase.around(b"v1=abc;"), Some(&b"abc"[..]));
        for other in ["v1=abc", "v2=abc;", "v1", ""] {
            assert_eq!(phrase.around(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Phrase::parse("{signature}{nonce}").unwrap().around(b"ab"), None);
    }
}
