//! Who may spend what, what tests leave untouched, what changes from one policy to the next.

use http::Method;
use keygress_policy::change::{Altered, Permission};
use keygress_policy::preset::instead_of;

use crate::provider::policy;

const POLICY: &str = "
version: 1
workloads:
  shop: { labels: { stage: production }, process: { user: shop } }
  lab: { process: { user: lab } }
credentials:
  pay:
    owner: shop@example.com
    static: { reason: a test, expires: 2099-01-01 }
    source: { file: /run/secrets/pay }
    inject: bearer
    only_to: [pay.example.com]
rules:
  charge:
    from: [shop]
    to: https://pay.example.com
    allow: [POST /v1/charges, 'GET /v1/charges/{id}']
    except: [GET /v1/charges/secret]
    credential: pay
  docs: { to: https://docs.example.com:8443 }
tests:
  - { request: POST https://pay.example.com/v1/charges, from: shop, expect: allow }
  - { request: POST https://pay.example.com/v1/charges, from: lab, expect: deny }
";

fn permission(from: &str, request: &str, credential: Option<&str>) -> Permission {
    Permission {
        from: from.into(),
        to: "https://pay.example.com".into(),
        request: request.into(),
        credential: credential.map(str::to_owned),
        rule: "charge".into(),
    }
}

#[test]
fn a_policy_lists_who_may_do_what_as_it_is_written() {
    let policy = policy(POLICY);
    let reaches: Vec<_> = policy.reaches().collect();
    let charge = &reaches[0];
    assert_eq!(charge.allow, ["POST /v1/charges", "GET /v1/charges/{id}"]);
    assert_eq!(charge.except, ["GET /v1/charges/secret"]);
    assert!(charge.admits("shop") && !charge.admits("lab") && charge.credential.is_some() && charge.place.is_some());
    let docs = &reaches[1];
    assert_eq!((docs.allow.as_slice(), docs.rule.origin()), (["* /**"].as_slice(), "https://docs.example.com:8443".to_owned()));
    assert!(docs.admits("lab") && docs.from.is_none() && docs.credential.is_none());
    let labels: Vec<_> = policy.workloads().map(|workload| (workload.name.as_str(), workload.labels.len())).collect();
    assert_eq!(labels, [("lab", 0), ("shop", 1)]);
    let matching: Vec<_> = policy.entries_matching(charge.rule, &Method::GET, "/v1/charges/7").collect();
    assert_eq!(matching, [1]);
}

#[test]
fn what_no_test_touches_is_told_entry_by_entry() {
    let untested = policy(POLICY).untested();
    assert_eq!(untested.len(), 2);
    assert_eq!(untested[0].allow, ["GET /v1/charges/{id}"]);
    assert_eq!((untested[0].except.len(), untested[0].whole), (1, false));
    assert_eq!((untested[1].rule.as_str(), untested[1].whole), ("docs", true));
    let more = format!(
        "{POLICY}  - {{ request: GET https://pay.example.com/v1/charges/secret, from: shop, expect: deny }}
  - {{ request: GET https://docs.example.com:8443/, expect: allow }}\n"
    );
    assert_eq!(policy(&more).untested(), []);
}

#[test]
fn the_same_policy_in_other_words_changes_nothing() {
    let change = policy(POLICY).change_from(&policy(&POLICY.replace("[POST /v1/charges, ", "[")));
    assert_eq!(change.gained, [permission("shop", "POST /v1/charges", Some("pay"))]);
    assert!(change.lost.is_empty() && change.altered.is_empty());
    assert!(policy(POLICY).change_from(&policy(POLICY)).is_none());
    assert!(policy(&POLICY.replace("docs:", "pages:")).change_from(&policy(POLICY)).is_none(), "a rule of another name");
}

#[test]
fn who_gains_and_who_loses_is_told() {
    let before = policy(POLICY);
    let wider = policy(&POLICY.replace("'GET /v1/charges/{id}'", "GET /v1/**").replace("from: [shop]", "from: [shop, lab]"));
    let change = wider.change_from(&before);
    let gained = ["lab", "shop"].map(|who| permission(who, "GET /v1/**", Some("pay")));
    assert_eq!(change.gained, [gained[0].clone(), permission("lab", "POST /v1/charges", Some("pay")), gained[1].clone()]);
    assert_eq!(change.lost, [], "what is covered by more is not lost");
    assert_eq!(change.refused, [permission("lab", "GET /v1/charges/secret", None)]);
    let back = before.change_from(&wider);
    assert_eq!((back.lost.len(), back.gained.len(), back.readmitted.len()), (3, 0, 1));
}

#[test]
fn names_that_stand_for_something_else_are_told() {
    let after = POLICY
        .replace("user: shop", "user: web")
        .replace("owner: shop@example.com", "owner: web@example.com")
        .replace("/run/secrets/pay", "/run/secrets/other")
        .replace("2099-01-01", "2098-01-01")
        .replace("only_to: [pay.example.com]", "only_to: [pay.example.com, pay.example.org]");
    let altered = policy(&after).change_from(&policy(POLICY)).altered;
    let how: Vec<&str> = altered.iter().map(|Altered { how, .. }| how.as_str()).collect();
    assert_eq!(
        how,
        [
            "is recognised by something else",
            "is owned by `web@example.com`, not by `shop@example.com`",
            "comes from another `file`",
            "may also reach `pay.example.org`",
            "expires on 2098-01-01, not on 2099-01-01",
        ]
    );
}

#[test]
fn what_could_mint_instead_of_a_static_key_is_known_by_its_destination() {
    let with = |rest: &str, host: &str| {
        let text = POLICY.replace("inject: bearer", rest).replace("pay.example.com", host);
        instead_of(&policy(&text).credentials()[0]).map(|federation| federation.provider)
    };
    assert_eq!(with("inject: bearer", "pay.example.com"), None);
    assert_eq!(with("inject: bearer", "api.github.com"), Some("github_app"));
    assert_eq!(with("preset: github", "ghe.example.com"), Some("github_app"));
    assert_eq!(with("inject: bearer", "storage.googleapis.com"), Some("gcp_workload_identity"));
    assert_eq!(with("preset: gemini", "generativelanguage.googleapis.com"), None);
    assert_eq!(with("inject: bearer", "acme.vault.azure.net"), Some("azure_managed_identity"));
    assert_eq!(with("inject: bearer", "notazure.net"), None);
    assert_eq!(with("inject: bearer", "sts.amazonaws.com"), Some("aws_web_identity"));
    assert_eq!(with("inject: { header: { name: x-vault-token } }", "bao.example.com"), Some("openbao"));
    let minted = POLICY
        .replace("    static: { reason: a test, expires: 2099-01-01 }\n", "")
        .replace("file: /run/secrets/pay", "exec: { command: [mint] }");
    let minted = minted.replace("pay.example.com", "api.github.com");
    assert_eq!(instead_of(&policy(&minted).credentials()[0]), None);
}
