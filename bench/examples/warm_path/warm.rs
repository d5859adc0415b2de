//! One warm request, without sockets: what keygress adds to forwarding bytes. Step by step for the micro-benchmarks, whole for the instruction
//! count.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use keygress::audit::{Audit, Destination, Event, Kind, Sink};
use keygress::credentials::{Credentials, Holder, Ready, Slot};
use keygress::limits::Limits;
use keygress::metrics::{Metrics, Outcome};
use keygress::{Policy, scrub};
use keygress_bench::policies::Measured;
use keygress_policy::decide::{Decision, Grant, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::inject::{Sending, strip};
use keygress_policy::problem::SourceFile;
use keygress_policy::workload::{Caller, Process, Workloads};

/// Rules of the policy.
const RULES: usize = 1000;

/// A policy, a caller and a credential that is ready.
pub struct Warm {
    policy: Policy,
    workloads: Workloads,
    host: Host,
    slot: Arc<Slot>,
    limits: Limits,
    metrics: Metrics,
    audit: Audit,
    /// What the application sends.
    pub head: Parts,
    /// What the upstream answers.
    pub answer: HeaderMap,
    _credentials: Credentials,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Warm {
    /// Makes everything ready.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "sk_live_0123456789abcdef").unwrap();
        std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let measured = Measured { uid: 1000, upstream: "api.example.com:443", token_file: &token_file, inject: Some("bearer"), keys: &[] };
        let policy = compile(&files(measured.policy(RULES)));
        let workloads = policy.recognise(&caller());
        let metrics = Metrics::new();
        let audit = Audit::open(Sink::File(folder.path().join("audit.jsonl")), metrics.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let roots = Arc::new(rustls::RootCertStore::empty());
        let credentials = Credentials::new(runtime.handle().clone(), audit.clone(), metrics.clone(), roots);
        let credential = policy.credentials().first().unwrap();
        let slot = runtime.block_on(async {
            credentials.adopt(&policy).await;
            let slot = credentials.slot(credential, Holder::Shared);
            slot.wait().await.unwrap();
            slot
        });
        let request = Request::get("/v1/things/42").header("host", "api.example.com").header("authorization", "Bearer theirs");
        let request = request.header("accept", "*/*").header("user-agent", "bench/1").body(()).unwrap();
        Self {
            workloads,
            host: Host::parse("api.example.com").unwrap(),
            slot,
            limits: Limits::default(),
            metrics,
            audit,
            head: request.into_parts().0,
            answer: answer(),
            policy,
            _credentials: credentials,
            _runtime: runtime,
            _folder: folder,
        }
    }

    /// May they.
    pub fn decide(&self) -> Grant<'_, keygress::credentials::Source> {
        let path = self.head.uri.path();
        let question =
            Question { workloads: &self.workloads, scheme: Scheme::Https, host: &self.host, port: 443, method: &Method::GET, path };
        match self.policy.decide(&question) {
            Decision::Grant(grant) => grant,
            Decision::Denied(_) => panic!("the bench's own policy denies its request"),
        }
    }

    /// The credential.
    pub fn get(&self) -> Arc<Ready> {
        self.slot.ready().unwrap()
    }

    /// On it goes, in the place of what the application sent.
    pub fn inject(&self, grant: &Grant<'_, keygress::credentials::Source>, ready: &Ready, head: &mut Parts) {
        let injection = &grant.credential.unwrap().injection;
        injection.admit(head, None).unwrap();
        strip(head, &grant.rule.forward, Some(injection));
        let sending = Sending {
            now: jiff::Timestamp::now(),
            nonce: || [0; 16],
            scheme: keygress_policy::destination::Scheme::Https,
            authority: "api.example.com",
            body: Some(b""),
        };
        injection.act(head, &ready.rendered, &sending).unwrap();
    }

    /// It does not come back.
    pub fn scrub(&self, ready: &Ready, answer: &mut HeaderMap) -> u64 {
        scrub::fields(ready.needles.as_ref().unwrap(), answer)
    }

    /// On record.
    pub fn record(&self, grant: &Grant<'_, keygress::credentials::Source>, ready: &Ready) {
        let mut event = Event::new(Kind::Used);
        event.request = Some(1);
        event.way = Some("forward");
        event.uid = Some(1000);
        event.method = Some(Method::GET);
        event.destination = Some(Destination { scheme: Scheme::Https, host: self.host.clone(), port: 443 });
        event.path = self.head.uri.path_and_query().cloned();
        event.rule = Some(grant.rule.name.shared());
        event.credential = grant.credential.map(|credential| credential.name.shared());
        event.lease = Some(ready.lease.clone());
        event.fingerprint = Some(ready.fingerprint.clone());
        event.status = Some(200);
        event.generation = Some(1);
        self.audit.record(event);
    }

    /// A request with everything but its record, which another thread writes.
    #[inline(never)]
    pub fn request(&self) -> usize {
        let began = Instant::now();
        let grant = self.decide();
        self.limits.count(grant.rule, Some("app"), None, Instant::now()).unwrap();
        let ready = self.get();
        let reached = Instant::now();
        let mut elsewhere = reached.elapsed();
        let mut head = self.head.clone();
        self.inject(&grant, &ready, &mut head);
        let sent = Instant::now();
        let mut answer = self.answer.clone();
        elsewhere += sent.elapsed();
        let touched = self.scrub(&ready, &mut answer);
        self.metrics.request(Outcome::Injected, None);
        self.metrics.carried(began.elapsed().saturating_sub(elsewhere), elsewhere);
        usize::try_from(touched).unwrap() + head.headers.len()
    }

    /// Its record.
    pub fn recorded(&self) {
        let grant = self.decide();
        self.record(&grant, &self.get());
    }

    /// Everything that was recorded is written.
    pub fn close(&self) {
        self.audit.close();
    }
}

fn answer() -> HeaderMap {
    let fields = [
        ("content-type", "application/json"),
        ("content-length", "200"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("server", "upstream/1.0"),
        ("x-request-id", "8f14e45f-ceea-467f-9c0e-1a2b3c4d5e6f"),
        ("cache-control", "no-store"),
    ];
    fields.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

/// Texts as files.
pub fn files(texts: Vec<String>) -> Vec<SourceFile> {
    texts.into_iter().enumerate().map(|(number, text)| SourceFile { name: format!("{number}.yaml"), text }).collect()
}

/// A policy that must compile.
pub fn compile(files: &[SourceFile]) -> Policy {
    match Policy::compile(files, jiff::civil::date(2026, 1, 1)) {
        Ok((policy, _lints)) => policy,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// The caller of every policy here.
pub fn caller() -> Caller {
    let process = Process { uid: 1000, gid: None, pid: None, user: Some("app".into()), unit: None, container: None, executable: None };
    Caller { process: Some(process), ..Caller::default() }
}
