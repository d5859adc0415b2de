use jiff::Timestamp;
use jiff::civil::date;
use keygress_policy::problem::SourceFile;

use super::{Inventory, Severity, Usage, blast, checks};
use crate::Policy;
use crate::records::{self, Step};

const POLICY: &str = "\
version: 1
workloads:
  shop: { labels: { stage: production, team: shop }, process: { user: shop } }
  lab: { labels: { stage: test, team: lab }, process: { user: lab } }
credentials:
  aws:
    owner: todo
    static: { reason: a test, expires: 2026-06-01 }
    source: { file: { path: /run/secrets/aws, access_key_id: AKIAIOSFODNN7EXAMPLE } }
    inject: { sigv4: { services: [s3], regions: [eu-west-1] } }
    only_to: ['*.s3.eu-west-1.amazonaws.com']
  payments:
    owner: shop@example.com
    labels: { stage: production }
    static: { reason: no federation offered, expires: 2029-01-31 }
    source: { file: /run/secrets/payments }
    inject: bearer
    only_to: [pay.example.com]
  payments-too:
    owner: lab@example.com
    labels: { stage: test }
    static: { reason: no federation offered, expires: 2026-03-10 }
    source: { file: /run/secrets/payments }
    inject: bearer
    only_to: [pay.example.com]
  minted:
    owner: shop@example.com
    source: { exec: { command: [/usr/local/bin/mint] } }
    inject: bearer
    only_to: [api.example.com]
