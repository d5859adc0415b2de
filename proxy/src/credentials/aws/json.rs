use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use keygress_policy::inject::Injection;
use keygress_policy::material::Material;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::Tools;
use super::super::http::{Answer, Endpoint};
use super::request;

/// The error codes of the stores: no other text of theirs is ever repeated.
const ERROR_CODES: [&str; 16] = [
    "AccessDeniedException",
    "DecryptionFailure",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalServiceError",
    "InvalidClientTokenId",
    "InvalidKeyId",
    "InvalidParameterException",
    "InvalidRequestException",
    "InvalidSignatureException",
    "ParameterNotFound",
    "ParameterVersionNotFound",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "ThrottlingException",
    "UnrecognizedClientException",
];

/// A service of AWS that speaks JSON 1.1.
pub(in super::super) struct Service<'a> {
    /// What people call it.
    pub(in super::super) title: &'static str,
    /// Its name in hosts and signatures.
    pub(in super::super) name: &'static str,
    /// Where it is.
    pub(in super::super) region: &'a str,
    /// Another URL than the region's.
    pub(in super::super) endpoint: Option<&'a str>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    #[serde(rename = "__type")]
    kind: String,
}

impl Service<'_> {
    /// What is wrong with its shape, as (message, help).
    pub(in super::super) fn complaints(&self) -> Vec<(String, String)> {
        let region = Injection::sigv4(self.name, self.region).map(drop);
        let endpoint = Endpoint::parse(&self.url()).map(drop);
        [region, endpoint].into_iter().filter_map(Result::err).collect()
    }

    /// Calls an action of it, signed with these keys.
    ///
    /// # Errors
    /// What is missing, free of secrets and of text from outside; an answer with an error status is one.
    pub(in super::super) async fn ask(&self, tools: &Tools, action: &'static str, body: &Value, keys: &Material) -> Result<Answer, String> {
        let (title, url) = (self.title, self.url());
        let endpoint = Endpoint::parse(&url).map_err(|(message, _)| format!("{title} cannot be called: {message}"))?;
        let body = Zeroizing::new(body.to_string().into_bytes());
        let mut head = request::head(&url, "application/x-amz-json-1.1", "application/json")?;
        head.headers.insert(HeaderName::from_static("x-amz-target"), HeaderValue::from_static(action));
        request::sign(&mut head, &url, &body, keys, (self.name, self.region))?;
        let answer = tools.http.post(&endpoint, head.headers, body).await.map_err(|fault| format!("{title} {fault}"))?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(format!("{title} {}", fault(&answer))) }
    }

    fn url(&self) -> String {
        match self.endpoint {
            Some(endpoint) => endpoint.to_owned(),
            None if self.region.starts_with("cn-") => format!("https://{}.{}.amazonaws.com.cn/", self.name, self.region),
            None => format!("https://{}.{}.amazonaws.com/", self.name, self.region),
        }
    }
}

fn fault(answer: &Answer) -> String {
    let kind = serde_json::from_slice::<ErrorResponse>(&answer.body).ok().map(|error| error.kind);
    // Some services write it with their namespace before a `#`.
    let code = kind.as_deref().map(|kind| kind.rsplit('#').next().unwrap_or(kind));
    match code.and_then(|code| ERROR_CODES.into_iter().find(|known| *known == code)) {
        Some(code) => format!("answered {} with `{code}`", answer.status.as_u16()),
        None => answer.fault(),
    }
}
