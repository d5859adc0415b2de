//! What people read of a run, on figures that are made up.
#![allow(clippy::unwrap_used, reason = "test code")]

use keygress_bench::report;
use keygress_bench::results::{Bar, Limit, Machine, Outcome, Report, Row, Run, Unit, metric};

fn run(cpu: f64, p50: f64) -> Run {
    let mut run = Run { right: 20_000, latency: vec![(50.0, p50), (90.0, p50 * 2.0), (100.0, p50 * 8.0)], ..Run::default() };
    run.figure(metric::THROUGHPUT, Unit::PerSecond, 1e6 / cpu);
    run.figure(metric::P50, Unit::Microseconds, p50);
    run.figure(metric::CPU_PER_REQUEST, Unit::Microseconds, cpu);
    run
}

fn row(contender: &str, runs: Vec<Run>) -> Row {
    Row { contender: contender.into(), version: "1.2".into(), runs }
}

fn report() -> Report {
    let mut spoiled = run(99.0, 9000.0);
    spoiled.spoiled = Some("other processes took 60 % of a core, <rustc> the most of those that still run".into());
    let mut wrong = run(80.0, 1500.0);
    wrong.errors.insert("status 502".into(), 3);
    let rows = vec![
        row("keygress", vec![run(18.0, 500.0), spoiled, run(17.0, 480.0), run(19.0, 510.0)]),
        row("nginx", vec![run(21.0, 600.0), run(20.0, 580.0), run(22.0, 590.0)]),
        row("squid", vec![wrong]),
    ];
    let mut outcome = Outcome {
        scenario: "S1".into(),
        title: "plain in, TLS out".into(),
        conditions: vec!["32 connections".into()],
        rows,
        bars: vec![],
        notes: vec!["envoy is not in it: it is not installed here".into()],
    };
    let bar = |metric: &str, limit| Bar { metric: metric.into(), limit };
    outcome.bars = [
        bar(metric::CPU_PER_REQUEST, Limit::AtMostTimes(0.95, vec!["nginx".into(), "haproxy".into()])),
        bar(metric::CPU_PER_REQUEST, Limit::AtMostTimes(0.33, vec!["envoy".into()])),
        bar(metric::P50, Limit::AtMost(400.0)),
    ]
    .into_iter()
    .map(|bar| outcome.hold(bar))
    .collect();
    let mut memory = Outcome { scenario: "S6".into(), title: "memory".into(), bars: vec![], notes: vec![], ..outcome.clone() };
    let rest = |connections: u32, mebibytes: f64| {
        let mut run = Run { right: 1, ..Run::default() };
        run.figure(metric::IDLE_RSS, Unit::Mebibytes, 12.0);
        run.figure(&format!("rss with {connections} idle, plain"), Unit::Mebibytes, mebibytes);
        run
    };
    memory.rows = vec![row("keygress", vec![rest(1_000, 20.0), rest(10_000, 90.0)])];
    Report {
        format: 1,
        began: "2026-11-24T12:00:00Z".into(),
        command: "bench/run S1 S6 --only nginx,squid".into(),
        quick: true,
        machine: Machine { processor: "Made Up 1".into(), cores: 2, kernel: "6.1".into(), memory_bytes: 8 << 30 },
        outcomes: vec![outcome, memory],
    }
}

#[test]
fn the_table_says_what_was_seen() {
    insta::assert_snapshot!(report::terminal(&report()));
}

#[test]
fn the_page_says_what_was_seen() {
    let page = report::html(&report());
    let (_, body) = page.split_once("<body>").unwrap();
    let (body, _) = body.split_once("<h2 id=\"method\">").unwrap();
    insta::assert_snapshot!(body);
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = report::html(&report());
    for outside in ["<script", "<link", "<img", "src=", "url(", "@import", "http:", "https:"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("&lt;rustc&gt;") && !page.contains("<rustc>"));
}

#[test]
fn a_report_survives_its_json() {
    let report = report();
    let again: Report = serde_json::from_slice(&serde_json::to_vec(&report).unwrap()).unwrap();
    assert_eq!(report::html(&again), report::html(&report));
}
