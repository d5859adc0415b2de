//! Requests whose answer is a credential: no pattern allows one, only an entry that names it in full.

use http::Method;
use keygress_policy::Policy;
use keygress_policy::decide::{Decision, Denial, Question};
use keygress_policy::destination::{Host, METHODS, Scheme};
use keygress_policy::preset;
use keygress_policy::workload::Workloads;
use proptest::prelude::*;
use proptest::sample::select;

use crate::provider::{Provider, codes, messages, policy};

/// A policy that puts `key` on what these rules allow at `host`.
fn ruled(preset: &str, host: &str, rules: &[(&str, &str)]) -> String {
    let yields = if preset::find(preset).unwrap().inject == "basic" { "yields: user_password" } else { "yields: token" };
    let credential = |name: &str| format!("  {name}: {{ owner: x, source: {{ exec: {{ {yields} }} }}, preset: {preset} }}\n");
    let other = if rules.iter().any(|(_, rest)| rest.contains("credential: other")) { credential("other") } else { String::new() };
    let mut text = format!("version: 1\ncredentials:\n{}{other}rules:\n", credential("key"));
    for (name, rest) in rules {
        text.push_str(&format!("  {name}: {{ from: any, to: 'https://{host}', {rest} }}\n"));
    }
    text
}

fn decided(policy: &Policy<Provider>, host: &str, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let (host, method) = (Host::parse(host).unwrap(), Method::from_bytes(method.as_bytes()).unwrap());
    let question = Question { workloads: &Workloads::default(), scheme: Scheme::Https, host: &host, port: 443, method: &method, path };
    match policy.decide(&question) {
        Decision::Grant(grant) if grant.mints => format!("mints by {}", grant.rule.name),
        Decision::Grant(grant) => format!("granted by {}", grant.rule.name),
        Decision::Denied(Denial::Minting(rule)) => format!("minting by {}", rule.name),
        Decision::Denied(other) => format!("{other:?}"),
    }
}

const GITHUB: &str = "api.github.com";
const TOKEN: &str = "POST /app/installations/7/access_tokens";

#[test]
fn a_pattern_does_not_allow_it_and_an_entry_that_names_it_does() {
    let wide = policy(&ruled("github", GITHUB, &[("wide", "allow: ['* /**'], credential: key")]));
    assert_eq!(decided(&wide, GITHUB, TOKEN), "minting by wide");
    assert_eq!(decided(&wide, GITHUB, &format!("{TOKEN}/")), "minting by wide");
    assert_eq!(decided(&wide, GITHUB, "GET /app/installations/7/access_tokens"), "granted by wide");
    assert_eq!(decided(&wide, GITHUB, "POST /app/installations/7/suspended"), "granted by wide");
    let named = policy(&ruled("github", GITHUB, &[("named", "allow: ['POST /app/installations/{id}/access_tokens'], credential: key")]));
    assert_eq!(decided(&named, GITHUB, TOKEN), "mints by named");
    let both =
        [("a-wide", "allow: ['* /**'], credential: key"), ("named", "allow: ['POST /app/installations/7/access_tokens'], credential: key")];
    let both = policy(&ruled("github", GITHUB, &both));
    assert_eq!(decided(&both, GITHUB, TOKEN), "mints by named");
    assert_eq!(decided(&both, GITHUB, "POST /app/installations/8/access_tokens"), "minting by a-wide");
}

#[test]
fn except_wins_and_a_rule_without_a_credential_does_not_make_up_for_it() {
    let rules = [
        (
            "excepted",
            "allow: [POST /app/installations/7/access_tokens], except: ['POST /app/installations/{id}/access_tokens/**'], credential: key",
        ),
        ("plain", "allow: ['* /**']"),
    ];
    assert!(codes(&ruled("github", GITHUB, &rules)).contains(&"never_matches"));
    let plain = policy(&ruled("github", GITHUB, &[("plain", "allow: ['* /**']")]));
    assert_eq!(decided(&plain, GITHUB, TOKEN), "granted by plain", "nothing of ours is on it");
    let beside = policy(&ruled("github", GITHUB, &[("plain", "allow: ['* /**']"), ("wide", "allow: [POST /app/**], credential: key")]));
    assert_eq!(decided(&beside, GITHUB, TOKEN), "minting by wide");
}

#[test]
fn another_credential_by_a_pattern_does_not_make_it_ambiguous() {
    let rules = [
        ("named", "allow: [POST /app/installations/7/access_tokens], credential: key"),
        ("wide", "allow: ['POST /app/installations/{id}/{what}'], credential: other"),
    ];
    let policy = policy(&ruled("github", GITHUB, &rules));
    assert_eq!(decided(&policy, GITHUB, TOKEN), "mints by named");
    assert_eq!(decided(&policy, GITHUB, "POST /app/installations/8/access_tokens"), "minting by wide");
}

