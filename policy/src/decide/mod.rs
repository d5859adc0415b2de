//! From a question to a decision, borrowed from the policy; allocates nothing.

/// Destinations: exact hosts, suffixes, ports.
mod sites;

/// Paths of one destination.
mod trie;

/// What the matching entries add up to.
mod verdict;

use std::sync::Arc;

use http::Method;

use crate::compile::{Credential, Lineage, Policy, Rule, Source};
use crate::destination::{Host, MethodSet, Scheme, SlashInSegment, path_problem};
use crate::workload::{Caller, Workloads};

pub(crate) use sites::Sites;
use verdict::{Asked, Verdict};

/// What is asked of the policy: exactly what would be sent.
#[derive(Debug)]
pub struct Question<'q> {
    /// Which of the policy's workloads the caller is: [`Policy::recognise`].
    pub workloads: &'q Workloads,
    /// Scheme of the request as it would be sent.
    pub scheme: Scheme,
    /// Host.
    pub host: &'q Host,
    /// Port.
    pub port: u16,
    /// Method.
    pub method: &'q Method,
    /// Path without query, raw bytes as they would be sent.
    pub path: &'q str,
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Decision<'p, S> {
    /// The request may be sent.
    Grant(Grant<'p, S>),
    /// It may not.
    Denied(Denial<'p>),
}

/// The permission that a rule gives one request.
#[derive(Debug)]
pub struct Grant<'p, S> {
    /// The rule: of several that agree, the first by name.
    pub rule: &'p Rule,
    /// The credential to put on, where one of the matching rules has one.
    pub credential: Option<&'p Arc<Credential<S>>>,
    /// Whether the body of the answer passes without a search: every matching rule with a credential says `unsafe_unscrubbed_body`.
    pub unscrubbed: bool,
    /// Whether the answer is a credential, which the rule allows by naming the request in full.
    pub mints: bool,
}

