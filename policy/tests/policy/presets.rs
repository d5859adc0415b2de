//! `preset:` gives what a credential does not say itself, and narrows what it says.

use keygress_policy::destination::HostPattern;
use keygress_policy::preset;

use crate::provider::{codes, messages, policy};

/// A policy with one credential of these keys, which is used.
fn with(keys: &str, host: &str) -> String {
    format!(
        "version: 1
credentials:
  key: {{ owner: x, {keys} }}
rules:
  use: {{ from: any, to: 'https://{host}', allow: [GET /things], credential: key }}
"
    )
}

#[test]
fn every_preset_alone_is_a_credential() {
    for preset in preset::all() {
        let source = if preset.inject == "basic" { "exec: { yields: user_password }" } else { "exec: {}" };
        let text =
            with(&format!("source: {{ {source} }}, preset: {}, placeholder: {{}}", preset.name), &preset.hosts[0].replace("*.", "tenant."));
        let policy = policy(&text);
        let credential = &policy.credentials()[0];
        let mut hosts: Vec<_> = preset.hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        hosts.sort();
        assert_eq!(credential.only_to, hosts, "{}", preset.name);
        let placeholder = credential.placeholder.as_ref().unwrap();
        assert_eq!((placeholder.env.as_str(), placeholder.like.as_str(), placeholder.length), (preset.env, preset.like, preset.length));
        assert_eq!(credential.preset.map(|preset| preset.name), Some(preset.name));
    }
}

#[test]
fn what_the_policy_says_itself_may_only_narrow_it() {
    let source = "source: { exec: {} }";
    for (keys, host, expected) in [
        ("preset: github, only_to: [api.github.com]", "api.github.com", &[][..]),
        ("preset: github, only_to: [ghe.example.com]", "ghe.example.com", &[]),
        ("preset: github, inject: { bearer: { existing: require_placeholder } }", "api.github.com", &[]),
        ("preset: twilio, source: { exec: { yields: user_password } }, only_to: [verify.twilio.com]", "verify.twilio.com", &[]),
        ("preset: stripe, only_to: [api.stripe.example]", "api.stripe.example", &["outside_preset"]),
        ("preset: stripe, inject: { header: { name: x-key } }", "api.stripe.com", &["outside_preset"]),
        ("preset: strip", "api.stripe.com", &["unknown_preset"]),
        ("preset: stripe", "api.example.com", &["outside_only_to"]),
        ("inject: bearer", "api.stripe.com", &["missing_key"]),
        ("only_to: [api.stripe.com]", "api.stripe.com", &["missing_key"]),
        ("inject: bearer, only_to: [api.stripe.com], placeholder: {}", "api.stripe.com", &["missing_key"]),
        ("preset: pypi", "upload.pypi.org", &["material_mismatch"]),
    ] {
        let keys = if keys.contains("source:") { keys.to_owned() } else { format!("{source}, {keys}") };
        assert_eq!(codes(&with(&keys, host)), expected, "{keys}");
    }
}

#[test]
fn a_preset_that_is_spelled_wrong_is_told() {
    insta::assert_snapshot!(messages(&[("policy.yaml", &with("source: { exec: {} }, preset: antropic", "api.anthropic.com"))]), @r"
    error: there is no preset `antropic`
     --> policy.yaml:3:50
      |
    3 |   key: { owner: x, source: { exec: {} }, preset: antropic }
      |                                                  ^^^^^^^^
      |
      = help: did you mean `anthropic`?
    ");
}
