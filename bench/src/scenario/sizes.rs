//! S10: policies of 10, 1,000 and 100,000 rules. The decision must not care.

use super::{Bench, Shape};
use crate::ask;
use crate::contender::keygress::Launched;
use crate::load;
use crate::meter::Usage;
use crate::results::{Bar, Limit, Outcome, Row, Run, Unit};

const RULES: [usize; 3] = [10, 1_000, 100_000];
const RATIO: &str = "cpu per request, 100,000 rules to 10";

fn cpu(rules: usize) -> String {
    format!("cpu per request, {rules} rules")
}

fn reload(rules: usize) -> String {
    format!("reload of {rules} rules")
}

/// Runs it: one process for each size, and they take turns.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { requests: bench.either(50_000, 4_000), ..Shape::default() };
    let scene = bench.scene(shape.upstream)?;
    let mut processes: Vec<(usize, Launched)> = Vec::new();
    for rules in RULES {
        bench.step(&format!("S10: starting with {rules} rules"));
        let folder = scene.folder(&format!("{rules}"))?;
        let shape = Shape { rules, ..shape.clone() };
        processes.push((rules, bench.keygress.launch_at(&scene.site(bench, &folder, &shape))?));
    }
    let mut row = Row::of(&bench.keygress);
    for round in 1..=bench.rounds {
        let mut run = Run::default();
        for (rules, launched) in &processes {
            bench.step(&format!("S10 round {round} of {}: {rules} rules", bench.rounds));
            let pid = launched.running.pid();
            let plan = shape.plan(&scene.upstream, &launched.running.entry, &scene.token);
            let (mut before, mut after) = (Usage::default(), Usage::default());
            let measured = load::run_between(&plan, &mut || Ok(before = Usage::of(pid)?), &mut || Ok(after = Usage::of(pid)?))?;
            run.right += measured.right;
            run.errors.extend(measured.errors);
            let spent = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
            run.figure(&cpu(*rules), Unit::Microseconds, spent / measured.right.max(1) as f64);
            let begun = std::time::Instant::now();
            ask::unix(&launched.admin, http::Method::POST, "/reload")?;
            run.figure(&reload(*rules), Unit::Milliseconds, begun.elapsed().as_secs_f64() * 1e3);
            run.figure(&format!("rss, {rules} rules"), Unit::Mebibytes, super::mebibytes(after.rss_bytes));
        }
        if let (Some(least), Some(most)) = (run.value(&cpu(10)).filter(|cpu| *cpu > 0.0), run.value(&cpu(100_000))) {
            run.figure(RATIO, Unit::Count, most / least);
        }
        row.runs.push(run);
    }
    let mut outcome = Outcome {
        scenario: "S10".to_owned(),
        title: "policies of 10, 1,000 and 100,000 rules".to_owned(),
        conditions: shape.conditions(),
        rows: vec![row],
        bars: Vec::new(),
        notes: vec!["the decision alone is in the micro-benchmarks: here is the whole request, in which it is a small part".to_owned()],
    };
    let at_most = |metric: &str, limit| Bar { metric: metric.to_owned(), limit: Limit::AtMost(limit) };
    outcome.bars = [at_most(RATIO, 1.2), at_most(&reload(100_000), 1_000.0)].into_iter().map(|bar| outcome.hold(bar)).collect();
    Ok(vec![outcome])
}
