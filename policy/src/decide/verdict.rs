use super::trie::{ANY_CALLER, Entry, Says};
use crate::destination::MethodSet;
use crate::workload::Workloads;

/// A rule that puts a credential on, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) rule: u32,
    pub(super) credential: u32,
}

/// What is asked of the entries, besides the path that led to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) methods: MethodSet,
    /// Whether the path holds an encoded slash: only a rule that says what it means allows that; every `except` still refuses.
    pub(super) encoded_slash: bool,
}

impl Asked {
    fn concerns(self, entry: &Entry) -> bool {
        let allows = matches!(entry.says, Says::Allow | Says::AllowMinting);
        entry.methods.intersects(self.methods) && (!self.encoded_slash || entry.opaque_slash || !allows)
    }
}

/// What the entries that match a request add up to. The rules are numbered by name, so "first" needs no names, and the order in which
/// entries are taken changes nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The first rule whose `except` matches.
    pub(super) except: Option<u32>,
    /// The first rule that allows it and puts nothing on.
    pub(super) plain: Option<u32>,
    /// What the rules come to that allow it and put a credential on.
    held: Held,
    /// Those of them that name it in full.
    named: Held,
    /// Whether its answer is a credential.
    pub(super) mints: bool,
    /// Whether one of the rules with a credential has the body of the answer searched: the stricter decides.
    pub(super) searched: bool,
}

/// The rules that allow a request and put a credential on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The first.
    pub(super) first: Option<Holding>,
    /// The first that would put another credential on.
    pub(super) second: Option<u32>,
}

impl Verdict {
    /// Takes the entries of one place that are for these callers and what is asked. Entries are sorted by caller.
    pub(super) fn take_all(&mut self, entries: &[Entry], workloads: &Workloads, asked: Asked) {
        if entries.is_empty() {
            return;
        }
        for caller in workloads.ids.iter().copied().chain([ANY_CALLER]) {
            let start = entries.partition_point(|entry| entry.caller < caller);
            let own = entries.iter().skip(start).take_while(|entry| entry.caller == caller);
            own.filter(|entry| asked.concerns(entry)).for_each(|entry| self.take(entry));
        }
    }

    /// The rules that count: where the answer is a credential, only those that name the request in full.
    pub(super) fn holding(&self) -> Held {
        if self.mints { self.named } else { self.held }
    }

    /// The first rule that puts a credential on and allows by a pattern what only an entry that names it in full may allow.
    pub(super) fn minting(&self) -> Option<u32> {
        self.held.first.filter(|_| self.mints && self.named.first.is_none()).map(|first| first.rule)
    }

    fn take(&mut self, entry: &Entry) {
        match (entry.says, entry.credential) {
            (Says::Except, _) => self.except = Some(least(self.except, entry.rule)),
            (Says::Minting, _) => self.mints = true,
            (Says::Allow | Says::AllowMinting, None) => self.plain = Some(least(self.plain, entry.rule)),
            (says @ (Says::Allow | Says::AllowMinting), Some(credential)) => {
                self.searched |= !entry.unsearched;
                self.held.add(Holding { rule: entry.rule, credential });
                if says == Says::AllowMinting {
                    self.named.add(Holding { rule: entry.rule, credential });
                }
            }
        }
    }
}

impl Held {
    fn add(&mut self, new: Holding) {
        let Some(first) = self.first else {
            self.first = Some(new);
            return;
        };
        let agrees = new.credential == first.credential;
        if new.rule < first.rule {
            self.first = Some(new);
        }
        if !agrees {
            self.second = if new.rule < first.rule { Some(first.rule) } else { Some(least(self.second, new.rule)) };
        }
    }
}

fn least(known: Option<u32>, new: u32) -> u32 {
    known.map_or(new, |known| known.min(new))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_of_entries_adds_up_to_the_same_in_any_order() {
        let says = proptest::sample::select(vec![Says::Allow, Says::Allow, Says::Allow, Says::AllowMinting, Says::Except, Says::Minting]);
        let entries = proptest::collection::vec((0..6_u32, proptest::option::of(0..3_u32), says), 0..8);
        let strategy = entries.prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()));
        proptest!(|((ordered, shuffled) in strategy)| {
            prop_assert_eq!(added(&ordered), added(&shuffled));
        });
    }

    /// A rule has one credential: it follows from its number.
    fn added(entries: &[(u32, Option<u32>, Says)]) -> Verdict {
        let mut verdict = Verdict::default();
        for (rule, credential, says) in entries {
            let credential = credential.map(|_| rule % 3);
            verdict.take(&Entry {
                caller: ANY_CALLER,
                methods: MethodSet::ANY,
                rule: *rule,
                credential,
                says: *says,
                opaque_slash: false,
                unsearched: rule % 2 == 0,
            });
        }
        verdict
    }
}
