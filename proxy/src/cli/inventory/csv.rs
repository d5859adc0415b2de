use crate::cli::table::csv;
use crate::inventory::Row;
use crate::inventory::blast::Right;

const HEAD: [&str; 21] = [
    "credential",
    "kind",
    "owner",
    "labels",
    "provider",
    "injection",
    "preset",
    "reason",
    "expires",
    "expires_in_days",
    "unchanged_days",
    "destinations",
    "rules",
    "workloads",
    "uses",
    "first_seen",
    "last_used",
    "last_workload",
    "last_host",
    "leases_alive",
    "findings",
];

/// One line for each credential, under a head.
pub(super) fn rows(rows: &[Row]) -> String {
    let mut out = csv(HEAD);
    for row in rows {
        let number = |value: Option<i64>| value.map_or_else(String::new, |value| value.to_string());
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let labels: Vec<String> = row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let last = row.last_use.as_ref();
        let cells: [String; 21] = [
            row.credential.clone(),
            row.kind.to_owned(),
            row.owner.clone(),
            labels.join(" "),
            row.provider.to_owned(),
            row.injection.to_owned(),
            text(row.preset),
            text(row.reason.as_deref()),
            text(row.expires.as_deref()),
            number(row.expires_in_days),
            number(row.unchanged_days),
            row.destinations.join(" "),
            row.rules.join(" "),
            row.workloads.join(" "),
            row.uses.map_or_else(String::new, |uses| uses.to_string()),
            text(row.first_seen.as_deref()),
            text(row.last_used.as_deref()),
            text(last.and_then(|last| last.workload.as_deref())),
            text(last.map(|last| last.host.as_str())),
            row.leases_alive.map_or_else(String::new, |alive| alive.to_string()),
            row.findings.join(" "),
        ];
        out.push_str(&csv(cells.iter().map(String::as_str)));
    }
    out
}

/// One line for each right, under a head.
pub(super) fn rights(rights: &[Right]) -> String {
    let mut out = csv(["workload", "credential", "to", "allow", "except", "rule", "limit", "last_used"]);
    for right in rights {
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let cells = [
            right.workload.clone(),
            optional(&right.credential),
            right.to.clone(),
            right.allow.join("; "),
            right.except.join("; "),
            right.rule.clone(),
            optional(&right.limit),
            optional(&right.last_used),
        ];
        out.push_str(&csv(cells.iter().map(String::as_str)));
    }
    out
}
