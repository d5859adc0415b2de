use std::fmt::Display;

use http::HeaderName;
use http::header;

use super::check::{Check, Compiled, Named, Section};
use super::upstream::{Upstream, upstream};
use super::{Callers, Credential, Lineage, Rule, Source, Terms, attribute, via};
use crate::destination::{HostPattern, RequestPattern, Scheme, SlashInSegment};
use crate::document::{At, EncodedSlash, From, LimitEntry, PerEntry, RuleEntry};
use crate::limit::{Limit, Per};
use crate::minting::{self, Mint};
use crate::name::{RuleName, WorkloadName};
use crate::problem::Place;
use crate::workload::Selector;

/// Headers that frame or route the message, and those of the proxy itself: neither passed on by name nor as trailers.
pub(super) const FRAMING: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::FORWARDED,
];

/// Where the pieces of a rule stand that are looked at together with other rules.
pub(super) struct Pieces {
    pub(super) name: Place,
    pub(super) allow: Vec<Place>,
    pub(super) credential: Option<Place>,
    pub(super) route: Option<(String, Place)>,
}

/// What the names in a rule are looked up in.
struct Known<'k, S> {
    workloads: &'k Compiled<(WorkloadName, Selector)>,
    credentials: &'k Compiled<Credential<S>>,
}

pub(super) fn compile<S: Source>(
    section: Section<RuleEntry>,
    workloads: &Compiled<(WorkloadName, Selector)>,
    credentials: &Compiled<Credential<S>>,
    check: &mut Check,
) -> (Compiled<Rule>, Vec<Terms>, Vec<Pieces>) {
    let known = Known { workloads, credentials };
    let mut terms = Vec::new();
    let mut pieces = Vec::new();
    let rules = Compiled::of(section, check, |index, named, check| {
        let (rule, own_terms) = rule(index, &named, &known, check)?;
        terms.push(own_terms);
        pieces.push(Pieces::of(&named));
        Some(rule)
    });
    (rules, terms, pieces)
}

impl Pieces {
    fn of(named: &Named<RuleEntry>) -> Self {
        let allow = named.entry.allow.iter().flat_map(|allow| &allow.value);
        Self {
            name: named.place,
            allow: allow.map(|entry| named.at(entry)).collect(),
            credential: named.entry.credential.as_ref().map(|name| named.at(name)),
            route: named.entry.route.as_ref().map(|route| (route.value.clone(), named.at(route))),
        }
    }
}

/// Checks everything before it gives up, so that every problem of the entry is reported.
fn rule<S: Source>(index: usize, named: &Named<RuleEntry>, known: &Known<'_, S>, check: &mut Check) -> Option<(Rule, Terms)> {
    let entry = &named.entry;
    let upstream = upstream(named, check);
    let callers = callers(named, known, check);
    let opaque_slash = matches!(entry.encoded_slash, Some(EncodedSlash::Opaque));
    let slash = if opaque_slash { SlashInSegment::Opaque } else { SlashInSegment::Ambiguous };
    let allow = allow(named, slash, check);
    let except = patterns(named, &entry.except, slash, check);
    let via = via::via(named, check);
    let credential = credential(named, upstream.as_ref(), known, check);
    let held = credential.flatten().and_then(|index| known.credentials.kept.get(index));
    let attribute = attribute::attribute(named, held, check);
    let limit = entry.limit.as_ref().map_or(Some(None), |limit| self::limit(named, limit, check).map(Some));
    let request_trailers = headers(named, &entry.request_trailers, "request_trailers", check);
    let forward = headers(named, &entry.forward, "forward", check);
    let unsafe_unscrubbed_body = unscrubbed(named, check);
    let ours = keep_slot(named, credential.flatten(), known, check);
    let routed = entry.route.as_ref().is_none_or(|route| check_route(named, route, check));
    if !routed || !ours {
        return None;
    }
    let upstream = upstream?;
    let allow = allow?;
    let minting = minting(named, &upstream.host, &allow, held, check)?;
    let written = entry.allow.iter().flat_map(|allow| &allow.value).chain(&entry.except).map(|entry| entry.value.as_str().into()).collect();
    let terms = Terms { callers: callers?, allow, except: except?, written, minting, opaque_slash };
    let rule = Rule {
        name: RuleName::from(named.name.as_str()),
        index,
        lineage: Lineage::first(index),
        scheme: upstream.scheme,
        host: upstream.host,
        port: upstream.port,
        allow_ips: upstream.allow_ips,
        raise_to_https: upstream.raise_to_https,
        request_trailers: request_trailers?,
        forward: forward?,
        limit: limit?,
        credential: credential?,
        via: via?,
        attribute: attribute?,
        constrains_path: entry.allow.is_some() || !entry.except.is_empty(),
        unsafe_unscrubbed_body: unsafe_unscrubbed_body?,
    };
    Some((rule, terms))
}

