//! What one step of the warm request path costs.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run may stop")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{Method, Request};
use keygress::Policy;
use keygress_bench::policy_of;
use keygress_policy::decide::{Decision, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::inject::Sending;
use keygress_policy::material::{Material, Secret};
use keygress_policy::problem::SourceFile;
use keygress_policy::workload::{Caller, Process};

fn files(rules: usize, hosts: usize) -> Vec<SourceFile> {
    policy_of(rules, hosts).into_iter().enumerate().map(|(number, text)| SourceFile { name: format!("{number}.yaml"), text }).collect()
}

fn compile(files: &[SourceFile]) -> Policy {
    match Policy::compile(files, jiff::civil::date(2026, 1, 1)) {
        Ok((policy, _lints)) => policy,
        Err(problems) => panic!("{problems:?}"),
    }
}

fn app() -> Caller {
    let process = Process { uid: 1000, gid: None, pid: None, user: Some("app".into()), unit: None, container: None, executable: None };
    Caller { process: Some(process), ..Caller::default() }
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for (rules, hosts) in [(10, 10), (1_000, 100), (10_000, 1_000), (10_000, 1), (100_000, 10_000)] {
        let policy = compile(&files(rules, hosts));
        let workloads = policy.recognise(&app());
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

fn inject(c: &mut Criterion) {
    let policy = compile(&files(1, 1));
    let credential = &policy.credentials().first().unwrap().clone();
    let rendered = credential.injection.render(&Material::Token(Secret::new(b"sk_live_0123456789abcdef".to_vec()))).unwrap();
    let request = Request::get("/v1/things-0/42").header("authorization", "Bearer theirs").header("accept", "*/*").body(()).unwrap();
    let (mut head, ()) = request.into_parts();
    let sending = Sending { now: jiff::Timestamp::UNIX_EPOCH, authority: "api.example.com", body: Some(b"") };
    c.bench_function("inject bearer", |b| b.iter(|| credential.injection.act(black_box(&mut head), &rendered, &sending).unwrap()));
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for rules in [1_000, 10_000] {
        let files = files(rules, rules / 10);
        group.bench_function(BenchmarkId::from_parameter(format!("{rules} rules")), |b| b.iter(|| compile(&files)));
    }
    group.finish();
}

criterion_group!(micro, decide, inject, load);
criterion_main!(micro);
