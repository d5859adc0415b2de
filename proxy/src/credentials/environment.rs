use std::path::Path;
use std::sync::Once;

use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fetched, Provider, Purpose, Tools, Work, file};

static WARNING: Once = Once::new();

/// The name of an environment variable of keygress itself. For development only: whoever can read `/proc/PID/environ` reads it
/// too, and a child process inherits it. keygress warns once and does not remove the variable. Static.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Environment(String);

impl Provider for Environment {
    fn kind(&self) -> &'static str {
        "environment"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Token
    }

    fn is_static(&self) -> bool {
        true
    }

    fn complaints(&self) -> Vec<(String, String)> {
        complaint(&self.0).into_iter().collect()
    }

    fn variables(&self) -> Vec<&str> {
        vec![&self.0]
    }

    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn fetch<'a>(&'a self, _: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async { Ok(Fetched { material: Material::Token(read(&self.0)?), lifetime: None, handle: None }) })
    }
}

/// What is wrong with the name of a variable, as (message, help).
pub(super) fn complaint(name: &str) -> Option<(String, String)> {
    (name.is_empty() || name.contains(['=', '\0']))
        .then(|| (format!("`{name}` is not the name of an environment variable"), "write its name alone, such as `API_KEY`".to_owned()))
}

/// Reads a secret from the environment and warns, once in the life of the process.
///
/// # Errors
/// Where the variable is not set, is empty or holds a control character.
pub(super) fn read(name: &str) -> Result<Secret, String> {
    use std::os::unix::ffi::OsStringExt;

    WARNING.call_once(|| tracing::warn!(variable = name, "a credential comes from the environment: for development only"));
    let value = std::env::var_os(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))?;
    let secret = Secret::new(value.into_vec());
    file::check(secret.expose()).map_err(|fault| format!("the environment variable `{name}` {fault}"))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert_eq!(
            read("KEYGRESS_TEST_THAT_NOBODY_SETS").unwrap_err(),
            "the environment variable `KEYGRESS_TEST_THAT_NOBODY_SETS` is not set"
        );
    }

    #[test]
    fn a_variable_that_is_set_is_a_token() {
        // Cargo sets this one for every test.
        assert!(read("CARGO_PKG_NAME").unwrap().is(b"keygress"));
    }

    #[test]
    fn a_name_that_cannot_be_one_is_a_complaint() {
        for name in ["", "A=B", "A\0"] {
            assert!(complaint(name).is_some(), "{name:?}");
        }
        assert_eq!(complaint("API_KEY"), None);
    }
}
