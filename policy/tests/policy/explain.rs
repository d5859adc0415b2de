//! What `explain` and `test` say.

use http::Method;
use insta::assert_snapshot;
use keygress_policy::Policy;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::explain::Hypothesis;

use crate::provider::{Provider, policy};

const POLICY: &str = "\
version: 1
workloads:
  agent: { task: { labels: { kind: agent } } }
  backup: { process: { uid: 7 } }
credentials:
  forge: { owner: o, source: { exec: {} }, inject: bearer, only_to: [forge.example] }
  other: { owner: o, source: { exec: {} }, inject: bearer, only_to: [forge.example] }
rules:
  agent-reads:
    from: [agent]
    to: https://forge.example
    allow: [GET /repos/**]
    except: [GET /repos/secret/**]
    credential: forge
  anybody:
    to: https://forge.example
    allow: [GET /zen]
  backup-reads:
    from: [backup]
    to: https://forge.example
    allow: [GET /archive/**]
    credential: other
tests:
  - { request: 'GET https://forge.example/repos/x?page=2', from: agent, expect: { rule: agent-reads, credential: forge } }
  - { request: 'GET https://forge.example/zen', expect: allow }
  - { request: 'GET https://forge.example/zen', expect: deny }
  - { request: 'GET https://forge.example/repos/x', from: agent, expect: { credential: other } }
  - { request: 'GET https://forge.example/repos/secret/x', from: agent, expect: { rule: agent-reads } }
  - { request: 'GET https://other.example', from: backup, expect: deny }
";

fn explained(policy: &Policy<Provider>, from: Option<&str>, method: &Method, host: &str, path: &str) -> String {
    let host = Host::parse(host).unwrap();
    match policy.explain(&Hypothesis { from, scheme: Scheme::Https, host: &host, port: 443, method, path }) {
        Ok(explanation) => serde_json::to_string_pretty(&explanation).unwrap(),
        Err(message) => message,
    }
}

#[test]
fn an_allowed_request() {
    assert_snapshot!(explained(&policy(POLICY), Some("agent"), &Method::GET, "forge.example", "/repos/x"), @r#"
    {
      "decision": "allow",
      "rule": "agent-reads",
      "credential": "forge",
      "reason": "rule `agent-reads` allows it and puts on `forge`",
      "suggestion": null,
      "rules": [
        {
          "rule": "agent-reads",
          "matches": true,
          "reason": "it allows the request and puts a credential on"
        },
        {
          "rule": "anybody",
          "matches": false,
          "reason": "no entry of `allow` matches this method and path"
        },
        {
          "rule": "backup-reads",
          "matches": false,
          "reason": "`from` does not list this caller"
        }
      ]
    }
    "#);
}

#[test]
fn a_request_that_no_rule_allows() {
    assert_snapshot!(explained(&policy(POLICY), Some("backup"), &Method::POST, "forge.example", "/it's"), @r#"
    {
      "decision": "deny",
      "rule": null,
      "credential": null,
      "reason": "rules let this caller reach `https://forge.example`, but none allows `POST /it's`",
      "suggestion": "rules:\n  NAME:\n    from: [backup]\n    to: https://forge.example\n    allow: ['POST /it''s']\n",
      "rules": [
        {
          "rule": "agent-reads",
          "matches": false,
          "reason": "`from` does not list this caller"
        },
        {
          "rule": "anybody",
          "matches": false,
          "reason": "no entry of `allow` matches this method and path"
        },
        {
          "rule": "backup-reads",
          "matches": false,
          "reason": "no entry of `allow` matches this method and path"
        }
      ]
    }
    "#);
}

#[test]
fn a_request_that_an_except_refuses() {
    assert_snapshot!(explained(&policy(POLICY), Some("agent"), &Method::GET, "forge.example", "/repos/secret/x"), @r#"
    {
      "decision": "deny",
      "rule": "agent-reads",
      "credential": null,
      "reason": "`except` of rule `agent-reads` refuses it, whatever another rule allows",
      "suggestion": null,
      "rules": [
        {
          "rule": "agent-reads",
          "matches": true,
          "reason": "`except` matches: it refuses the request"
        },
        {
          "rule": "anybody",
          "matches": false,
          "reason": "no entry of `allow` matches this method and path"
        },
        {
          "rule": "backup-reads",
          "matches": false,
          "reason": "`from` does not list this caller"
        }
      ]
    }
    "#);
}

#[test]
fn a_destination_that_no_rule_names() {
    assert_snapshot!(explained(&policy(POLICY), None, &Method::GET, "other.example", "/"), @r#"
    {
      "decision": "deny",
      "rule": null,
      "credential": null,
      "reason": "no rule names `https://other.example`",
      "suggestion": "rules:\n  NAME:\n    from: any\n    to: https://other.example\n    allow: ['GET /']\n",
      "rules": []
    }
    "#);
}

#[test]
fn a_workload_that_there_is_not() {
    assert_snapshot!(explained(&policy(POLICY), Some("agnt"), &Method::GET, "forge.example", "/"), @r"
    there is no workload `agnt`; did you mean `agent`?
    ");
}

#[test]
fn a_suggestion_is_a_rule_that_allows_the_request() {
    let denied = policy(POLICY);
    for (from, method, host, path) in [
        (Some("backup"), Method::POST, "forge.example", "/it's/{x}"),
        (None, Method::GET, "other.example", "/"),
        (None, Method::GET, "forge.example", "/a%20b"),
    ] {
        let host = Host::parse(host).unwrap();
        let question = Hypothesis { from, scheme: Scheme::Https, host: &host, port: 443, method: &method, path };
        let suggestion = denied.explain(&question).unwrap().suggestion.unwrap();
        let rule = suggestion.strip_prefix("rules:\n").unwrap();
        let allowed = policy(&POLICY.replace("tests:\n", &format!("{rule}tests:\n")));
        assert_eq!(allowed.explain(&question).unwrap().decision, "allow", "{suggestion}");
    }
}

#[test]
fn the_outcome_of_tests() {
    let outcomes: Vec<String> = policy(POLICY)
        .run_tests()
        .into_iter()
        .map(|outcome| format!("{}: {}", outcome.name, outcome.failure.unwrap_or_else(|| "passed".into())))
        .collect();
    assert_snapshot!(outcomes.join("\n"), @r"
    GET https://forge.example/repos/x?page=2 from agent: passed
    GET https://forge.example/zen from anybody: passed
    GET https://forge.example/zen from anybody: expected deny, but rule `anybody` allows it with no credential
    GET https://forge.example/repos/x from agent: expected credential `other`, but rule `agent-reads` allows it with credential `forge`
    GET https://forge.example/repos/secret/x from agent: expected rule `agent-reads`, but it is denied: `except` of rule `agent-reads` refuses it, whatever another rule allows
    GET https://other.example from backup: passed
    ");
}