/// Why a request may not be sent.
#[derive(Debug)]
pub enum Denial<'p> {
    /// No rule names this destination.
    UnknownDestination,
    /// Rules name this destination, none for this caller.
    Caller,
    /// Rules name this destination and caller, none this method and path.
    Request,
    /// An `except` of this rule names it.
    Except(&'p Rule),
    /// The answer would be a credential, and no entry names the request in full; this rule allows it by a pattern.
    Minting(&'p Rule),
    /// Two rules would put different credentials on it.
    Ambiguous(&'p Rule, &'p Rule),
    /// The path can be read in more than one way; the text says what is ambiguous.
    Path(&'static str),
}

/// The answer for a `CONNECT`, before any byte of the tunnel is read.
#[derive(Debug)]
pub enum Connect<'p> {
    /// A rule has a credential, a method or a path: intercept and ask again for every request.
    Intercept,
    /// Rules pass this host by host alone: tunnel blind under this one.
    Tunnel(&'p Rule),
    /// Refused.
    Denied(Denial<'p>),
}

impl<S: Source> Policy<S> {
    /// Which of this policy's workloads a caller is. Computed once per connection and policy.
    #[must_use]
    pub fn recognise(&self, caller: &Caller) -> Workloads {
        let recognised = self.workloads.iter().enumerate().filter(|(_, (_, selector))| selector.recognises(caller));
        Workloads { ids: recognised.filter_map(|(index, _)| u32::try_from(index).ok()).collect() }
    }

    /// Whether a workload is recognised by more of a process than its user: what must be looked for among all processes.
    #[must_use]
    pub fn looks_into_processes(&self) -> bool {
        self.workloads.iter().any(|(_, selector)| selector.looks_into_processes())
    }

    /// The name of the first workload of the set by name, for the record; `None` where only `from: any` can match.
    #[must_use]
    pub fn workload_name<'p>(&'p self, workloads: &Workloads) -> Option<&'p crate::name::WorkloadName> {
        let first = usize::try_from(*workloads.ids.first()?).ok()?;
        self.workloads.get(first).map(|(name, _)| name)
    }

    /// Whether it has a workload of this name.
    #[must_use]
    pub fn has_workload(&self, name: &str) -> bool {
        self.workloads.iter().any(|(own, _)| own.as_str() == name)
    }

    /// The names of all workloads of the set.
    pub fn workload_names<'p>(&'p self, workloads: &'p Workloads) -> impl Iterator<Item = &'p crate::name::WorkloadName> {
        let named = |id: &u32| self.workloads.get(usize::try_from(*id).ok()?).map(|(name, _)| name);
        workloads.ids.iter().filter_map(named)
    }

    /// The lineage of the workload that [`Policy::workload_name`] names.
    #[must_use]
    pub fn workload_lineage(&self, workloads: &Workloads) -> Option<Lineage> {
        let first = usize::try_from(*workloads.ids.first()?).ok()?;
        self.workload_lineages.get(first).copied()
    }

    /// Decides one request. The order of the rules never changes the outcome.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision<'_, S> {
        self.verdict(question).map_or_else(Decision::Denied, |verdict| self.conclude(&verdict).unwrap_or(Decision::Denied(Denial::Request)))
    }

    /// What the matching entries add up to, where it comes to matching requests at all.
    fn verdict(&self, question: &Question<'_>) -> Result<Verdict, Denial<'_>> {
        let sites = self.sites.of(question.scheme, question.host, question.port);
        let mut known = false;
        let mut admitted = false;
        let mut constrained = false;
        let mut opaque = false;
        for site in sites.clone() {
            known = true;
            admitted |= site.admits(question.workloads);
            constrained |= site.constrains_path;
            opaque |= site.opaque_slash;
        }
        if !known {
            return Err(Denial::UnknownDestination);
        }
        if !admitted {
            return Err(Denial::Caller);
        }
        let ambiguous = path_problem(question.path, SlashInSegment::Ambiguous).filter(|_| constrained);
        // What is ambiguous for its encoded slashes alone may still be allowed by a rule that says what they mean.
        let encoded_slash = ambiguous.is_some() && opaque;
        let problem = if encoded_slash { path_problem(question.path, SlashInSegment::Opaque) } else { ambiguous };
        if let Some(problem) = problem {
            return Err(Denial::Path(problem));
        }
        let asked = Asked { methods: MethodSet::of(question.method).ok_or(Denial::Request)?, encoded_slash };
        let mut verdict = Verdict::default();
        for site in sites {
            site.paths.matching(question.path, &mut |entries| verdict.take_all(entries, question.workloads, asked));
        }
        Ok(verdict)
    }

    fn conclude(&self, verdict: &Verdict) -> Option<Decision<'_, S>> {
        let rule = |index: u32| usize::try_from(index).ok().and_then(|index| self.rules.get(index));
        if let Some(except) = verdict.except {
            return Some(Decision::Denied(Denial::Except(rule(except)?)));
        }
        let holding = verdict.holding();
        if let (Some(first), Some(second)) = (holding.first, holding.second) {
            return Some(Decision::Denied(Denial::Ambiguous(rule(first.rule)?, rule(second)?)));
        }
        if let Some(first) = holding.first {
            let (rule, mints) = (rule(first.rule)?, verdict.mints);
            let credential = match rule.credential {
                Some(index) => Some(self.credentials.get(index)?),
                // The broker of the rule puts it on.
                None => None,
            };
            return Some(Decision::Grant(Grant { rule, credential, unscrubbed: !verdict.searched, mints }));
        }
        if let Some(minting) = verdict.minting() {
            return Some(Decision::Denied(Denial::Minting(rule(minting)?)));
        }
        Some(Decision::Grant(Grant { rule: rule(verdict.plain?)?, credential: None, unscrubbed: false, mints: false }))
    }

    /// Decides one `CONNECT`.
    #[must_use]
    pub fn connect(&self, workloads: &Workloads, host: &Host, port: u16) -> Connect<'_> {
        let sites = || self.sites.of(Scheme::Https, host, port);
        if sites().next().is_none() {
            return Connect::Denied(Denial::UnknownDestination);
        }
        if !sites().any(|site| site.admits(workloads)) {
            return Connect::Denied(Denial::Caller);
        }
        if sites().any(|site| site.intercepts) {
            return Connect::Intercept;
        }
        let asked = Asked { methods: MethodSet::ANY, encoded_slash: false };
        let mut verdict = Verdict::default();
        for site in sites() {
            site.paths.matching("/", &mut |entries| verdict.take_all(entries, workloads, asked));
        }
        let rule = verdict.plain.and_then(|index| self.rules.get(usize::try_from(index).ok()?));
        rule.map_or(Connect::Denied(Denial::Request), Connect::Tunnel)
    }
}
