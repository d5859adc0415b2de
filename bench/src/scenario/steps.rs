//! S11: what single steps cost. The same load through policies that differ in one key, in turns.

use super::{Bench, Shape, seen};
use crate::contender::keygress::{Launched, measured};
use crate::load::{self, Plan};
use crate::meter::Usage;
use crate::policies::Measured;
use crate::results::{Outcome, Row, Run, Spread, Unit, metric};
use crate::upstream;

/// One variation of the policy.
struct Step {
    name: &'static str,
    inject: Option<&'static str>,
    keys: &'static [&'static str],
}

/// The first is what the others are compared with.
const STEPS: &[Step] = &[
    Step { name: "bearer", inject: Some("bearer"), keys: &[] },
    Step { name: "no credential", inject: None, keys: &[] },
    Step { name: "rate limit", inject: Some("bearer"), keys: &["limit: { rate: 1000000/s }"] },
    Step { name: "placeholder slot checked", inject: Some("{ bearer: { existing: if_absent } }"), keys: &[] },
];

struct Turn {
    step: &'static Step,
    launched: Launched,
    plan: Plan,
    row: Row,
}

/// Runs it.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { requests: bench.either(50_000, 4_000), ..Shape::default() };
    let scene = bench.scene(shape.upstream)?;
    let mut turns = Vec::new();
    for step in STEPS {
        let folder = scene.folder(step.name)?;
        let site = scene.site(bench, &folder, &shape);
        let authority = scene.upstream.authority();
        let files = Measured { inject: step.inject, keys: step.keys, ..measured(&site, &authority) }.policy(shape.rules);
        let launched = bench.keygress.launch_with(&site, &files)?;
        let mut plan = shape.plan(&scene.upstream, &launched.running.entry, &scene.token);
        if step.inject.is_none() {
            plan.expected.saw = Some(std::sync::Arc::new([upstream::NOTHING.to_owned()].into()));
        }
        let row = Row { contender: step.name.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), runs: Vec::new() };
        turns.push(Turn { step, launched, plan, row });
    }
    for round in 1..=bench.rounds {
        let mut first = None;
        for turn in &mut turns {
            bench.step(&format!("S11 round {round} of {}: {}", bench.rounds, turn.step.name));
            let mut run = measure(turn)?;
            let cpu = run.value(metric::CPU_PER_REQUEST);
            if let (Some(cpu), Some(first)) = (cpu, *first.get_or_insert(cpu)) {
                run.figure("more than the first", Unit::Microseconds, cpu - first);
            }
            turn.row.runs.push(run);
        }
    }
    let differences = turns.iter().filter_map(|turn| turn.row.spread("more than the first")).map(|spread: Spread| spread.max - spread.min);
    let noise = differences.fold(0.0, f64::max);
    let notes = vec![
        format!("differences under {noise:.1} µs are within the noise of this run; the micro-benchmarks take steps apart in nanoseconds"),
        "the audit is on in every row, bounded loss".to_owned(),
    ];
    Ok(vec![Outcome {
        scenario: "S11".to_owned(),
        title: "what single steps cost".to_owned(),
        conditions: shape.conditions(),
        rows: turns.into_iter().map(|turn| turn.row).collect(),
        bars: Vec::new(),
        notes,
    }])
}

fn measure(turn: &Turn) -> anyhow::Result<Run> {
    let pid = turn.launched.running.pid();
    let (mut before, mut after) = (Usage::default(), Usage::default());
    let measured = load::run_between(&turn.plan, &mut || Ok(before = Usage::of(pid)?), &mut || Ok(after = Usage::of(pid)?))?;
    let mut run = seen(&measured);
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
    run.figure(metric::CPU_PER_REQUEST, Unit::Microseconds, cpu / measured.right.max(1) as f64);
    Ok(run)
}
