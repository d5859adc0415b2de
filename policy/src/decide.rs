//! From a question to a decision, borrowed from the policy; allocates nothing.

use std::sync::Arc;

use http::Method;

use crate::compile::{Credential, Policy, Rule, Source};
use crate::destination::{Host, Scheme};
use crate::workload::{Caller, Workloads};

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
        unimplemented!("{caller:?}")
    }

    /// The name of the first workload of the set by name, for the record; `None` where only `from: any` can match.
    #[must_use]
    pub fn workload_name<'p>(&'p self, workloads: &Workloads) -> Option<&'p crate::name::WorkloadName> {
        unimplemented!("{workloads:?}")
    }

    /// Decides one request. The order of the rules never changes the outcome.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision<'_, S> {
        unimplemented!("{question:?}")
    }

    /// Decides one `CONNECT`.
    #[must_use]
    pub fn connect(&self, workloads: &Workloads, host: &Host, port: u16) -> Connect<'_> {
        unimplemented!("{workloads:?} {host} {port}")
    }
}
