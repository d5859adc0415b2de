//! What one step of the warm request path costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a benchmark that cannot run may stop")]

#[path = "../examples/warm_path/warm.rs"]
mod warm;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use keygress::audit::{Destination, Event, Kind, Written};
use keygress::detect::{Baselines, Watch};
use keygress::known::{Known, Thing};
use keygress::recent::Recent;
use keygress_bench::policy_of;
use keygress_policy::decide::{Decision, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::material::Secret;
use warm::Warm;

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for (rules, hosts) in [(10, 10), (1_000, 100), (10_000, 1_000), (10_000, 1), (100_000, 10_000)] {
        let policy = warm::compile(&warm::files(policy_of(rules, hosts)));
        let workloads = policy.recognise(&warm::caller());
        let rule = rules / 2;
        let host = Host::parse(&format!("api-{}.example.com", rule % hosts)).unwrap();
        let path = format!("/v1/things-{rule}/42");
        let question = Question { workloads: &workloads, scheme: Scheme::Https, host: &host, port: 443, method: &Method::GET, path: &path };
        assert!(matches!(policy.decide(&question), Decision::Grant(_)));
        group.bench_function(BenchmarkId::from_parameter(format!("{rules} rules, {hosts} hosts")), |b| {
            b.iter(|| black_box(policy.decide(black_box(&question))));
        });
    }
    group.finish();
}

fn steps(c: &mut Criterion) {
    let warm = Warm::new();
    let (grant, ready) = (warm.decide(), warm.get());
    c.bench_function("get", |b| b.iter(|| black_box(warm.get())));
    let fresh = || warm.head.clone();
    c.bench_function("inject bearer", |b| {
        b.iter_batched_ref(fresh, |head| warm.inject(&grant, &ready, black_box(head)), BatchSize::SmallInput);
    });
    let clean = || warm.answer.clone();
    c.bench_function("scrub 6 headers, nothing in them", |b| {
        b.iter_batched_ref(clean, |answer| warm.scrub(&ready, black_box(answer)), BatchSize::SmallInput);
    });
    let echoed = || {
        let mut answer = warm.answer.clone();
        answer.insert("x-echo", "Bearer sk_live_0123456789abcdef".parse().unwrap());
        answer
    };
    assert_eq!(warm.scrub(&ready, &mut echoed()), 1);
    c.bench_function("scrub 7 headers, one echoes", |b| {
        b.iter_batched_ref(echoed, |answer| warm.scrub(&ready, black_box(answer)), BatchSize::SmallInput);
    });
    c.bench_function("audit line, handed over", |b| b.iter(|| warm.record(&grant, &ready)));
    c.bench_function("decide, get and audit line", |b| b.iter(|| warm.recorded()));
    c.bench_function("all of it, without the record", |b| b.iter(|| black_box(warm.request())));
    warm.close();
}

/// What looking for abnormal reuse costs: on the path, and in the thread behind the audit.
fn watch(c: &mut Criterion) {
    let warm = Warm::new();
    let known = Known::default();
    for number in 0..64 {
        let value = format!("sk_live_0123456789{number:0length$}", length = number % 32 + 2);
        known.add(&Secret::new(value.into_bytes()), Thing::Token { task: "7".into() });
    }
    assert!(known.shown(&warm.head).is_none());
    c.bench_function("look for 64 known things in a head", |b| b.iter(|| black_box(known.shown(black_box(&warm.head)))));
    let watch = Watch::new(Baselines::new(Duration::ZERO), None);
    let event = Event {
        workload: Some("shop".into()),
        process: Some("user shop".into()),
        uid: Some(1000),
        method: Some(Method::GET),
        destination: Some(Destination { scheme: Scheme::Https, host: Host::parse("api.example.com").unwrap(), port: 443 }),
        path: warm.head.uri.path_and_query().cloned(),
        credential: Some("bench".into()),
        lease: Some("0123456789abcdef".into()),
        ..Event::new(Kind::Used)
    };
    let written = Written { event, time: jiff::Timestamp::now() };
    c.bench_function("all detectors, one use", |b| b.iter(|| black_box(watch.take(black_box(&written), &|_, _| Some(true)))));
    let (recent, batch) = (Recent::new(), Arc::new(vec![written; 100]));
    c.bench_function("remember 100 uses", |b| b.iter(|| recent.take(black_box(&batch))));
    warm.close();
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for rules in [1_000, 10_000, 100_000] {
        let files = warm::files(policy_of(rules, rules / 10));
        group.bench_function(BenchmarkId::from_parameter(format!("{rules} rules")), |b| b.iter(|| warm::compile(&files)));
    }
    group.finish();
}

criterion_group!(micro, decide, steps, watch, load);
criterion_main!(micro);
