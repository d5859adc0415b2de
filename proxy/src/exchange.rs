//! One request, out and back, in the order of the product's own sentence:
//! *who calls, may they, with which credential, put it on, send it, keep it from coming back, write it down.*
//!
//! Every way in ends here, and only here is anything sent: no path decides for itself.

use std::pin::pin;
use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use keygress_policy::decide::{Connect, Question};
use keygress_policy::destination::{Host, Scheme};
use tokio::net::TcpStream;

/// What a connection knows of its caller, and keeps from request to request.
pub mod line;

/// What is written down of one request.
mod record;

/// The use of a credential.
mod spent;

/// What a strict audit holds before a credential leaves.
mod intent;

/// Why a request goes no further, as it is told.
mod refused;

/// Which running requests must end.
mod review;

/// What it takes to stop something.
mod stopping;

use crate::body::Body;
use crate::caller::RunningTask;
use crate::forward::{self, Failed, Shelf, Target, head, upgrade};
use crate::refusal::Refusal;
use crate::reload::Snapshot;
use crate::scrub::{Frames, Sieve};
use crate::stops::Tie;
use crate::worker::Serving;

pub use line::{Line, Shared, Sight, Way, Worker};
use record::Record;
pub use record::unanswered;
pub use refused::unpanicked;
use refused::{counted, denied, guarded, permitted};
use spent::Use;

/// A request as it would be sent: read once, at the gate, from exactly one interpretation of what the caller wrote.
pub struct Asked {
    /// The policy for this request, from here to the end.
    pub snapshot: Arc<Snapshot>,
    /// The task whose token came with it.
    pub task: Option<Arc<RunningTask>>,
    /// Scheme as it would be sent.
    pub scheme: Scheme,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Method, headers, and path with query.
    pub head: Parts,
    /// The body, not read yet.
    pub body: Incoming,
    /// Held until it is read.
    pub reading: Option<Serving>,
}

/// Carries one request out and its response back. Never fails: what goes wrong, a panic too, is a refusal, and on record.
pub async fn exchange(line: &Line, asked: Result<Asked, Refusal>) -> Response<Body> {
    let mut record = Record::begin(line);
    let outcome = match asked {
        Ok(mut asked) => {
            record.asked(&asked);
            record.traced(&mut asked.head.headers);
            guarded(pin!(carry(line, asked, &mut record))).await
        }
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(response) => {
            record.used(response.status());
            response
        }
        Err(refusal) => {
            record.denied(&refusal);
            refusal.respond(record.id())
        }
    }
}

async fn carry(line: &Line, asked: Asked, record: &mut Record<'_>) -> Result<Response<Body>, Refusal> {
    let Asked { snapshot, task, scheme, host, port, mut head, body, reading } = asked;

    // who calls
    let sight = line.sight(&snapshot, task)?;
    record.caller(&sight);

    // may they
    let question = Question { workloads: &sight.workloads, scheme, host: &host, port, method: &head.method, path: head.uri.path() };
    let grant = permitted(snapshot.policy.decide(&question))?;
    record.granted(&grant);
    let tie = line.tie(&sight, record.id(), (grant.rule, grant.credential), &host)?;
    counted(line, &sight, grant.rule)?;

    // with which credential
    let caller_upgrade = upgrade::asked(&mut head);
    head::leave_hop(&mut head.headers);
    head::leave_overrides(&mut head.headers);
    if caller_upgrade.is_some() {
        upgrade::ask(&mut head.headers);
    }
    let mut use_of = Use::prepare(line, &sight, &grant, &mut head, record).await?;
    if let Some(attribute) = &grant.rule.attribute {
        attribute.put(&mut head.headers, sight.workload.as_deref(), sight.task_id());
    }

    // put it on, send it
    let (allow_ips, http1_only, client_auth) = (&*grant.rule.allow_ips, caller_upgrade.is_some(), use_of.client_auth().cloned());
    let via = grant.rule.via.as_ref();
    let target = Target { scheme, host: &host, port, allow_ips, http1_only, client_auth: client_auth.as_ref(), via };
    let shelf = sight.shelf(line.pool(), grant.rule.lineage, &target)?;
    let body = Body::request(body, &grant.rule.request_trailers, reading);
    let body = use_of.read(&grant, &head, &shelf, body, record).await?;
    let spare = use_of.may_renew().then(|| body.again()).flatten().map(|body| (head.clone(), body));
    let ended = |_| line.ended(&sight, &tie);
    let to = (&*shelf, &target, &tie);
    let mut response = tie.unless_cut(pin!(attempt(line, record, to, &mut use_of, (head, body)))).await.map_err(ended)??;
    if let Some(again) = spare.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
        use_of.renew(&response).await?;
        response = tie.unless_cut(pin!(attempt(line, record, to, &mut use_of, again))).await.map_err(ended)??;
    }

    // keep it from coming back
    let sieve = use_of.watch(&mut response, record)?;
    if upgrade::is_switch(&response) {
        return upgrade::join(caller_upgrade, response, (line.counted(), tie), |upstream| Frames::around(upstream, sieve));
    }
    Ok(passed_back(response, sieve, tie))
}

