use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(super) const CLIENT_ID: &str = "keygress client";
pub(super) const CLIENT_SECRET: &str = "canary/+:%secret";

/// What the issuer does with the next calls.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    /// Issues tokens that live so many seconds; `None` does not say.
    Issue(Option<u64>),
    /// This answer, whatever is asked.
    Answer(u16, &'static str),
    /// Takes the request and never answers.
    Silence,
}

pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    token: Mutex<Behaviour>,
    revocation: Mutex<Behaviour>,
    issued: watch::Sender<usize>,
    revoked: watch::Sender<usize>,
    alive: Mutex<BTreeSet<String>>,
    last_form: Mutex<Vec<(String, String)>>,
}

impl Issuer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            token: Mutex::new(Behaviour::Issue(Some(3600))),
            revocation: Mutex::new(Behaviour::Issue(None)),
            issued: watch::Sender::new(0),
            revoked: watch::Sender::new(0),
            alive: Mutex::default(),
            last_form: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared }
    }

    /// Token calls so far.
    pub(super) fn token_calls(&self) -> usize {
        *self.shared.issued.borrow()
    }

    /// Revocation calls so far.
    pub(super) fn revocation_calls(&self) -> usize {
        *self.shared.revoked.borrow()
    }

    pub(super) async fn until_token_calls(&self, calls: usize) {
        self.shared.issued.subscribe().wait_for(|made| *made >= calls).await.unwrap();
    }

    pub(super) async fn until_revocation_calls(&self, calls: usize) {
        self.shared.revoked.subscribe().wait_for(|made| *made >= calls).await.unwrap();
    }

    pub(super) fn on_token(&self, behaviour: Behaviour) {
        *self.shared.token.lock().unwrap() = behaviour;
    }

    pub(super) fn on_revocation(&self, behaviour: Behaviour) {
        *self.shared.revocation.lock().unwrap() = behaviour;
    }

    /// The tokens that an introspection would call active.
    pub(super) fn alive(&self) -> BTreeSet<String> {
        self.shared.alive.lock().unwrap().clone()
    }

    /// A parameter of the last call.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let form = self.shared.last_form.lock().unwrap();
        form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.method(), Method::POST);
    assert!(request.headers().contains_key(HOST));
    assert_eq!(request.headers()[CONTENT_TYPE], "application/x-www-form-urlencoded");
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let form = parse_form(std::str::from_utf8(&body).unwrap());
    *shared.last_form.lock().unwrap() = form.clone();
    let parameter = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (counter, behaviour) = match path.as_str() {
        "/token" => (&shared.issued, shared.token.lock().unwrap().clone()),
        "/revoke" => (&shared.revoked, shared.revocation.lock().unwrap().clone()),
        path => panic!("nobody may ask for {path}"),
    };
    counter.send_modify(|calls| *calls += 1);
    let lifetime = match behaviour {
        Behaviour::Issue(lifetime) => lifetime,
        Behaviour::Answer(status, body) => return Ok(reply(status, body)),
        Behaviour::Silence => return std::future::pending().await,
    };
    if !is_client(authorization.as_deref(), parameter("client_id"), parameter("client_secret")) {
        return Ok(reply(401, r#"{"error":"invalid_client"}"#));
    }
    if path == "/revoke" {
        shared.alive.lock().unwrap().remove(parameter("token").unwrap());
        return Ok(reply(200, ""));
    }
    if parameter("grant_type") != Some("client_credentials") {
        return Ok(reply(400, r#"{"error":"unsupported_grant_type"}"#));
    }
    let token = format!("canary-token-{}", *shared.issued.borrow());
    shared.alive.lock().unwrap().insert(token.clone());
    let expires_in = lifetime.map(|seconds| format!(r#","expires_in":{seconds}"#)).unwrap_or_default();
    Ok(reply(200, &format!(r#"{{"access_token":"{token}","token_type":"bearer"{expires_in}}}"#)))
}

/// By RFC 6749, section 2.3.1: exactly one of the two ways.
fn is_client(authorization: Option<&str>, id: Option<&str>, secret: Option<&str>) -> bool {
    let Some(authorization) = authorization else { return id == Some(CLIENT_ID) && secret == Some(CLIENT_SECRET) };
    let pair = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ").unwrap()).unwrap();
    let pair = String::from_utf8(pair).unwrap();
    let (user, password) = pair.split_once(':').unwrap();
    id.is_none() && secret.is_none() && decode(user) == CLIENT_ID && decode(password) == CLIENT_SECRET
}

fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

fn reply(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 401 {
        response.headers_mut().insert(WWW_AUTHENTICATE, "Basic realm=\"issuer\"".parse().unwrap());
    }
    if status == 302 {
        response.headers_mut().insert(LOCATION, "/elsewhere".parse().unwrap());
    }
    response
}
