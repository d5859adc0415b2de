use std::fmt::{Debug, Write};

use super::{Credential, Policy, Rule, Source};

/// A number that a rule or a workload keeps from one policy to the next for as long as what is held under it may be used on.
///
/// Two of one process and kind are equal only where they stand for the same: what one policy held under a number, such as a kept
/// connection, the next may use under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lineage(u64);

impl Lineage {
    /// The number of what stands at this place in the first policy of a process.
    #[must_use]
    pub fn first(index: usize) -> Self {
        Self(index as u64)
    }
}

impl<S: Source + Debug> Policy<S> {
    /// Takes over from the policy that it replaces: a rule that dials and identifies itself as before, and a workload that is recognised as
    /// before, keep their number; every other gets one that was never used. A credential that is equal in all is the same one, shared.
    pub fn succeed(&mut self, before: &Self) {
        let mut texts = Texts::default();
        let kept: Vec<bool> = self
            .credentials
            .iter_mut()
            .map(|credential| {
                let earlier = before.credentials.binary_search_by(|earlier| earlier.name.cmp(&credential.name));
                let Some(earlier) = earlier.ok().and_then(|index| before.credentials.get(index)) else { return false };
                if texts.equal(&**credential, &**earlier) {
                    *credential = earlier.clone();
                    return true;
                }
                texts.equal(&identity(credential), &identity(earlier))
            })
            .collect();
        let mut next = before.next_lineage;
        let mut fresh = || {
            let number = Lineage(next);
            next = next.saturating_add(1);
            number
        };
        let credentials = &self.credentials;
        for rule in &mut self.rules {
            let earlier = before.rules.binary_search_by(|earlier| earlier.name.cmp(&rule.name));
            let earlier = earlier.ok().and_then(|index| before.rules.get(index)).filter(|earlier| dials_alike(rule, earlier));
            let earlier = earlier.filter(|earlier| match (rule.credential, earlier.credential) {
                (None, None) => true,
                (Some(own), Some(other)) => {
                    let name = |credential: Option<&std::sync::Arc<Credential<S>>>| credential.map(|credential| credential.name.clone());
                    kept.get(own) == Some(&true) && name(credentials.get(own)) == name(before.credentials.get(other))
                }
                (None, Some(_)) | (Some(_), None) => false,
            });
            rule.lineage = earlier.map_or_else(&mut fresh, |earlier| earlier.lineage);
        }
        self.workload_lineages = (self.workloads.iter())
            .map(|(name, selector)| {
                let index = before.workloads.binary_search_by(|(earlier, _)| earlier.cmp(name)).ok();
                let known = index.filter(|index| before.workloads.get(*index).is_some_and(|(_, earlier)| earlier == selector));
                known.and_then(|index| before.workload_lineages.get(index).copied()).unwrap_or_else(&mut fresh)
            })
            .collect();
        self.next_lineage = next;
    }
}

/// Whether both rules reach the same peers in the same way. What they allow is asked for every request, on whatever connection it goes.
fn dials_alike(one: &Rule, other: &Rule) -> bool {
    (one.scheme, &one.host, one.port, &one.allow_ips, &one.via) == (other.scheme, &other.host, other.port, &other.allow_ips, &other.via)
}

/// What a credential is to the upstream. Owner, labels and destinations are not among it.
fn identity<S: Source + Debug>(credential: &Credential<S>) -> impl Debug + '_ {
    (&credential.name, &credential.source, &credential.injection, &credential.static_terms)
}

/// Compares what shows all of itself: providers and injections are many, and each prints every key that it has.
#[derive(Default)]
struct Texts {
    one: String,
    other: String,
}

impl Texts {
    fn equal(&mut self, one: &impl Debug, other: &impl Debug) -> bool {
        self.one.clear();
        self.other.clear();
        // What cannot be printed is equal to nothing.
        write!(self.one, "{one:?}").is_ok() && write!(self.other, "{other:?}").is_ok() && self.one == self.other
    }
}
