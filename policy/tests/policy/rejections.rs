//! What does not compile, by the code of the problem. The words are in `messages`.

use crate::provider::{codes, compile, files, policy};

/// A policy of one rule with these keys, beside a workload and a credential for it.
fn rule(keys: &str) -> String {
    format!(
        "version: 1\nworkloads:\n  w: {{ process: {{ uid: 7 }} }}\ncredentials:\n  c: {{ owner: o, source: {{ exec: {{}} }}, inject: bearer, only_to: [a.example, 127.0.0.1] }}\nrules:\n  used: {{ from: [w], to: 'https://a.example:1', allow: [GET /], credential: c }}\n  r: {{ {keys} }}\n"
    )
}

/// A policy of one credential with these keys, beside a rule that uses it.
fn credential(keys: &str) -> String {
    format!(
        "version: 1\ncredentials:\n  c: {{ {keys} }}\nrules:\n  r: {{ from: any, to: https://a.example, allow: [GET /], credential: c }}\n"
    )
}

fn workload(keys: &str) -> String {
    format!("version: 1\nworkloads:\n  w: {{ {keys} }}\n")
}

#[test]
fn a_rule_is_refused_for_each_of_these() {
    for (keys, code) in [
        ("to: a.example", "bad_destination"),
        ("to: ftp://a.example", "bad_destination"),
        ("to: https://a.example/", "bad_destination"),
        ("to: https://user@a.example", "bad_destination"),
        ("to: 'https://a.example:0443'", "bad_destination"),
        ("to: 'https://a.example:99999'", "bad_destination"),
        ("to: https://127.1", "bad_destination"),
        ("to: 'https://a.*.example'", "bad_destination"),
        ("to: 'https://*'", "bad_destination"),
        ("to: 'https://*.com'", "public_suffix"),
        ("to: 'https://*.x.example', allow_ips: [10.0.0.0/8]", "wildcard_allow_ips"),
        ("to: 'https://*.x.example', route: x", "wildcard_route"),
        ("to: 'https://*.a.example', from: any, allow: [GET /], credential: c", "wildcard_credential"),
        ("to: http://a.example", "plaintext"),
        ("to: http://a.example, unsafe_plaintext: false", "plaintext"),
        ("to: http://a.example, unsafe_plaintext: true, from: any, allow: [GET /], credential: c", "plaintext_credential"),
        ("to: https://a.example, unsafe_plaintext: true", "needless_unsafe"),
        ("to: 'https://a.example:8443', raise_to_https: true", "bad_raise"),
        ("to: http://a.example, unsafe_plaintext: true, raise_to_https: true", "bad_raise"),
        ("to: https://a.example, allow_ips: []", "empty_list"),
        ("to: https://a.example, allow_ips: [x]", "bad_network"),
        ("to: https://a.example, allow_ips: [10.0.0.1/8]", "bad_network"),
        ("to: https://a.example, allow_ips: [169.254.169.254]", "link_local"),
        ("to: https://a.example, allow_ips: ['fe80::/10']", "link_local"),
        ("to: https://a.example, from: []", "never_matches"),
        ("to: https://a.example, from: any, allow: [GET /], credential: c, forward: [authorization]", "injected_slot"),
        ("to: https://a.example, from: any, allow: [GET /], credential: c, request_trailers: [Authorization]", "injected_slot"),
        ("to: https://a.example, allow: []", "never_matches"),
        ("to: https://a.example, allow: [GET /a/b], except: ['* /a/**']", "never_matches"),
        ("to: https://a.example, from: [x]", "unknown_workload"),
        ("to: https://a.example, from: any, allow: [GET /], credential: x", "unknown_credential"),
        ("to: https://b.example, from: any, allow: [GET /], credential: c", "outside_only_to"),
        ("to: https://a.example, allow: [GET /], via: edge", "credential_without_from"),
        ("to: https://a.example, from: any, via: edge", "credential_without_allow"),
        ("to: https://a.example, from: any, allow: [GET /], via: 'an edge'", "bad_name"),
        ("to: https://a.example, from: any, allow: [GET /], via: edge, credential: c", "conflicting_keys"),
        ("to: https://a.example, from: any, allow: [GET /], via: edge, allow_ips: [10.0.0.0/8]", "conflicting_keys"),
        ("to: 'https://a.example:1', from: any, allow: [GET /], via: edge", "conflicting_credentials"),
        ("to: https://a.example, allow: [GET /], credential: c", "credential_without_from"),
        ("to: https://a.example, from: any, credential: c", "credential_without_allow"),
        ("to: https://a.example, allow: [GET]", "bad_request_pattern"),
        ("to: https://a.example, allow: [get /]", "bad_request_pattern"),
        ("to: https://a.example, allow: [TRACE /]", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET a]", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET /a*]", "bad_request_pattern"),
        ("to: https://a.example, allow: ['GET /{}']", "bad_request_pattern"),
        ("to: https://a.example, allow: ['GET /x{a}']", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET /**/a]", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET /a?b=c]", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET /a/../b]", "bad_request_pattern"),
        ("to: https://a.example, allow: [GET /a%2Fb]", "bad_request_pattern"),
        ("to: https://a.example, except: [GET //]", "bad_request_pattern"),
        ("to: https://a.example, limit: { rate: 5 }", "bad_rate"),
        ("to: https://a.example, limit: { rate: 5/s, per: caller }", "unknown_word"),
        ("to: https://a.example, route: A.B", "bad_route"),
        ("to: https://a.example, request_trailers: [authorization, content-length]", "framing_header"),
        ("to: https://a.example, forward: [host]", "framing_header"),
        ("to: https://a.example, forward: ['a b']", "bad_header"),
        ("to: https://a.example, encoded_slash: open", "unknown_word"),
        ("to: https://a.example, unsafe_plaintext: 'yes'", "wrong_type"),
        ("to: https://a.example, unsafe_unscrubbed_body: true", "needless_unsafe"),
        ("to: https://a.example, from: any, allow: [GET /], credential: c, unsafe_unscrubbed_body: true", "unscrubbed"),
    ] {
        assert_eq!(codes(&rule(keys)), [code], "{keys}");
    }
}

