//! What one step of the warm request path costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a benchmark that cannot run may stop")]

#[path = "../examples/warm_path/warm.rs"]
mod warm;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use keygress_bench::policy_of;
use keygress_policy::decide::{Decision, Question};
use keygress_policy::destination::{Host, Scheme};
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

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for rules in [1_000, 10_000, 100_000] {
        let files = warm::files(policy_of(rules, rules / 10));
        group.bench_function(BenchmarkId::from_parameter(format!("{rules} rules")), |b| b.iter(|| warm::compile(&files)));
    }
    group.finish();
}

criterion_group!(micro, decide, steps, load);
criterion_main!(micro);
