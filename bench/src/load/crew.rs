//! The threads of a load, and the moments that they share: everyone is warm, everyone begins, everyone is through.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::lane::{self, Seat, Station};
use super::measured::Tally;
use super::schedule::Schedule;
use super::{Measured, Plan, Protocol};

/// How long connecting and warming up may take, beside the patience for each request.
const WARM_UP_TIME_MAX: Duration = Duration::from_secs(120);

/// Runs a plan to its end on threads of its own. Blocks.
///
/// # Errors
/// Where the plan cannot be carried out at all. What goes wrong with single requests is counted in the result.
pub fn run(plan: &Plan) -> anyhow::Result<Measured> {
    run_between(plan, &mut || Ok(()), &mut || Ok(()))
}

/// As [`run`]. `at_start` is called when every connection is up and warm and nothing is sent yet, `at_end` when the last response is in and
/// the connections are still open: this is where the CPU time of the proxy is read.
///
/// # Errors
/// As [`run`], and those of the two.
pub fn run_between(
    plan: &Plan,
    at_start: &mut dyn FnMut() -> anyhow::Result<()>,
    at_end: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Measured> {
    ensure!(plan.connections > 0 && plan.streams > 0 && plan.threads > 0, "a load needs a connection and a thread");
    let plan = Arc::new(plan.clone());
    let schedule = Arc::new(Schedule::new(plan.pace, plan.until));
    let (go, gone) = watch::channel(false);
    let (release, released) = watch::channel(false);
    let (told, hears) = channel();
    let sum = Mutex::new(Tally::new()?);
    let threads = plan.threads.min(plan.connections);
    let took = std::thread::scope(|scope| {
        for number in 0..threads {
            let crew = Crew {
                plan: Arc::clone(&plan),
                schedule: Arc::clone(&schedule),
                // The first threads take what does not divide.
                connections: plan.connections / threads + usize::from(number < plan.connections % threads),
                go: gone.clone(),
                release: released.clone(),
                told: told.clone(),
            };
            let sum = &sum;
            std::thread::Builder::new().name(format!("load-{number}")).spawn_scoped(scope, move || crew.run(sum))?;
        }
        drop(told);
        let took = conduct(&schedule, &plan, threads, &hears, &go, (at_start, at_end));
        // Threads that still wait for either end now.
        go.send_replace(true);
        release.send_replace(true);
        took
    })?;
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(sum.measured(took, schedule.unsent()))
}

/// What a thread tells.
enum Moment {
    Warm,
    Through,
    Failed(anyhow::Error),
}

type Hooks<'h> = (&'h mut dyn FnMut() -> anyhow::Result<()>, &'h mut dyn FnMut() -> anyhow::Result<()>);

fn conduct(
    schedule: &Schedule,
    plan: &Plan,
    threads: usize,
    hears: &Receiver<Moment>,
    go: &watch::Sender<bool>,
    (at_start, at_end): Hooks<'_>,
) -> anyhow::Result<Duration> {
    let everyone = |patience: Duration, what: &str| {
        for _ in 0..threads {
            match hears.recv_timeout(patience).with_context(|| format!("the load generator is not {what} after {patience:?}"))? {
                Moment::Warm | Moment::Through => {}
                Moment::Failed(error) => return Err(error),
            }
        }
        Ok(())
    };
    let warm = everyone(WARM_UP_TIME_MAX + plan.patience, "warm").and_then(|()| at_start());
    if let Err(error) = warm {
        // Nothing is due: the schedule never began.
        return Err(error);
    }
    schedule.begin();
    let begun = Instant::now();
    go.send_replace(true);
    everyone(plan.until.time + lane::grace(plan), "through")?;
    let took = begun.elapsed();
    at_end()?;
    Ok(took)
}

/// One thread and its connections.
struct Crew {
    plan: Arc<Plan>,
    schedule: Arc<Schedule>,
    connections: usize,
    go: watch::Receiver<bool>,
    release: watch::Receiver<bool>,
    told: Sender<Moment>,
}

impl Crew {
    fn run(self, sum: &Mutex<Tally>) {
        let told = self.told.clone();
        if let Err(error) = self.serve(sum) {
            // Nobody hears it once the load was given up.
            let _ = told.send(Moment::Failed(error));
        }
    }

    fn serve(self, sum: &Mutex<Tally>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let station = Rc::new(Station::new(Arc::clone(&self.plan), Arc::clone(&self.schedule))?);
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let lanes = self.lanes();
            let warm_up = self.plan.warm_up.div_ceil((self.plan.connections * self.plan.streams) as u64);
            let mut warming = JoinSet::new();
            for mut seat in lanes {
                let station = Rc::clone(&station);
                warming.spawn_local(async move {
                    station.warm_up(&mut seat, warm_up).await;
                    seat
                });
            }
            let seats = warming.join_all().await;
            let mut working = JoinSet::new();
            for mut seat in seats {
                let (station, go, alarm) = (Rc::clone(&station), self.go.clone(), Alarm::for_pace(self.plan.pace)?);
                working.spawn_local(async move {
                    station.work(&mut seat, &alarm, go).await;
                    seat
                });
            }
            self.told.send(Moment::Warm)?;
            let seats = working.join_all().await;
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(station.tally());
            self.told.send(Moment::Through)?;
            let mut release = self.release.clone();
            // Gone is as good as said.
            let _ = release.wait_for(|release| *release).await;
            drop(seats);
            anyhow::Ok(())
        })
    }

    fn lanes(&self) -> Vec<Seat> {
        match self.plan.protocol {
            Protocol::Http1 => (0..self.connections).map(|_| Seat::Own(None)).collect(),
            Protocol::Http2 => (0..self.connections)
                .flat_map(|_| {
                    let shared = lane::Shared::default();
                    (0..self.plan.streams).map(move |_| Seat::Shared(Rc::clone(&shared)))
                })
                .collect(),
        }
    }
}
