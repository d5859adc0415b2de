use std::collections::BTreeMap;
use std::time::Duration;

use keygress_policy::inject::Injection;
use keygress_policy::material::{Material, Secret};
use zeroize::Zeroizing;

use super::super::http::{Answer, Endpoint};
use super::super::{Fetched, Purpose, Tools, file, purpose};
use super::request;

/// Where calls without a region are signed for.
const REGION_DEFAULT: &str = "us-east-1";

/// The longest name of a session.
const SESSION_CHARS_MAX: usize = 64;

/// The error codes of the service: no other text of it is ever repeated.
const ERROR_CODES: [&str; 14] = [
    "AccessDenied",
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "ValidationError",
];

/// The role that is asked for, and what its session may do.
pub(in super::super) struct Role<'a> {
    pub(in super::super) arn: &'a str,
    pub(in super::super) session: &'a str,
    pub(in super::super) lifetime: Duration,
    pub(in super::super) policy: Option<&'a str>,
    pub(in super::super) policy_arns: &'a [String],
    pub(in super::super) region: Option<&'a str>,
    pub(in super::super) endpoint: Option<&'a str>,
}

impl Role<'_> {
    /// What is wrong with it, as (message, help).
    pub(in super::super) fn complaints(&self) -> Vec<(String, String)> {
        let arn = is_arn(self.arn, ":role/").then_some(()).ok_or_else(|| {
            (
                format!("`{}` is not the ARN of a role", self.arn),
                "write it whole, such as `arn:aws:iam::111122223333:role/backups`".to_owned(),
            )
        });
        let region = Injection::sigv4("sts", self.region.unwrap_or(REGION_DEFAULT)).map(drop);
        let endpoint = Endpoint::parse(&self.url()).map(drop);
        let policy = self.policy.is_none_or(|policy| serde_json::from_str::<serde_json::Map<_, _>>(policy).is_ok()).then_some(());
        let policy = policy.ok_or_else(|| {
            (
                "`policy` is not a JSON object".to_owned(),
                "write the session policy as JSON text: `'{\"Version\": \"2012-10-17\", …}'`".to_owned(),
            )
        });
        let arns = self.policy_arns.iter().filter(|arn| !is_arn(arn, ":policy/")).map(|arn| {
            (format!("`{arn}` is not the ARN of a policy"), "write it whole, such as `arn:aws:iam::aws:policy/ReadOnlyAccess`".to_owned())
        });
        let checked = [arn, region, endpoint, policy].into_iter().filter_map(Result::err);
        checked.chain(purpose::complaint(self.session)).chain(arns).collect()
    }

    /// Asks for keys with an action of its own and these parameters; signed where there are keys to sign with.
    ///
    /// # Errors
    /// What is missing, free of secrets and of text from outside.
    pub(in super::super) async fn ask(
        &self,
        (tools, purpose): (&Tools, &Purpose),
        action: &str,
        parameters: &[(String, &[u8])],
        signer: Option<&Material>,
    ) -> Result<Fetched, String> {
        let url = self.url();
        let endpoint = Endpoint::parse(&url).map_err(|(message, _)| format!("the token service cannot be called: {message}"))?;
        let body = self.form(purpose, action, parameters);
        let mut head = request::head(&url, "application/x-www-form-urlencoded", "application/xml")?;
        if let Some(keys) = signer {
            request::sign(&mut head, &url, &body, keys, ("sts", self.region.unwrap_or(REGION_DEFAULT)))?;
        }
        let answer = tools.http.post(&endpoint, head.headers, body).await.map_err(|fault| format!("the token service {fault}"))?;
        read(&answer).map_err(|fault| format!("the token service {fault}"))
    }

    fn url(&self) -> String {
        match (self.endpoint, self.region) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, Some(region)) if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn/"),
            (None, Some(region)) => format!("https://sts.{region}.amazonaws.com/"),
            (None, None) => "https://sts.amazonaws.com/".to_owned(),
        }
    }

    fn form(&self, purpose: &Purpose, action: &str, parameters: &[(String, &[u8])]) -> Zeroizing<Vec<u8>> {
        let session = session_name(&purpose.fill(self.session));
        let lifetime = self.lifetime.as_secs().to_string();
        let fixed = [
            ("Action", action),
            ("Version", "2011-06-15"),
            ("RoleArn", self.arn),
            ("RoleSessionName", &session),
            ("DurationSeconds", &lifetime),
        ];
        let mut all: Vec<(String, &[u8])> = fixed.map(|(name, value)| (name.to_owned(), value.as_bytes())).to_vec();
        all.extend(self.policy.map(|policy| ("Policy".to_owned(), policy.as_bytes())));
        let arns = self.policy_arns.iter().zip(1_usize..);
        all.extend(arns.map(|(arn, number)| (format!("PolicyArns.member.{number}.arn"), arn.as_bytes())));
        all.extend(parameters.iter().cloned());
        // Three bytes for one at most: with the room taken beforehand, growing leaves no copy of a token behind.
        let mut form = Zeroizing::new(Vec::with_capacity(all.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum()));
        for (name, value) in all {
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(name.as_bytes());
            form.push(b'=');
            form_urlencoded::byte_serialize(value).for_each(|part| form.extend_from_slice(part.as_bytes()));
        }
        form
    }
}

