use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Complaint, rendered};
use crate::material::{Material, Secret};

/// The value of a header with variables in it: `Token {token}`. `{{` and `}}` stand for the braces themselves.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// What a template may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// `{token}`.
    Token,
    /// `{user}`.
    User,
    /// `{password}`.
    Password,
}

const VARIABLES: &str = "`{token}`, or `{user}` and `{password}`; a brace itself is written `{{` or `}}`";

impl Template {
    /// Parses a template.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        if text.is_empty() || text.starts_with(' ') || text.ends_with(' ') {
            return Err((
                format!("the value `{text}` is empty, or begins or ends with a space"),
                "say what stands in the header, such as `{token}`".into(),
            ));
        }
        if text.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
            return Err((
                "a header's value holds a character that cannot stand in a header".into(),
                "use printable ASCII and `{token}`".into(),
            ));
        }
        let unknown = |what: &str| (format!("unknown variable `{what}` in the value of a header"), format!("use {VARIABLES}"));
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(&brace[..1]);
                rest = after;
                continue;
            }
            let Some((name, after)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
                return Err(unknown(brace));
            };
            let variable = match name {
                "token" => Variable::Token,
                "user" => Variable::User,
                "password" => Variable::Password,
                other => return Err(unknown(&format!("{{{other}}}"))),
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Whether a variable stands in it.
    pub(super) fn uses(&self, variable: Variable) -> bool {
        self.0.contains(&Part::Variable(variable))
    }

    /// Whether the secret itself stands in it.
    pub(super) fn is_secret(&self) -> bool {
        self.uses(Variable::Token) || self.uses(Variable::Password)
    }

    /// The value with the material in it.
    pub(super) fn render(&self, material: &Material) -> Result<Zeroizing<Vec<u8>>, String> {
        // One allocation of the right size: growing would leave copies of the secret behind.
        let mut value = Zeroizing::new(Vec::with_capacity(self.0.iter().map(|part| part.bytes(material).map_or(0, <[u8]>::len)).sum()));
        for part in &self.0 {
            value.extend_from_slice(part.bytes(material).ok_or("the value of a header names what this credential does not hold")?);
        }
        rendered::refuse_unprintable(&value)?;
        rendered::refuse_outer_space(&value)?;
        Ok(value)
    }

    /// Whether a value is this template with the placeholder for the secret; in constant time for equal lengths.
    pub(super) fn is_placeholder(&self, value: &[u8], placeholder: &Secret) -> bool {
        let mut rest = value;
        let mut same = Choice::from(1);
        for part in &self.0 {
            let expected = match part {
                Part::Literal(literal) => literal.as_bytes(),
                Part::Variable(Variable::Token | Variable::Password) => placeholder.expose(),
                Part::Variable(Variable::User) => return false,
            };
            let Some((piece, after)) = rest.split_at_checked(expected.len()) else {
                return false;
            };
            same &= piece.ct_eq(expected);
            rest = after;
        }
        rest.is_empty() && same.into()
    }
}

impl Part {
    fn bytes<'m>(&'m self, material: &'m Material) -> Option<&'m [u8]> {
        match (self, material) {
            (Self::Literal(literal), _) => Some(literal.as_bytes()),
            (Self::Variable(Variable::Token), Material::Token(token)) => Some(token.expose()),
            (Self::Variable(Variable::User), Material::UserPassword { user, .. }) => Some(user.as_bytes()),
            (Self::Variable(Variable::Password), Material::UserPassword { password, .. }) => Some(password.expose()),
            (Self::Variable(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Material {
        Material::Token(Secret::new(text.into()))
    }

    #[test]
    fn variables_and_braces_are_read() {
        let template = Template::parse("a {{{token}}} b").unwrap();
        assert_eq!(&template.render(&token("T")).unwrap()[..], b"a {T} b");
        assert!(template.uses(Variable::Token) && !template.uses(Variable::User));
    }

    #[test]
    fn whatever_else_stands_in_braces_is_refused() {
        for text in ["{tokn}", "{token", "token}", "{}", "{ token }", "{Token}", "", " {token}", "{token} ", "é{token}", "a\n{token}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_placeholder_stands_where_the_secret_would() {
        let template = Template::parse("Token token=\"{token}\"").unwrap();
        let placeholder = Secret::new(b"ph".to_vec());
        assert!(template.is_placeholder(b"Token token=\"ph\"", &placeholder));
        for other in ["ph", "Token token=\"pi\"", "Token token=\"ph\"x", "token token=\"ph\"", "Token token=\"ph", ""] {
            assert!(!template.is_placeholder(other.as_bytes(), &placeholder), "{other}");
        }
    }

    #[test]
    fn material_that_would_break_the_header_is_refused() {
        for bad in ["", "a\nb", "a\rb", "a\0b", "\u{7f}", "é", " a", "a "] {
            let template = Template::parse("{token}").unwrap();
            let error = template.render(&token(bad)).unwrap_err();
            assert!(bad.trim().len() < 2 || !error.contains(bad), "{error}");
        }
    }
}