#[test]
fn an_attribution_is_refused_for_each_of_these() {
    for (keys, code) in [
        ("to: https://a.example, attribute: { header: x-who, value: me }", "bad_attribute"),
        ("to: https://a.example, attribute: { header: host, value: '{workload}' }", "bad_header"),
        (
            "to: https://a.example, from: any, allow: [GET /], credential: c, attribute: { header: authorization, value: '{task}' }",
            "bad_header",
        ),
    ] {
        assert_eq!(codes(&rule(keys)), [code], "{keys}");
    }
}

#[test]
fn a_rule_is_accepted_for_each_of_these() {
    for keys in [
        "to: https://a.example",
        "to: 'https://*.internal'",
        "to: 'https://[::1]:8443', allow_ips: ['::1']",
        "to: http://127.0.0.1:8080, unsafe_plaintext: true, allow_ips: [127.0.0.0/8], from: any, allow: [GET /], credential: c",
        "to: https://a.example, raise_to_https: true, from: any",
        "to: https://a.example, allow: [GET /a%2Fb], encoded_slash: opaque",
        "to: https://a.example, allow: ['* /{id}/x', PROPFIND /dav/**, GET /]",
        "to: https://a.example, forward: [cookie], request_trailers: [grpc-status]",
        "to: https://a.example, unsafe_unscrubbed_body: false",
    ] {
        policy(&rule(keys));
    }
}

#[test]
fn a_credential_is_refused_for_each_of_these() {
    let good = "owner: o, source: { exec: {} }, inject: bearer, only_to: [a.example]";
    assert_eq!(codes(&credential(good)), [""; 0]);
    for (from, to, code) in [
        ("owner: o", "owner: ' '", "no_owner"),
        ("[a.example]", "[]", "no_destination"),
        ("[a.example]", "['https://a.example']", "bad_host"),
        ("[a.example]", "['a.example:443']", "bad_host"),
        ("[a.example]", "[a.example, '*.com']", "public_suffix"),
        ("exec: {}", "file: secret", "bad_source"),
        ("exec: {}", "file: /secret", "static_without_terms"),
        ("bearer", "basic", "material_mismatch"),
        ("bearer", "{ header: { name: host } }", "bad_injection"),
        ("bearer", "{ bearer: {}, basic: {} }", "wrong_value"),
        ("owner: o", "owner: o, static: { reason: r, expires: 31.1.2027 }", "bad_date"),
        ("owner: o", "owner: o, static: { reason: '', expires: 2027-01-31 }", "no_reason"),
        ("owner: o", "owner: o, static: { reason: r, expires: 2026-11-23 }", "static_expired"),
        ("owner: o", "owner: o, placeholder: { env: A-B }", "bad_variable"),
        ("owner: o", "owner: o, placeholder: { env: A, like: 'a b' }", "bad_placeholder"),
    ] {
        assert!(codes(&credential(&good.replace(from, to))).contains(&code), "{to}");
    }
}

