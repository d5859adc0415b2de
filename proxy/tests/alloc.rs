//! The warm request path allocates nothing: decide, have the credential ready, put it on.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code, missing_docs, reason = "test code; a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use http::{Method, Request};
use keygress::Policy;
use keygress::audit::{Audit, Sink};
use keygress::credentials::{Credentials, Holder};
use keygress::metrics::Metrics;
use keygress_policy::decide::{Decision, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::inject::Sending;
use keygress_policy::problem::SourceFile;
use keygress_policy::workload::{Caller, Process};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations of each thread apart, so that tests beside this one do not count.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[tokio::test]
async fn warm_decide_ready_and_inject_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "sk_live_0123456789").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "version: 1\nworkloads:\n  app: {{ process: {{ uid: 1000 }} }}\n\
         credentials:\n  key:\n    owner: team@example.com\n    static: {{ reason: test, expires: 2099-01-01 }}\n    \
         source: {{ file: {} }}\n    inject: bearer\n    only_to: [api.example.com]\n\
         rules:\n  api:\n    from: [app]\n    to: https://api.example.com\n    allow: [\"GET /v1/things/{{id}}\"]\n    credential: key\n",
        key.display()
    );
    let files = [SourceFile { name: "policy.yaml".into(), text }];
    let (policy, _) = Policy::compile(&files, jiff::civil::date(2026, 1, 1)).unwrap();
    let process = Process { uid: 1000, gid: None, pid: None, user: None, unit: None, container: None, executable: None };
    let workloads = policy.recognise(&Caller { process: Some(process), ..Caller::default() });

    let (sink, _lines) = std::sync::mpsc::channel();
    let metrics = Metrics::new();
    let audit = Audit::open(Sink::Memory(sink), metrics.clone()).unwrap();
    let credentials = Credentials::new(tokio::runtime::Handle::current(), audit, metrics, Arc::new(rustls::RootCertStore::empty()));
    credentials.adopt(&policy).await;
    let slot = credentials.slot(policy.credentials().first().unwrap(), Holder::Shared);
    slot.wait().await.unwrap();

    let host = Host::parse("api.example.com").unwrap();
    let request = Request::get("/v1/things/42").header("authorization", "Bearer theirs").header("accept", "*/*").body(()).unwrap();
    let (mut head, ()) = request.into_parts();
    let sending = Sending {
        now: jiff::Timestamp::UNIX_EPOCH,
        nonce: || [0; 16],
        scheme: keygress_policy::destination::Scheme::Https,
        authority: "api.example.com",
        body: Some(b""),
    };
    let mut before = 0;
    for round in 0..=100 {
        // The first round is for what a thread sets up once.
        if round == 1 {
            before = allocations();
        }
        let question =
            Question { workloads: &workloads, scheme: Scheme::Https, host: &host, port: 443, method: &Method::GET, path: head.uri.path() };
        let Decision::Grant(grant) = policy.decide(&question) else { panic!("denied") };
        let ready = slot.ready().unwrap();
        grant.credential.unwrap().injection.act(&mut head, &ready.rendered, &sending).unwrap();
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(head.headers.get("authorization").unwrap(), "Bearer sk_live_0123456789");
    assert!(before > 0, "the counter counts");
}