rules:
  charge: { from: [shop, lab], to: https://pay.example.com, allow: [POST /v1/charges, 'GET /v1/charges/{id}'], credential: payments }
  try: { from: [lab], to: https://pay.example.com, allow: [POST /v1/try], credential: payments-too }
  keep: { from: any, to: https://b.s3.eu-west-1.amazonaws.com, allow: ['* /**'], credential: aws }
  call: { from: [shop, lab], to: https://api.example.com, allow: [GET /a/**, DELETE /a/**], except: [GET /a/secret], credential: minted }
  guard: { to: https://api.example.com, except: [DELETE /a/root/**] }
";

/// 2026-03-01, noon.
fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn files(text: &str) -> Vec<SourceFile> {
    vec![SourceFile { name: "policy.yaml".into(), text: text.into() }]
}

fn policy(text: &str) -> Policy {
    Policy::compile(&files(text), date(2026, 1, 1)).unwrap_or_else(|problems| panic!("{problems:?}")).0
}

/// A record `days` before now.
fn line(seq: u64, days: i64, activity: &str, rest: &str) -> String {
    let time = now().as_millisecond() - days * records::when::DAY;
    format!("{{\"seq\":{seq},\"time\":{time},\"activity\":\"{activity}\",\"metadata\":{{\"uid\":\"one-{seq}\"}},{rest}}}\n")
}

fn used(seq: u64, days: i64, rule: &str, credential: &str, workload: &str, request: (&str, &str)) -> String {
    let (method, path) = request;
    let rest = format!(
        "\"http_request\":{{\"http_method\":\"{method}\",\"url\":{{\"hostname\":\"h.example.com\",\"path\":\"{path}\"}}}},\
         \"keygress\":{{\"workload\":\"{workload}\",\"rule\":\"{rule}\",\"credential\":\"{credential}\",\"lease\":\"l\",\"fingerprint\":\"f-{credential}\"}}"
    );
    line(seq, days, "used", &rest)
}

fn usage(policy: &Policy, lines: &[String]) -> Usage {
    let mut usage = Usage::default();
    records::read(lines.concat().as_bytes(), b"", |_, line| {
        usage.take(line, policy);
        Ok(Step::On)
    })
    .unwrap();
    usage
}

/// `check severity subject` of everything that is found.
fn found(policy: &Policy, text: &str, usage: Option<&Usage>) -> Vec<String> {
    let files = files(text);
    let inventory = Inventory { policy, files: &files, usage, now: now(), days: 30 };
    let findings = inventory.findings();
    assert!(findings.iter().all(|finding| checks::find(finding.check).is_some()), "{findings:?}");
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
    findings.into_iter().map(|finding| format!("{} {} {}", finding.check, finding.severity.as_str(), finding.subject)).collect()
}

#[test]
fn the_policy_alone_shows_what_lives_long_is_shared_or_wide() {
    let policy = policy(POLICY);
    let mut all = found(&policy, POLICY, None);
    all.sort();
    assert_eq!(
        all,
        [
            "anyone high rule keep",
            "everything medium rule keep",
            "federate medium credential aws",
            "one_key_twice high credential payments",
            "owner_missing high credential aws",
            "shared high credential minted",
            "shared low credential minted",
            "shared low credential payments",
            "stage_crossed high credential payments",
            "static_expires_soon medium credential payments-too",
            "static_long medium credential payments",
            "unlabelled low credential aws",
        ]
    );
}

#[test]
fn what_is_apart_owned_and_narrow_is_no_finding() {
    let clean = "\
version: 1
workloads:
  shop: { labels: { stage: production, tenant: a }, process: { user: shop } }
credentials:
  payments:
    owner: shop@example.com
    labels: { stage: production }
    static: { reason: no federation offered, expires: 2026-12-31 }
    source: { file: /run/secrets/payments }
    inject: bearer
    only_to: [pay.example.com]
rules:
  charge: { from: [shop], to: https://pay.example.com, allow: [POST /v1/charges], credential: payments }
";
    assert_eq!(found(&policy(clean), clean, None), [""; 0]);
}

#[test]
fn an_expired_key_is_the_first_to_be_seen() {
    let text = POLICY.replace("2026-03-10", "2026-02-28");
    let all = found(&policy(&text), &text, None);
    assert!(all.contains(&"static_expired high credential payments-too".to_owned()), "{all:?}");
}

#[test]
fn the_audit_shows_what_nobody_used() {
    let policy = policy(POLICY);
    let lines = [
        used(1, 40, "call", "minted", "lab", ("DELETE", "/a/1")),
        used(2, 3, "call", "minted", "shop", ("GET", "/a/1")),
        used(3, 2, "charge", "payments", "shop", ("POST", "/v1/charges")),
        used(4, 1, "charge", "payments", "lab", ("GET", "/v1/charges/7")),
    ];
    let usage = usage(&policy, &lines);
    let all = found(&policy, POLICY, Some(&usage));
    let unused: Vec<_> = all.iter().filter(|finding| finding.starts_with("unused")).collect();
    assert_eq!(
        unused,
        [
            "unused_credential medium credential aws",
            "unused_credential medium credential payments-too",
            "unused_rule medium rule keep",
            "unused_rule medium rule try",
            "unused_entry low rule call",
            "unused_workload low rule call",
        ]
    );
    // Ten days say nothing of thirty.
    let short = self::usage(&policy, &lines[1..]);
    assert!(!found(&policy, POLICY, Some(&short)).iter().any(|finding| finding.starts_with("unused")));
}

#[test]
fn leases_live_until_they_are_revoked_expire_or_their_process_ends() {
    let policy = policy(POLICY);
    let issued = |seq: u64, lease: &str, rest: &str| {
        line(
            seq,
            0,
            "issued",
            &format!("\"keygress\":{{\"credential\":\"minted\",\"lease\":\"{lease}\",\"fingerprint\":\"{lease}\"{rest}}}"),
        )
    };
    let lines = [
        issued(1, "revoked", ",\"expires_in\":3600"),
        issued(2, "alive", ",\"expires_in\":3600"),
        issued(3, "expired", ",\"expires_in\":0"),
        issued(4, "endless", ""),
        line(5, 0, "revoked", "\"keygress\":{\"lease\":\"revoked\"}"),
    ];
    let alive = |lines: &[String]| {
        let usage = usage(&policy, lines);
        usage.alive("minted", now().as_millisecond()).map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(alive(&lines), ["alive", "endless"]);
    let closed = [&lines[..], &[line(6, 0, "closed", "\"keygress\":{}")]].concat();
    assert_eq!(alive(&closed), ["alive"]);
    let all = found(&policy, POLICY, Some(&usage(&policy, &lines)));
    assert!(all.contains(&"never_expires medium credential minted".to_owned()), "{all:?}");
}

#[test]
fn one_value_under_two_names_and_what_left_the_policy_are_seen() {
    let policy = policy(POLICY);
    let with = |credential: &str, seq: u64| {
        let rest =
            format!("\"keygress\":{{\"credential\":\"{credential}\",\"lease\":\"{seq}\",\"fingerprint\":\"same\",\"expires_in\":3600}}");
        line(seq, 0, "issued", &rest)
    };
    let renamed = found(&policy, POLICY, Some(&usage(&policy, &[with("former", 1), with("payments", 2)])));
    assert!(!renamed.iter().any(|finding| finding.starts_with("same_value")), "{renamed:?}");
    let lines = [with("payments", 1), with("payments-too", 2), with("gone", 3), line(4, 0, "gap", "\"keygress\":{\"lost\":7}")];
    let usage = usage(&policy, &lines);
    let all = found(&policy, POLICY, Some(&usage));
    for expected in ["same_value high credential payments", "left_policy medium credential gone", "records_lost medium audit"] {
        assert!(all.contains(&expected.to_owned()), "{expected}: {all:?}");
    }
}

#[test]
fn a_blast_radius_holds_what_others_refuse() {
    let policy = policy(POLICY);
    let files = files(POLICY);
    let usage = usage(&policy, &[used(1, 2, "call", "minted", "lab", ("GET", "/a/1"))]);
    let inventory = Inventory { policy: &policy, files: &files, usage: Some(&usage), now: now(), days: 30 };
    let lab = blast::of_workload(&inventory, "lab");
    let rules: Vec<&str> = lab.iter().map(|right| right.rule.as_str()).collect();
    assert_eq!(rules, ["call", "charge", "guard", "keep", "try"]);
    assert_eq!(lab[0].except, ["GET /a/secret", "DELETE /a/root/** (by guard)"]);
    assert_eq!(lab[0].last_used.as_deref(), Some("2026-02-27T12:00:00Z"));
    let who: Vec<_> = blast::of_credential(&inventory, "payments").into_iter().map(|right| right.workload).collect();
    assert_eq!(who, ["lab", "shop"]);
    assert_eq!(blast::of_credential(&inventory, "aws")[0].workload, "any");
    assert!(blast::of_credential(&inventory, "nobody").is_empty());
}

#[test]
fn a_row_says_everything_but_the_key() {
    let policy = policy(POLICY);
    let files = files(POLICY);
    let usage = usage(&policy, &[used(1, 2, "charge", "payments", "shop", ("POST", "/v1/charges"))]);
    let inventory = Inventory { policy: &policy, files: &files, usage: Some(&usage), now: now(), days: 30 };
    let rows = inventory.rows();
    let row = rows.iter().find(|row| row.credential == "payments").unwrap();
    assert_eq!((row.kind, row.uses, row.leases_alive, row.line), ("static", Some(1), Some(0), Some(12)));
    assert_eq!((row.workloads.join(","), row.rules.join(",")), ("lab,shop".into(), "charge".into()));
    assert_eq!(row.last_use.as_ref().unwrap().workload.as_deref(), Some("shop"));
    assert!(row.expires_in_days.unwrap() > 1000 && row.findings.contains(&"static_long"), "{row:?}");
    let unused = rows.iter().find(|row| row.credential == "minted").unwrap();
    assert_eq!((unused.kind, unused.uses, &unused.last_use), ("short-lived", Some(0), &None));
    assert!(Severity::High < Severity::Low);
}