#[test]
fn a_static_key_may_be_used_on_its_last_day() {
    let good = "owner: o, static: { reason: r, expires: 2026-11-24 }, source: { file: /s }, inject: bearer, only_to: [a.example]";
    assert_eq!(codes(&credential(good)), ["static_expires_soon"]);
    assert_eq!(codes(&credential(&good.replace("file: /s", "exec: {}"))), ["needless_static", "static_expires_soon"]);
}

#[test]
fn a_workload_is_refused_for_each_of_these() {
    for (keys, code) in [
        ("", "empty_selector"),
        ("process: {}", "empty_selector"),
        ("process: { executable: /bin/x }", "advisory_selector"),
        ("process: { user: '' }", "empty_selector"),
        ("process: { user: a, uid: 1 }", "conflicting_keys"),
        ("process: { container: abc }", "bad_container"),
        ("process: { uid: -1 }", "wrong_type"),
        ("kubernetes: { namespace: '', service_account: x }", "empty_selector"),
        ("kubernetes: { namespace: x }", "missing_key"),
        ("task: { labels: {} }", "empty_selector"),
        ("mtls: {}", "empty_selector"),
        ("mtls: { workload: billing }", "empty_selector"),
        ("mtls: { spiffe_id: 'spiffe://example.org/a', dns_name: a.example }", "conflicting_keys"),
        ("mtls: { spiffe_id: 'https://example.org/a' }", "bad_spiffe_id"),
        ("mtls: { spiffe_id: 'spiffe://example.org' }", "bad_spiffe_id"),
        ("mtls: { spiffe_id: 'spiffe://example.org/*' }", "bad_spiffe_id"),
        ("mtls: { dns_name: '*.example.org' }", "bad_dns_name"),
        ("mtls: { dns_name: A.example.org }", "bad_dns_name"),
        ("jwt: { issuer: 'https://ci.example.com' }", "empty_selector"),
        ("jwt: { issuer: 'https://ci.example.com', subject: '' }", "empty_selector"),
        ("jwt: { issuer: 'https://ci.example.com', claims: { aud: keygress } }", "bad_claim"),
        ("mtls: { dns_name: 127.0.0.1 }", "bad_dns_name"),
        ("mtls: { dns_name: a.example, workload: '' }", "empty_selector"),
    ] {
        assert_eq!(codes(&workload(keys)), [code], "{keys}");
    }
    assert_eq!(
        codes("version: 1\nworkloads: { any: { process: { uid: 1 } }, 'a b': { process: { uid: 1 } } }\n"),
        ["bad_name", "bad_name"]
    );
}

#[test]
fn a_test_is_refused_for_each_of_these() {
    for (keys, code) in [
        ("request: GET, expect: deny", "bad_request"),
        ("request: GET a.example, expect: deny", "bad_request"),
        ("request: get https://a.example/, expect: deny", "bad_request"),
        ("request: 'GET https://a.example:0/', expect: deny", "bad_request"),
        ("request: GET https://a.example/, from: x, expect: deny", "unknown_workload"),
        ("request: GET https://a.example/, expect: { rule: x }", "unknown_rule"),
        ("request: GET https://a.example/, expect: { credential: x }", "unknown_credential"),
        ("request: GET https://a.example/, expect: {}", "empty_expectation"),
        ("request: GET https://a.example/, expect: maybe", "wrong_type"),
    ] {
        assert_eq!(codes(&format!("version: 1\ntests: [{{ {keys} }}]\n")), [code], "{keys}");
    }
}

