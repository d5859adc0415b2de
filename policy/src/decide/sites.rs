use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::trie::{ANY_CALLER, Entry, Says, Trie};
use crate::compile::{Callers, Rule, Terms};
use crate::destination::{Host, HostPattern, MethodSet, Scheme};
use crate::workload::Workloads;

/// Every destination of a policy: exact hosts, and suffixes that are tried label by label.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    exact: HashMap<Host, Vec<Site>>,
    under: HashMap<Arc<str>, Vec<Site>>,
    raised: HashSet<Host>,
    raised_under: HashSet<Arc<str>>,
}

/// One destination: a host or suffix, a scheme and a port.
#[derive(Debug)]
pub(super) struct Site {
    scheme: Scheme,
    port: u16,
    /// Whether a rule names methods or paths.
    pub(super) constrains_path: bool,
    /// Whether a rule can only hold where requests are seen.
    pub(super) intercepts: bool,
    /// Whether an encoded slash stays inside its segment.
    pub(super) opaque_slash: bool,
    /// Whether a rule is for every caller.
    any_caller: bool,
    /// The workloads that a rule is for, ascending.
    callers: Vec<u32>,
    pub(super) paths: Trie,
}

impl Sites {
    /// Sorts rules, by name, into their destinations.
    pub(crate) fn new<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Terms)>) -> Self {
        let mut sites = Self::default();
        let mut brokers = Vec::new();
        for (rule, terms) in rules {
            let list = match &rule.host {
                HostPattern::Exact(host) => sites.exact.entry(host.clone()).or_default(),
                HostPattern::Under(suffix) => sites.under.entry(suffix.clone()).or_default(),
            };
            Site::of(list, rule).add(rule, terms, putting_on(rule, &mut brokers));
            match &rule.host {
                HostPattern::Exact(host) if rule.raise_to_https => drop(sites.raised.insert(host.clone())),
                HostPattern::Under(suffix) if rule.raise_to_https => drop(sites.raised_under.insert(suffix.clone())),
                HostPattern::Exact(_) | HostPattern::Under(_) => {}
            }
        }
        sites
    }

    /// Every site that a destination belongs to: its own, and those of the suffixes that it lies under.
    /// Cloned, it walks them again without another look-up of the host.
    pub(super) fn of(&self, scheme: Scheme, host: &Host, port: u16) -> impl Iterator<Item = &Site> + Clone {
        let exact = self.exact.get(host).into_iter().flatten();
        let under = suffixes(host).filter_map(|suffix| self.under.get(suffix)).flatten();
        exact.chain(under).filter(move |site| site.scheme == scheme && site.port == port)
    }

    /// Whether `http` requests to a host are raised to `https`.
    pub(crate) fn raises(&self, host: &Host) -> bool {
        self.raised.contains(host) || suffixes(host).any(|suffix| self.raised_under.contains(suffix))
    }
}

/// The number of what a rule puts on: that of its credential, or one from the other end for each broker.
fn putting_on<'r>(rule: &'r Rule, brokers: &mut Vec<&'r str>) -> Option<u32> {
    let Some(via) = rule.via.as_deref() else { return u32::try_from(rule.credential?).ok() };
    let known = brokers.iter().position(|broker| *broker == via).unwrap_or_else(|| {
        brokers.push(via);
        brokers.len().saturating_sub(1)
    });
    u32::try_from(known).ok().map(|known| u32::MAX - known)
}

/// What follows each dot of a name.
fn suffixes(host: &Host) -> impl Iterator<Item = &str> + Clone {
    let mut rest = match host {
        Host::Name(name) => &**name,
        Host::Ip(_) => "",
    };
    std::iter::from_fn(move || {
        rest = rest.split_once('.')?.1;
        Some(rest)
    })
}

impl Site {
    /// The site of a rule among those of its host.
    fn of<'s>(list: &'s mut Vec<Self>, rule: &Rule) -> &'s mut Self {
        let place = list.iter().position(|site| site.scheme == rule.scheme && site.port == rule.port).unwrap_or_else(|| {
            list.push(Self::new(rule));
            list.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "there is a site at this place: it was found or just put there")]
        &mut list[place]
    }

    fn new(rule: &Rule) -> Self {
        Self {
            scheme: rule.scheme,
            port: rule.port,
            constrains_path: false,
            intercepts: false,
            opaque_slash: false,
            any_caller: false,
            callers: Vec::new(),
            paths: Trie::default(),
        }
    }

    fn add(&mut self, rule: &Rule, terms: &Terms, credential: Option<u32>) {
        self.constrains_path |= rule.constrains_path;
        self.intercepts |= rule.intercepts();
        self.opaque_slash |= terms.opaque_slash;
        let any = [ANY_CALLER];
        let callers: &[u32] = match &terms.callers {
            Callers::Any => &any,
            Callers::These(ids) => ids,
        };
        self.any_caller |= terms.callers == Callers::Any;
        let Ok(index) = u32::try_from(rule.index) else { return };
        for caller in callers {
            if let Err(place) = self.callers.binary_search(caller) {
                self.callers.insert(place, *caller);
            }
            let entry = Entry {
                caller: *caller,
                methods: MethodSet::ANY,
                rule: index,
                credential,
                says: Says::Allow,
                opaque_slash: terms.opaque_slash,
                unsearched: rule.unsafe_unscrubbed_body,
            };
            for pattern in &terms.allow {
                let says = if terms.names_minting(pattern) { Says::AllowMinting } else { Says::Allow };
                self.paths.insert(pattern, Entry { methods: pattern.methods, says, ..entry.clone() });
            }
            let refused = terms.except.iter().map(|pattern| (pattern, Says::Except));
            let minting = terms.minting.iter().flat_map(|mint| mint.patterns()).map(|pattern| (pattern, Says::Minting));
            for (pattern, says) in refused.chain(minting) {
                self.paths.insert(pattern, Entry { methods: pattern.methods, credential: None, says, unsearched: false, ..entry.clone() });
            }
        }
    }

    /// Whether a rule of this site is for one of these callers.
    pub(super) fn admits(&self, workloads: &Workloads) -> bool {
        self.any_caller || workloads.ids.iter().any(|id| self.callers.binary_search(id).is_ok())
    }
}
