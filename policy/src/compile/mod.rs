//! From policies as written to a policy as meant, or every problem at once.

/// Several files as one policy.
mod merge;

/// What the entries of a policy are checked against.
mod check;

/// `workloads:` as meant.
mod workloads;

/// `credentials:` as meant.
mod credentials;

/// What a preset may give: injection, destinations, placeholder.
mod given;

/// `rules:` as meant.
mod rules;

/// `attribute:` of a rule.
mod attribute;

/// `via:` of a rule.
mod via;

/// `to:` and what belongs to it.
mod upstream;

/// What only shows when rules are seen together.
mod together;

/// What stays the same from one policy to the next.
mod lineage;

/// `responses:` as meant.
mod responses;

/// `tests:` as meant.
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::attribute::Attribute;
use crate::decide::Sites;
use crate::destination::{Host, RequestPattern, Scheme};
use crate::inject::Injection;
use crate::limit::Limit;
use crate::material::MaterialKind;
use crate::minting::Mint;
use crate::name::{CredentialName, RuleName, WorkloadName};
use crate::preset::Preset;
use crate::problem::{Place, Problem, Severity, SourceFile};
use crate::response::Responses;
use crate::workload::Selector;

pub use crate::destination::HostPattern;
pub use lineage::Lineage;
pub(crate) use tests::{Expected, Test};

/// The shape of a provider in the policy: `source: { kind: … }`. The proxy supplies the list; this crate never learns how one works.
pub trait Source: Sized + Send + Sync + 'static + serde::de::DeserializeOwned + schemars::JsonSchema {
    /// The YAML key of the provider, such as `file`.
    fn kind(&self) -> &'static str;
    /// What it yields.
    fn yields(&self) -> MaterialKind;
    /// Whether what it yields lives until somebody rotates it. Such a credential must say `static:`.
    fn is_static(&self) -> bool;
    /// What is wrong with it, as (message, help) pairs, in the words of the YAML.
    fn complaints(&self) -> Vec<(String, String)>;
}

/// A credential as meant.
#[derive(Debug)]
pub struct Credential<S> {
    /// Its name.
    pub name: CredentialName,
    /// Its position in [`Policy::credentials`].
    pub index: usize,
    /// Who answers for it.
    pub owner: String,
    /// Labels, such as `stage: production`.
    pub labels: BTreeMap<String, String>,
    /// Where it comes from.
    pub source: S,
    /// The vendor's API that it is for, where the policy names one.
    pub preset: Option<&'static Preset>,
    /// How it goes on the wire.
    pub injection: Injection,
    /// The destinations that it may ever reach, sorted.
    pub only_to: Vec<HostPattern>,
    /// The stand-in that the application holds.
    pub placeholder: Option<Placeholder>,
    /// Present where it is a long-lived key kept as a compatibility layer.
    pub static_terms: Option<StaticTerms>,
}

/// `static: { reason, expires }`.
#[derive(Clone, Debug)]
pub struct StaticTerms {
    /// Why it cannot be short-lived.
    pub reason: String,
    /// The last day on which it may be used.
    pub expires: Date,
}

impl StaticTerms {
    /// The first moment at which it may not be used any more; `None` at the end of time.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        let day_after = self.expires.tomorrow().and_then(|day| day.to_zoned_datetime(TimeZone::UTC));
        day_after.ok().map(|moment| moment.timestamp())
    }
}

/// `placeholder: { env, like }`.
#[derive(Clone, Debug)]
pub struct Placeholder {
    /// The environment variable in which `keygress run` hands it to the application.
    pub env: String,
    /// The prefix that gives it the vendor's shape.
    pub like: String,
    /// How many random letters and digits follow.
    pub length: usize,
}

/// A rule as meant, without what only the matcher needs.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: RuleName,
    /// Its position in [`Policy::rules`].
    pub index: usize,
    /// The same in the next policy where it dials and identifies itself as before.
    pub lineage: Lineage,
    /// `http` only where the rule says `unsafe_plaintext: true`.
    pub scheme: Scheme,
    /// Which hosts.
    pub host: HostPattern,
    /// Which port.
    pub port: u16,
    /// Private or loopback addresses that an exact host may have.
    pub allow_ips: Vec<IpNet>,
    /// `http` requests to this host and port 80 are raised to `https` before they are matched.
    pub raise_to_https: bool,
    /// Request trailers that are passed on.
    pub request_trailers: Vec<HeaderName>,
    /// Credential-shaped headers of the caller's own that are passed on, by name.
    pub forward: Vec<HeaderName>,
    /// Rate.
    pub limit: Option<Limit>,
    /// Index of the credential in [`Policy::credentials`].
    pub credential: Option<usize>,
    /// The broker through which it goes, by name: the credential is put on there.
    pub via: Option<Arc<str>>,
    /// The header that names the caller to the destination.
    pub attribute: Option<Attribute>,
    /// Whether it constrains methods or paths.
    pub constrains_path: bool,
    /// Whether the bodies of answers pass without a search for the credential.
    pub unsafe_unscrubbed_body: bool,
}

/// Where names stand.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) workloads: Vec<Place>,
    pub(crate) credentials: Vec<Place>,
    pub(crate) rules: Vec<Place>,
}

/// What only the matcher needs of a rule.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) callers: Callers,
    /// What it allows; everything where the policy names nothing.
    pub(crate) allow: Vec<RequestPattern>,
    pub(crate) except: Vec<RequestPattern>,
    /// The entries of `allow` and then those of `except`, as written; none where the policy names none.
    pub(crate) written: Box<[Box<str>]>,
    /// Requests that `allow` matches and whose answer is a credential, where the rule puts one on.
    pub(crate) minting: Vec<&'static Mint>,
    /// An encoded slash in a path to its destination stays inside its segment.
    pub(crate) opaque_slash: bool,
}