fn callers<S>(named: &Named<RuleEntry>, known: &Known<'_, S>, check: &mut Check) -> Option<Callers> {
    let Some(from) = &named.entry.from else {
        if named.entry.credential.is_none() && named.entry.via.is_none() {
            return Some(Callers::Any);
        }
        check.error(
            "credential_without_from",
            named.place,
            format!("rule `{}` puts a credential on requests but does not say whose", named.name),
            "add `from:` with workloads; for every caller write `from: any`",
        );
        return None;
    };
    let names = match &from.value {
        From::Any => return Some(Callers::Any),
        From::Workloads(names) => names,
    };
    if names.is_empty() {
        check.error(
            "never_matches",
            named.at(from),
            format!("rule `{}` can never match: `from` lists nobody", named.name),
            "list workloads, or remove the rule",
        );
        return None;
    }
    let found: Vec<Option<usize>> =
        names.iter().map(|name| known.workloads.find("workload", "unknown_workload", &name.value, named.at(name), check)).collect();
    let mut ids = found.into_iter().map(|index| u32::try_from(index?).ok()).collect::<Option<Vec<u32>>>()?;
    ids.sort_unstable();
    ids.dedup();
    Some(Callers::These(ids.into()))
}

fn allow(named: &Named<RuleEntry>, slash: SlashInSegment, check: &mut Check) -> Option<Vec<RequestPattern>> {
    match &named.entry.allow {
        Some(list) if list.value.is_empty() => {
            check.error(
                "never_matches",
                named.at(list),
                format!("rule `{}` can never match: `allow` lists nothing", named.name),
                "list requests, as in `GET /path/**`, or remove the rule",
            );
            None
        }
        Some(list) => patterns(named, &list.value, slash, check),
        None if named.entry.credential.is_some() || named.entry.via.is_some() => {
            check.error(
                "credential_without_allow",
                named.place,
                format!("rule `{}` puts a credential on requests but does not say on which", named.name),
                "add `allow:` with the methods and paths that are needed, as in `GET /v1/charges/{id}`",
            );
            None
        }
        None => Some(vec![RequestPattern::everything()]),
    }
}

fn patterns(named: &Named<RuleEntry>, list: &[At<String>], slash: SlashInSegment, check: &mut Check) -> Option<Vec<RequestPattern>> {
    let parsed: Vec<RequestPattern> = list
        .iter()
        .filter_map(|entry| {
            RequestPattern::parse(&entry.value, slash)
                .map_err(|complaint| check.complain("bad_request_pattern", named.at(entry), complaint))
                .ok()
        })
        .collect();
    (parsed.len() == list.len()).then_some(parsed)
}

/// `None` where it is wrong; `Some(None)` where there is none.
fn credential<S: Source>(
    named: &Named<RuleEntry>,
    upstream: Option<&Upstream>,
    known: &Known<'_, S>,
    check: &mut Check,
) -> Option<Option<usize>> {
    let Some(name) = &named.entry.credential else { return Some(None) };
    let index = known.credentials.find("credential", "unknown_credential", &name.value, named.at(name), check)?;
    let credential = known.credentials.kept.get(index)?;
    let host = &upstream?.host;
    if credential.only_to.binary_search(host).is_err() && !credential.only_to.iter().any(|pattern| pattern.covers(host)) {
        let reach: Vec<String> = credential.only_to.iter().map(|host| format!("`{host}`")).collect();
        check.error(
            "outside_only_to",
            named.at(name),
            format!("rule `{}` sends `{}` to `{host}`, but it may only reach {}", named.name, name.value, reach.join(", ")),
            format!("add `{host}` to `only_to` of `{}`, or use another credential", name.value),
        );
        return None;
    }
    if upstream?.scheme == Scheme::Http && credential.injection.needs_tls() {
        check.error(
            "misplaced_injection",
            named.at(name),
            format!("rule `{}` cannot put `{}` on: it is shown in a TLS handshake, and `to` is plaintext", named.name, name.value),
            "write `https` in `to`",
        );
        return None;
    }
    // A wildcard has no credential, and without one the port does not matter.
    if let Some((message, help)) = credential.injection.misplaced(&host.to_string()) {
        check.error(
            "misplaced_injection",
            named.at(name),
            format!("rule `{}` cannot put `{}` on: {message}", named.name, name.value),
            help,
        );
        return None;
    }
    Some(Some(index))
}

