//! AWS Signature Version 4: the request is signed for the service and region of the policy, at the time that is handed in.

use std::borrow::Cow;

use aws_lc_rs::{digest, hmac};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

/// Signatures for several regions (Signature Version 4A).
mod asymmetric;

/// What the signature covers, as AWS spells it.
mod canonical;

/// Bodies in chunks, signed on their way.
mod chunks;

/// Keys, and the signing keys that are derived from them.
mod keys;

/// Actions that answer with a credential.
mod minting;

/// The signature in the query, for URLs that were signed beforehand.
mod presigned;

/// Region and service.
mod scope;

/// Date and time.
mod stamp;

use canonical::{Canonical, PathForm};
use chunks::Streaming;
use scope::{Scope, Scopes};
use stamp::Stamp;

use super::encoding::hex;
use super::size::Size;
use super::{Complaint, Existing, Inject, Payload, Rendered, Sending, slot};
use crate::material::{Material, MaterialKind, Secret};

pub use chunks::Chunks;
pub(super) use keys::Keys;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

static AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
static AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
static AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Signs requests with AWS keys (Signature Version 4). The application signs with keys that are worth nothing, or not at all.
///
/// Service and region come from these lists, never from what the application signed for; its date, signature and session token are
/// replaced. A URL that it signed beforehand is signed anew, for five minutes at most. Both forms on one request are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The services that may be signed for, under AWS's names, such as `[s3]`. Among several the host of the destination selects.
    pub services: Vec<String>,
    /// The regions that may be signed for, such as `[eu-west-1]`. Among several the host of the destination selects.
    pub regions: Vec<String>,
    /// Whether requests are signed for all of `regions` at once (Signature Version 4A), as multi-region access points of S3 want it. The
    /// regions may be sets then: `["*"]`, `["us-*"]`. Default `false`.
    #[serde(default)]
    pub asymmetric: bool,
    /// The largest body that is read before it is sent, where its hash is signed and the application does not name it in
    /// `x-amz-content-sha256`: every service but S3. Default `1MiB`, at most `16MiB`.
    #[serde(default)]
    pub body_max: Size,
    /// Actions that may be asked for although they answer with a credential, such as `[AssumeRole]`. Default: none of those that are known.
    #[serde(default)]
    pub mints: Vec<String>,
    /// What happens to a signature that the application sent. Default: `overwrite`. With `require_placeholder` its access key id must be
    /// the placeholder.
    #[serde(default)]
    pub existing: Existing,
}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct Sigv4 {
    scopes: Scopes,
    /// The set of regions that is signed for, where it is signed for all of them.
    region_set: Option<String>,
    body_bytes_max: usize,
    /// `None` for our own calls, which may ask for whatever they are made for.
    mints: Option<Vec<String>>,
    existing: Existing,
}

impl Sigv4 {
    pub(super) fn compile(shape: &Shape) -> Result<Self, Complaint> {
        let compile = if shape.asymmetric { Scopes::of_sets } else { Scopes::compile };
        let scopes = compile(&shape.services, &shape.regions)?;
        if let Some(unknown) = shape.mints.iter().find(|action| !minting::is_action(action)) {
            return Err((
                format!("`{unknown}` is no action that is refused"),
                "remove it: `mints` names actions that answer with a credential".into(),
            ));
        }
        let region_set = shape.asymmetric.then(|| scopes.region_set());
        Ok(Self { scopes, region_set, body_bytes_max: shape.body_max.0, mints: Some(shape.mints.clone()), existing: shape.existing })
    }

    /// For calls of our own.
    pub(super) fn own(service: &str, region: &str) -> Result<Self, Complaint> {
        let (services, regions) = (vec![service.to_owned()], vec![region.to_owned()]);
        let scopes = Scopes::compile(&services, &regions)?;
        Ok(Self { scopes, region_set: None, body_bytes_max: Size::default().0, mints: None, existing: Existing::Overwrite })
    }

    /// What a request to this authority is signed for.
    fn scope(&self, authority: &str) -> Result<Scope<'_>, String> {
        match &self.region_set {
            Some(region) => Ok(Scope { region, service: self.scopes.service(authority)? }),
            None => self.scopes.of(authority),
        }
    }
}

impl Inject for Sigv4 {
    fn takes(&self) -> MaterialKind {
        MaterialKind::AwsKeys
    }

