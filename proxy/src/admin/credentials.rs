//! Every credential, as the inventory has it, with what it was used for since the start.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Admin, Answer, json_answer};
use crate::credentials::LeaseInForce;
use crate::inventory::{Inventory, Row};
use crate::recent::Uses;

/// The inventory asks nothing of the audit here.
const DAYS: u32 = 30;

/// `GET /credentials`. A large policy takes a moment: it is not this thread's.
pub(super) async fn list(admin: &Admin) -> Answer {
    let (shared, recent) = (Arc::clone(&admin.shared), Arc::clone(&admin.recent));
    let listed = tokio::task::spawn_blocking(move || {
        let snapshot = shared.live.load();
        let inventory = Inventory { policy: &snapshot.policy, files: &[], usage: None, now: Timestamp::now(), days: DAYS };
        let (rows, findings) = (inventory.rows(), inventory.findings());
        let leases = shared.credentials.leases();
        let since = recent.with(|state| state.since);
        let described: Vec<_> = rows
            .iter()
            .map(|row| recent.with(|state| described(row, state.tally.credentials.get(row.credential.as_str()), &leases)))
            .collect();
        json!({ "generation": snapshot.generation, "since": since.as_millisecond(), "credentials": described, "findings": findings })
    });
    match listed.await {
        Ok(listed) => json_answer(StatusCode::OK, &listed),
        Err(_) => json_answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "the inventory failed: please report it" })),
    }
}

fn described(row: &Row, uses: Option<&Uses>, leases: &[LeaseInForce]) -> Value {
    let mut described = serde_json::to_value(row).unwrap_or_default();
    let Some(fields) = described.as_object_mut() else { return described };
    // Places in files, and what only a read audit tells.
    for absent in ["file", "line", "uses", "first_seen", "last_used", "last_use", "used_by", "leases_alive"] {
        fields.remove(absent);
    }
    let of_it = || leases.iter().filter(|lease| lease.credential == row.credential);
    fields.insert("leases".to_owned(), of_it().count().into());
    fields.insert("issued".to_owned(), of_it().map(|lease| lease.issued.as_str()).max().into());
    fields.insert("uses".to_owned(), uses.map_or(0, |uses| uses.count).into());
    if let Some(uses) = uses {
        let mut by: Vec<_> = uses.by.iter().collect();
        by.sort_by_key(|(_, (_, last))| std::cmp::Reverse(*last));
        let by: Vec<_> =
            by.into_iter().map(|(who, (count, last))| json!({ "workload": who.as_deref(), "count": count, "last": last })).collect();
        let last = json!({
            "time": uses.last.time,
            "workload": uses.last.workload.as_deref(),
            "task": uses.last.task.as_deref(),
            "host": uses.host.as_ref().map(ToString::to_string),
            "rule": uses.rule.as_deref(),
        });
        fields.extend([("first".to_owned(), uses.first.into()), ("last".to_owned(), last), ("by".to_owned(), by.into())]);
    }
    described
}
