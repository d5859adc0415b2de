/// Secret files: what they may be, and how they are read.
mod reading;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use keygress_policy::material::{Material, MaterialKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::{Fetched, Provider, Purpose, Tools, Work};

pub(super) use reading::{check, complaint, read, read_public, read_text, words};

/// The path of a file that holds the secret alone, on one line, or a mapping of the keys below.
///
/// One line break at the end is dropped. Refused are: more than 64 KiB, a control character, a file that everybody may read or
/// write, anything but a regular file, and a symbolic link that leaves the file's own folder (those of a Kubernetes Secret stay in
/// it). The file is read again when it changes; while it cannot be read, the last value stays in use. Static, unless it `rotates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
    user: Option<String>,
    access_key_id: Option<String>,
    rotates: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileKeys")]
struct Keys {
    /// Path of the file.
    path: PathBuf,
    /// The user name to which the file holds the password. Makes it a user and a password instead of a token.
    user: Option<String>,
    /// The access key id to which the file holds the secret access key. Makes it AWS keys.
    access_key_id: Option<String>,
    /// Whether something else replaces the file before what it holds expires, so that it is no static credential. Default `false`.
    #[serde(default)]
    rotates: bool,
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrKeys;

        impl<'de> Visitor<'de> for PathOrKeys {
            type Value = File;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a mapping with `path`")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<File, E> {
                Ok(File { path: path.into(), user: None, access_key_id: None, rotates: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<File, A::Error> {
                let Keys { path, user, access_key_id, rotates } = Keys::deserialize(MapAccessDeserializer::new(map))?;
                Ok(File { path, user, access_key_id, rotates })
            }
        }

        deserializer.deserialize_any(PathOrKeys)
    }
}

impl JsonSchema for File {
    fn schema_name() -> Cow<'static, str> {
        "File".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let keys = generator.subschema_for::<Keys>();
        json_schema!({
            "description": "The path of a file that holds the secret alone, on one line, or a mapping.",
            "anyOf": [{ "type": "string" }, keys],
        })
    }
}

impl Provider for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn yields(&self) -> MaterialKind {
        match (&self.access_key_id, &self.user) {
            (Some(_), _) => MaterialKind::AwsKeys,
            (None, Some(_)) => MaterialKind::UserPassword,
            (None, None) => MaterialKind::Token,
        }
    }

    fn is_static(&self) -> bool {
        !self.rotates
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let both = self.user.is_some() && self.access_key_id.is_some();
        let both =
            both.then(|| ("`user` and `access_key_id` stand there both".to_owned(), "keep the one that the file belongs to".to_owned()));
        complaint(&self.path).into_iter().chain(both).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn fetch<'a>(&'a self, _: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let secret = read(&self.path).await?;
            let material = match (&self.access_key_id, &self.user) {
                (Some(id), _) => Material::AwsKeys { access_key_id: id.clone(), secret_access_key: secret, session_token: None },
                (None, Some(user)) => Material::UserPassword { user: user.clone(), password: secret },
                (None, None) => Material::Token(secret),
            };
            Ok(Fetched { material, lifetime: None, handle: None })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_alone_and_a_mapping_are_both_understood() {
        let short: File = serde_saphyr::from_str("/run/key").unwrap();
        assert_eq!(short, File { path: "/run/key".into(), user: None, access_key_id: None, rotates: false });
        assert!(short.is_static());
        assert_eq!(short.yields(), MaterialKind::Token);
        let long: File = serde_saphyr::from_str("{ path: /run/key, user: ci, rotates: true }").unwrap();
        assert_eq!(long, File { path: "/run/key".into(), user: Some("ci".into()), access_key_id: None, rotates: true });
        assert!(!long.is_static());
        assert_eq!(long.yields(), MaterialKind::UserPassword);
    }

    #[test]
    fn an_unknown_key_and_another_shape_are_refused() {
        let unknown = serde_saphyr::from_str::<File>("{ path: /run/key, pass: x }").unwrap_err().to_string();
        assert!(unknown.contains("pass"), "{unknown}");
        assert!(serde_saphyr::from_str::<File>("[a]").is_err());
        assert_eq!(complaint(Path::new("")).unwrap().0, "`` is not the path of a file");
        assert_eq!(complaint(Path::new("/a/..")).unwrap().0, "`/a/..` is not the path of a file");
        assert_eq!(complaint(Path::new("/a/b")), None);
    }
}