    fn existing(&self) -> Existing {
        self.existing
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        is_own(name)
    }

    fn owns_query_key(&self, key: &str) -> bool {
        presigned::is_key(key)
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let keys = Keys::of(material)?;
        let needles = match material {
            Material::AwsKeys { secret_access_key, session_token, .. } => {
                let secret = Secret::new(secret_access_key.expose().to_vec());
                std::iter::once(secret).chain(session_token.iter().flat_map(presigned::needles)).collect()
            }
            Material::Token(_)
            | Material::UserPassword { .. }
            | Material::Certificate { .. }
            | Material::PrivateKey(_)
            | Material::BoundToken { .. } => Vec::new(),
        };
        Ok(Rendered { aws: Some(keys), needles, ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        slot::occupied(&head.headers, &AUTHORIZATION) || presigned::stands_in(head)
    }

    fn holds(&self, head: &Parts, placeholder: &Secret) -> bool {
        if presigned::stands_in(head) {
            return presigned::holds(head, placeholder);
        }
        slot::only(&head.headers, &AUTHORIZATION)
            .and_then(|value| [ALGORITHM, asymmetric::ALGORITHM].iter().find_map(|name| value.as_bytes().strip_prefix(name.as_bytes())))
            .and_then(|rest| rest.trim_ascii_start().strip_prefix(b"Credential="))
            .and_then(|credential| credential.split(|byte| *byte == b'/').next())
            .is_some_and(|id| placeholder.is(id))
    }

    fn unreadable(&self, head: &Parts) -> Option<&'static str> {
        if presigned::stands_in(head) && slot::occupied(&head.headers, &AUTHORIZATION) {
            return Some("a signature stands in the query and a credential in `authorization`");
        }
        let hashes = head.headers.keys().filter(|name| slot::is_spelling_of(name, &AMZ_CONTENT_SHA256));
        let values = hashes.map(|name| head.headers.get_all(name).iter().count()).sum::<usize>();
        (values > 1).then_some("`x-amz-content-sha256` stands there more than once")
    }

    fn misplaced(&self, authority: &str) -> Option<Complaint> {
        let help = "list it, or one service and one region where the host is not of AWS";
        self.scope(authority).err().map(|why| (why, help.to_owned()))
    }

    fn body_bytes_max(&self, head: &Parts, authority: &str) -> Option<usize> {
        let named = head.headers.contains_key(&AMZ_CONTENT_SHA256);
        let scope = self.scope(authority).ok()?;
        let reads = minting::reads_body(scope.service) || !named && !scope.is_s3();
        reads.then_some(self.body_bytes_max)
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, sending: &Sending<'_>) -> Result<Payload, String> {
        let keys = rendered.aws.as_ref().ok_or("the credential was rendered for another injection")?;
        if !head.uri.path().starts_with('/') {
            return Err("the request's target has no path".to_owned());
        }
        let scope = self.scope(sending.authority)?;
        if let Some(mints) = &self.mints {
            minting::refuse(head, scope, sending.body, mints)?;
        }
        if let Some(region_set) = &self.region_set {
            return asymmetric::sign(head, keys, scope.service, region_set, sending);
        }
        let signing = Signing::new(keys, scope, Stamp::of(sending.now));
        if presigned::stands_in(head) {
            return presigned::sign(head, &signing, sending);
        }
        let payload_hash = payload_hash(head, scope, sending)?;
        let mut set = vec![(AMZ_DATE.clone(), signing.stamp_value()?)];
        if let Some(token) = &keys.session_token {
            set.push((AMZ_SECURITY_TOKEN.clone(), token.clone()));
        }
        if scope.is_s3() && !head.headers.contains_key(&AMZ_CONTENT_SHA256) {
            set.push((AMZ_CONTENT_SHA256.clone(), value(&payload_hash)?));
        }
        let (canonical, signed) = signing.canonical(head, sending, &set, head.uri.query().unwrap_or_default(), &payload_hash).write();
        let signature = signing.sign(&canonical);
        let credential = &signing.credential();
        let mut authorization =
            value(&[ALGORITHM, " Credential=", credential, ", SignedHeaders=", &signed, ", Signature=", &signature].concat())?;
        authorization.set_sensitive(true);
        set.push((AUTHORIZATION, authorization));
        let streaming = Streaming::parse(&payload_hash);
        replace(head, set)?;
        Ok(streaming.map_or(Payload::AsItCame, |streaming| Payload::Resigned(Box::new(Chunks::new(streaming, &signing, signature)))))
    }
}

/// What one request is signed with.
struct Signing<'k> {
    keys: &'k Keys,
    scope: Scope<'k>,
    stamp: Stamp,
}

