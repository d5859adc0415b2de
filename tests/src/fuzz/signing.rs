use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderValue, Request};
use keygress_policy::destination::Scheme;
use keygress_policy::inject::{Injection, Sending};
use keygress_policy::material::{Material, Secret};

const AUTHORITY: &str = "s3.eu-west-1.amazonaws.com";
const SECONDS: i64 = 1_700_000_000;
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request that the bytes spell is signed as the SDK of AWS signs it. Lines are segments of the path, keys and values of the query, the
/// value of a header, and the body; each is encoded as a client of S3 encodes it, so that both sides are asked the same.
pub(super) fn signing(bytes: &[u8]) -> Result<()> {
    static INJECTION: OnceLock<Option<Injection>> = OnceLock::new();
    let injection = INJECTION.get_or_init(|| Injection::sigv4("s3", "eu-west-1").ok()).as_ref().context("no injection")?;
    // The SDK reads a query as text: what is none it repairs, and is asked something else.
    if bytes.split(|byte| *byte == b'\n').take(2).any(|line| std::str::from_utf8(line).is_err()) {
        return Ok(());
    }
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let path = line().split(|byte| *byte == b'/').map(encoded).collect::<Vec<_>>().join("/");
    let pairs = line().split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(at);
        format!("{}={}", encoded(key), encoded(value.get(1..).unwrap_or_default()))
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    let target = if query.is_empty() { format!("/{path}") } else { format!("/{path}?{query}") };
    let value = String::from_utf8_lossy(line()).trim().to_owned();
    let body = lines.collect::<Vec<_>>().join(&b'\n');
    // A caller's own signature in the query is another matter: it is signed anew there.
    let is_signed = query.to_ascii_lowercase().contains("x-amz-");
    if is_signed
        || HeaderValue::from_str(&value).is_err()
        || value.is_empty()
        || !value.is_ascii()
        || target.parse::<http::uri::PathAndQuery>().is_err()
    {
        return Ok(());
    }
    let mut head = Request::put(&target).header("x-amz-meta-a", &value).body(())?.into_parts().0;
    let secret_access_key = Secret::new(SECRET.as_bytes().to_vec());
    let material = Material::AwsKeys { access_key_id: ID.to_owned(), secret_access_key, session_token: None };
    let rendered = injection.render(&material).map_err(anyhow::Error::msg)?;
    let now = jiff::Timestamp::from_second(SECONDS)?;
    let sending = Sending { now, nonce: || [0; 16], scheme: Scheme::Https, authority: AUTHORITY, body: Some(&body) };
    if injection.act(&mut head, &rendered, &sending).is_err() {
        return Ok(());
    }
    let ours = head.headers.get("authorization").context("no signature")?.to_str()?.to_owned();
    let theirs = signed(&target, &value, &body)?;
    ensure!(ours == theirs, "{target}: {ours} here, {theirs} there");
    Ok(())
}

fn signed(target: &str, value: &str, body: &[u8]) -> Result<String> {
    let identity = Credentials::new(ID, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS.unsigned_abs());
    let params =
        v4::SigningParams::builder().identity(&identity).region("eu-west-1").name("s3").time(time).settings(settings).build()?.into();
    let headers = std::iter::once(("x-amz-meta-a", value));
    let request = SignableRequest::new("PUT", format!("https://{AUTHORITY}{target}"), headers, SignableBody::Bytes(body))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let found = instructions.headers().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value.to_owned());
    found.context("no signature there")
}

/// Every byte but the unreserved ones as an escape (RFC 3986, section 2.3), as S3 wants it.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text + &char::from(*byte).to_string()
        } else {
            text + &format!("%{byte:02X}")
        }
    })
}
