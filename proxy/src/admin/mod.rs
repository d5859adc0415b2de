//! Health, metrics and control. Names and numbers only: no endpoint returns secret material. Who opens a task gets its token, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::detect::Watch;
use crate::exchange::Shared;
use crate::metrics::Standing;
use crate::recent::Recent;
use crate::reload::Reloader;
use crate::stops::Measure;

/// How it goes.
mod overview;

/// Every credential, and what it was used for.
mod credentials;

/// The policy in force, and what it says to one request.
mod policy;

/// The kill switch, and what leases there are.
mod stops;

/// The last alerts.
mod alerts;

/// Events as they happen.
mod events;

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

pub use events::Events;
pub use server::Server;
pub use tasks::Tasks;

/// What the endpoints speak of.
pub struct Admin {
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    /// Whether the credentials of the first policy were asked for.
    adopted: Arc<AtomicBool>,
    /// The tasks that were opened on the Unix socket.
    tasks: Arc<Tasks>,
    /// Who looks for abnormal reuse.
    watch: Option<Arc<Watch>>,
    /// What happened lately.
    recent: Arc<Recent>,
    /// Who listens to what happens.
    streams: events::Streams,
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

/// An answer, or a stream of events.
pub type Reply = Response<Either<Full<Bytes>, Events>>;

impl Admin {
    /// What it speaks of: `adopted` says whether the credentials of the first policy were asked for.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        reloader: Arc<Reloader>,
        adopted: Arc<AtomicBool>,
        (tasks, watch, recent): (Arc<Tasks>, Option<Arc<Watch>>, Arc<Recent>),
    ) -> Self {
        Self { shared, reloader, adopted, tasks, watch, recent, streams: events::Streams::default() }
    }

    /// Answers one request. Only what changes or asks something on the Unix socket has a body that is read.
    pub async fn answer(&self, door: Door, request: Request<Incoming>) -> Reply {
        let answer = match door {
            Door::ReadOnly => match origin::check(request.headers()) {
                Ok(()) => self.read(&request).unwrap_or_else(not_found),
                Err(why) => json_answer(StatusCode::FORBIDDEN, &json!({ "error": why })),
            },
            Door::Control(_) if request.uri().path() == "/events" && request.method() == Method::GET => {
                return events::stream(self, request.uri().query());
            }
            Door::Control(uid) => match self.read(&request) {
                Some(answer) => answer,
                None => self.control(uid, request).await,
            },
        };
        answer.map(Either::Left)
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
            "/overview" | "/policy" | "/rules" | "/credentials" | "/leases" | "/stops" | "/alerts" | "/baselines" => &["GET", "HEAD"],
            "/events" => &["GET"],
            "/tasks" => &["GET", "HEAD", "POST"],
            "/tasks/close" | "/reload" | "/explain" | "/suspend" | "/revoke" | "/resume" | "/baselines/reset" => &["POST"],
            _ => return not_found(),
        };
        if let Some(wrong) = wrong_method(&request, methods) {
            return wrong;
        }
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/overview" => overview::overview(self),
            "/policy" => policy::summary(self),
            "/rules" => policy::rules(self),
            "/explain" => policy::explain(self, body).await,
            "/credentials" => credentials::list(self).await,
            "/alerts" => alerts::list(self),
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

    fn ready(&self) -> Answer {
        let reasons = self.unready();
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_answer(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
    }

    /// Why it is not ready. It is once the credentials of the first policy were asked for, all static ones are there, and the audit takes
    /// records. The policy is: without one the process does not start, and a bad one never replaces it.
    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.shared.audit.healthy() {
            reasons.push("the audit takes no records".to_owned());
        }
        if !self.adopted.load(Ordering::Acquire) {
            reasons.push("the credentials of the policy are being fetched".to_owned());
        }
        reasons.extend(self.shared.credentials.missing().iter().map(|name| format!("credential `{name}` has no value")));
        reasons
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