impl<'k> Signing<'k> {
    fn new(keys: &'k Keys, scope: Scope<'k>, stamp: Stamp) -> Self {
        Self { keys, scope, stamp }
    }

    /// The credential scope: `20150830/us-east-1/s3/aws4_request`.
    fn scope_text(&self) -> String {
        [self.stamp.date(), "/", self.scope.region, "/", self.scope.service, "/aws4_request"].concat()
    }

    fn credential(&self) -> String {
        [&self.keys.access_key_id, "/", &self.scope_text()].concat()
    }

    fn stamp_value(&self) -> Result<HeaderValue, String> {
        value(self.stamp.as_str())
    }

    fn canonical<'r>(
        &self,
        head: &'r Parts,
        sending: &'r Sending<'_>,
        set: &'r [(HeaderName, HeaderValue)],
        query: &'r str,
        payload_hash: &'r str,
    ) -> Canonical<'r> {
        Canonical {
            method: &head.method,
            path: head.uri.path(),
            path_form: if self.scope.is_s3() { PathForm::Once } else { PathForm::Twice },
            query,
            headers: &head.headers,
            signs: is_signed,
            authority: sending.authority,
            set,
            payload_hash,
        }
    }

    /// The signature of a canonical request, in hexadecimal digits.
    fn sign(&self, canonical: &[u8]) -> String {
        let hash = hex(digest::digest(&digest::SHA256, canonical).as_ref());
        let text = [ALGORITHM, "\n", self.stamp.as_str(), "\n", &self.scope_text(), "\n", &hash].concat();
        let key = self.keys.signing_key(&self.stamp, self.scope.region, self.scope.service);
        hex(hmac::sign(&key.hmac, text.as_bytes()).as_ref())
    }
}

/// The headers that come with a signature: whatever the application put there goes.
fn is_own(name: &HeaderName) -> bool {
    [&AUTHORIZATION, &AMZ_DATE, &AMZ_SECURITY_TOKEN, &asymmetric::AMZ_REGION_SET].iter().any(|own| slot::is_spelling_of(name, own))
}

/// The headers that AWS wants signed. Others may be changed by what stands between us and the service.
fn is_signed(name: &HeaderName) -> bool {
    !is_own(name) && (name == http::header::CONTENT_TYPE || name == CONTENT_MD5 || name.as_str().starts_with("x-amz-"))
}

/// What stands for the body. The application's own hash is passed on in the signature: the service verifies the body against it.
fn payload_hash<'h>(head: &'h Parts, scope: Scope<'_>, sending: &Sending<'_>) -> Result<Cow<'h, str>, String> {
    if let Some(named) = head.headers.get(&AMZ_CONTENT_SHA256) {
        let named = named.to_str().unwrap_or_default();
        let is_hash = named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let streams = scope.is_s3() && Streaming::parse(named).is_some();
        return if is_hash || streams || named == UNSIGNED_PAYLOAD {
            Ok(Cow::Borrowed(named))
        } else {
            Err("`x-amz-content-sha256` is no hash in hexadecimal digits, nor anything else that can be signed".to_owned())
        };
    }
    match sending.body {
        Some(body) => Ok(Cow::Owned(hex(digest::digest(&digest::SHA256, body).as_ref()))),
        None if scope.is_s3() => Ok(Cow::Borrowed(UNSIGNED_PAYLOAD)),
        None => Err("the body must be read before it is signed".to_owned()),
    }
}

/// Replaces what the application sent by what was signed.
fn replace(head: &mut Parts, set: Vec<(HeaderName, HeaderValue)>) -> Result<(), String> {
    const TOO_MANY: &str = "the request has too many headers";
    head.headers.try_reserve(set.len()).map_err(|_| TOO_MANY)?;
    while let Some(own) = head.headers.keys().find(|name| is_own(name)).cloned() {
        head.headers.remove(own);
    }
    for (name, value) in set {
        head.headers.try_insert(name, value).map_err(|_| TOO_MANY)?;
    }
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "the signature fits no header".to_owned())
}

#[cfg(test)]
mod tests;
