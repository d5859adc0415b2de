//! S12: one large body down, and one up. Throughput, and memory that stays flat.

use std::time::{Duration, Instant};

use super::bench::{Scene, Turn};
use super::{Bench, Shape, mebibytes};
use crate::contender::Running;
use crate::load::{self, Measured, Path, Plan, Until};
use crate::meter::Usage;
use crate::results::{Bar, Limit, Outcome, Run, Unit, metric};

const DOWN: &str = "throughput down";
const UP: &str = "throughput up";
const GROWTH: &str = "memory growth";

/// How long one body may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often memory is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs it.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let bytes: u64 = bench.either(1024, 64) * 1024 * 1024;
    let shape = Shape { connections: 1, requests: 1, ..Shape::default() };
    let scene = bench.scene(shape.upstream)?;
    let (mut turns, notes) = bench.start_all(&scene, &shape)?;
    for round in 1..=bench.rounds {
        for Turn { row, running } in &mut turns {
            bench.step(&format!("S12 round {round} of {}: {}", bench.rounds, row.contender));
            row.runs.push(carry(&scene, &shape, running, bytes)?);
        }
    }
    let mut outcome = Outcome {
        scenario: "S12".to_owned(),
        title: format!("a body of {} MiB down, and one up", bytes >> 20),
        conditions: vec!["plain HTTP/1.1 in, TLS out, one connection; memory looked at every 10 ms".to_owned()],
        rows: turns.into_iter().map(|turn| turn.row).collect(),
        bars: Vec::new(),
        notes,
    };
    let nginx = |metric: &str| Bar { metric: metric.to_owned(), limit: Limit::AtLeastTimes(0.9, vec!["nginx".to_owned()]) };
    let growth = Bar { metric: GROWTH.to_owned(), limit: Limit::AtMost(8.0) };
    outcome.bars = [nginx(DOWN), nginx(UP), growth].into_iter().map(|bar| outcome.hold(bar)).collect();
    Ok(vec![outcome])
}

fn carry(scene: &Scene, shape: &Shape, running: &Running, bytes: u64) -> anyhow::Result<Run> {
    let mut plan = shape.plan(&scene.upstream, &running.entry, &scene.token);
    plan.patience = PATIENCE;
    plan.until = Until { requests: Some(1), time: PATIENCE };
    plan.warm_up = 1;
    // What a connection takes once is there before.
    load::run(&plan)?;
    plan.warm_up = 0;
    let down = Plan {
        path: Path::One(format!("/stream/{bytes}")),
        expected: load::Expected { response_bytes: Some(bytes), ..plan.expected.clone() },
        ..plan.clone()
    };
    let received = (http::HeaderName::from_static("x-bench-received"), http::HeaderValue::from(bytes));
    let up = Plan {
        path: Path::One("/sink".to_owned()),
        method: http::Method::POST,
        request_bytes: bytes,
        expected: load::Expected { response_bytes: Some(0), field: Some(received), ..plan.expected.clone() },
        ..plan
    };
    let mut run = Run::default();
    let before = Usage::of(running.pid())?;
    let mut most = before.rss_bytes;
    for (name, plan) in [(DOWN, &down), (UP, &up)] {
        let (measured, rss, cpu) = watched(plan, running.pid())?;
        most = most.max(rss);
        run.right += measured.right;
        run.errors.extend(measured.errors.clone());
        if measured.right > 0 {
            let mebibytes = mebibytes(bytes);
            run.figure(name, Unit::MebibytesPerSecond, mebibytes / measured.took.as_secs_f64());
            run.figure(
                &format!("cpu per MiB, {}", name.rsplit(' ').next().unwrap_or(name)),
                Unit::Microseconds,
                cpu.as_secs_f64() * 1e6 / mebibytes,
            );
        }
    }
    run.figure(GROWTH, Unit::Mebibytes, mebibytes(most - before.rss_bytes));
    run.figure(metric::PEAK_RSS, Unit::Mebibytes, mebibytes(most));
    Ok(run)
}

/// Carries a plan out; the most memory that the proxy had meanwhile, and its CPU time.
fn watched(plan: &Plan, pid: u32) -> anyhow::Result<(Measured, u64, Duration)> {
    let before = Usage::of(pid)?;
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load::run(plan));
        let mut most = 0;
        let begun = Instant::now();
        while !loading.is_finished() && begun.elapsed() < PATIENCE * 2 {
            most = most.max(Usage::of(pid)?.rss_bytes);
            std::thread::sleep(LOOK_INTERVAL);
        }
        let measured = loading.join().map_err(|_| anyhow::anyhow!("the load broke off"))??;
        let after = Usage::of(pid)?;
        Ok((measured, most.max(after.rss_bytes), after.cpu.saturating_sub(before.cpu)))
    })
}
