//! Counters between decide and credentials: a cell for each rule and whom it counts, by the generic cell rate algorithm (ITU-T I.371).

/// Callers that get little for a while.
mod throttle;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use keygress_policy::Rule;
use keygress_policy::limit::{Limit, Per};

use throttle::Throttled;

pub use throttle::Whom;

/// The table is cut into this many parts, so that cores seldom wait for each other.
const SHARDS: usize = 16;

/// How many cells a part holds; a million callers cannot fill the memory.
const CELLS_PER_SHARD_MAX: usize = 4096;

/// A full part is searched for idle cells no more often than this.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The counters of this process. They outlive a reload of the policy: a rule keeps its cells as long as it keeps its name.
#[derive(Debug)]
pub struct Limits {
    shards: Vec<Mutex<Shard>>,
    keyed: RandomState,
    throttled: Throttled,
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<u64, Cell>,
    swept: Option<Instant>,
}

/// When the next request would be due if all came evenly: the whole state of a counter.
#[derive(Clone, Copy, Debug)]
struct Cell {
    due: Instant,
}

impl Default for Limits {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), keyed: RandomState::new(), throttled: Throttled::default() }
    }
}

impl Limits {
    /// Counts one request at this monotonic instant. `workload` and `task` are whom the rule may count for; callers that are no
    /// workload, or no task, are counted together. A full window may come at once; then one request each `window / count`.
    ///
    /// Where more than 65,536 counters run at once, a caller that has none yet is refused until one is idle.
    ///
    /// # Errors
    /// Seconds until the next request is allowed, at least 1. A refused request is not counted.
    pub fn count(&self, rule: &Rule, workload: Option<&str>, task: Option<&str>, now: Instant) -> Result<(), u64> {
        let Some(limit) = &rule.limit else { return Ok(()) };
        let whom = match limit.per {
            Per::Rule => None,
            Per::Workload => workload,
            Per::Task => task,
        };
        // 64 keyed bits stand for the names: a collision is too rare to matter, and would only make two callers share a limit.
        let key = self.keyed.hash_one((rule.name.as_str(), limit.per as u8, whom));
        let shard = usize::try_from(key % SHARDS as u64).ok().and_then(|at| self.shards.get(at)).ok_or(1_u64)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.cells.contains_key(&key) && !shard.has_room(now) {
            return Err(SWEEP_INTERVAL.as_secs());
        }
        shard.cells.entry(key).or_insert(Cell { due: now }).count(limit, now)
    }
}

impl Limits {
    /// From now on this task or workload gets one request a second, until then.
    pub fn throttle(&self, whom: Whom<'_>, until: Instant) {
        self.throttled.put(whom, until);
    }

    /// Whether anybody is throttled: asked for every request.
    #[must_use]
    pub fn throttles(&self) -> bool {
        self.throttled.any()
    }

    /// Counts a request of a caller that may be throttled.
    ///
    /// # Errors
    /// Seconds until its next request is allowed.
    pub fn throttled(&self, workload: Option<&str>, task: Option<&str>, now: Instant) -> Result<(), u64> {
        let whom = [task.map(Whom::Task), workload.map(Whom::Workload)];
        whom.into_iter().flatten().try_for_each(|whom| self.throttled.count(whom, now))
    }
}

impl Shard {
    /// Whether one more cell fits, after idle ones have gone: a cell whose time has come is as good as none.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.cells.len() >= CELLS_PER_SHARD_MAX && self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL)
        {
            self.cells.retain(|_, cell| cell.due > now);
            self.swept = Some(now);
        }
        self.cells.len() < CELLS_PER_SHARD_MAX
    }
}

impl Cell {
    fn count(&mut self, limit: &Limit, now: Instant) -> Result<(), u64> {
        let window = Duration::from_secs(limit.window_seconds.into());
        let spacing = window / limit.count.max(1);
        let burst = window.saturating_sub(spacing);
        // After a reload the window may be shorter than what was counted in the old one.
        let due = self.due.clamp(now, now + window);
        self.due = due;
        match (due - now).checked_sub(burst) {
            Some(wait) if !wait.is_zero() || limit.count == 0 => Err(seconds_up(wait).max(1)),
            Some(_) | None => {
                self.due = due + spacing;
                Ok(())
            }
        }
    }
}

