//! S9: a policy of 10,000 rules is replaced again and again under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Bench, Shape, seen};
use crate::ask;
use crate::contender::keygress::Launched;
use crate::load::{self, Measured, Pace, Plan};
use crate::results::{Bar, Limit, Outcome, Row, Run, Spread, Unit};

/// From one reload to the next.
const INTERVAL: Duration = Duration::from_millis(300);

const RISE: &str = "p99 rise by reloads";
const RELOAD: &str = "reload";
const ERRORS: &str = "errors";

/// Runs it: a span without reloads and one with them take turns.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape =
        Shape { connections: 8, pace: Pace::Constant(1_000.0), requests: bench.either(10_000, 1_500), rules: 10_000, ..Shape::default() };
    let scene = bench.scene(shape.upstream)?;
    let folder = scene.folder("keygress")?;
    let launched = bench.keygress.launch_at(&scene.site(bench, &folder, &shape))?;
    let plan = shape.plan(&scene.upstream, &launched.running.entry, &scene.token);
    let mut row = Row::of(&bench.keygress);
    for round in 1..=bench.rounds {
        bench.step(&format!("S9 round {round} of {}: without reloads", bench.rounds));
        let quiet = load::run(&plan)?;
        bench.step(&format!("S9 round {round} of {}: with reloads", bench.rounds));
        let (measured, reloads) = under_reloads(&plan, &launched)?;
        row.runs.push(told(&quiet, &measured, &reloads));
    }
    let mut conditions = shape.conditions();
    conditions.push(format!("a reload every {INTERVAL:?}, asked for on the admin socket; the files are read and compiled again each time"));
    let mut outcome = Outcome {
        scenario: "S9".to_owned(),
        title: "hot reload of 10,000 rules under load".to_owned(),
        conditions,
        rows: vec![row],
        bars: Vec::new(),
        notes: Vec::new(),
    };
    let at_most = |metric: &str, limit| Bar { metric: metric.to_owned(), limit: Limit::AtMost(limit) };
    outcome.bars = [at_most(ERRORS, 0.0), at_most(RISE, 10.0), at_most(RELOAD, 100.0)].into_iter().map(|bar| outcome.hold(bar)).collect();
    Ok(vec![outcome])
}

/// Carries the plan out while the policy is replaced; how long each reload took.
fn under_reloads(plan: &Plan, launched: &Launched) -> anyhow::Result<(Measured, Vec<Duration>)> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            let mut took = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                ask::unix(&launched.admin, http::Method::POST, "/reload")?;
                took.push(begun.elapsed());
                std::thread::sleep(INTERVAL.saturating_sub(begun.elapsed()));
            }
            anyhow::Ok(took)
        });
        let measured = load::run(plan);
        is_over.store(true, Ordering::Relaxed);
        let took = reloading.join().map_err(|_| anyhow::anyhow!("the reloads broke off"))??;
        Ok((measured?, took))
    })
}

fn told(quiet: &Measured, measured: &Measured, reloads: &[Duration]) -> Run {
    let mut run = seen(measured);
    let (before, after) = (quiet.microseconds_at(99.0), measured.microseconds_at(99.0));
    run.figure("p99 without reloads", Unit::Microseconds, before);
    if before > 0.0 {
        run.figure(RISE, Unit::Percent, (after / before - 1.0) * 100.0);
    }
    if let Some(spread) = Spread::of(reloads.iter().map(|took| took.as_secs_f64() * 1e3)) {
        run.figure(RELOAD, Unit::Milliseconds, spread.median);
        run.figure("slowest reload", Unit::Milliseconds, spread.max);
    }
    run.figure("reloads", Unit::Count, reloads.len() as f64);
    run.figure(ERRORS, Unit::Count, measured.wrong() as f64);
    run
}
