use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers that are throttled at once, at most; more are not.
const THROTTLED_MAX: usize = 4_096;

/// Between two requests of a throttled caller.
const SPACING: Duration = Duration::from_secs(1);

/// Who is throttled, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom<'n> {
    /// A task.
    Task(&'n str),
    /// A workload.
    Workload(&'n str),
}

impl Whom<'_> {
    fn key(self) -> String {
        match self {
            Self::Task(id) => format!("task {id}"),
            Self::Workload(name) => format!("workload {name}"),
        }
    }
}

/// Callers that get one request a second for a while. To ask costs one load where there is none.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    any: AtomicBool,
    callers: Mutex<HashMap<String, Slow>>,
}

#[derive(Clone, Copy, Debug)]
struct Slow {
    until: Instant,
    next: Option<Instant>,
}

impl Throttled {
    pub(super) fn put(&self, whom: Whom<'_>, until: Instant) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = whom.key();
        if callers.len() < THROTTLED_MAX || callers.contains_key(&key) {
            callers.entry(key).or_insert(Slow { until, next: None }).until = until;
            self.any.store(true, Ordering::Release);
        }
    }

    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(super) fn count(&self, whom: Whom<'_>, now: Instant) -> Result<(), u64> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|_, slow| slow.until > now);
        self.any.store(!callers.is_empty(), Ordering::Release);
        let Some(slow) = callers.get_mut(&whom.key()) else { return Ok(()) };
        if slow.next.is_some_and(|next| next > now) {
            return Err(SPACING.as_secs());
        }
        slow.next = Some(now + SPACING);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_caller_gets_one_request_a_second_and_then_all() {
        let (throttled, start) = (Throttled::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!throttled.any());
        throttled.put(Whom::Task("7"), at(10_000));
        let passed = |whom, milliseconds| throttled.count(whom, at(milliseconds)).is_ok();
        let taken: Vec<_> = (0..100).filter(|tenth| passed(Whom::Task("7"), tenth * 100)).collect();
        assert_eq!(taken, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(throttled.count(Whom::Task("7"), at(9_999)), Err(1));
        assert!(passed(Whom::Workload("7"), 9_999) && passed(Whom::Task("8"), 9_999), "nobody else");
        assert!(throttled.any() && passed(Whom::Task("7"), 10_000) && passed(Whom::Task("7"), 10_001));
        assert!(!throttled.any());
    }

    #[test]
    fn they_are_bounded() {
        let (throttled, start) = (Throttled::default(), Instant::now());
        (0..=THROTTLED_MAX).for_each(|number| throttled.put(Whom::Task(&number.to_string()), start + SPACING));
        assert_eq!(throttled.callers.lock().unwrap().len(), THROTTLED_MAX);
    }
}
