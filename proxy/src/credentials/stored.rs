use std::collections::BTreeMap;
use std::time::Duration;

use keygress_policy::material::{Material, MaterialKind, Secret};

use super::wire::{TextOrOther, Time};
use super::{Fetched, file};

/// A stored secret is read again before it is older than this.
pub(super) const MAX_AGE_DEFAULT: Duration = Duration::from_secs(3600);

/// No store is asked more often than this about one credential.
const MAX_AGE_MIN: Duration = Duration::from_secs(60);

/// What of a stored secret is used, and for how long: the keys `field`, `user_field` and `max_age` of a provider that reads a store.
pub(super) struct Picked<'a> {
    /// The field that holds the token or the password; `None` where the whole text is the token.
    pub(super) field: Option<&'a str>,
    /// The field that holds the user name.
    pub(super) user_field: Option<&'a str>,
    /// How long it may be used after it was read.
    pub(super) max_age: Option<Time>,
}

impl Picked<'_> {
    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if self.field.is_some_and(str::is_empty) || self.user_field.is_some_and(str::is_empty) {
            complaints.push(("a field has no name".to_owned(), "write the name of the field, such as `password`".to_owned()));
        }
        if self.user_field.is_some() && self.field.is_none() {
            complaints.push(("`user_field` stands there without `field`".to_owned(), "name the field of the password too".to_owned()));
        }
        if self.max_age.is_some_and(|Time(age)| age < MAX_AGE_MIN) {
            complaints.push(("`max_age` is below one minute".to_owned(), "write a time such as `15m`".to_owned()));
        }
        complaints
    }

    /// What it is.
    pub(super) fn yields(&self) -> MaterialKind {
        if self.user_field.is_some() { MaterialKind::UserPassword } else { MaterialKind::Token }
    }

    /// Picks it from a text: all of it, or fields of the JSON object that it is.
    ///
    /// # Errors
    /// What is missing; reads on from the name of the store.
    pub(super) fn of_text(&self, text: &Secret) -> Result<Fetched, String> {
        let Some(field) = self.field else {
            return Ok(self.fetched(Material::Token(line(text, "holds a secret that")?)));
        };
        let mut fields: BTreeMap<String, TextOrOther> = serde_json::from_slice(text.expose())
            .map_err(|_| format!("holds a secret that is no JSON object, so it has no field `{field}`"))?;
        self.of_fields(&mut |name| match fields.remove(name) {
            Some(TextOrOther::Text(secret)) => Ok(secret),
            Some(TextOrOther::Other) => Err(format!("holds no text in the field `{name}`")),
            None => Err(format!("holds no field `{name}` in the secret")),
        })
    }

    /// Picks it from fields that `take` gives.
    ///
    /// # Errors
    /// As [`Picked::of_text`].
    pub(super) fn of_fields(&self, take: &mut dyn FnMut(&str) -> Result<Secret, String>) -> Result<Fetched, String> {
        let mut text = |name: &str| line(&take(name)?, &format!("holds a field `{name}` that"));
        let secret = text(self.field.unwrap_or_default())?;
        let Some(user_field) = self.user_field else { return Ok(self.fetched(Material::Token(secret))) };
        let user = text(user_field)?;
        let user = std::str::from_utf8(user.expose()).map_err(|_| format!("holds no text in the field `{user_field}`"))?;
        Ok(self.fetched(Material::UserPassword { user: user.to_owned(), password: secret }))
    }

    fn fetched(&self, material: Material) -> Fetched {
        let lifetime = self.max_age.map_or(MAX_AGE_DEFAULT, |Time(age)| age);
        Fetched { material, lifetime: Some(lifetime), handle: None }
    }
}

/// A secret on one line; one line break at its end is dropped, as that of a file is.
fn line(text: &Secret, what: &str) -> Result<Secret, String> {
    let bytes = text.expose();
    let line = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    file::check(line).map_err(|fault| format!("{what} {fault}"))?;
    Ok(Secret::new(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked<'a>(field: Option<&'a str>, user_field: Option<&'a str>) -> Picked<'a> {
        Picked { field, user_field, max_age: None }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_text_is_the_secret_or_a_json_object_with_it() {
        for text in ["canary", "canary\n", "canary\r\n"] {
            let fetched = picked(None, None).of_text(&secret(text)).unwrap();
            assert!(matches!(&fetched.material, Material::Token(token) if token.is(b"canary")));
            assert_eq!(fetched.lifetime, Some(MAX_AGE_DEFAULT));
        }
        let json = secret(r#"{"user":"app","password":"canary","port":5432}"#);
        let fetched = picked(Some("password"), Some("user")).of_text(&json).unwrap();
        assert!(matches!(&fetched.material, Material::UserPassword { user, password } if user == "app" && password.is(b"canary")));
        assert!(matches!(&picked(Some("password"), None).of_text(&json).unwrap().material, Material::Token(token) if token.is(b"canary")));
    }

    #[test]
    fn what_is_no_secret_is_told_without_it() {
        let json = r#"{"password":"canary","port":5432,"lines":"a\nb"}"#;
        for (field, text, expected) in [
            (None, "", "holds a secret that is empty"),
            (None, "canary\n\n", "holds a secret that holds a line break: it must hold the secret alone, on one line"),
            (Some("key"), "canary", "holds a secret that is no JSON object, so it has no field `key`"),
            (Some("key"), json, "holds no field `key` in the secret"),
            (Some("port"), json, "holds no text in the field `port`"),
            (Some("lines"), json, "holds a field `lines` that holds a line break: it must hold the secret alone, on one line"),
        ] {
            assert_eq!(picked(field, None).of_text(&secret(text)).unwrap_err(), expected);
        }
    }
}