#[test]
fn what_names_it_is_warned_of_and_what_nearly_does_can_never_match() {
    let named = ruled("github", GITHUB, &[("named", "allow: ['POST /app/installations/{id}/access_tokens'], credential: key")]);
    assert!(codes(&named).contains(&"mints"));
    insta::assert_snapshot!(messages(&[("policy.yaml", &named)]), @r"
    warning: rule `named` lets `key` ask for another credential: the answer to `POST /app/installations/{installation}/access_tokens` is one
     --> policy.yaml:5:61
      |
    5 |   named: { from: any, to: 'https://api.github.com', allow: ['POST /app/installations/{id}/access_tokens'], credential: key }
      |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove the entry unless the caller must have it: keygress neither sees nor ends what is issued there
    ");
    let nearly = ruled(
        "github",
        GITHUB,
        &[("nearly", "allow: ['* /app/installations/7/access_tokens', POST /app-manifests/x/conversions], credential: key")],
    );
    assert_eq!(codes(&nearly), ["mints"], "a further method of the entry can match");
    let google = "version: 1
credentials:
  key: { owner: x, source: { exec: {} }, inject: bearer, only_to: [iamcredentials.googleapis.com] }
rules:
  act: { from: any, to: 'https://iamcredentials.googleapis.com', allow: ['POST /v1/projects/-/serviceAccounts/{account}'], credential: key }
";
    assert_eq!(codes(google), ["never_matches"]);
    let spelled = google.replace("{account}", "a@p.iam.gserviceaccount.com:generateAccessToken");
    assert_eq!(codes(&spelled), ["mints"]);
    let asked = "POST /v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com%3AgenerateAccessToken";
    assert_eq!(decided(&policy(&spelled), "iamcredentials.googleapis.com", asked), "mints by act");
}

/// A request of the list with something in its free segments.
fn filled(request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "x-7" } else { segment });
    format!("{} {}", if method == "*" { "POST" } else { method }, segments.collect::<Vec<_>>().join("/"))
}

/// A pattern that matches this request and leaves something open: a method, a segment that is fixed on the list, or the rest.
fn opened(request: &str, asked: &str, how: (u8, usize)) -> String {
    let (method, path) = asked.split_once(' ').unwrap();
    let listed: Vec<&str> = request.split_once(' ').unwrap().1.split('/').skip(1).collect();
    let mut segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    match how.0 {
        0 => return format!("* {path}"),
        1 => {
            segments.truncate(how.1 % (segments.len() + 1));
            segments.push("**".to_owned());
        }
        _ => {
            let fixed: Vec<usize> = (0..listed.len()).filter(|at| !listed[*at].starts_with('{') || listed[*at].starts_with("{!")).collect();
            segments[fixed[how.1 % fixed.len()]] = "{open}".to_owned();
        }
    }
    format!("{method} /{}", segments.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_pattern_ever_allows_one(preset in select(preset::all()), which in any::<usize>(), how in (0..3_u8, any::<usize>()), slashed in any::<bool>()) {
        prop_assume!(!preset.mints.is_empty());
        let host = preset.hosts[0].replace("*.", "tenant.");
        let request = preset.mints[which % preset.mints.len()];
        let asked = filled(request);
        let entry = opened(request, &asked, how);
        // What matches nothing else is an error already.
        let text = ruled(preset.name, &host, &[("open", &format!("allow: ['{entry}'], credential: key"))]);
        if codes(&text).contains(&"never_matches") {
            return Ok(());
        }
        let asked = if slashed && !asked.ends_with('/') && how.0 == 1 { format!("{asked}/") } else { asked };
        prop_assert_eq!(decided(&policy(&text), &host, &asked), "minting by open", "{} by {}", asked, entry);
    }

    #[test]
    fn naming_one_allows_that_one(preset in select(preset::all()), which in any::<usize>()) {
        prop_assume!(!preset.mints.is_empty());
        let host = preset.hosts[0].replace("*.", "tenant.");
        let asked = filled(preset.mints[which % preset.mints.len()]);
        let text = ruled(preset.name, &host, &[("named", &format!("allow: ['{asked}'], credential: key"))]);
        prop_assert_eq!(decided(&policy(&text), &host, &asked), "mints by named");
    }
}

#[test]
fn the_methods_of_the_list_are_methods() {
    for request in preset::all().iter().flat_map(|preset| preset.mints) {
        let method = request.split_once(' ').unwrap().0;
        assert!(method == "*" || METHODS.contains(&method), "{request}");
    }
}
