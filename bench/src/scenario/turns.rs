//! Contenders take turns at the same load: A B A B, so that what the machine does meanwhile happens to all of them.

use super::bench::Scene;
use super::{Bench, Shape};
use crate::contender::Running;
use crate::load::{self, Measured};
use crate::meter::{Noise, Usage};
use crate::results::{Bar, Outcome, Row, Run, Unit, metric};

/// How often a run that other load spoiled is repeated.
const REPEATS_MAX: usize = 2;

/// A scenario in which contenders take turns.
pub(super) struct Turns {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) shape: Shape,
    /// The direct way takes its turn too, and latency over it is a figure.
    pub(super) against_direct: bool,
    pub(super) bars: Vec<Bar>,
}

impl Turns {
    /// Runs it.
    pub(super) fn run(self, bench: &mut Bench) -> anyhow::Result<Outcome> {
        let scene = bench.scene(self.shape.upstream)?;
        let (mut turns, notes) = bench.start_all(&scene, &self.shape)?;
        let mut direct = Row { contender: "direct".to_owned(), version: String::new(), runs: Vec::new() };
        for round in 1..=bench.rounds {
            let mut base = None;
            if self.against_direct {
                bench.step(&format!("{} round {round} of {}: direct", self.id, bench.rounds));
                let measured = load::run(&self.shape.direct(&scene.upstream, &scene.token))?;
                base = Some(measured.clone());
                direct.runs.push(seen(&measured));
            }
            for turn in &mut turns {
                bench.step(&format!("{} round {round} of {}: {}", self.id, bench.rounds, turn.row.contender));
                for _ in 0..=REPEATS_MAX {
                    let run = self.measure(&scene, &turn.running, base.as_ref())?;
                    let is_spoiled = run.spoiled.is_some();
                    turn.row.runs.push(run);
                    if !is_spoiled {
                        break;
                    }
                }
            }
        }
        let mut rows: Vec<Row> = turns.into_iter().map(|turn| turn.row).collect();
        if self.against_direct {
            rows.push(direct);
        }
        let mut outcome = Outcome {
            scenario: self.id.to_owned(),
            title: self.title.to_owned(),
            conditions: self.shape.conditions(),
            rows,
            bars: Vec::new(),
            notes,
        };
        outcome.bars = self.bars.into_iter().map(|bar| outcome.hold(bar)).collect();
        Ok(outcome)
    }

    /// One run of one contender.
    fn measure(&self, scene: &Scene, running: &Running, direct: Option<&Measured>) -> anyhow::Result<Run> {
        let plan = self.shape.plan(&scene.upstream, &running.entry, &scene.token);
        let pid = running.pid();
        let (mut noise, mut before, mut after, mut spoiled) = (None, Usage::default(), Usage::default(), None);
        let measured = load::run_between(
            &plan,
            &mut || {
                noise = Some(Noise::begin());
                before = Usage::of(pid)?;
                Ok(())
            },
            &mut || {
                after = Usage::of(pid)?;
                spoiled = None;
                Ok(())
            },
        )?;
        if let Some(noise) = noise {
            spoiled = noise.end(&[pid, scene.upstream.serving.pid(), std::process::id()]);
        }
        let mut run = seen(&measured);
        run.spoiled = spoiled;
        let cpu = after.cpu.saturating_sub(before.cpu);
        if measured.right > 0 {
            run.figure(metric::CPU_PER_REQUEST, Unit::Microseconds, cpu.as_secs_f64() * 1e6 / measured.right as f64);
        }
        run.figure(metric::PEAK_RSS, Unit::Mebibytes, mebibytes(after.peak_rss_bytes));
        if let Some(direct) = direct {
            for (name, percentile) in [(metric::ADDED_P50, 50.0), (metric::ADDED_P99, 99.0)] {
                run.figure(name, Unit::Microseconds, measured.microseconds_at(percentile) - direct.microseconds_at(percentile));
            }
        }
        Ok(run)
    }
}

/// What the client saw, as a run.
pub(crate) fn seen(measured: &Measured) -> Run {
    let mut run = Run { latency: measured.by_percentile(), right: measured.right, errors: measured.errors.clone(), ..Run::default() };
    run.figure(metric::THROUGHPUT, Unit::PerSecond, measured.throughput());
    if measured.resumed > 0 {
        run.figure("connections resumed", Unit::Percent, measured.resumed as f64 * 100.0 / measured.connections as f64);
    }
    for (name, percentile) in [(metric::P50, 50.0), (metric::P99, 99.0), (metric::P999, 99.9)] {
        run.figure(name, Unit::Microseconds, measured.microseconds_at(percentile));
    }
    run
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
