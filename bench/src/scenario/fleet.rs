//! S14: a fleet. Thousands of credentials, each of its own client, fetched in one burst and renewed at one issuer by the product's own schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Bench, Shape, mebibytes};
use crate::contender::keygress::Launched;
use crate::issuer::{self, Counts, Issuer};
use crate::load::{self, Path, Plan, Until};
use crate::meter::Usage;
use crate::policies::Fleet;
use crate::results::{Bar, Limit, Outcome, Row, Run, Unit};
use crate::{ask, upstream};

/// How often the issuer is asked for its counters.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// After the start the issuer is watched in stretches of this part of a token's life.
const STRETCHES: u32 = 10;

/// When a value is renewed in the mean, as a part of its life.
const RENEWED_AT: f64 = 0.825;

const PEAK: &str = "busiest tenth of a life, to the mean";
const TWICE: &str = "tokens more than needed";
const RENEWED: &str = "tokens renewed";
const ERRORS: &str = "errors";

/// Runs it.
pub(super) fn run(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let (credentials, token_seconds) = bench.either((10_000, 40), (1_000, 5));
    let shape = Shape::default();
    let scene = bench.scene(shape.upstream)?;
    let issuer = issuer::start(&bench.servers, &issuer::Settings { token_seconds })?;
    let folder = scene.folder("keygress")?;
    let authority = scene.upstream.authority();
    let fleet = Fleet {
        uid: rustix::process::getuid().as_raw(),
        upstream: &authority,
        issuer: issuer.address,
        secret_file: &scene.token_file,
        credentials,
    };
    bench.step(&format!("S14: starting with {credentials} credentials"));
    let launched = bench.keygress.launch_with(&scene.site(bench, &folder, &shape), &fleet.policy())?;
    let mut plan = shape.plan(&scene.upstream, &launched.running.entry, &scene.token);
    plan.path = Path::Numbered { before: "/size/".to_owned(), count: credentials };
    plan.warm_up = 0;
    // Any token of this issuer: which one it is, its number says, and no number is issued twice.
    plan.expected.response_bytes = None;
    plan.expected.saw = Some(std::sync::Arc::new((1..=credentials * 4).map(|n| upstream::digest(issuer::bearer(n).as_bytes())).collect()));
    let run = live(bench, &plan, (&launched, &issuer), credentials, token_seconds)?;
    let row = Row { contender: "keygress".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), runs: vec![run] };
    let mut outcome = Outcome {
        scenario: "S14".to_owned(),
        title: format!("a fleet: {credentials} credentials that renew at one issuer"),
        conditions: vec![
            format!(
                "one keygress holds {credentials} OAuth2 credentials, each of its own client, as {credentials} sidecars would hold one each"
            ),
            format!(
                "tokens live {token_seconds} s; every credential is used once in a first burst, and the first renewal of all of them is awaited"
            ),
        ],
        rows: vec![row],
        bars: Vec::new(),
        notes: vec![
            "the schedule of renewals is the product's own; what thousands of processes would cost beside it is not measured".to_owned(),
            "the part with a broker waits for the broker".to_owned(),
        ],
    };
    let none = |metric: &str| Bar { metric: metric.to_owned(), limit: Limit::AtMost(0.0) };
    let all = Bar { metric: RENEWED.to_owned(), limit: Limit::AtLeast(credentials as f64) };
    let peak = Bar { metric: PEAK.to_owned(), limit: Limit::AtMost(2.0) };
    outcome.bars = [none(ERRORS), none(TWICE), all, peak].into_iter().map(|bar| outcome.hold(bar)).collect();
    Ok(vec![outcome])
}

