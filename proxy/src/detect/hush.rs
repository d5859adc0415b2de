use std::sync::Arc;

use super::bounded::Bounded;

/// Matters that are remembered.
const MATTERS_MAX: usize = 4_096;

/// How often one matter is told.
const EVERY_MS: i64 = 600_000;

/// Tells one matter once in a while, however often it is found.
pub(super) struct Hush {
    told: Bounded<Told>,
}

struct Told {
    at: i64,
    since: u64,
}

impl Hush {
    pub(super) fn new() -> Self {
        Self { told: Bounded::new(MATTERS_MAX) }
    }

    /// How often the matter was found since it was told last; `None` where it was told just now, and is only counted.
    pub(super) fn tell(&mut self, matter: &str, at: i64) -> Option<u64> {
        match self.told.find(matter) {
            Some(told) if at.saturating_sub(told.at) < EVERY_MS => {
                told.since += 1;
                None
            }
            Some(told) => {
                told.at = at;
                Some(std::mem::take(&mut told.since))
            }
            None => {
                self.told.put(Arc::from(matter), Told { at, since: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_matter_is_told_once_in_a_while_with_how_often_it_came() {
        let mut hush = Hush::new();
        let told: Vec<_> = [0, 1, 2, EVERY_MS, EVERY_MS + 1].map(|at| hush.tell("a", at)).into();
        assert_eq!(told, [Some(0), None, None, Some(2), None]);
        assert_eq!(hush.tell("b", 1), Some(0));
    }
}
