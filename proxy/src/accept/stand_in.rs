//! The reserved routes at which SDKs ask for their own credentials: they are given stand-ins, by the same proof as everything else.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use jiff::Timestamp;

use super::gate;
use super::serve::Door;
use crate::body::Body;
use crate::caller::RunningTask;
use crate::exchange::Line;
use crate::refusal::{Code, Refusal};
use crate::stand_ins::{self, Cloud};
use crate::{Credential, Policy};

const METADATA_FLAVOR: &str = "metadata-flavor";

/// What is asked for.
enum Wanted<'r> {
    /// `/.keygress/aws/NAME`.
    Aws(&'r str),
    /// `/.keygress/oauth2/NAME`: a token endpoint.
    Oauth2(&'r str),
    /// `/.keygress/azure`.
    Azure,
    /// Below `/computeMetadata/v1/`, or its root, by which SDKs find out where they are.
    Google(&'r str),
    /// Something else under the reserved route.
    Nothing,
}

/// The answer, where the request is for a reserved route.
pub(super) fn answer(line: &Line, door: &Door, request: &Request<Incoming>) -> Option<Result<Response<Body>, Refusal>> {
    // What was captured is for its destination, not for us.
    let wanted = wanted(request.uri(), request.headers()).filter(|_| door.captured.is_none() && is_ours(line, request.uri()))?;
    Some(admitted(line, door, request, &wanted))
}

fn wanted<'r>(uri: &'r Uri, headers: &HeaderMap) -> Option<Wanted<'r>> {
    let path = uri.path();
    if let Some(asked) = path.strip_prefix(stand_ins::METADATA) {
        return Some(Wanted::Google(asked));
    }
    if path == "/" && headers.contains_key(METADATA_FLAVOR) {
        return Some(Wanted::Google(""));
    }
    let rest = path.strip_prefix(stand_ins::ROUTE)?;
    Some(match rest.split_once('/') {
        Some(("aws", name)) => Wanted::Aws(name),
        Some(("oauth2", name)) => Wanted::Oauth2(name),
        None if rest == "azure" => Wanted::Azure,
        Some(_) | None => Wanted::Nothing,
    })
}

/// A client that sends everything through its proxy asks for our own listener by its address.
fn is_ours(line: &Line, uri: &Uri) -> bool {
    match uri.authority() {
        None => true,
        Some(authority) => {
            let address = authority.as_str().replace("localhost", "127.0.0.1").parse::<SocketAddr>();
            uri.scheme_str() == Some("http") && address.is_ok_and(|address| line.shared().connector.leads_here(&address))
        }
    }
}

fn admitted(line: &Line, door: &Door, request: &Request<Incoming>, wanted: &Wanted<'_>) -> Result<Response<Body>, Refusal> {
    let task = gate::prove_local(line, door.clone(), request)?;
    let method = if matches!(wanted, Wanted::Oauth2(_)) { Method::POST } else { Method::GET };
    if request.method() != method {
        return Err(Refusal::new(Code::MethodNotCarried, "a stand-in is not asked for by this method"));
    }
    let snapshot = line.shared().live.load();
    let task = task.as_deref();
    match wanted {
        Wanted::Aws(name) => json(&stand_ins::aws(&held(named(&snapshot.policy, name)?, task), Timestamp::now())),
        Wanted::Oauth2(name) => json(&stand_ins::token(&held(named(&snapshot.policy, name)?, task))),
        Wanted::Azure => azure(&snapshot.policy, task, request),
        Wanted::Google(asked) => google(&snapshot.policy, task, request, asked),
        Wanted::Nothing => Err(unknown()),
    }
}

fn held(credential: &Credential, task: Option<&RunningTask>) -> String {
    stand_ins::held(credential, task)
}

fn named<'p>(policy: &'p Policy, name: &str) -> Result<&'p Credential, Refusal> {
    policy.credentials().iter().find(|credential| credential.name.as_str() == name).map(|credential| &**credential).ok_or_else(unknown)
}

fn of_cloud(policy: &Policy, cloud: Cloud) -> Result<&Credential, Refusal> {
    cloud.credential(policy).map(|credential| &**credential).ok_or_else(unknown)
}

fn azure(policy: &Policy, task: Option<&RunningTask>, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
    if !request.headers().contains_key("x-identity-header") {
        return Err(Refusal::new(Code::CallerRefused, "the identity endpoint is asked with `X-IDENTITY-HEADER`"));
    }
    let pairs = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let resource = pairs.into_iter().find(|(key, _)| key == "resource").map(|(_, value)| value.into_owned()).unwrap_or_default();
    json(&stand_ins::azure(&held(of_cloud(policy, Cloud::Azure)?, task), &resource, Timestamp::now()))
}

/// What Google's SDKs ask before they use a token: where they are, whose token it is, and the token itself. Nothing is said of the machine.
fn google(policy: &Policy, task: Option<&RunningTask>, request: &Request<Incoming>, asked: &str) -> Result<Response<Body>, Refusal> {
    if request.headers().get(METADATA_FLAVOR).is_none_or(|flavor| flavor != "Google") {
        return Err(Refusal::new(Code::CallerRefused, "the metadata server is asked with `Metadata-Flavor: Google`"));
    }
    let held = held(of_cloud(policy, Cloud::Google)?, task);
    let account = asked.strip_prefix("instance/service-accounts/").and_then(|rest| rest.split_once('/'));
    let mut response = match (asked, account) {
        ("", _) => text("computeMetadata/\n"),
        ("universe/universe-domain" | "universe/universe_domain", _) => text("googleapis.com"),
        ("project/project-id", _) => text("keygress"),
        (_, Some((_, "token"))) => json(&stand_ins::token(&held)),
        (_, Some((_, "email"))) => text("default"),
        (_, Some((_, ""))) => json(&serde_json::json!({
            "aliases": ["default"], "email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        })),
        _ => Err(unknown()),
    }?;
    response.headers_mut().insert(METADATA_FLAVOR, HeaderValue::from_static("Google"));
    Ok(response)
}

fn unknown() -> Refusal {
    Refusal::new(Code::UnknownDestination, "there is no such stand-in: the policy has no credential for it")
}

fn json(value: &serde_json::Value) -> Result<Response<Body>, Refusal> {
    Ok(respond("application/json", value.to_string()))
}

fn text(value: &str) -> Result<Response<Body>, Refusal> {
    Ok(respond("application/text", value.to_owned()))
}

fn respond(kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::text(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
