use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::fingerprint::random_fraction;
use super::keyring::Core;
use super::lease::Lease;
use super::slot::{Renewal, Slot};
use crate::Credential;

/// A value is not used in the last seconds of its life, as the request and the issuer's clock need some; a tenth of a short life.
const SKEW_MAX: Duration = Duration::from_secs(5);

/// Longer lives are cut to this, so that no arithmetic can overflow.
const LIFETIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Changes of a file that come together are read together.
const SETTLING_TIME: Duration = Duration::from_millis(50);

/// Files are looked at this often even if nothing told of a change.
const POLL_TIME: Duration = Duration::from_secs(30);

/// The dates of one value, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// When it is renewed if it was used; `None` where there is nothing to renew.
    renew_at: Option<Instant>,
    /// Between two looks whether it was used after all.
    step: Duration,
    /// When it must no longer leave.
    pub(super) usable_until: Instant,
    /// When it ends at the issuer.
    pub(super) ends_at: Instant,
}

impl Schedule {
    /// Of a value that the issuer gave this lifetime at `began` or later: renewed between 80 and 85 % of it where it follows in time one
    /// that was usable until `before`.
    ///
    /// One that does not is the first, or the first after its issuer was down: a whole fleet may have fetched at that moment, and would
    /// come back together for as long as it lives. It is renewed at a random moment between 10 and 85 % of its life: after that no two
    /// processes keep step, and the issuer never sees twice the mean again. That costs one call for each process.
    pub(super) fn renewed(began: Instant, lifetime: Duration, before: Option<Instant>) -> Self {
        let lifetime = lifetime.min(LIFETIME_MAX);
        let step = lifetime / 20;
        let (earliest, spread) = if Self::is_in_time(began, lifetime, before) { (0.8, 0.05) } else { (0.1, 0.75) };
        let renew_at = began + lifetime.mul_f64(earliest + spread * random_fraction());
        let ends_at = began + lifetime;
        Self { renew_at: Some(renew_at), step, usable_until: ends_at - SKEW_MAX.min(lifetime / 10), ends_at }
    }

    /// Whether a value of this lifetime, asked for at `began`, comes in time after one that may be used until then: before that had lived
    /// much more than the 85 % at which it is renewed.
    fn is_in_time(began: Instant, lifetime: Duration, before: Option<Instant>) -> bool {
        let left = before.map_or(Duration::ZERO, |until| until.saturating_duration_since(began));
        left + SKEW_MAX.min(lifetime / 10) >= lifetime.mul_f64(0.13)
    }

    /// Whether the value is followed by another before it ends.
    pub(super) fn is_renewed(&self) -> bool {
        self.renew_at.is_some()
    }

    /// Of a static value that may be used for so long.
    pub(super) fn fixed(began: Instant, lifetime: Duration) -> Self {
        let ends_at = began + lifetime.min(LIFETIME_MAX);
        Self { renew_at: None, step: Duration::ZERO, usable_until: ends_at, ends_at }
    }
}

/// Renews the value of a lease in time, and drops it at the end of its life.
pub(super) async fn keep(slot: Weak<Slot>, lease: Weak<Lease>, schedule: Schedule) {
    if let Some(renew_at) = schedule.renew_at {
        sleep_until(renew_at).await;
        while Instant::now() < schedule.usable_until {
            let renewal = match (slot.upgrade(), lease.upgrade()) {
                (Some(slot), Some(lease)) => slot.renew(&lease).await,
                (None, _) | (_, None) => return,
            };
            let pause = match renewal {
                Renewal::Done => break,
                Renewal::NotUsed => schedule.step,
                Renewal::Failed(rest) => rest,
            };
            sleep_until(schedule.usable_until.min(Instant::now() + pause)).await;
        }
    }
    sleep_until(schedule.usable_until).await;
    if let (Some(slot), Some(lease)) = (slot.upgrade(), lease.upgrade()) {
        slot.withdraw(&lease);
    }
    sleep_until(schedule.ends_at).await;
    if let (Some(slot), Some(lease)) = (slot.upgrade(), lease.upgrade()) {
        slot.expire(&lease);
    }
}

/// Fetches again whenever one of these files may have changed, until the slot has ended.
pub(super) async fn follow(slot: Weak<Slot>, core: Arc<Core>, files: Vec<PathBuf>, mut told: watch::Receiver<u64>) {
    loop {
        // An error cannot be: `core` holds the sender.
        let _ = tokio::time::timeout(POLL_TIME, told.changed()).await;
        sleep(SETTLING_TIME).await;
        told.mark_unchanged();
        let Some(slot) = slot.upgrade() else { return };
        if !slot.fetch_again().await {
            return;
        }
        // Once more, for a folder that was itself replaced.
        for file in &files {
            core.tools.changes.follow(file);
        }
    }
}