fn live(
    bench: &mut Bench,
    plan: &Plan,
    (launched, issuer): (&Launched, &Issuer),
    credentials: u64,
    token_seconds: u64,
) -> anyhow::Result<Run> {
    let counts = || anyhow::Ok(serde_json::from_slice::<Counts>(&ask::tcp(issuer.address, http::Method::GET, "/counts")?)?);
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    bench.step(&format!("S14: {credentials} first requests"));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                seen.push((begun.elapsed(), counts()?));
                std::thread::sleep(LOOK_INTERVAL);
            }
            anyhow::Ok(seen)
        });
        let watched = (|| {
            let once = Until { requests: Some(credentials), time: Duration::from_secs(60) };
            let first = load::run(&Plan { until: once, ..plan.clone() })?;
            let started = begun.elapsed();
            bench.step(&format!("S14: renewals of {credentials} tokens that live {token_seconds} s"));
            // All that was used is renewed for the first time between 10 and 85 per cent of its life: the last one that was fetched too, and
            // none twice, as nobody uses it before.
            std::thread::sleep(Duration::from_secs(token_seconds) * 9 / 10);
            let renewed = counts()?.issued.saturating_sub(credentials);
            let again = load::run(&Plan { until: once, ..plan.clone() })?;
            anyhow::Ok((first, started, renewed, again))
        })();
        is_over.store(true, Ordering::Relaxed);
        let seen = looking.join().map_err(|_| anyhow::anyhow!("nobody looked at the issuer"))??;
        let (first, started, renewed, again) = watched?;
        let mut run = Run { right: first.right + again.right, errors: first.errors.clone(), ..Run::default() };
        run.errors.extend(again.errors.clone());
        run.figure("first requests", Unit::PerSecond, first.throughput());
        run.figure("first request p99", Unit::Milliseconds, first.microseconds_at(99.0) / 1e3);
        run.figure("request with a renewed token p99", Unit::Milliseconds, again.microseconds_at(99.0) / 1e3);
        let (second, stretch) = (Duration::from_secs(1), Duration::from_secs(token_seconds) / STRETCHES);
        let mean = credentials as f64 / (f64::from(STRETCHES) * RENEWED_AT);
        run.figure(RENEWED, Unit::Count, renewed as f64);
        run.figure(TWICE, Unit::Count, renewed.saturating_sub(credentials) as f64);
        run.figure("most tokens in a second", Unit::Count, most_within(second, &seen, Duration::ZERO) as f64);
        run.figure("most renewals in a second", Unit::Count, most_within(second, &seen, started) as f64);
        run.figure(PEAK, Unit::Count, most_within(stretch, &seen, started) as f64 / mean);
        run.figure(ERRORS, Unit::Count, (first.wrong() + again.wrong()) as f64);
        run.figure("rss", Unit::Mebibytes, mebibytes(Usage::of(launched.running.pid())?.rss_bytes));
        Ok(run)
    })
}

/// The most tokens that were issued within any such span from `from` on.
fn most_within(span: Duration, seen: &[(Duration, Counts)], from: Duration) -> u64 {
    let after: Vec<_> = seen.iter().filter(|(at, _)| *at >= from).collect();
    let within = |(begin, first): &(Duration, Counts)| {
        let last = after.iter().take_while(|(at, _)| *at <= *begin + span).last();
        last.map_or(0, |(_, last)| last.issued.saturating_sub(first.issued))
    };
    after.iter().map(|begin| within(begin)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_span_is_found() {
        let second = Duration::from_secs(1);
        let at = |milliseconds: u64, issued: u64| (Duration::from_millis(milliseconds), Counts { issued, ..Counts::default() });
        let seen = [at(0, 0), at(500, 100), at(1000, 110), at(1500, 120), at(2500, 300)];
        assert_eq!(most_within(second, &seen, Duration::ZERO), 180);
        assert_eq!(most_within(second, &seen[..4], Duration::ZERO), 110);
        assert_eq!(most_within(second, &seen, Duration::from_millis(2500)), 0);
        assert_eq!(most_within(second, &[], Duration::ZERO), 0);
        assert_eq!(most_within(second / 4, &seen, Duration::ZERO), 0, "nothing was seen twice within a quarter of a second");
    }
}
