//! S6: what resting costs. Memory without a connection, and with thousands that do nothing.

use std::time::Duration;

use super::bench::Scene;
use super::{Bench, Entrance, Shape, mebibytes};
use crate::contender::Contender;
use crate::load::{self, Protocol, Until};
use crate::meter::Usage;
use crate::results::{Bar, Limit, Outcome, Row, Run, Unit, metric};

/// How long one of thousands may take to get its connection.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long they have rested when memory is looked at.
const AT_REST: Duration = Duration::from_secs(30);

/// Name of the figure for so many connections.
fn resting(connections: usize, entrance: Entrance) -> String {
    let way = match entrance {
        Entrance::Plain => "plain",
        Entrance::Intercept => "intercepted",
    };
    format!("rss with {connections} idle, {way}")
}

/// Runs it. One process for each number of connections: memory that was once taken is seldom given back.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let scene = bench.scene(Protocol::Http1)?;
    let counts: &[usize] = bench.either(&[1_000, 10_000], &[1_000]);
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for number in 0..=bench.peers.len() {
        let contender = bench.contender(number);
        let mut row = Row::of(contender);
        for entrance in [Entrance::Plain, Entrance::Intercept] {
            for &connections in counts {
                let shape = Shape { entrance, connections, ..Shape::default() };
                bench.step(&format!("S6 {}: {}", row.contender, resting(connections, entrance)));
                let contender = bench.contender(number);
                let rested = contender.can(&shape).map_err(anyhow::Error::msg).and_then(|()| rest(bench, contender, &scene, &shape));
                match rested {
                    Ok(run) => row.runs.push(run),
                    Err(error) if number == 0 => return Err(error),
                    Err(error) => notes.push(format!("{} is not in it: {error:#}", row.contender)),
                }
            }
        }
        rows.push(row);
    }
    notes.dedup();
    let mut outcome = Outcome {
        scenario: "S6".to_owned(),
        title: "memory at rest: no connection, and many idle ones".to_owned(),
        conditions: vec![format!(
            "each connection carried one request and has rested for {} s; a fresh process for each number of them",
            AT_REST.as_secs()
        )],
        rows,
        bars: Vec::new(),
        notes,
    };
    let at_most = |metric: String, mebibytes: f64| Bar { metric, limit: Limit::AtMost(mebibytes) };
    outcome.bars = [
        at_most(metric::IDLE_RSS.to_owned(), 15.0),
        at_most(resting(10_000, Entrance::Plain), 150.0),
        at_most(resting(10_000, Entrance::Intercept), 300.0),
    ]
    .into_iter()
    .map(|bar| outcome.hold(bar))
    .collect();
    Ok(vec![outcome])
}

fn rest(bench: &Bench, contender: &dyn Contender, scene: &Scene, shape: &Shape) -> anyhow::Result<Run> {
    // Idle memory is that of a policy as a sidecar has it, not of a thousand rules.
    let shape = Shape { rules: 10, ..shape.clone() };
    let folder = scene.folder(&format!("{}-{}-{:?}", contender.name(), shape.connections, shape.entrance))?;
    let running = contender.start(&scene.site(bench, &folder, &shape))?;
    let mut plan = shape.plan(&scene.upstream, &running.entry, &scene.token);
    plan.warm_up = shape.connections as u64;
    plan.until = Until { requests: Some(0), time: Duration::from_secs(1) };
    plan.patience = PATIENCE;
    let idle = Usage::of(running.pid())?;
    let mut resting_now = Usage::default();
    let measured = load::run_between(
        &plan,
        &mut || {
            std::thread::sleep(AT_REST);
            resting_now = Usage::of(running.pid())?;
            Ok(())
        },
        &mut || Ok(()),
    )?;
    let mut run = Run { right: measured.connections.saturating_sub(measured.wrong()), errors: measured.errors, ..Run::default() };
    run.figure(metric::IDLE_RSS, Unit::Mebibytes, mebibytes(idle.rss_bytes));
    run.figure(&resting(shape.connections, shape.entrance), Unit::Mebibytes, mebibytes(resting_now.rss_bytes));
    Ok(run)
}
