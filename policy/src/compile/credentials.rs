use jiff::ToSpan;
use jiff::civil::Date;

use super::check::{Check, Compiled, Named, Section};
use super::{Credential, Placeholder, Source, StaticTerms};
use crate::destination::HostPattern;
use crate::document::{CredentialEntry, PlaceholderEntry, StaticEntry};
use crate::inject::Injection;
use crate::name::CredentialName;

/// How long before its last day a static key is warned about.
const NOTICE_DAYS: i64 = 14;

pub(super) fn compile<S: Source>(section: Section<CredentialEntry<S>>, check: &mut Check) -> Compiled<Credential<S>> {
    Compiled::of(section, check, credential)
}

/// Checks everything before it gives up, so that every problem of the entry is reported.
fn credential<S: Source>(index: usize, named: Named<CredentialEntry<S>>, check: &mut Check) -> Option<Credential<S>> {
    let owned = check_owner(&named, check);
    let terms = static_terms(&named, check);
    let sound = check_source(&named, check);
    let injection = injection(&named, check);
    let only_to = only_to(&named, check);
    let placeholder = named.entry.placeholder.as_ref().map_or(Some(None), |entry| placeholder(entry, &named, check).map(Some));
    if !(owned && sound) {
        return None;
    }
    Some(Credential {
        name: CredentialName::from(named.name.as_str()),
        index,
        owner: named.entry.owner.value,
        labels: named.entry.labels,
        source: named.entry.source.value,
        injection: injection?,
        only_to: only_to?,
        placeholder: placeholder?,
        static_terms: terms?,
    })
}

fn check_owner<S>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> bool {
    let owner = &named.entry.owner;
    let missing = owner.value.trim().is_empty();
    if missing {
        check.error(
            "no_owner",
            named.at(owner),
            format!("credential `{}` has no owner", named.name),
            "name who answers for it: a person or a team",
        );
    }
    !missing
}

/// `None` where they are wrong, or missing where they are required.
fn static_terms<S: Source>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Option<StaticTerms>> {
    let source = &named.entry.source;
    let Some(entry) = &named.entry.static_terms else {
        if !source.value.is_static() {
            return Some(None);
        }
        check.error(
            "static_without_terms",
            named.at(source),
            format!(
                "credential `{}` is a static key without terms: `{}` yields what somebody must rotate by hand",
                named.name,
                source.value.kind()
            ),
            "add `static: { reason: …, expires: YYYY-MM-DD }`, or use a source that mints short-lived credentials",
        );
        return None;
    };
    let reasoned = !entry.reason.value.trim().is_empty();
    if !reasoned {
        check.error(
            "no_reason",
            named.at(&entry.reason),
            format!("credential `{}` says no reason for being static", named.name),
            "say why it cannot be short-lived",
        );
    }
    if !source.value.is_static() {
        check.warning(
            "needless_static",
            named.at(&entry.expires),
            format!("credential `{}` has terms for a static key, but `{}` mints short-lived ones", named.name, source.value.kind()),
            "remove `static:`; the date is enforced as long as it stands there",
        );
    }
    let expires = expiry(entry, named, check)?;
    reasoned.then(|| Some(StaticTerms { reason: entry.reason.value.clone(), expires }))
}

fn expiry<S>(entry: &StaticEntry, named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Date> {
    let place = named.at(&entry.expires);
    let Ok(expires) = entry.expires.value.parse::<Date>() else {
        check.error("bad_date", place, format!("`{}` is not a date", entry.expires.value), "write year, month and day: `2027-01-31`");
        return None;
    };
    if expires < check.today {
        check.error(
            "static_expired",
            place,
            format!("the static key `{}` expired on {expires}", named.name),
            "rotate it and set a new date, or replace it by a short-lived credential",
        );
        return None;
    }
    if check.today.checked_add(NOTICE_DAYS.days()).is_ok_and(|notice| expires <= notice) {
        check.warning(
            "static_expires_soon",
            place,
            format!("the static key `{}` expires on {expires}", named.name),
            "rotate it and set a new date; after that day the policy no longer loads",
        );
    }
    Some(expires)
}

fn check_source<S: Source>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> bool {
    let source = &named.entry.source;
    let complaints = source.value.complaints();
    let sound = complaints.is_empty();
    for (message, help) in complaints {
        check.error("bad_source", named.at(source), message, help);
    }
    sound
}

fn injection<S: Source>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Injection> {
    let place = named.at(&named.entry.inject);
    let injection = match Injection::compile(&named.entry.inject.value) {
        Ok(injection) => injection,
        Err((message, help)) => {
            check.error("bad_injection", place, message, help);
            return None;
        }
    };
    let source = &named.entry.source.value;
    let (takes, yields) = (injection.takes(), source.yields());
    if takes != yields {
        check.error(
            "material_mismatch",
            place,
            format!(
                "credential `{}` is put on as `{}`, which takes {takes}, but `{}` yields {yields}",
                named.name,
                injection.kind(),
                source.kind()
            ),
            format!("use an injection that takes {yields}, or a source that yields {takes}"),
        );
        return None;
    }
    Some(injection)
}

fn only_to<S>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Vec<HostPattern>> {
    let list = &named.entry.only_to;
    if list.value.is_empty() {
        check.error(
            "no_destination",
            named.at(list),
            format!("credential `{}` may reach no destination", named.name),
            "list its hosts under `only_to`, as in `[api.example.com]`",
        );
        return None;
    }
    let mut hosts = Vec::new();
    for item in &list.value {
        match HostPattern::parse(&item.value) {
            Ok(host) if host.spans_registry() => {
                check.error(
                    "public_suffix",
                    named.at(item),
                    format!("`{}` spans a public suffix", item.value),
                    "name the hosts of one owner, such as `*.example.com`",
                );
            }
            Ok(host) => hosts.push(host),
            Err(problem) => {
                let help = if item.value.contains([':', '/']) {
                    "write the host alone, without scheme, port and path"
                } else {
                    "write a host, or `*.` and a suffix"
                };
                check.error("bad_host", named.at(item), format!("`{}` is not a host: {problem}", item.value), help);
            }
        }
    }
    hosts.sort();
    (hosts.len() == list.value.len()).then_some(hosts)
}

fn placeholder<S>(entry: &PlaceholderEntry, named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Placeholder> {
    let env = &entry.env.value;
    let good = env.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !env.is_empty()
        && !env.starts_with(|first: char| first.is_ascii_digit());
    if !good {
        check.error(
            "bad_variable",
            named.at(&entry.env),
            format!("`{env}` is not the name of a variable"),
            "use letters, digits and `_`, as in `STRIPE_API_KEY`",
        );
    }
    let plain = entry.like.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain {
        check.error(
            "bad_placeholder",
            named.at(&entry.env),
            format!("the placeholder of `{}` is like something that no key looks like", named.name),
            "use letters, digits and punctuation in `like`",
        );
    }
    (good && plain).then(|| Placeholder { env: env.clone(), like: entry.like.clone() })
}