#[test]
fn a_conflict_is_an_error_only_where_the_policy_shows_it() {
    let policy = |first: &str, second: &str| {
        format!(
            "version: 1\nworkloads:\n  a: {{ process: {{ uid: 1 }} }}\n  b: {{ process: {{ uid: 2 }} }}\ncredentials:\n  one: &c {{ owner: o, source: {{ exec: {{}} }}, inject: bearer, only_to: [a.example] }}\n  two: *c\nrules:\n  r1: {{ to: https://a.example, credential: one, {first} }}\n  r2: {{ to: https://a.example, credential: two, {second} }}\n"
        )
    };
    let conflict = ["conflicting_credentials"];
    for (first, second, found) in [
        ("from: [a], allow: [GET /x]", "from: [a], allow: [GET /x]", true),
        ("from: [a], allow: [GET /x]", "from: [b], allow: [GET /x]", false),
        ("from: [a, b], allow: [GET /x]", "from: [b], allow: [GET /x]", true),
        ("from: [a], allow: [GET /x]", "from: any, allow: [GET /x]", true),
        ("from: any, allow: [GET /x]", "from: any, allow: [POST /x]", false),
        ("from: any, allow: [GET /x]", "from: any, allow: ['* /**']", true),
        ("from: any, allow: ['GET /{id}']", "from: any, allow: [GET /x]", true),
        ("from: any, allow: ['GET /{id}']", "from: any, allow: [GET /x/y]", false),
        ("from: any, allow: ['GET /{id}/a']", "from: any, allow: [GET /x/**]", true),
        ("from: any, allow: ['GET /{id}']", "from: any, allow: [GET /]", false),
        ("from: any, allow: [GET /a/**]", "from: any, allow: [GET /b/**]", false),
        ("from: any, allow: [GET /a/**]", "from: any, allow: [GET /a/b/**], except: [GET /a/c]", true),
        ("from: any, allow: [GET /a/**]", "from: any, allow: [GET /a/**, GET /z], except: [GET /a/b/**]", true),
        ("from: any, allow: [GET /a/**, GET /y], except: [GET /b/c]", "from: any, allow: [GET /b/**]", false),
        ("from: any, allow: ['GET /a%41']", "from: any, allow: [GET /aA]", true),
    ] {
        assert_eq!(codes(&policy(first, second)) == conflict, found, "{first} and {second}");
    }
}

#[test]
fn two_rules_may_not_give_one_route_to_two_destinations() {
    let text =
        |second: &str| format!("version: 1\nrules:\n  a: {{ to: https://a.example, route: x }}\n  b: {{ to: '{second}', route: x }}\n");
    assert_eq!(codes(&text("https://a.example")), [""; 0]);
    assert_eq!(codes(&text("https://b.example")), ["duplicate_route"]);
    assert_eq!(codes(&text("https://a.example:8443")), ["duplicate_route"]);
}

#[test]
fn a_wrong_entry_does_not_make_what_names_it_wrong() {
    let text = "version: 1\nworkloads:\n  w: { process: { uid: x } }\ncredentials:\n  c: { ownr: o }\nrules:\n  r: { from: [w], to: https://a.example, allow: [GET /], credential: c }\ntests:\n  - { request: GET https://a.example/, from: w, expect: { rule: r } }\n";
    assert_eq!(codes(text), ["wrong_type", "unknown_key"]);
}

#[test]
fn what_is_too_large_too_deep_or_multiplies_is_refused_at_once() {
    let bomb = "version: 1\na: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nrules: *e\n";
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        format!("version: 1\n# {}\n", "x".repeat(9 << 20)),
        bomb.to_owned(),
        "- ".repeat(50_000),
    ] {
        assert!(compile(&files(&[("policy.yaml", &text)])).is_err());
    }
}

#[test]
fn text_that_is_no_policy_is_refused_with_a_place() {
    for text in [
        "x",
        "[]",
        "3",
        "- a\n- b\n",
        "version: one\n",
        "version: 1\n---\nversion: 1\n",
        "version: 1\nrules: 3\n",
        "\u{feff}ruls: {}\n",
        "version: 1\nrules:\n\t- x\n",
        "\0",
    ] {
        let problems = compile(&files(&[("policy.yaml", text)])).unwrap_err();
        assert!(problems.iter().all(|problem| problem.place.is_some()), "{text:?}: {problems:?}");
    }
}
