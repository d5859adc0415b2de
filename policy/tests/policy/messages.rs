//! What people read, word by word, of a policy that contradicts itself.

use insta::assert_snapshot;

use crate::provider::messages;

/// A policy that is right, for tests that break one thing in it.
const GOOD: &str = "\
version: 1
workloads:
  billing: { kubernetes: { namespace: payments, service_account: billing } }
credentials:
  stripe:
    owner: payments@example.com
    static: { reason: no federation offered, expires: 2027-01-31 }
    source: { file: { path: /run/secrets/stripe } }
    inject: bearer
    only_to: [api.stripe.com]
rules:
  charge-cards:
    from: [billing]
    to: https://api.stripe.com
    allow:
      - POST /v1/charges
      - GET /v1/charges/{id}
    credential: stripe
";

/// What is said once a piece of the good policy is another.
pub fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    messages(&[("policy.yaml", &GOOD.replace(from, to))])
}

#[test]
fn a_good_policy_says_nothing() {
    assert_eq!(messages(&[("policy.yaml", GOOD)]), "");
}

#[test]
fn a_name_that_is_defined_in_two_files() {
    let second =
        "version: 1\ncredentials:\n  stripe:\n    owner: x\n    source: { exec: {} }\n    inject: bearer\n    only_to: [a.example]\n";
    assert_snapshot!(messages(&[("team-a.yaml", GOOD), ("team-b.yaml", second)]), @r"
    error: the credential `stripe` is defined twice
     --> team-b.yaml:3:3
      |
    3 |   stripe:
      |   ^^^^^^
      |
     ::: team-a.yaml:5:3
      |
    5 |   stripe:
      |   ------ first defined here
      |
      = help: rename one of the two, or remove it
    ");
}

#[test]
fn conflicting_rules() {
    let more = "  refunds:\n    from: any\n    to: https://api.stripe.com\n    allow: [GET /v1/**]\n    credential: second\n";
    let second = "  second: { owner: x, source: { exec: {} }, inject: bearer, only_to: [api.stripe.com] }\nrules:\n";
    assert_snapshot!(messages(&[("policy.yaml", &format!("{}{more}", GOOD.replace("rules:\n", second)))]), @r"
    error: rules `charge-cards` and `refunds` put different credentials on the same request: `stripe` and `second` on `GET /v1/charges/…`
      --> policy.yaml:24:17
       |
    19 |     credential: stripe
       |                 ------ the other credential
    ...
    24 |     credential: second
       |                 ^^^^^^
       |
       = help: narrow `from` or `allow` of one of the two so that only one credential remains
    ");
}

#[test]
fn unknown_credential() {
    assert_snapshot!(changed("credential: stripe", "credential: strip"), @r"
    error: there is no credential `strip`
      --> policy.yaml:18:17
       |
    18 |     credential: strip
       |                 ^^^^^
       |
       = help: did you mean `stripe`?
    ");
}

#[test]
fn unknown_workload() {
    assert_snapshot!(changed("from: [billing]", "from: [invoicing]"), @r"
    error: there is no workload `invoicing`
      --> policy.yaml:13:12
       |
    13 |     from: [invoicing]
       |            ^^^^^^^^^
       |
       = help: the workloads are `billing`
    ");
}

#[test]
fn expired_static_key() {
    assert_snapshot!(changed("2027-01-31", "2026-11-23"), @r"
    error: the static key `stripe` expired on 2026-11-23
     --> policy.yaml:7:55
      |
    7 |     static: { reason: no federation offered, expires: 2026-11-23 }
      |                                                       ^^^^^^^^^^
      |
      = help: rotate it and set a new date, or replace it by a short-lived credential
    ");
}

#[test]
fn a_static_key_that_soon_expires() {
    assert_snapshot!(changed("2027-01-31", "2026-12-01"), @r"
    warning: the static key `stripe` expires on 2026-12-01
     --> policy.yaml:7:55
      |
    7 |     static: { reason: no federation offered, expires: 2026-12-01 }
      |                                                       ^^^^^^^^^^
      |
      = help: rotate it and set a new date; after that day the policy no longer loads
    ");
}

#[test]
fn a_static_key_without_terms() {
    assert_snapshot!(changed("    static: { reason: no federation offered, expires: 2027-01-31 }\n", ""), @r"
    error: credential `stripe` is a static key without terms: `file` yields what somebody must rotate by hand
     --> policy.yaml:7:13
      |
    7 |     source: { file: { path: /run/secrets/stripe } }
      |             ^
      |
      = help: add `static: { reason: …, expires: YYYY-MM-DD }`, or use a source that mints short-lived credentials
    ");
}

#[test]
fn wildcard_with_credential() {
    assert_snapshot!(changed("https://api.stripe.com", "https://*.stripe.com"), @r"
    error: rule `charge-cards` has `credential` but goes to the wildcard `*.stripe.com`
      --> policy.yaml:18:17
       |
    18 |     credential: stripe
       |                 ^^^^^^
       |
       = help: write one rule for each exact host, or remove `credential`
    ");
}

#[test]
fn wildcard_over_a_public_suffix() {
    assert_snapshot!(messages(&[("policy.yaml", "version: 1\nrules:\n  x: { to: 'https://*.co.uk' }\n  y: { to: 'https://*.github.io:8443' }\n")]), @r"
    error: `*.co.uk` spans a public suffix: its hosts belong to many owners
     --> policy.yaml:3:12
      |
    3 |   x: { to: 'https://*.co.uk' }
      |            ^^^^^^^^^^^^^^^^^
      |
      = help: name the hosts of one owner, such as `*.example.com`

    error: `*.github.io` spans a public suffix: its hosts belong to many owners
     --> policy.yaml:4:12
      |
    4 |   y: { to: 'https://*.github.io:8443' }
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name the hosts of one owner, such as `*.example.com`
    ");
}

#[test]
fn material_mismatch() {
    assert_snapshot!(changed("inject: bearer", "inject: basic"), @r"
    error: credential `stripe` is put on as `basic`, which takes a user and a password, but `file` yields a token
     --> policy.yaml:9:13
      |
    9 |     inject: basic
      |             ^^^^^
      |
      = help: use an injection that takes a token, or a source that yields a user and a password
    ");
}

#[test]
fn a_destination_beyond_only_to() {
    assert_snapshot!(changed("[api.stripe.com]", "[files.stripe.com]"), @r"
    error: rule `charge-cards` sends `stripe` to `api.stripe.com`, but it may only reach `files.stripe.com`
      --> policy.yaml:18:17
       |
    18 |     credential: stripe
       |                 ^^^^^^
       |
       = help: add `api.stripe.com` to `only_to` of `stripe`, or use another credential
    ");
}

#[test]
fn a_credential_without_callers_or_requests() {
    assert_snapshot!(messages(&[("policy.yaml", &GOOD[..GOOD.find("    from").unwrap()].replace("charge-cards:\n", "charge-cards: { to: https://api.stripe.com, credential: stripe }\n"))]), @r"
    error: rule `charge-cards` puts a credential on requests but does not say whose
      --> policy.yaml:12:3
       |
    12 |   charge-cards: { to: https://api.stripe.com, credential: stripe }
       |   ^^^^^^^^^^^^
       |
       = help: add `from:` with workloads; for every caller write `from: any`

    error: rule `charge-cards` puts a credential on requests but does not say on which
      --> policy.yaml:12:3
       |
    12 |   charge-cards: { to: https://api.stripe.com, credential: stripe }
       |   ^^^^^^^^^^^^
       |
       = help: add `allow:` with the methods and paths that are needed, as in `GET /v1/charges/{id}`
    ");
}

#[test]
fn a_credential_that_nobody_uses() {
    assert_snapshot!(changed("    credential: stripe\n", ""), @r"
    warning: no rule uses the credential `stripe`
     --> policy.yaml:5:3
      |
    5 |   stripe:
      |   ^^^^^^
      |
      = help: name it in a rule, or remove it
    ");
}

#[test]
fn a_rule_that_can_never_match() {
    assert_snapshot!(changed("    credential: stripe\n", "    credential: stripe\n    except: [POST /**]\n"), @r"
    error: rule `charge-cards` can never match here: `except` of rule `charge-cards` refuses it
      --> policy.yaml:16:9
       |
    16 |       - POST /v1/charges
       |         ^^^^^^^^^^^^^^^^
       |
       = help: remove one of the two entries
    ");
}

#[test]
fn unscrubbed_body() {
    assert_snapshot!(changed("    credential: stripe", "    credential: stripe\n    unsafe_unscrubbed_body: true"), @r"
    warning: rule `charge-cards` lets answers show the credential to the caller: their bodies are not searched for it
      --> policy.yaml:19:29
       |
    19 |     unsafe_unscrubbed_body: true
       |                             ^^^^
       |
       = help: remove `unsafe_unscrubbed_body` unless these answers cannot be searched, and the destination never repeats what it is sent
    ");
}

#[test]
fn plaintext() {
    assert_snapshot!(changed("https://api.stripe.com", "http://api.stripe.com"), @r"
    error: rule `charge-cards` sends in plaintext
      --> policy.yaml:14:9
       |
    14 |     to: http://api.stripe.com
       |         ^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `https://`; where there is no TLS to be had, say `unsafe_plaintext: true`
    ");
}

#[test]
fn a_path_in_the_destination() {
    assert_snapshot!(changed("to: https://api.stripe.com", "to: https://api.stripe.com/v1"), @r"
    error: `https://api.stripe.com/v1` has a path
      --> policy.yaml:14:9
       |
    14 |     to: https://api.stripe.com/v1
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `https://api.stripe.com`, and paths under `allow`, as in `GET /path/**`
    ");
}
