//! A decision allocates nothing, and over 10,000 rules it looks at few of them. In a binary of its own: the allocator counts for the
//! whole process.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;

use http::Method;
use keygress_policy::decide::{Connect, Decision, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::problem::SourceFile;
use keygress_policy::workload::{Caller, Process};

#[path = "policy/provider.rs"]
#[allow(dead_code, unreachable_pub, clippy::panic, reason = "shared with the other tests")]
mod provider;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; the counter is a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 10,000 rules: half of them on hosts of their own, half on one host with paths of their own.
fn large_policy() -> String {
    let mut text = "version: 1\nworkloads:\n  backup: { process: { uid: 7 } }\ncredentials:\n".to_owned();
    text.push_str("  key: { owner: x, source: { exec: {} }, inject: bearer, only_to: ['*.example.com'] }\nrules:\n");
    for number in 0..5_000 {
        writeln!(
            text,
            "  h{number}:\n    from: [backup]\n    to: https://h{number}.example.com\n    allow: ['GET /v1/{{id}}/**']\n    credential: key"
        )
        .unwrap();
        writeln!(text, "  p{number}:\n    from: [backup]\n    to: https://api.example.com\n    allow: ['GET /p{number}/{{id}}', 'POST /p{number}']\n    except: ['GET /p{number}/secret']\n    credential: key").unwrap();
    }
    text.push_str("  tunnel:\n    to: https://docs.example.org\n  pages:\n    to: https://*.pages.example.org\n");
    text
}

#[test]
fn a_decision_over_ten_thousand_rules_allocates_nothing() {
    let files = [SourceFile { name: "policy.yaml".into(), text: large_policy() }];
    let (policy, _) = provider::compile(&files).unwrap();
    assert_eq!(policy.rules().len(), 10_002);
    let process = Process { uid: 7, gid: None, pid: None, user: None, unit: None, container: None, executable: None };
    let workloads = policy.recognise(&Caller { process: Some(process), ..Caller::default() });
    for (host, path, allowed) in [
        ("h4711.example.com", "/v1/x/y/z", true),
        ("api.example.com", "/p4711/a%2Db", true),
        ("api.example.com", "/p4711/secret", false),
        ("api.example.com", "/p4711/s%65cret", false),
        ("api.example.com", "/p4711/../x", false),
        ("api.example.com", "/unknown", false),
        ("unknown.example.com", "/", false),
        ("a.b.pages.example.org", "//x", true),
    ] {
        let host = Host::parse(host).unwrap();
        let question = Question { workloads: &workloads, scheme: Scheme::Https, host: &host, port: 443, method: &Method::GET, path };
        let before = ALLOCATIONS.with(Cell::get);
        let granted = matches!(policy.decide(&question), Decision::Grant(_));
        let tunnelled = matches!(policy.connect(&workloads, &host, 443), Connect::Tunnel(_));
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(granted, allowed, "{host}{path}");
        assert_eq!(after - before, 0, "{host}{path}, tunnelled: {tunnelled}");
    }
}