/// The requests that `allow` matches and whose answer is a credential; none where the rule puts none on. `None` where an entry matches
/// nothing else and does not name it in full.
fn minting<S>(
    named: &Named<RuleEntry>,
    host: &HostPattern,
    allow: &[RequestPattern],
    credential: Option<&Credential<S>>,
    check: &mut Check,
) -> Option<Vec<&'static Mint>> {
    let (Some(credential), HostPattern::Exact(host)) = (credential, host) else { return Some(Vec::new()) };
    let mut mints = minting::at(host, credential.preset);
    mints.retain(|mint| allow.iter().any(|entry| mint.meets(entry)));
    let mut sound = true;
    for (entry, written) in allow.iter().zip(named.entry.allow.iter().flat_map(|allow| &allow.value)) {
        if let Some(mint) = mints.iter().find(|mint| mint.is_named_by(entry)) {
            check.warning(
                "mints",
                named.at(written),
                format!(
                    "rule `{}` lets `{}` ask for another credential: the answer to `{}` is one",
                    named.name,
                    credential.name,
                    mint.request()
                ),
                "remove the entry unless the caller must have it: keygress neither sees nor ends what is issued there",
            );
        } else if let Some(mint) = mints.iter().find(|mint| mint.covers(entry)) {
            sound = false;
            check.error(
                "never_matches",
                named.at(written),
                format!("rule `{}` can never match here: the answer to `{}` is a credential", named.name, mint.request()),
                "remove the entry, or name the request in full: one method, and every segment that says what is asked for",
            );
        }
    }
    sound.then_some(mints)
}

/// What goes through by name must not be the slot of the credential: what the caller put there never survives. False where it is.
fn keep_slot<S: Source>(named: &Named<RuleEntry>, credential: Option<usize>, known: &Known<'_, S>, check: &mut Check) -> bool {
    let Some(credential) = credential.and_then(|index| known.credentials.kept.get(index)) else { return true };
    let mut ours = true;
    for name in named.entry.request_trailers.iter().chain(&named.entry.forward) {
        if HeaderName::try_from(name.value.as_str()).is_ok_and(|header| credential.injection.owns_header(&header)) {
            ours = false;
            check.error(
                "injected_slot",
                named.at(name),
                format!("rule `{}` lets `{}` through, but that is where `{}` is put", named.name, name.value, credential.name),
                "remove it: what the application sends there never survives",
            );
        }
    }
    ours
}

/// Without a credential there is nothing to search for. `None` where it is wrong.
fn unscrubbed(named: &Named<RuleEntry>, check: &mut Check) -> Option<bool> {
    let Some(key) = named.entry.unsafe_unscrubbed_body.as_ref().filter(|key| key.value) else { return Some(false) };
    if named.entry.credential.is_none() {
        check.error(
            "needless_unsafe",
            named.at(key),
            format!("rule `{}` puts no credential on: `unsafe_unscrubbed_body` weakens nothing", named.name),
            "remove `unsafe_unscrubbed_body`",
        );
        return None;
    }
    check.warning(
        "unscrubbed",
        named.at(key),
        format!("rule `{}` lets answers show the credential to the caller: their bodies are not searched for it", named.name),
        "remove `unsafe_unscrubbed_body` unless these answers cannot be searched, and the destination never repeats what it is sent",
    );
    Some(true)
}

fn limit(named: &Named<RuleEntry>, entry: &LimitEntry, check: &mut Check) -> Option<Limit> {
    let per = match entry.per {
        PerEntry::Workload => Per::Workload,
        PerEntry::Task => Per::Task,
        PerEntry::Rule => Per::Rule,
    };
    let limit = Limit::parse(&entry.rate.value, per);
    if limit.is_none() {
        check.error(
            "bad_rate",
            named.at(&entry.rate),
            format!("`{}` is not a rate", entry.rate.value),
            "write requests per second, minute or hour: `50/s`, `100/min`, `1000/h`",
        );
    }
    limit
}

fn headers(named: &Named<RuleEntry>, list: &[At<String>], key: impl Display, check: &mut Check) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for item in list {
        match HeaderName::from_bytes(item.value.as_bytes()) {
            Ok(name) if FRAMING.contains(&name) => {
                check.error(
                    "framing_header",
                    named.at(item),
                    format!("`{}` frames or routes the message: `{key}` cannot pass it on", item.value),
                    "remove it",
                );
            }
            Ok(name) => names.push(name),
            Err(_) => check.error(
                "bad_header",
                named.at(item),
                format!("`{}` is not the name of a header", item.value),
                "use letters, digits and `-`, as in `x-request-id`",
            ),
        }
    }
    (names.len() == list.len()).then_some(names)
}

fn check_route(named: &Named<RuleEntry>, route: &At<String>, check: &mut Check) -> bool {
    let good = (1..=64).contains(&route.value.len())
        && route.value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_');
    if !good {
        check.error(
            "bad_route",
            named.at(route),
            format!("`{}` is not the name of a route", route.value),
            "use at most 64 lower-case letters, digits, `-` and `_`",
        );
    }
    good
}
