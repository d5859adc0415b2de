//! What stays the same from one policy to the next.

use keygress_policy::compile::{Lineage, Policy};
use keygress_policy::workload::{Caller, Process};

use crate::provider::{Provider, policy};

const HEAD: &str = "version: 1
workloads:
  app: { process: { uid: 7 } }
credentials:
  key:
    owner: tests@example.com
    static: { reason: a test, expires: 2099-12-31 }
    source: { file: /run/key }
    inject: bearer
    only_to: [api.example.com]
rules:
";

const RULE: &str = "  api: { from: [app], to: 'https://api.example.com', allow: [GET /a], credential: key, allow_ips: [10.0.0.0/8] }\n";

/// The policy of these rules as the successor of another.
fn after(before: &Policy<Provider>, text: &str) -> Policy<Provider> {
    let mut next = policy(text);
    next.succeed(before);
    next
}

fn lineage(policy: &Policy<Provider>, rule: &str) -> Lineage {
    policy.rules().iter().find(|known| known.name.as_str() == rule).unwrap().lineage
}

fn app(policy: &Policy<Provider>, uid: u32) -> Option<Lineage> {
    let process = Process { uid, gid: None, pid: None, user: None, unit: None, container: None, executable: None };
    policy.workload_lineage(&policy.recognise(&Caller { process: Some(process), ..Caller::default() }))
}

#[test]
fn what_does_not_change_how_a_rule_dials_keeps_its_lineage() {
    let text = format!("{HEAD}{RULE}");
    let first = policy(&text);
    for changed in [
        text.clone(),
        text.replace("GET /a", "GET /b/**"),
        text.replace("owner: tests", "owner: others"),
        format!("{text}  aaa: {{ to: 'https://aaa.example.com' }}\n"),
    ] {
        let next = after(&first, &changed);
        assert_eq!(lineage(&next, "api"), lineage(&first, "api"), "{changed}");
        assert_eq!(app(&next, 7), app(&first, 7), "{changed}");
        assert_eq!(std::sync::Arc::ptr_eq(&next.credentials()[0], &first.credentials()[0]), !changed.contains("others"), "{changed}");
    }
}

#[test]
fn what_changes_whom_a_rule_reaches_or_as_whom_begins_a_new_lineage() {
    let text = format!("{HEAD}{RULE}");
    let first = policy(&text);
    for changed in [
        text.replace("10.0.0.0/8", "10.0.0.0/9"),
        text.replace("/run/key", "/run/other"),
        text.replace("inject: bearer", "inject: { header: { name: x-key } }"),
        text.replace("2099-12-31", "2098-12-31"),
        text.replace("https://api.example.com'", "https://api.example.com:8443'"),
        text.replace("credential: key, ", ""),
    ] {
        assert_ne!(lineage(&after(&first, &changed), "api"), lineage(&first, "api"), "{changed}");
    }
    let next = after(&first, &text.replace("uid: 7", "uid: 8"));
    assert!(app(&first, 7).is_some() && app(&next, 8).is_some());
    assert_ne!(app(&next, 8), app(&first, 7), "another process comes under the name");
}

#[test]
fn a_number_is_never_used_again() {
    let text = format!("{HEAD}{RULE}");
    let others = format!("{HEAD}{}", RULE.replace("  api:", "  other:"));
    let first = policy(&text);
    let second = after(&first, &others);
    let third = after(&second, &text);
    let seen = [lineage(&first, "api"), lineage(&second, "other"), lineage(&third, "api")];
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2], "{seen:?}");
}

#[test]
fn rules_and_workloads_that_are_added_and_taken_away_move_nobody_elses_lineage() {
    let rules = |names: &[usize]| {
        let rule = |n: &usize| format!("  r-{n}: {{ to: 'https://h-{n}.example.com' }}\n");
        format!("version: 1\nrules:\n{}", names.iter().map(rule).collect::<String>())
    };
    let first = policy(&rules(&[1, 3, 5]));
    let next = after(&first, &rules(&[0, 1, 2, 5]));
    assert_eq!((lineage(&next, "r-1"), lineage(&next, "r-5")), (lineage(&first, "r-1"), lineage(&first, "r-5")));
    let all: std::collections::BTreeSet<_> = next.rules().iter().map(|rule| rule.lineage).collect();
    assert_eq!(all.len(), 4, "no two rules share one");
}
