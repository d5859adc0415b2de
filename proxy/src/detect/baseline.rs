use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Credentials that have a baseline; the one that was used longest ago makes room.
const CREDENTIALS_MAX: usize = 1_000;

/// Values of one dimension that are remembered. What has more before it settles is no dimension of this credential.
const VALUES_MAX: usize = 32;

/// The longest value that is remembered, in bytes; what is longer is cut.
const VALUE_BYTES_MAX: usize = 128;

/// Uses without which nothing is settled.
const USES_MIN: u64 = 100;

/// What is usual, by credential.
#[derive(Debug)]
pub struct Baselines {
    by_credential: HashMap<Arc<str>, Baseline>,
    settle_ms: i64,
}

/// What is usual of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Its first use, in milliseconds since 1970.
    pub since: i64,
    /// Its last use, likewise.
    pub last: i64,
    /// How often it was used.
    pub uses: u64,
    /// By what: in the order of [`super::first_use::DIMENSIONS`].
    pub dimensions: [Dimension; 5],
    /// How often in a minute, and in an hour.
    pub windows: [Window; 2],
}

/// One respect in which uses are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// What was seen.
    pub values: Vec<String>,
    /// When something new was seen last.
    pub changed: i64,
    /// Whether something new is unusual from now on.
    pub is_settled: bool,
    /// Whether there is no end of values.
    pub is_open: bool,
}

/// How often something happens in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Number of the span that is being counted.
    pub index: i64,
    /// How often in it.
    pub count: u64,
    /// The most in one before.
    pub most: u64,
    /// How many there were before.
    pub spans: u64,
}

/// What a value is to a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    Usual,
    /// New, while it is still being learned what is usual.
    Learned,
    /// New, after it was settled what is usual.
    Unusual,
}