impl Terms {
    /// Whether an entry of `allow` names one of those requests in full.
    pub(crate) fn names_minting(&self, entry: &RequestPattern) -> bool {
        self.minting.iter().any(|mint| mint.is_named_by(entry))
    }

    /// Whether the answer to this request is a credential.
    pub(crate) fn mints(&self, method: &http::Method, path: &str) -> bool {
        self.minting.iter().flat_map(|mint| mint.patterns()).any(|pattern| pattern.matches(method, path))
    }
}

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Every caller, recognised or not.
    Any,
    /// Indices of workloads, ascending.
    These(Box<[u32]>),
}

/// The upstream behind `http://LISTENER/NAME/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Scheme of the upstream.
    pub scheme: Scheme,
    /// Host of the upstream.
    pub host: Host,
    /// Port of the upstream.
    pub port: u16,
}

/// A policy that cannot be wrong: the result of [`Policy::compile`]. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Policy<S> {
    /// By name.
    pub(crate) workloads: Vec<(WorkloadName, Selector)>,
    /// Of [`Policy::workloads`], in the same order.
    pub(crate) workload_lineages: Vec<Lineage>,
    /// Of [`Policy::workloads`], in the same order.
    pub(crate) workload_labels: Vec<BTreeMap<String, String>>,
    /// Where the names of workloads, credentials and rules stand, in the order of each.
    pub(crate) places: Places,
    /// A number that nothing had so far.
    pub(crate) next_lineage: u64,
    /// By name.
    pub(crate) rules: Vec<Rule>,
    /// Those of [`Policy::rules`], in the same order.
    pub(crate) terms: Vec<Terms>,
    /// By name.
    pub(crate) credentials: Vec<Arc<Credential<S>>>,
    pub(crate) sites: Sites,
    pub(crate) routes: HashMap<String, Route>,
    pub(crate) responses: Responses,
    pub(crate) tests: Vec<Test>,
}

impl<S: Source> Policy<S> {
    /// Compiles the files of one policy, merged; `today` (UTC) tells which static keys have expired. Returns lints beside the policy.
    ///
    /// # Errors
    /// Every problem of every file, in file and line order.
    pub fn compile(files: &[SourceFile], today: Date) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut check = check::Check::new(today);
        let merged = merge::merge::<S>(files, &mut check);
        let (workloads, workload_labels) = workloads::compile(merged.workloads, &mut check);
        let credentials = credentials::compile(merged.credentials, &mut check);
        let (rules, terms, pieces) = rules::compile(merged.rules, &workloads, &credentials, &mut check);
        let responses = responses::compile(merged.responses, &mut check);
        let tests = tests::compile(merged.tests, &workloads, &rules, &credentials, &mut check);
        let places = Places { workloads: workloads.places, credentials: credentials.places, rules: rules.places };
        let workloads = workloads.kept;
        let policy = Self {
            sites: Sites::new(rules.kept.iter().zip(&terms)),
            terms,
            routes: upstream::routes(&rules.kept, &pieces, &mut check),
            workload_lineages: (0..workloads.len()).map(Lineage::first).collect(),
            next_lineage: workloads.len().max(rules.kept.len()) as u64,
            workloads,
            workload_labels,
            places,
            credentials: credentials.kept.into_iter().map(Arc::new).collect(),
            rules: rules.kept,
            responses,
            tests,
        };
        together::examine(&policy, &pieces, &policy.places.credentials, &mut check);
        let problems = check.into_problems();
        if problems.iter().any(|problem| problem.severity == Severity::Error) { Err(problems) } else { Ok((policy, problems)) }
    }

    /// All rules, by name; [`Rule::index`] is the position.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// All credentials, by name; [`Credential::index`] is the position.
    #[must_use]
    pub fn credentials(&self) -> &[Arc<Credential<S>>] {
        &self.credentials
    }

    /// What follows an alert.
    #[must_use]
    pub fn responses(&self) -> Responses {
        self.responses
    }

    /// The upstream of a base-URL route: the exact host of a rule (`host`, or `host:port`), or the `route:` alias that a rule gives it.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.get(name)
    }

    /// Whether an `http` request to this host is to be raised to `https` before it is matched.
    #[must_use]
    pub fn raises(&self, host: &Host) -> bool {
        self.sites.raises(host)
    }

    /// The hosts (exact, or the suffix of a wildcard) for which a connection may be intercepted: the default name constraints of the CA.
    #[must_use]
    pub fn intercepted_hosts(&self) -> Vec<&HostPattern> {
        let mut seen = HashSet::new();
        let intercepting = self.rules.iter().filter(|rule| rule.scheme == Scheme::Https && rule.intercepts());
        intercepting.map(|rule| &rule.host).filter(|host| seen.insert(*host)).collect()
    }
}

impl Rule {
    /// Whether a credential is put on what it allows, here or at a broker.
    pub(crate) fn puts_on(&self) -> bool {
        self.credential.is_some() || self.via.is_some()
    }

    /// What puts it on: two rules that differ in this cannot both have their way with one request.
    pub(crate) fn putting_on(&self) -> Option<(Option<usize>, Option<&str>)> {
        self.puts_on().then_some((self.credential, self.via.as_deref()))
    }

    /// Whether requests must be seen, one by one, for this rule to hold.
    pub(crate) fn intercepts(&self) -> bool {
        self.constrains_path || self.puts_on() || self.attribute.is_some()
    }
}
