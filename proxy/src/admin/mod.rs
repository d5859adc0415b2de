//! Health, metrics and control. Names and numbers only: no endpoint returns secret material. Who opens a task gets its token, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::detect::Watch;
use crate::exchange::Shared;
use crate::metrics::Standing;
use crate::reload::Reloader;
use crate::stops::Measure;

/// The kill switch, and what leases there are.
mod stops;

/// What is usual of each credential.
mod baselines;

/// Tasks that are opened and closed here.
mod tasks;

/// What comes with a request that changes something.
mod order;

/// The sockets, and what a connection may be.
mod server;

/// Which requests on TCP a web page could have made.
mod origin;

pub use server::Server;
pub use tasks::Tasks;

/// What the endpoints speak of.
pub struct Admin {
    /// What the connections share.
    pub shared: Arc<Shared>,
    /// Answers `POST /reload`.
    pub reloader: Arc<Reloader>,
    /// Whether the credentials of the first policy were asked for.
    pub adopted: Arc<AtomicBool>,
    /// The tasks that were opened on the Unix socket.
    pub tasks: Arc<Tasks>,
    /// Who looks for abnormal reuse.
    pub watch: Option<Arc<Watch>>,
}

/// Through which socket a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The Unix socket: everything, for the user of this number, as the kernel says.
    Control(u32),
    /// TCP: health and metrics.
    ReadOnly,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// Answers one request. Only what changes something on the Unix socket has a body that is read.
    pub async fn answer(&self, door: Door, request: Request<Incoming>) -> Answer {
        match door {
            Door::ReadOnly => match origin::check(request.headers()) {
                Ok(()) => self.read(&request).unwrap_or_else(not_found),
                Err(why) => json_answer(StatusCode::FORBIDDEN, &json!({ "error": why })),
            },
            Door::Control(uid) => match self.read(&request) {
                Some(answer) => answer,
                None => self.control(uid, request).await,
            },
        }
    }

    /// Health and metrics; `None` where it is asked for something else.
    fn read<B>(&self, request: &Request<B>) -> Option<Answer> {
        let path = request.uri().path();
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return None;
        }
        if let Some(wrong) = wrong_method(request, &["GET", "HEAD"]) {
            return Some(wrong);
        }
        Some(match path {
            "/healthz" => json_answer(StatusCode::OK, &json!({ "alive": true })),
            "/readyz" => self.ready(),
            _ => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics()),
        })
    }

    fn metrics(&self) -> String {
        let shared = &self.shared;
        let snapshot = shared.live.load();
        let ends = snapshot.policy.credentials().iter().filter_map(|credential| {
            let end = credential.static_terms.as_ref()?.end()?;
            Some((credential.name.shared(), end.as_second()))
        });
        let (leases, missing) = (shared.credentials.leases().len(), shared.credentials.missing().len());
        shared.metrics.standing(&Standing { leases, missing, audit_takes: shared.audit.healthy(), ends: ends.collect() });
        shared.metrics.expose()
    }

    async fn control(&self, uid: u32, request: Request<Incoming>) -> Answer {
        let methods: &[&str] = match request.uri().path() {
            "/policy" | "/leases" | "/stops" | "/baselines" => &["GET", "HEAD"],
            "/tasks" => &["GET", "HEAD", "POST"],
            "/tasks/close" | "/reload" | "/suspend" | "/revoke" | "/resume" | "/baselines/reset" => &["POST"],
            _ => return not_found(),
        };
        if let Some(wrong) = wrong_method(&request, methods) {
            return wrong;
        }
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/policy" => self.policy(),
            "/leases" => stops::leases(&self.shared),
            "/stops" => stops::list(&self.shared),
            "/baselines" => baselines::list(self),
            "/baselines/reset" => baselines::reset(self, uid, body).await,
            "/tasks" if head.method == Method::POST => self.tasks.open(uid, body).await,
            "/tasks" => self.tasks.list(),
            "/tasks/close" => self.tasks.close(uid, body).await,
            "/suspend" => stops::put(&self.shared, Measure::Suspended, uid, body).await,
            "/revoke" => stops::put(&self.shared, Measure::Revoked, uid, body).await,
            "/resume" => stops::lift(&self.shared, uid, body).await,
            _ => self.reload().await,
        }
    }

    /// Ready once the credentials of the first policy were asked for, all static ones are there, and the audit takes records. The policy
    /// is: without one the process does not start, and a bad one never replaces it.
    fn ready(&self) -> Answer {
        let mut reasons = Vec::new();
        if !self.shared.audit.healthy() {
            reasons.push("the audit takes no records".to_owned());
        }
        if !self.adopted.load(Ordering::Acquire) {
            reasons.push("the credentials of the policy are being fetched".to_owned());
        }
        reasons.extend(self.shared.credentials.missing().iter().map(|name| format!("credential `{name}` has no value")));
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_answer(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
    }

    fn policy(&self) -> Answer {
        let snapshot = self.shared.live.load();
        json_answer(
            StatusCode::OK,
            &json!({
                "generation": snapshot.generation,
                "rules": snapshot.policy.rules().len(),
                "credentials": snapshot.policy.credentials().len(),
                "last_failure": self.shared.live.last_failure().as_deref(),
            }),
        )
    }

    async fn reload(&self) -> Answer {
        match self.reloader.reload().await {
            Ok(generation) => json_answer(StatusCode::OK, &json!({ "generation": generation })),
            Err(reason) => {
                let generation = self.shared.live.load().generation;
                json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "generation": generation, "error": *reason }))
            }
        }
    }
}

fn not_found() -> Answer {
    json_answer(StatusCode::NOT_FOUND, &json!({ "error": "no such endpoint" }))
}

/// The answer to a method that the endpoint does not take.
fn wrong_method<B>(request: &Request<B>, methods: &[&str]) -> Option<Answer> {
    if methods.iter().any(|method| request.method() == method) {
        return None;
    }
    let methods = methods.join(", ");
    let mut answer = json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": format!("this endpoint takes {methods}") }));
    answer.headers_mut().extend(HeaderValue::try_from(methods).map(|methods| (ALLOW, methods)));
    Some(answer)
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    text(status, "application/json", format!("{value}\n"))
}

fn text(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
