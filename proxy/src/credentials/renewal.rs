use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::fingerprint::random_fraction;
use super::keyring::Core;
use super::lease::Lease;
use super::slot::{Renewal, Slot};

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
    /// Of a value that the issuer gave this lifetime at `began` or later: renewed from 80 % of it on, up to 5 % later.
    pub(super) fn renewed(began: Instant, lifetime: Duration) -> Self {
        let lifetime = lifetime.min(LIFETIME_MAX);
        let step = lifetime / 20;
        let renew_at = began + lifetime.mul_f64(0.8) + step.mul_f64(random_fraction());
        let ends_at = began + lifetime;
        Self { renew_at: Some(renew_at), step, usable_until: ends_at - SKEW_MAX.min(lifetime / 10), ends_at }
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn renewal_begins_between_80_and_85_per_cent() {
        let began = Instant::now();
        for _ in 0..100 {
            let renewed_after = Schedule::renewed(began, HOUR).renew_at.unwrap() - began;
            assert!((HOUR * 80 / 100..=HOUR * 85 / 100).contains(&renewed_after), "{renewed_after:?}");
        }
    }

    #[test]
    fn a_value_is_not_used_in_its_last_5_seconds_or_the_last_tenth_of_a_short_life() {
        let began = Instant::now();
        assert_eq!(Schedule::renewed(began, HOUR).usable_until, began + HOUR - Duration::from_secs(5));
        assert_eq!(Schedule::renewed(began, Duration::from_secs(10)).usable_until, began + Duration::from_secs(9));
    }

    #[test]
    fn no_lifetime_overflows() {
        let began = Instant::now();
        assert_eq!(Schedule::renewed(began, Duration::MAX).ends_at, began + LIFETIME_MAX);
        assert_eq!(Schedule::fixed(began, Duration::MAX).ends_at, began + LIFETIME_MAX);
    }
}
