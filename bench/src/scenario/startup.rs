//! S7: from the start of the process to the first proxied request.

use std::time::{Duration, Instant};

use super::{Bench, Shape};
use crate::load::{self, Until};
use crate::results::{Bar, Limit, Outcome, Row, Run, Unit};

/// The figure.
const FIRST: &str = "start to first request";

/// Runs it: everyone is started again and again, in turns.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { connections: 1, requests: 1, ..Shape::default() };
    let scene = bench.scene(shape.upstream)?;
    let starts = bench.either(20, 5);
    let (mut rows, mut notes): (Vec<Row>, Vec<String>) = (Vec::new(), Vec::new());
    for number in 0..=bench.peers.len() {
        let contender = bench.contender(number);
        match contender.can(&shape) {
            Ok(()) => rows.push(Row::of(contender)),
            Err(why) => notes.push(format!("{} is not in it: {why}", contender.name())),
        }
    }
    for start in 1..=starts {
        for row in &mut rows {
            bench.step(&format!("S7 start {start} of {starts}: {}", row.contender));
            let Some(contender) = bench.named(&row.contender) else { continue };
            let folder = scene.folder(&format!("{}-{start}", row.contender))?;
            let begun = Instant::now();
            let running = match contender.start(&scene.site(bench, &folder, &shape)) {
                Ok(running) => running,
                Err(error) if row.contender == bench.keygress.name => return Err(error),
                Err(error) => {
                    notes.push(format!("{} did not start: {error:#}", row.contender));
                    continue;
                }
            };
            let mut plan = shape.plan(&scene.upstream, &running.entry, &scene.token);
            plan.warm_up = 0;
            plan.until = Until { requests: Some(1), time: Duration::from_secs(10) };
            let measured = load::run(&plan)?;
            let took = begun.elapsed();
            let mut run = Run { right: measured.right, errors: measured.errors, ..Run::default() };
            run.figure(FIRST, Unit::Milliseconds, took.as_secs_f64() * 1e3);
            row.runs.push(run);
        }
    }
    let mut outcome = Outcome {
        scenario: "S7".to_owned(),
        title: "from the start of the process to the first proxied request".to_owned(),
        conditions: vec![
            format!(
                "{starts} starts, in turns; plain HTTP/1.1 in, TLS out; its configuration is on disk before, and the time ends with the last byte of the response"
            ),
            format!("keygress: policy of {} rules, written while the clock runs", shape.rules),
        ],
        rows,
        bars: Vec::new(),
        notes,
    };
    let peers: Vec<String> = bench.peers.iter().map(|peer| peer.name().to_owned()).filter(|name| name != "floor").collect();
    outcome.bars = [Limit::AtMost(50.0), Limit::AtMostTimes(1.0, peers)]
        .into_iter()
        .map(|limit| outcome.hold(Bar { metric: FIRST.to_owned(), limit }))
        .collect();
    Ok(vec![outcome])
}
