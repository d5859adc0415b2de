use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::http::Uri;
use hyper::http::request::{Parts, Request};
use jiff::Timestamp;
use keygress_policy::destination::Scheme;
use keygress_policy::inject::{Injection, Sending};
use keygress_policy::material::Material;

use super::super::nonce;

/// The head of a POST to a service.
///
/// # Errors
/// Where it has no URL.
pub(super) fn head(url: &str, content_type: &'static str, accept: &'static str) -> Result<Parts, String> {
    let path = url.parse::<Uri>().ok().and_then(|uri| uri.path_and_query().cloned());
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::POST;
    head.uri = path.map(Uri::from).ok_or("the service has no URL")?;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    head.headers.insert(ACCEPT, HeaderValue::from_static(accept));
    Ok(head)
}

/// Signs it with keys.
///
/// # Errors
/// Where the keys cannot be used.
pub(super) fn sign(head: &mut Parts, url: &str, body: &[u8], keys: &Material, (service, region): (&str, &str)) -> Result<(), String> {
    let signer = Injection::sigv4(service, region).map_err(|(message, _)| message)?;
    let rendered = signer.render(keys).map_err(|fault| format!("the keys to sign with cannot be used: {fault}"))?;
    let url = url.parse::<Uri>().map_err(|_| "the service has no URL".to_owned())?;
    let authority = url.authority().map_or("", |authority| authority.as_str());
    signer.act(head, &rendered, &Sending { now: Timestamp::now(), nonce, scheme: Scheme::Https, authority, body: Some(body) }).map(drop)
}