/// Tags of a session, from templates.
pub(in super::super) fn tags(tags: &BTreeMap<String, String>, purpose: &Purpose) -> Vec<(String, String)> {
    let member = |(number, (key, value)): (usize, (&String, &String))| {
        let name = |part: &str| format!("Tags.member.{}.{part}", number + 1);
        [(name("Key"), key.clone()), (name("Value"), purpose.fill(value))]
    };
    tags.iter().enumerate().flat_map(member).collect()
}

/// A name that the service takes: other characters than it knows become hyphens.
fn session_name(filled: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' };
    let mut name: String = filled.chars().take(SESSION_CHARS_MAX).map(plain).collect();
    while name.len() < 2 {
        name.push('-');
    }
    name
}

/// `arn:PARTITION:iam::ACCOUNT:KIND…`.
fn is_arn(text: &str, kind: &str) -> bool {
    text.starts_with("arn:") && text.contains(":iam::") && text.contains(kind) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The keys in the answer. It is read where it lies: no copy of a secret is made but the one that is kept.
fn read(answer: &Answer) -> Result<Fetched, String> {
    let status = answer.status.as_u16();
    let text = std::str::from_utf8(&answer.body).ok();
    let document = text.and_then(|text| roxmltree::Document::parse(text).ok());
    let text_of = |name: &str| {
        let document = document.as_ref()?;
        document.descendants().find(|node| node.tag_name().name() == name)?.text().map(str::trim)
    };
    if status != 200 {
        let code = text_of("Code").and_then(|code| ERROR_CODES.into_iter().find(|known| *known == code));
        return Err(code.map_or_else(|| format!("answered {status}"), |code| format!("answered {status} with `{code}`")));
    }
    let needed = |name: &str| {
        let text = text_of(name).ok_or_else(|| format!("answered 200 without `{name}`"))?;
        file::check(text.as_bytes()).map_err(|fault| format!("gave a `{name}` that {fault}"))?;
        Ok::<&str, String>(text)
    };
    let expiration = needed("Expiration")?.parse().map_err(|_| "gave an `Expiration` that is no time of RFC 3339".to_owned())?;
    let lifetime = answer.until(expiration);
    if lifetime.is_zero() {
        return Err("gave keys that have expired already".to_owned());
    }
    let material = Material::AwsKeys {
        access_key_id: needed("AccessKeyId")?.to_owned(),
        secret_access_key: Secret::new(needed("SecretAccessKey")?.into()),
        session_token: Some(Secret::new(needed("SessionToken")?.into())),
    };
    Ok(Fetched { material, lifetime: Some(lifetime), handle: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_name_that_the_service_takes() {
        for (filled, name) in
            [("agent-7", "agent-7"), ("uid 1000/x:é", "uid-1000-x--"), ("", "--"), ("a", "a-"), ("a_b+c=d,e.f@g", "a_b+c=d,e.f@g")]
        {
            assert_eq!(session_name(filled), name);
        }
        assert_eq!(session_name(&"x".repeat(100)).len(), SESSION_CHARS_MAX);
    }
}
