use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keygress_policy::material::{Material, MaterialKind, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::wire::{Seconds, SecretText};
use super::{Fetched, Provider, Purpose, Tools, Work, aws, file, identity};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Nobody waits for a program that takes longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// A program that prints the credential as one JSON object: `token`, or `user` and `password`; and `expires_in` (seconds) or
/// `expires_at` (RFC 3339), without which it is refused. With `yields: aws_keys` it is what AWS calls a `credential_process`: it prints
/// `Version` 1, `AccessKeyId`, `SecretAccessKey`, `SessionToken` and `Expiration`. With `yields: certificate` it prints `certificate`
/// (with its chain) and `private_key`, with `yields: private_key` that alone, in PEM.
///
/// It runs without a shell, with `PATH` and `HOME` as its whole environment, nothing on its standard input and at most 64 KiB of
/// output. What it writes to standard error is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments, one item each.
    command: Vec<String>,
    /// How long it may run, at most `60s`. Default `10s`.
    #[serde(default)]
    timeout: Timeout,
    /// What it prints. Default `token`.
    #[serde(default)]
    yields: Yields,
}

/// A time such as `5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
struct Timeout(#[schemars(with = "String")] Duration);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Yields {
    /// A token.
    #[default]
    Token,
    /// A user and a password.
    UserPassword,
    /// AWS keys, as a `credential_process` of AWS prints them.
    AwsKeys,
    /// A certificate and its private key, each in PEM.
    Certificate,
    /// A private key in PEM.
    PrivateKey,
}

#[derive(Deserialize)]
struct Output {
    token: Option<SecretText>,
    user: Option<String>,
    password: Option<SecretText>,
    certificate: Option<String>,
    private_key: Option<SecretText>,
    expires_in: Option<Seconds>,
    expires_at: Option<String>,
}

impl Default for Timeout {
    fn default() -> Self {
        Self(TIMEOUT_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Timeout;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as `5s`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timeout, E> {
                let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
                time.map(Timeout).ok_or_else(|| E::custom(format!("`{text}` is not a time with its unit, such as `5s`")))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl Provider for Exec {
    fn kind(&self) -> &'static str {
        "exec"
    }

    fn yields(&self) -> MaterialKind {
        match self.yields {
            Yields::Token => MaterialKind::Token,
            Yields::UserPassword => MaterialKind::UserPassword,
            Yields::AwsKeys => MaterialKind::AwsKeys,
            Yields::Certificate => MaterialKind::Certificate,
            Yields::PrivateKey => MaterialKind::PrivateKey,
        }
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        if self.command.first().is_none_or(String::is_empty) || self.command.iter().any(|part| part.contains('\0')) {
            complaints.push((
                "`command` names no program".to_owned(),
                "write the program and its arguments as a list, such as `[/usr/bin/issue, --json]`".to_owned(),
            ));
        }
        if self.timeout.0.is_zero() || self.timeout.0 > TIMEOUT_MAX {
            complaints.push(("`timeout` is not between 1 and 60 seconds".to_owned(), "write a time such as `10s`".to_owned()));
        }
        complaints
    }

    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    fn programs(&self) -> Vec<&[String]> {
        vec![&self.command]
    }

    fn fetch<'a>(&'a self, tools: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async {
            let program = self.command.first().map(String::as_str).unwrap_or_default();
            let output = tokio::time::timeout(self.timeout.0, tools.programs.output(&self.command)).await;
            let output = output.unwrap_or_else(|_| Err("took too long and was ended".to_owned()));
            let output = output.map_err(|fault| format!("the program `{program}` {fault}"))?;
            self.understand(&output).map_err(|fault| format!("the program `{program}` {fault}"))
        })
    }
}

impl Exec {
    fn understand(&self, output: &[u8]) -> Result<Fetched, String> {
        if self.yields == Yields::AwsKeys {
            return aws::read_keys(output, aws::Form::Program, Timestamp::now());
        }
        let Ok(output) = serde_json::from_slice::<Output>(output) else {
            return Err("printed something other than one JSON object with the keys that keygress knows".to_owned());
        };
        let secret = |name: &str, text: Option<SecretText>| {
            let SecretText(secret) = text.ok_or_else(|| format!("printed no `{name}`"))?;
            file::check(secret.expose()).map_err(|fault| format!("printed a `{name}` that {fault}"))?;
            Ok::<Secret, String>(secret)
        };
        let material = match self.yields {
            Yields::Token | Yields::AwsKeys => Material::Token(secret("token", output.token)?),
            Yields::UserPassword => Material::UserPassword {
                user: output.user.ok_or_else(|| "printed no `user`".to_owned())?,
                password: secret("password", output.password)?,
            },
            Yields::Certificate => {
                let chain = identity::certificates(output.certificate.unwrap_or_default().as_bytes());
                let chain = chain.ok_or_else(|| "printed no `certificate` in PEM".to_owned())?;
                Material::Certificate {
                    chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
                    key: key(output.private_key)?,
                }
            }
            Yields::PrivateKey => Material::PrivateKey(key(output.private_key)?),
        };
        let lifetime = match (output.expires_in, output.expires_at) {
            (Some(Seconds(seconds)), None) => Duration::from_secs(seconds),
            (None, Some(time)) => until(&time)?,
            (None, None) => return Err("printed neither `expires_in` nor `expires_at`".to_owned()),
            (Some(_), Some(_)) => return Err("printed both `expires_in` and `expires_at`".to_owned()),
        };
        if lifetime.is_zero() {
            return Err("printed a credential that has expired already".to_owned());
        }
        Ok(Fetched { material, lifetime: Some(lifetime), handle: None })
    }
}

fn key(text: Option<SecretText>) -> Result<Secret, String> {
    text.and_then(|SecretText(text)| identity::private_key(&text)).ok_or_else(|| "printed no `private_key` in PEM".to_owned())
}

/// The time left until then; zero where it has passed.
fn until(time: &str) -> Result<Duration, String> {
    aws::time_until(time).ok_or_else(|| "printed an `expires_at` that is no time of RFC 3339".to_owned())
}
