//! S13: twice as many requests as it can carry. What it still carries must stay near the best it can do.

use std::time::Duration;

use super::{Bench, Shape, seen};
use crate::load::{self, Pace, Plan, Until};
use crate::results::{Bar, Limit, Outcome, Row, Unit};

const GOODPUT: &str = "goodput of the best";
const CAPACITY: &str = "capacity";

/// Whoever waited longer has given up: such an answer is no good.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connections under overload: the callers do not wait for each other.
const CONNECTIONS: usize = 512;

/// Runs it.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let seconds = bench.either(8, 2);
    let shape = Shape { connections: 64, ..Shape::default() };
    // The upstream shares the core of the proxy, so that the client is not what is short of time.
    let upstream_core = bench.measured_core();
    let scene = bench.scene_on(shape.upstream, upstream_core)?;
    let folder = scene.folder("keygress")?;
    let launched = bench.keygress.launch_at(&scene.site(bench, &folder, &shape))?;
    let mut row = Row::of(&bench.keygress);
    for round in 1..=bench.rounds {
        bench.step(&format!("S13 round {round} of {}: capacity", bench.rounds));
        let until = Until { requests: None, time: Duration::from_secs(seconds) };
        let closed = Plan { until, ..shape.plan(&scene.upstream, &launched.running.entry, &scene.token) };
        let best = load::run(&closed)?.throughput();
        bench.step(&format!("S13 round {round} of {}: twice of it", bench.rounds));
        let open = Plan {
            pace: Pace::Constant((best * 2.0).max(1.0)),
            connections: CONNECTIONS,
            warm_up: CONNECTIONS as u64,
            patience: PATIENCE,
            ..closed
        };
        let measured = load::run(&open)?;
        let mut run = seen(&measured);
        // What was refused or came too late is what overload is; what is wrong is still wrong.
        let late = run.errors.remove("timed out").unwrap_or(0) + run.errors.remove("status 503").unwrap_or(0);
        run.figure(CAPACITY, Unit::PerSecond, best);
        run.figure("asked for", Unit::PerSecond, best * 2.0);
        run.figure("refused or late", Unit::Count, late as f64);
        run.figure("never sent", Unit::Count, measured.unsent as f64);
        if best > 0.0 {
            run.figure(GOODPUT, Unit::Percent, measured.throughput() / best * 100.0);
        }
        row.runs.push(run);
    }
    let mut outcome = Outcome {
        scenario: "S13".to_owned(),
        title: "twice as many requests as it can carry".to_owned(),
        conditions: vec![
            format!(
                "capacity: closed loop on {} connections; then a constant pace of twice that on {CONNECTIONS}, {seconds} s each",
                shape.connections
            ),
            format!("good is an answer within {PATIENCE:?} of its being sent; latency counts from when it was due"),
            "the upstream shares the core of the proxy, so that the client is not what is short of time".to_owned(),
        ],
        rows: vec![row],
        bars: Vec::new(),
        notes: vec![format!("with {CONNECTIONS} connections at most that many requests are under way: the others are never sent")],
    };
    outcome.bars = vec![outcome.hold(Bar { metric: GOODPUT.to_owned(), limit: Limit::AtLeast(80.0) })];
    Ok(vec![outcome])
}
