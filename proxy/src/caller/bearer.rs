use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use http::HeaderValue;
use jsonwebtoken::dangerous::insecure_decode_claims;
use keygress_policy::workload::{Caller, Token};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::keys::{Keys, Place};
use super::task::LENIENT;
use super::{Unproven, jwt, kubernetes};

/// The user name of a token in `https://jwt:TOKEN@BROKER`, for clients that know no other proxy credentials.
const USER: &str = "jwt:";

/// An issuer whose tokens are believed.
pub struct Issuer {
    expected: jwt::Expected,
    keys: Keys,
    is_cluster: bool,
}

impl Issuer {
    /// Believes the tokens of this issuer that are for this audience. Those of a Kubernetes cluster (`is_cluster`) also prove pods.
    #[must_use]
    pub fn new(issuer: String, audience: String, place: Place, is_cluster: bool) -> Self {
        Self { expected: jwt::Expected { issuer, audience }, keys: Keys::at(place), is_cluster }
    }
}

/// The holder of a token, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// What the token proves.
    pub token: Token,
    /// Its pod, where the issuer is a cluster.
    pub pod: Option<keygress_policy::workload::Pod>,
    /// When the token proves nothing any more.
    pub until: SystemTime,
}

impl Bearer {
    /// The caller: what was proven before, and this.
    #[must_use]
    pub fn over(&self, caller: Caller) -> Caller {
        Caller { pod: self.pod.clone(), token: Some(self.token.clone()), ..caller }
    }
}

/// Proves workloads by the JWTs that their platform gives them.
#[derive(Default)]
pub struct Issuers(Vec<Issuer>);

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|issuer| &issuer.expected)).finish()
    }
}

/// The claim by which the issuer of a token is found; it is believed once the token is verified.
#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

impl Issuers {
    /// Believes these.
    #[must_use]
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers)
    }

    /// Whether none is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// [`Unproven::BadToken`].
    pub async fn prove(&self, token: &str) -> Result<Bearer, Unproven> {
        let refused = Unproven::BadToken;
        if token.len() > jwt::TOKEN_BYTES_MAX {
            return Err(refused("is too long"));
        }
        let claimed = insecure_decode_claims::<Claimed>(token).map_err(|_| refused("is not a JWT with an issuer"))?.iss;
        let issuer = self
            .0
            .iter()
            .find(|issuer| issuer.expected.issuer == claimed)
            .ok_or(refused("comes from an issuer that is not believed here"))?;
        let verify = |keys: &_| jwt::verify(token, keys, &issuer.expected, SystemTime::now());
        let claims = issuer.keys.try_with(verify).await.map_err(refused)?;
        let until = UNIX_EPOCH + Duration::from_secs(claims.until);
        let pod = if issuer.is_cluster { Some(kubernetes::pod(&claims.all).map_err(refused)?) } else { None };
        Ok(Bearer { token: read(&issuer.expected.issuer, &claims.all), pod, until })
    }
}

fn read(issuer: &str, claims: &Map<String, Value>) -> Token {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    let values = |value: &Value| -> Vec<String> {
        value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().filter_map(text).collect()
    };
    let claims: BTreeMap<_, _> =
        claims.iter().map(|(name, value)| (name.clone(), values(value))).filter(|(_, values)| !values.is_empty()).collect();
    Token { issuer: issuer.to_owned(), subject, claims }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The JWT in proxy credentials: `Bearer TOKEN`, or `Basic` for the user `jwt`.
#[must_use]
pub fn presented(value: &HeaderValue) -> Option<Zeroizing<String>> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(credentials.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") || credentials.len() > 2 * jwt::TOKEN_BYTES_MAX {
        return None;
    }
    let decoded = Zeroizing::new(LENIENT.decode(credentials).ok()?);
    str::from_utf8(&decoded).ok()?.strip_prefix(USER).map(|token| Zeroizing::new(token.to_owned()))
}