/// Whole seconds, rounded up.
fn seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use keygress_policy::compile::{HostPattern, Lineage};
    use keygress_policy::destination::{Host, Scheme};

    use super::*;

    fn rule(name: &str, count: u32, window_seconds: u32, per: Per) -> Rule {
        Rule {
            name: name.into(),
            index: 0,
            lineage: Lineage::first(0),
            scheme: Scheme::Https,
            host: HostPattern::Exact(Host::Name("api.test".into())),
            port: 443,
            allow_ips: Vec::new(),
            raise_to_https: false,
            request_trailers: Vec::new(),
            forward: Vec::new(),
            limit: Some(Limit { count, window_seconds, per }),
            credential: None,
            via: None,
            attribute: None,
            constrains_path: false,
            unsafe_unscrubbed_body: false,
        }
    }

    fn allowed(limits: &Limits, rule: &Rule, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| limits.count(rule, None, None, now).is_ok()).count()
    }

    #[test]
    fn a_window_may_come_at_once_and_then_evenly() {
        let (limits, rule, start) = (Limits::default(), rule("r", 6, 60, Per::Rule), Instant::now());
        assert_eq!(allowed(&limits, &rule, 100, start), 6);
        assert_eq!(limits.count(&rule, None, None, start), Err(10));
        assert_eq!(limits.count(&rule, None, None, start + Duration::from_millis(9500)), Err(1));
        assert_eq!(allowed(&limits, &rule, 100, start + Duration::from_secs(10)), 1);
        assert_eq!(allowed(&limits, &rule, 100, start + Duration::from_secs(40)), 3);
        assert_eq!(allowed(&limits, &rule, 100, start + Duration::from_secs(1000)), 6);
    }

    #[test]
    fn no_second_of_a_busy_minute_lets_more_through_than_the_limit_says() {
        for (count, window) in [(1, 1), (3, 1), (7, 60), (1000, 3600)] {
            let (limits, rule, start) = (Limits::default(), rule("r", count, window, Per::Rule), Instant::now());
            let at_once = allowed(&limits, &rule, 2000, start);
            let later = (1..u64::from(window) * 2).map(|second| allowed(&limits, &rule, 4, start + Duration::from_secs(second)));
            let (count, total) = (usize::try_from(count).unwrap(), at_once + later.sum::<usize>());
            assert!(total >= count * 2 && total <= count * 3, "{count} in {window} s: {total} in two windows");
        }
    }

    #[test]
    fn each_is_counted_apart_as_the_rule_says() {
        let now = Instant::now();
        for (per, apart) in [(Per::Rule, 1), (Per::Workload, 2), (Per::Task, 4)] {
            let (limits, rule) = (Limits::default(), rule("r", 1, 60, per));
            let callers = [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")];
            let passed = callers.iter().filter(|(workload, task)| limits.count(&rule, Some(workload), Some(task), now).is_ok()).count();
            assert_eq!(passed, apart, "{per:?}");
        }
        let limits = Limits::default();
        assert_eq!(allowed(&limits, &rule("one", 1, 60, Per::Rule), 2, now) + allowed(&limits, &rule("two", 1, 60, Per::Rule), 2, now), 2);
        assert_eq!(allowed(&limits, &rule("task", 2, 60, Per::Task), 9, now), 2);
    }

    #[test]
    fn a_rule_without_a_limit_is_not_counted() {
        let limits = Limits::default();
        let unlimited = Rule { limit: None, ..rule("r", 1, 1, Per::Rule) };
        assert_eq!(allowed(&limits, &unlimited, 1000, Instant::now()), 1000);
    }

    #[test]
    fn a_shorter_window_after_a_reload_counts_at_once() {
        let (limits, start) = (Limits::default(), Instant::now());
        assert_eq!(allowed(&limits, &rule("r", 2, 3600, Per::Rule), 9, start), 2);
        let reloaded = rule("r", 2, 1, Per::Rule);
        assert_eq!(limits.count(&reloaded, None, None, start), Err(1));
        assert_eq!(allowed(&limits, &reloaded, 9, start + Duration::from_secs(2)), 2);
    }

    #[test]
    fn counters_are_bounded_and_idle_ones_make_room() {
        let (limits, rule, start) = (Limits::default(), rule("r", 1, 60, Per::Task), Instant::now());
        let tries = SHARDS * CELLS_PER_SHARD_MAX * 2;
        let passed = (0..tries).filter(|task| limits.count(&rule, None, Some(&task.to_string()), start).is_ok()).count();
        assert!(passed <= SHARDS * CELLS_PER_SHARD_MAX && passed > tries / 4, "{passed}");
        assert_eq!(limits.count(&rule, None, Some("late"), start + Duration::from_secs(60)), Ok(()));
        let cells: usize = limits.shards.iter().map(|shard| shard.lock().unwrap().cells.len()).sum();
        assert!(cells <= SHARDS * CELLS_PER_SHARD_MAX);
    }
}
