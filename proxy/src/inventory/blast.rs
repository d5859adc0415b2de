use serde::Serialize;

use super::Inventory;
use crate::records::when;

/// One right: somebody may do this there with that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Right {
    /// The workload, or `any`.
    pub workload: String,
    /// The credential; `None` where the rule puts nothing on.
    pub credential: Option<String>,
    /// The destination.
    pub to: String,
    /// What is allowed there.
    pub allow: Vec<String>,
    /// What is refused of that, by this rule or another one.
    pub except: Vec<String>,
    /// The rule.
    pub rule: String,
    /// How many requests at most, as the policy spells it.
    pub limit: Option<String>,
    /// When the workload last called under this rule, where an audit was given and has it.
    pub last_used: Option<String>,
}

/// What a workload may do: its own rules and those for everybody.
#[must_use]
pub fn of_workload(inventory: &Inventory<'_>, workload: &str) -> Vec<Right> {
    let reaches = inventory.policy.reaches().filter(|reach| reach.admits(workload));
    reaches.map(|reach| right(inventory, &reach, workload)).collect()
}

/// Who may spend a credential, where and for what.
#[must_use]
pub fn of_credential(inventory: &Inventory<'_>, credential: &str) -> Vec<Right> {
    let spends = inventory.policy.reaches().filter(|reach| reach.credential.is_some_and(|known| known.name.as_str() == credential));
    spends
        .flat_map(|reach| match &reach.from {
            None => vec![right(inventory, &reach, "any")],
            Some(names) => names.iter().map(|name| right(inventory, &reach, name.as_str())).collect(),
        })
        .collect()
}

fn right(inventory: &Inventory<'_>, reach: &keygress_policy::reach::Reach<'_, crate::credentials::Source>, workload: &str) -> Right {
    let elsewhere = inventory.policy.refused_elsewhere(reach.rule, workload);
    let mut except: Vec<String> = reach.except.iter().map(|entry| (*entry).to_owned()).collect();
    except.extend(elsewhere.into_iter().map(|(rule, entry)| format!("{entry} (by {rule})")));
    let walked = inventory.usage.and_then(|usage| usage.rules.get(reach.rule.name.as_str()));
    let last = walked.and_then(|walked| if workload == "any" { walked.last } else { walked.by.get(workload).copied() });
    Right {
        workload: workload.to_owned(),
        credential: reach.credential.map(|credential| credential.name.to_string()),
        to: reach.rule.origin(),
        allow: reach.allow.iter().map(|entry| (*entry).to_owned()).collect(),
        except,
        rule: reach.rule.name.to_string(),
        limit: reach.rule.limit.map(|limit| limit.to_string()),
        last_used: last.map(when::shown),
    }
}
