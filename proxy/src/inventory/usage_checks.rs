use std::collections::BTreeSet;

use keygress_policy::Source as _;
use keygress_policy::reach::Reach;

use super::policy_checks::About;
use super::{Finding, Inventory, Severity, Usage};
use crate::credentials::Source;
use crate::records::when::{DAY, shown};

/// Runs every check that takes the audit, too.
pub(super) fn run(inventory: &Inventory<'_>, usage: &Usage, found: &mut Vec<Finding>) {
    let now = inventory.now.as_millisecond();
    credentials(inventory, usage, found);
    // What an audit of five days does not show says nothing of thirty.
    if usage.days_up_to(now) >= i64::from(inventory.days) {
        let since = now.saturating_sub(i64::from(inventory.days).saturating_mul(DAY));
        for credential in inventory.policy.credentials() {
            let spent = usage.credentials.get(credential.name.as_str());
            let last = spent.and_then(|spent| spent.last.as_ref()).map(|last| last.time);
            if last.is_none_or(|last| last < since) {
                let about =
                    About { inventory, subject: format!("credential {}", credential.name), place: inventory.policy.place_of(credential) };
                let message = format!("`{}` was not used for {} days; {}", credential.name, inventory.days, last_time(last));
                found.push(about.finding("unused_credential", Severity::Medium, message, "remove it, and revoke the key at its issuer"));
            }
        }
        for reach in inventory.policy.reaches().filter(|reach| reach.credential.is_some()) {
            rule(inventory, usage, &reach, since, found);
        }
    }
    whole(inventory, usage, found);
}

fn last_time(last: Option<i64>) -> String {
    last.map_or_else(|| "never, on this record".to_owned(), |last| format!("last on {}", shown(last)))
}

fn credentials(inventory: &Inventory<'_>, usage: &Usage, found: &mut Vec<Finding>) {
    for credential in inventory.policy.credentials() {
        let Some(spent) = usage.credentials.get(credential.name.as_str()) else { continue };
        if spent.endless > 0 && !credential.source.is_static() {
            let about =
                About { inventory, subject: format!("credential {}", credential.name), place: inventory.policy.place_of(credential) };
            let last = spent.endless_last.map(shown).unwrap_or_default();
            let message = format!("`{}` was issued without an end, last on {last}", credential.name);
            found.push(about.finding(
                "never_expires",
                Severity::Medium,
                message,
                "have the issuer set a lifetime, or say `static:` with a date",
            ));
        }
    }
    same_values(inventory, usage, found);
}

fn same_values(inventory: &Inventory<'_>, usage: &Usage, found: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for names in usage.values.values() {
        // A name that is no longer in the policy may be the former one of the same credential.
        let known: Vec<_> = names.iter().filter_map(|name| inventory.policy.credential_named(name)).collect();
        let all: Vec<String> = known.iter().map(|credential| format!("`{}`", credential.name)).collect();
        let Some(first) = known.first().filter(|_| known.len() > 1 && told.insert(all.clone())) else { continue };
        let stages: BTreeSet<_> = known.iter().filter_map(|credential| credential.labels.get("stage")).collect();
        let severity = if stages.len() > 1 { Severity::High } else { Severity::Medium };
        let about = About { inventory, subject: format!("credential {}", first.name), place: inventory.policy.place_of(first) };
        let across = if stages.len() > 1 { ", in several stages" } else { "" };
        let message = format!("{} had the same value{across}", all.join(" and "));
        found.push(about.finding("same_value", severity, message, "give each a key of its own, so that one can be revoked alone"));
    }
}

fn rule(inventory: &Inventory<'_>, usage: &Usage, reach: &Reach<'_, Source>, since: i64, found: &mut Vec<Finding>) {
    let (name, days) = (&reach.rule.name, inventory.days);
    let about = About { inventory, subject: format!("rule {name}"), place: reach.place };
    let walked = usage.rules.get(name.as_str());
    let last = walked.and_then(|walked| walked.last);
    if last.is_none_or(|last| last < since) {
        let message = format!("no request came under rule `{name}` for {days} days; {}", last_time(last));
        found.push(about.finding("unused_rule", Severity::Medium, message, "remove it"));
        return;
    }
    let Some(walked) = walked else { return };
    for (index, entry) in reach.allow.iter().enumerate() {
        let last = walked.entries.get(index).copied().flatten();
        if last.is_none_or(|last| last < since) {
            let message = format!("rule `{name}` allows `{entry}`, which nobody asked for in {days} days; {}", last_time(last));
            found.push(about.finding("unused_entry", Severity::Low, message, "remove the entry"));
        }
    }
    for workload in reach.from.iter().flatten() {
        let last = walked.by.get(workload.as_str()).copied();
        if last.is_none_or(|last| last < since) {
            let message = format!("rule `{name}` is also for `{workload}`, which did not call in {days} days; {}", last_time(last));
            found.push(about.finding("unused_workload", Severity::Low, message, format!("remove `{workload}` from `from`")));
        }
    }
}

/// What concerns the audit as a whole, and credentials that the policy no longer has.
fn whole(inventory: &Inventory<'_>, usage: &Usage, found: &mut Vec<Finding>) {
    let about = |subject: String| About { inventory, subject, place: None };
    let now = inventory.now.as_millisecond();
    let gone = usage.credentials.keys().filter(|name| inventory.policy.credential_named(name).is_none());
    for name in gone {
        let alive = usage.alive(name, now).count();
        if alive > 0 {
            let message = format!("`{name}` is no longer in the policy, but {alive} of its leases never ended on this record");
            found.push(about(format!("credential {name}")).finding("left_policy", Severity::Medium, message, "revoke them at the issuer"));
        }
    }
    if usage.failed_revocations > 0 {
        let message = format!("{} revocations failed", usage.failed_revocations);
        let help = "`keygress audit query --event revoke_failed` names them: revoke them at the issuer";
        found.push(about("audit".to_owned()).finding("revoke_failed", Severity::Medium, message, help));
    }
    if usage.lost > 0 {
        let message = format!("{} events were lost: what was done then is not on record", usage.lost);
        let help = "give the audit a faster disk, or have it durable first";
        found.push(about("audit".to_owned()).finding("records_lost", Severity::Medium, message, help));
    }
}
