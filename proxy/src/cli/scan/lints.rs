use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::sarif::{Level, Notice, Outcome, Place, Rule, document as sarif};
use crate::scan::{Row, Scanned};

/// Findings in SARIF: a rule for each kind of key that was found.
pub(super) fn document(scanned: &Scanned) -> Value {
    let mut kinds: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in &scanned.rows {
        kinds.entry(&row.key).or_insert(row);
    }
    let rules: Vec<Rule> = kinds.values().map(|row| rule(row)).collect();
    let outcomes: Vec<Outcome> = scanned.rows.iter().map(outcome).collect();
    let left = scanned.incomplete.iter().map(|left| Notice {
        level: Level::Warning,
        text: format!("not searched: {}", left.why),
        file: Some(left.file.clone()),
    });
    sarif("scan", &rules, &outcomes, &left.collect::<Vec<_>>())
}

fn rule(row: &Row) -> Rule {
    let whose = if row.vendor == "-" { String::new() } else { format!(" of {}", row.vendor) };
    Rule {
        id: row.key.clone(),
        title: format!("a key{whose} outside the proxy"),
        text: format!("A key{whose} ({}) stands where an application or a person can read it. It belongs behind keygress.", row.key),
        help: Some(row.help.clone()),
        level: Level::from(row.severity),
        tags: vec!["security".to_owned(), "secrets".to_owned()],
    }
}

fn outcome(row: &Row) -> Outcome {
    let replaced: Vec<&str> = row.replaced_by.iter().map(|by| by.credential.as_str()).collect();
    let print = row.fingerprint.as_deref().unwrap_or("withheld");
    Outcome {
        rule: row.key.clone(),
        level: Level::from(row.severity),
        message: format!("A key ({}), fingerprint {print}. {}.", row.key, row.help),
        place: Some(Place { file: row.file.clone(), line: row.line, column: row.column }),
        identity: format!("{}:{}:{}", row.key, row.file, print),
        properties: json!({
            "fingerprint": row.fingerprint, "sure": row.sure, "owner": row.owner, "age_days": row.age_days, "coded": row.coded,
            "found_by": row.found_by, "replaced_by": replaced,
        }),
    }
}
