/// Secret files: what they may be, and how they are read.
mod reading;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use keygress_policy::material::{Material, MaterialKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::{Fetched, Provider, Purpose, Tools, Work, identity};

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
    certificate: Option<PathBuf>,
    private_key: bool,
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
    /// The path of the certificate, with its chain, to which the file holds the private key in PEM. Makes it a certificate and its key.
    certificate: Option<PathBuf>,
    /// Whether the file holds a private key in PEM that signs. Default `false`.
    #[serde(default)]
    private_key: bool,
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
                Ok(File::holding_a_token(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<File, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(map))?;
                let Keys { path, user, access_key_id, certificate, private_key, rotates } = keys;
                Ok(File { path, user, access_key_id, certificate, private_key, rotates })
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

impl File {
    fn holding_a_token(path: PathBuf) -> Self {
        Self { path, user: None, access_key_id: None, certificate: None, private_key: false, rotates: false }
    }
}

impl Provider for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn yields(&self) -> MaterialKind {
        match (&self.access_key_id, &self.user, &self.certificate, self.private_key) {
            (Some(_), ..) => MaterialKind::AwsKeys,
            (_, Some(_), ..) => MaterialKind::UserPassword,
            (_, _, Some(_), _) => MaterialKind::Certificate,
            (.., true) => MaterialKind::PrivateKey,
            (None, None, None, false) => MaterialKind::Token,
        }
    }

    fn is_static(&self) -> bool {
        !self.rotates
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let said = [self.user.is_some(), self.access_key_id.is_some(), self.certificate.is_some(), self.private_key];
        let several = (said.into_iter().filter(|said| *said).count() > 1).then(|| {
            let several = "more than one of `user`, `access_key_id`, `certificate` and `private_key` stands there";
            (several.to_owned(), "keep the one that the file belongs to".to_owned())
        });
        complaint(&self.path).into_iter().chain(self.certificate.as_deref().and_then(complaint)).chain(several).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        std::iter::once(&self.path).chain(&self.certificate).cloned().collect()
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn fetch<'a>(&'a self, _: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let material = match (&self.access_key_id, &self.user, &self.certificate, self.private_key) {
                (Some(id), ..) => {
                    Material::AwsKeys { access_key_id: id.clone(), secret_access_key: read(&self.path).await?, session_token: None }
                }
                (_, Some(user), ..) => Material::UserPassword { user: user.clone(), password: read(&self.path).await? },
                (_, _, Some(certificate), _) => {
                    let chain = identity::read_certificates(certificate).await?;
                    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
                    Material::Certificate { chain, key: identity::read_key(&self.path).await? }
                }
                (.., true) => Material::PrivateKey(identity::read_key(&self.path).await?),
                (None, None, None, false) => Material::Token(read(&self.path).await?),
            };
            Ok(Fetched { material, lifetime: None, handle: None })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_and_a_mapping_are_both_understood() {
        let short: File = serde_saphyr::from_str("/run/key").unwrap();
        assert_eq!(short, File::holding_a_token("/run/key".into()));
        assert!(short.is_static());
        assert_eq!(short.yields(), MaterialKind::Token);
        let long: File = serde_saphyr::from_str("{ path: /run/key, user: ci, rotates: true }").unwrap();
        assert_eq!(long, File { user: Some("ci".into()), rotates: true, ..File::holding_a_token("/run/key".into()) });
        assert!(!long.is_static());
        assert_eq!(long.yields(), MaterialKind::UserPassword);
        let certificate: File = serde_saphyr::from_str("{ path: /run/key.pem, certificate: /run/certificate.pem }").unwrap();
        assert_eq!((certificate.yields(), certificate.files().len()), (MaterialKind::Certificate, 2));
        let key: File = serde_saphyr::from_str("{ path: /run/key.pem, private_key: true }").unwrap();
        assert_eq!((key.yields(), key.complaints().len()), (MaterialKind::PrivateKey, 0));
        let both: File = serde_saphyr::from_str("{ path: /run/key.pem, private_key: true, user: ci }").unwrap();
        assert_eq!(both.complaints().len(), 1);
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