/// One attempt: the destination is reached and verified first, and only then is the credential put on.
async fn attempt(
    line: &Line,
    record: &mut Record<'_>,
    (shelf, target, tie): (&Shelf, &Target<'_>, &Tie),
    use_of: &mut Use<'_>,
    (mut head, mut body): (Parts, Body),
) -> Result<Response<Incoming>, Refusal> {
    record.intend_to_show(use_of).await?;
    record.reaches();
    let mut link = forward::reach(shelf, line.connector(), target).await?;
    loop {
        record.goes_on();
        if link.is_fresh() {
            use_of.confirm().await?;
            use_of.is_shown_to(target)?;
        }
        record.intend(use_of).await?;
        tie.check(&line.shared().stops)?;
        body = use_of.put_on(&mut head, body, shelf)?;
        record.sent(use_of, link.announce());
        record.reaches();
        match forward::send(shelf, link, head, body).await {
            Ok(response) => {
                record.goes_on();
                return Ok(response);
            }
            Err(Failed::Refused(refusal)) => return Err(refusal),
            // The one safe retry: a kept connection was gone, and nothing was written. Once, as what is dialled now is fresh.
            Err(Failed::Unsent(request)) => (head, body) = request.into_parts(),
        }
        link = line.connector().connect(target).await?;
    }
}

/// What a `CONNECT` asks for.
pub struct AskedConnect {
    /// The policy for this decision.
    pub snapshot: Arc<Snapshot>,
    /// The task whose token came with it.
    pub task: Option<Arc<RunningTask>>,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// What opening a `CONNECT` came to.
pub enum Opened {
    /// The bytes are to be intercepted; every request inside asks again.
    Intercept,
    /// The policy passes this destination by host alone: here is its other end.
    Tunnel(TcpStream, Tie),
}

/// Decides a `CONNECT`: the same caller, decision, guard, limits and audit as for a request.
///
/// # Errors
/// The response that refuses it; it is on record.
pub async fn open(line: &Line, asked: Result<AskedConnect, Refusal>) -> Result<Opened, Response<Body>> {
    let mut record = Record::begin(line);
    let opened = guarded(pin!(async {
        let AskedConnect { snapshot, task, host, port } = asked?;
        record.connect(&snapshot, &host, port);
        let sight = line.sight(&snapshot, task)?;
        record.caller(&sight);
        let rule = match snapshot.policy.connect(&sight.workloads, &host, port) {
            Connect::Intercept => return Ok(Opened::Intercept),
            Connect::Tunnel(rule) => rule,
            Connect::Denied(denial) => return Err(denied(&denial)),
        };
        record.rule(rule);
        let tie = line.tie(&sight, record.id(), (rule, None), &host)?;
        counted(line, &sight, rule)?;
        let target =
            Target { scheme: rule.scheme, host: &host, port, allow_ips: &rule.allow_ips, http1_only: false, client_auth: None, via: None };
        let upstream = Box::pin(line.connector().dial(&target)).await?;
        tie.check(&line.shared().stops)?;
        Ok(Opened::Tunnel(upstream, tie))
    }))
    .await;
    match opened {
        Ok(opened @ Opened::Tunnel(..)) => {
            record.used(StatusCode::OK);
            Ok(opened)
        }
        Ok(Opened::Intercept) => {
            record.intercepted();
            Ok(Opened::Intercept)
        }
        Err(refusal) => {
            record.denied(&refusal);
            let mut response = refusal.respond(record.id());
            // RFC 9931: what follows a refused CONNECT is never read as a request.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            Err(response)
        }
    }
}

fn passed_back(response: Response<Incoming>, sieve: Option<Sieve>, tie: Tie) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head::leave_hop_back(&mut head.headers);
    head.version = http::Version::HTTP_11;
    head.extensions.clear();
    Response::from_parts(head, Body::response(body, sieve, tie))
}

#[cfg(test)]
mod tests;