impl Baselines {
    /// None yet. What is younger than this is not settled.
    #[must_use]
    pub fn new(settle: Duration) -> Self {
        Self { by_credential: HashMap::new(), settle_ms: i64::try_from(settle.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Counts a use.
    pub(super) fn touch(&mut self, credential: &Arc<str>, at: i64) {
        let baseline = match self.by_credential.get_mut(credential) {
            Some(baseline) => baseline,
            None => {
                self.make_room();
                let new = Baseline { since: at, last: at, uses: 0, dimensions: Default::default(), windows: Default::default() };
                self.by_credential.entry(Arc::clone(credential)).or_insert(new)
            }
        };
        baseline.uses += 1;
        baseline.last = baseline.last.max(at);
    }

    /// The baseline of a credential, and how long it takes to settle, in milliseconds.
    pub(super) fn of(&mut self, credential: &str) -> Option<(&mut Baseline, i64)> {
        self.by_credential.get_mut(credential).map(|baseline| (baseline, self.settle_ms))
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<str>, &Baseline)> {
        let mut all: Vec<_> = self.by_credential.iter().map(|(name, baseline)| (Arc::clone(name), baseline)).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Forgets what is usual of one credential, or of all; says how many that were.
    pub fn reset(&mut self, credential: Option<&str>) -> usize {
        let before = self.by_credential.len();
        self.by_credential.retain(|name, _| credential.is_some_and(|credential| **name != *credential));
        before - self.by_credential.len()
    }

    /// Takes over what an earlier process knew.
    pub fn restore(&mut self, kept: impl IntoIterator<Item = (Arc<str>, Baseline)>) {
        for (name, baseline) in kept {
            self.make_room();
            self.by_credential.insert(name, baseline);
        }
    }

    fn make_room(&mut self) {
        if self.by_credential.len() < CREDENTIALS_MAX {
            return;
        }
        let oldest = self.by_credential.iter().min_by_key(|(_, baseline)| baseline.last).map(|(name, _)| Arc::clone(name));
        if let Some(oldest) = oldest {
            self.by_credential.remove(&oldest);
        }
    }
}

impl Baseline {
    /// Learns a value of a dimension, and says what it is to it.
    pub(super) fn learn(&mut self, dimension: usize, value: &str, at: i64, settle_ms: i64) -> Novelty {
        let (since, uses) = (self.since, self.uses);
        let Some(dimension) = self.dimensions.get_mut(dimension) else { return Novelty::Usual };
        if dimension.is_open {
            return Novelty::Usual;
        }
        let value = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or(value);
        if let Some(place) = dimension.values.iter().position(|known| known == value) {
            // What comes often is found at once.
            if place > 0 {
                dimension.values.swap(place, place - 1);
            }
            return Novelty::Usual;
        }
        // It is settled when enough was seen for long enough, and nothing new for half of that time.
        let age = at.saturating_sub(since);
        let is_old = uses > USES_MIN && age >= settle_ms && at.saturating_sub(dimension.changed) >= age / 2;
        dimension.is_settled |= is_old && !dimension.values.is_empty();
        if dimension.values.len() < VALUES_MAX {
            dimension.values.push(value.to_owned());
        } else if !dimension.is_settled {
            dimension.is_open = true;
            dimension.values = Vec::new();
        }
        if dimension.is_settled {
            return Novelty::Unusual;
        }
        dimension.changed = at;
        Novelty::Learned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: i64 = 1_000;

    fn baselines() -> Baselines {
        Baselines::new(Duration::from_millis(SETTLE as u64))
    }

    /// Learns values, one a step of so many milliseconds.
    fn learn(values: &[&str], step: i64) -> (Baseline, Vec<Novelty>) {
        let (mut all, name) = (baselines(), Arc::from("crm"));
        let mut seen = Vec::new();
        for (at, value) in (0..).map(|number| number * step).zip(values) {
            all.touch(&name, at);
            seen.push(all.of("crm").unwrap().0.learn(0, value, at, SETTLE));
        }
        (all.of("crm").unwrap().0.clone(), seen)
    }

    #[test]
    fn something_new_is_unusual_once_it_is_settled_what_is_usual() {
        let values: Vec<_> = [vec!["GET", "POST"], vec!["GET"; 200], vec!["DELETE", "DELETE", "PUT"]].concat();
        let (baseline, seen) = learn(&values, 10);
        let new: Vec<_> = seen.iter().enumerate().filter(|(_, novelty)| **novelty != Novelty::Usual).collect();
        let (learned, unusual) = (&Novelty::Learned, &Novelty::Unusual);
        assert_eq!(new, [(0, learned), (1, learned), (202, unusual), (204, unusual)], "each once, and one does not hide the next");
        assert_eq!(baseline.uses, 205);
    }

    #[test]
    fn nothing_is_unusual_before() {
        let few = [vec!["GET"; 90], vec!["DELETE"]].concat();
        let young = [vec!["GET"; 200], vec!["DELETE"]].concat();
        let restless: Vec<_> = [vec!["a"; 90], vec!["b"; 85], vec!["c"; 10], vec!["d"]].concat();
        for (values, step) in [(few, 100), (young, 1), (restless, 10)] {
            let (_, seen) = learn(&values, step);
            assert!(!seen.contains(&Novelty::Unusual), "{values:?}");
        }
    }

    #[test]
    fn what_has_no_end_of_values_is_no_dimension() {
        let values: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let (baseline, seen) = learn(&values.iter().map(String::as_str).collect::<Vec<_>>(), 10);
        assert!(!seen.contains(&Novelty::Unusual));
        assert!(baseline.dimensions[0].is_open && baseline.dimensions[0].values.is_empty());
        // What is settled stays so, and no memory is spent on what comes after.
        let values: Vec<String> = (0..200).map(|_| "GET".to_owned()).chain((0..500).map(|number| number.to_string())).collect();
        let (baseline, seen) = learn(&values.iter().map(String::as_str).collect::<Vec<_>>(), 10);
        assert!(seen[200..].iter().all(|novelty| *novelty == Novelty::Unusual));
        assert_eq!(baseline.dimensions[0].values.len(), VALUES_MAX);
        let long = "é".repeat(1000);
        let (baseline, _) = learn(&[&long, &long], 1);
        assert_eq!(baseline.dimensions[0].values[0].len(), VALUE_BYTES_MAX);
    }

    #[test]
    fn baselines_are_bounded_and_can_be_forgotten() {
        let mut all = baselines();
        (0..=CREDENTIALS_MAX).for_each(|number| all.touch(&format!("c{number}").into(), number as i64));
        assert_eq!(all.all().len(), CREDENTIALS_MAX);
        assert!(all.of("c0").is_none() && all.of("c1").is_some(), "the one that was used longest ago made room");
        assert_eq!((all.reset(Some("c1")), all.reset(Some("c1")), all.all().len()), (1, 0, CREDENTIALS_MAX - 1));
        assert_eq!((all.reset(None), all.all().len()), (CREDENTIALS_MAX - 1, 0));
    }
}