/// Fetches again whenever the source of this credential says that what it yields has changed, until the slot has ended.
pub(super) async fn follow_source(slot: Weak<Slot>, credential: Arc<Credential>) {
    let (sender, mut told) = watch::channel(());
    let Some(watching) = credential.source.provider().watch(&sender) else { return };
    let following = async {
        loop {
            // An error cannot be: `sender` is held. A slot that has ended is noticed at the latest after this time.
            let changed = tokio::time::timeout(POLL_TIME, told.changed()).await.is_ok();
            let Some(slot) = slot.upgrade() else { return };
            if changed && !slot.fetch_again().await {
                return;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = following => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::backoff::Backoff;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn renewal_begins_between_80_and_85_per_cent() {
        let began = Instant::now();
        let renewed_after = |before| Schedule::renewed(began, HOUR, before).renew_at.unwrap() - began;
        for _ in 0..100 {
            let in_time = renewed_after(Some(began + HOUR * 15 / 100));
            assert!((HOUR * 80 / 100..=HOUR * 85 / 100).contains(&in_time), "{in_time:?}");
            let first = renewed_after(None);
            assert!((HOUR * 10 / 100..=HOUR * 85 / 100).contains(&first), "{first:?}");
        }
    }

    /// The most calls within a twentieth of an hour, and their mean, of so many processes whose tokens live an hour. They start at once,
    /// and for two hours the issuer is down. Neither the start nor the minute after the outage is counted.
    fn calls_of_a_fleet(processes: usize) -> (f64, f64) {
        const HOURS: u32 = 24;
        let (start, bin) = (Instant::now(), HOUR / 20);
        let down = start + HOUR * 10..start + HOUR * 12;
        let recovering = down.end..down.end + Duration::from_secs(60);
        let mut calls = vec![0_u32; 20 * HOURS as usize];
        for _ in 0..processes {
            let (mut now, mut before, mut backoff) = (start, None, Backoff::default());
            while now < start + HOUR * HOURS {
                if now > start && !recovering.contains(&now) {
                    calls[((now - start).as_secs_f64() / bin.as_secs_f64()) as usize] += u32::from(!down.contains(&now));
                }
                if down.contains(&now) {
                    backoff.failed(now);
                    now += backoff.rest(now).max(Duration::from_millis(1));
                    continue;
                }
                backoff.succeeded();
                let schedule = Schedule::renewed(now, HOUR, before);
                (now, before) = (schedule.renew_at.unwrap(), Some(schedule.usable_until));
            }
        }
        let busy = calls.iter().filter(|calls| **calls > 0).count();
        (f64::from(*calls.iter().max().unwrap()), f64::from(calls.iter().sum::<u32>()) / busy as f64)
    }

    #[test]
    fn a_fleet_never_comes_back_together() {
        for processes in [500, 10_000] {
            let (peak, mean) = calls_of_a_fleet(processes);
            assert!(peak <= 2.0 * mean, "{processes} processes: {peak} calls at most, {mean} in the mean");
        }
    }

    #[test]
    fn what_follows_before_its_time_is_up_is_in_time_and_all_else_is_not() {
        for lifetime in [Duration::from_secs(10), Duration::from_secs(60), HOUR] {
            let began = Instant::now();
            let before = Schedule::renewed(began, lifetime, None);
            let at = |per_cent: u32| Schedule::is_in_time(began + lifetime * per_cent / 100, lifetime, Some(before.usable_until));
            assert!(at(10) && at(80) && at(85), "{lifetime:?}");
            assert!(!at(90) && !at(100) && !Schedule::is_in_time(began, lifetime, None), "{lifetime:?}");
        }
    }

    #[test]
    fn a_value_is_not_used_in_its_last_5_seconds_or_the_last_tenth_of_a_short_life() {
        let began = Instant::now();
        assert_eq!(Schedule::renewed(began, HOUR, None).usable_until, began + HOUR - Duration::from_secs(5));
        assert_eq!(Schedule::renewed(began, Duration::from_secs(10), None).usable_until, began + Duration::from_secs(9));
    }

    #[test]
    fn no_lifetime_overflows() {
        let began = Instant::now();
        assert_eq!(Schedule::renewed(began, Duration::MAX, None).ends_at, began + LIFETIME_MAX);
        assert_eq!(Schedule::fixed(began, Duration::MAX).ends_at, began + LIFETIME_MAX);
    }
}
