use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

use http_body_util::BodyExt;
use keygress_policy::problem::SourceFile;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::accept::authority::Authority;
use crate::audit::{Audit, Sink};
use crate::caller::{Callers, Peer, Proofs, Proven};
use crate::credentials::Credentials;
use crate::forward::{Connector, Pool};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::refusal::Code;
use crate::reload::{Live, compile};
use crate::stops::Stops;

const NOBODY: &str = "version: 1\nrules:\n  one: { from: any, to: 'https://api.example.com' }\n";

/// A worker under a policy, and what its audit writes.
fn worker(policy: &str) -> (Rc<Worker>, Receiver<String>) {
    let (policy, _) = compile(&[SourceFile { name: "policy.yaml".into(), text: policy.to_owned() }]).unwrap();
    let (sink, records) = std::sync::mpsc::channel();
    let metrics = Metrics::new();
    let audit = Audit::open(Sink::Memory(sink), metrics.clone()).unwrap();
    let roots = Arc::new(rustls::RootCertStore::empty());
    let shared = Arc::new(Shared {
        live: Arc::new(Live::new(policy)),
        callers: Callers::new(Proofs { unsafe_same_uid: true, ..Proofs::default() }),
        credentials: Credentials::new(tokio::runtime::Handle::current(), audit.clone(), metrics.clone(), Arc::clone(&roots)),
        stops: Stops::default(),
        ledger: None,
        known: Arc::default(),
        limits: Limits::default(),
        connector: Connector::new(roots, HashMap::new()),
        audit,
        metrics,
        traces: None,
        authority: Arc::new(Authority::new(&[]).unwrap()),
    });
    (Rc::new(Worker { shared, pool: Pool::default(), ties: Rc::default(), admission: Rc::default() }), records)
}

/// What is written of one refused request, once all is written.
fn written(line: &Line, records: &Receiver<String>) -> Vec<String> {
    line.shared().audit.close();
    records.try_iter().collect()
}

#[tokio::test]
async fn a_process_is_looked_for_only_where_the_policy_asks_for_more_than_its_user() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, peer): (_, SocketAddr) = listener.accept().await.unwrap();
    let uid = rustix::process::getuid().as_raw();
    let executable = std::env::current_exe().unwrap().display().to_string();
    for (more, pid) in [(String::new(), None), (format!(", executable: '{executable}'"), Some(std::process::id()))] {
        let workloads = format!("workloads:\n  app: {{ process: {{ uid: {uid}{more} }} }}\n");
        let policy = format!("version: 1\n{workloads}rules:\n  one: {{ from: [app], to: 'https://api.example.com' }}\n");
        let (worker, records) = worker(&policy);
        let proven = worker.shared.callers.connection(&Peer::Tcp { peer, local: ours.local_addr().unwrap() }, None).unwrap();
        let line = Line::new(worker, Way::Forward, proven);
        let snapshot = line.shared().live.load();
        let asked = AskedConnect { snapshot, task: None, host: Host::parse("elsewhere.example").unwrap(), port: 443 };
        assert!(open(&line, Ok(asked)).await.is_err());
        let written = written(&line, &records).concat();
        assert!(written.contains(r#""workload":"app""#) && written.contains(&format!("\"uid\":{uid}")), "{written}");
        assert_eq!(written.contains("\"pid\":"), pid.is_some(), "{written}");
        assert!(pid.is_none_or(|pid| written.contains(&format!("\"pid\":{pid}"))), "{written}");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_for_its_request_alone_and_shows_nothing() {
    let (worker, records) = worker(NOBODY);
    let line = Line::new(worker, Way::Forward, Proven::default());
    let asked = unpanicked(|| -> Result<Asked, Refusal> { panic!("with s3cr3t-value in its hands") }).flatten();
    let answer = exchange(&line, asked).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.headers()["x-keygress-refusal"], "internal");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("s3cr3t"), "{body:?}");
    let next = exchange(&line, Err(Refusal::new(Code::BadRequest, "as ever"))).await;
    assert_eq!(next.status(), StatusCode::BAD_REQUEST);
    let written = written(&line, &records);
    let of = |code: &str| written.iter().filter(|line| line.contains(&format!("\"code\":\"{code}\""))).count();
    assert_eq!((of("internal"), of("bad_request")), (1, 1), "{written:?}");
    assert!(!written.concat().contains("s3cr3t"), "{written:?}");
}

#[tokio::test]
async fn a_panic_after_the_first_wait_is_the_end_of_that_step_alone() {
    let step = async {
        tokio::task::yield_now().await;
        if tokio::runtime::Handle::try_current().is_ok() {
            panic!("with s3cr3t-value in its hands");
        }
        Ok(())
    };
    let refusal = guarded(pin!(step)).await.unwrap_err();
    assert_eq!(refusal.code, Code::Internal);
    assert!(!format!("{refusal:?}").contains("s3cr3t"), "{refusal:?}");
    assert!(guarded(pin!(async { Ok(()) })).await.is_ok());
}

#[tokio::test]
async fn what_gets_no_answer_is_on_record_and_counted() {
    let (worker, records) = worker(NOBODY);
    let line = Line::new(worker, Way::Forward, Proven::default());
    unanswered(&line, &Refusal::new(Code::Full, "no place"));
    let written = written(&line, &records);
    assert_eq!(written.iter().filter(|line| line.contains("\"code\":\"full\"")).count(), 1, "{written:?}");
    let metrics = line.shared().metrics.expose();
    assert!(metrics.lines().any(|line| line.starts_with("keygress_requests_total{code=\"full\"") && line.ends_with(" 1")), "{metrics}");
}
