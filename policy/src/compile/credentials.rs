use jiff::ToSpan;
use jiff::civil::Date;

use super::check::{Check, Compiled, Named, Section};
use super::{Credential, Source, StaticTerms, given};
use crate::document::{CredentialEntry, StaticEntry};
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
    let preset = given::preset(&named, check);
    let known = preset.flatten();
    let injection = given::injection(&named, known, check);
    let only_to = given::only_to(&named, known, check);
    let placeholder =
        named.entry.placeholder.as_ref().map_or(Some(None), |entry| given::placeholder(entry, &named, known, check).map(Some));
    if !(owned && sound) {
        return None;
    }
    Some(Credential {
        name: CredentialName::from(named.name.as_str()),
        index,
        owner: named.entry.owner.value,
        labels: named.entry.labels,
        source: named.entry.source.value,
        preset: preset?,
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
