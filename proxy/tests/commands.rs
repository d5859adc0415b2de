//! `check`, `test`, `explain` and `schema`: what they print, for people and for machines, and their exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::process::Command;

const POLICY: &str = "\
version: 1
workloads:
  job: { task: { labels: { kind: ci } } }
credentials:
  key:
    owner: you@example.com
    static: { reason: a test, expires: 2099-12-31 }
    source: { file: /run/secrets/key }
    inject: bearer
    only_to: [api.example.com]
rules:
  read:
    from: [job]
    to: https://api.example.com
    allow: ['GET /things/{id}']
    credential: key
tests:
  - { request: GET https://api.example.com/things/1, from: job, expect: { rule: read, credential: key } }
  - { request: PUT https://api.example.com/things/1, from: job, expect: deny }
";

/// Standard output, standard error and exit code of a command over this policy, whose file name is `policy.yaml`.
fn keygress(arguments: &[&str], policy: &str) -> (String, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keygress")).args(arguments).current_dir(folder.path()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_policy_without_problem_is_summed_up() {
    assert_eq!(keygress(&["check", "policy.yaml"], POLICY), ("ok: 1 rule, 1 credential, 0 warnings\n".into(), String::new(), 0));
}

#[test]
fn every_problem_is_shown_with_its_place_and_remedy() {
    let broken = POLICY.replace("credential: key\n", "credential: another\n").replace("inject: bearer", "inject: basic");
    let (out, err, code) = keygress(&["check", "policy.yaml"], &broken);
    assert!(out.starts_with("rejected: 2 errors, "), "{out}");
    assert_eq!(code, 1);
    assert!(
        err.contains("policy.yaml:9:13") && err.contains("policy.yaml:16:17") && err.contains("`another`") && err.contains("help: "),
        "{err}"
    );
    assert!(!err.contains('\x1b'), "colour without a terminal: {err}");

    let (out, err, code) = keygress(&["check", "--format", "json", "policy.yaml"], &broken);
    assert_eq!((err.as_str(), code), ("", 1));
    let result = json(&out);
    assert_eq!((&result["ok"], result["problems"].as_array().unwrap().len()), (&false.into(), 2));
    assert_eq!(result["problems"][1]["place"], serde_json::json!({ "file": "policy.yaml", "line": 16, "column": 17 }));
}

#[test]
fn a_policy_that_cannot_be_read_is_named() {
    let (_, err, code) = keygress(&["check", "other.yaml"], POLICY);
    assert!(err.starts_with("error: ") && err.contains("other.yaml"), "{err}");
    assert_eq!(code, 1);
}

#[test]
fn a_failed_test_says_what_came_instead_and_where_it_stands() {
    let (out, _, code) = keygress(&["test", "policy.yaml"], POLICY);
    assert!(out.ends_with("\n2 tests: 2 passed, 0 failed\n"), "{out}");
    assert_eq!(code, 0);

    let (out, _, code) = keygress(&["test", "policy.yaml"], &POLICY.replace("expect: deny", "expect: allow"));
    assert!(out.contains("FAIL  PUT https://api.example.com/things/1 from job\n"), "{out}");
    assert!(out.contains("      --> policy.yaml:19:") && out.ends_with("\n2 tests: 1 passed, 1 failed\n"), "{out}");
    assert_eq!(code, 1);
}

#[test]
fn a_policy_without_tests_does_not_pass_them() {
    let without = POLICY.split("tests:").next().unwrap();
    assert_eq!(keygress(&["test", "policy.yaml"], without), ("no tests: the policy has no `tests:`\n".into(), String::new(), 1));
}

#[test]
fn a_decision_is_explained() {
    let explain =
        |method: &str, url: &str, rest: &[&str]| keygress(&[&["explain", method, url, "--policy", "policy.yaml"], rest].concat(), POLICY);
    let (out, _, code) = explain("GET", "https://api.example.com/things/1?secret=no", &["--from", "job"]);
    assert!(out.starts_with("allow  GET https://api.example.com/things/1 from job\n") && out.contains("credential  key\n"), "{out}");
    assert_eq!(code, 0);

    let (out, _, code) = explain("PUT", "https://api.example.com/things/1", &["--from", "job", "--format", "json"]);
    let result = json(&out);
    assert_eq!((&result["decision"], &result["rules"][0]["rule"], code), (&"deny".into(), &"read".into(), 0));

    let (_, err, code) = explain("GET", "https://api.example.com/things/1", &["--from", "nobody"]);
    assert!(err.starts_with("error: ") && err.contains("`nobody`"), "{err}");
    assert_eq!(code, 1);

    for url in ["ftp://api.example.com/", "/things/1", "https://user@api.example.com/", "https://api.example.com:0443/"] {
        let (_, err, code) = explain("GET", url, &["--from", "job"]);
        assert!(err.starts_with("error: "), "{url}: {err}");
        assert_eq!(code, 1, "{url}");
    }
}

#[test]
fn the_schema_is_a_schema_and_knows_the_providers() {
    let (out, _, code) = keygress(&["schema"], POLICY);
    assert!(json(&out)["properties"]["rules"].is_object(), "{out}");
    assert!(out.contains("oauth2_client_credentials"));
    assert_eq!(code, 0);
}

#[test]
fn presets_are_listed_and_described() {
    let (out, _, code) = keygress(&["presets"], POLICY);
    assert_eq!(code, 0);
    assert!(
        out.lines().count() >= 40 && out.lines().any(|line| line.starts_with("anthropic ") && line.ends_with("api.anthropic.com")),
        "{out}"
    );
    let (out, _, _) = keygress(&["presets", "github"], POLICY);
    assert!(out.contains("https://docs.github.com/") && out.contains("mints        POST /app/installations/"), "{out}");
    let (out, _, _) = keygress(&["presets", "stripe", "--format", "json"], POLICY);
    assert_eq!(json(&out)[0]["hosts"][0], "api.stripe.com");
    let (_, err, code) = keygress(&["presets", "nobody"], POLICY);
    assert!(code == 1 && err.contains("there is no preset `nobody`"), "{err}");
}

#[test]
fn what_no_test_touches_is_told_where_it_is_asked_for() {
    let more = POLICY.replace("['GET /things/{id}']", "['GET /things/{id}', PUT /others/**]");
    let (out, _, code) = keygress(&["test", "policy.yaml", "--coverage"], &more);
    assert!(code == 0 && out.contains("rule read: no test touches\n  allow   PUT /others/**\n"), "{out}");
    assert!(out.ends_with("coverage: 1 of 1 rules are touched, 0 in full\n"), "{out}");
    let (out, _, _) = keygress(&["test", "policy.yaml", "--coverage", "--format", "json"], &more);
    assert_eq!(json(&out)["untested"][0]["allow"][0], "PUT /others/**");
    let (out, _, _) = keygress(&["test", "policy.yaml", "--format", "json"], &more);
    assert!(json(&out).get("untested").is_none());
}

#[test]
fn a_difference_says_who_gains_and_who_loses() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.yaml");
    std::fs::write(&new, POLICY.replace("['GET /things/{id}']", "[GET /things/**]")).unwrap();
    let new = new.to_str().unwrap();
    let (out, _, code) = keygress(&["diff", "policy.yaml", new], POLICY);
    assert!(code == 0 && out.contains("gained\n  + job: GET /things/** at https://api.example.com with `key`"), "{out}");
    assert!(!out.contains("lost"), "{out}");
    let (out, _, _) = keygress(&["diff", new, "policy.yaml", "--format", "json"], POLICY);
    assert_eq!(json(&out)["lost"][0]["request"], "GET /things/**");
    let (out, _, _) = keygress(&["diff", "policy.yaml", "policy.yaml"], POLICY);
    assert_eq!(out, "nobody gains or loses anything\n");
}

const TRAFFIC: &str = r#"{"seq":1,"time":1700000000000,"activity":"used","http_request":{"http_method":"GET","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"keygress":{"workload":"job","rule":"read","credential":"key"}}
{"seq":2,"time":1700000001000,"activity":"used","http_request":{"http_method":"GET","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/2"}},"keygress":{"workload":"job","rule":"read","credential":"key"}}
{"seq":3,"time":1700000002000,"activity":"denied","http_request":{"http_method":"PUT","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"keygress":{"workload":"job","code":"not_allowed"}}
{"seq":4,"time":1700000003000,"activity":"denied","http_request":{"http_method":"GET","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"keygress":{"code":"no_rule"}}
{"seq":5,"time":1700000004000,"activity":"used","http_request":{"url":{"scheme":"https","hostname":"tunnel.example.com","port":443}},"keygress":{}}
{"seq":6,"time":1700000005000,"activity":"intended","http_request":{"http_method":"GET","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"keygress":{"workload":"job"}}
"#;

#[test]
fn a_difference_says_what_recorded_requests_would_gain_and_lose() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let audit = write("audit.jsonl", TRAFFIC);
    let diff = |new: &str, more: &[&str]| {
        let new = write("new.yaml", new);
        keygress(&[&["diff", "policy.yaml", &new, "--traffic", &audit], more].concat(), POLICY)
    };
    let (out, err, code) = diff(&POLICY.replace("['GET /things/{id}']", "[PUT /things/1]"), &[]);
    assert!(
        code == 0 && out.contains("would gain\n  + job: 1 × PUT at https://api.example.com:443 (/things/1), last 2023-11-14T22:13:22Z"),
        "{out}{err}"
    );
    assert!(out.contains("would lose\n  - job: 2 × GET at https://api.example.com:443 (/things/1, /things/2)"), "{out}");
    assert!(out.contains("rule read with `key` → refused: request"), "{out}");
    assert!(out.contains("4 recorded requests") && out.ends_with("1 gained, 2 lost, 0 altered, 1 answered as before\n"), "{out}");
    assert!(err.contains("1 record of a request name no method"), "{err}");

    // `from` names nobody whom the new policy knows: who asked is now a caller like any other.
    let renamed = POLICY.replace("  job: {", "  work: {").replace("[job]", "[work]").replace("from: job", "from: work");
    let (out, _, _) = diff(&renamed, &["--format", "json"]);
    let traffic = &json(&out)["traffic"];
    assert_eq!((&traffic["requests"], traffic["differences"].as_array().unwrap().len()), (&4.into(), 1));
    assert_eq!((&traffic["differences"][0]["shift"], &traffic["differences"][0]["after"]["why"]), (&"lost".into(), &"caller".into()));

    let (out, _, _) = diff(POLICY, &[]);
    assert!(out.ends_with("0 gained, 0 lost, 0 altered, 4 answered as before\n") && !out.contains("would"), "{out}");

    let other = format!("{POLICY}\n").replace("credential: key\n", "credential: second\n").replace("rules:", "  second: { owner: x, static: { reason: a test, expires: 2099-12-31 }, source: { file: /run/secrets/second }, inject: bearer, only_to: [api.example.com] }\nrules:").replace("credential: key }", "credential: second }");
    let (out, err, _) = diff(&other, &[]);
    assert!(out.contains("would get otherwise\n  ~ job: 2 × GET") && out.contains("with `key` → rule read with `second`"), "{out}{err}");
}

#[test]
fn a_policy_is_laid_out_without_losing_a_comment() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_keygress")).arg("fmt").args(arguments).current_dir(folder.path()).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    };
    let untidy = POLICY.replace("    from: [job]", "      # who\n      from:   [job]  # this one  ").replace("    to: ", "      to: ");
    let untidy = untidy.replace("    allow: ", "      allow: ").replace("    credential: key\n", "      credential: key\n\n\n");
    std::fs::write(&path, &untidy).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (out, _, code) = run(&["policy.yaml", "--check"]);
    assert_eq!((out.as_str(), code), ("would change  policy.yaml\n1 file: 1 would change, 0 left as they are\n", 1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), untidy);

    let (out, _, code) = run(&["."]);
    assert!(code == 0 && out.ends_with("1 file: 1 changed, 0 left as they are\n"), "{out}");
    let tidy = std::fs::read_to_string(&path).unwrap();
    assert!(
        tidy.contains("    # who\n    from:   [job]  # this one\n    to: ") && tidy.contains("    credential: key\n\ntests:\n"),
        "{tidy}"
    );
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(run(&["policy.yaml", "--check"]).2, 0);

    let odd = "a: |2\n   text\n";
    std::fs::write(&path, odd).unwrap();
    let (_, err, code) = run(&["policy.yaml"]);
    assert!(code == 1 && err.contains("stays as it is: a block of text says how deep it stands"), "{err}");
    assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), std::fs::read_dir(folder.path()).unwrap().count()), (odd, 1));
}

/// What we write ourselves is in this layout.
#[test]
fn every_example_is_laid_out() {
    let (out, err, code) = keygress(&["fmt", "--check", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policies")], POLICY);
    assert!(code == 0 && out.ends_with(" 0 would change, 0 left as they are\n"), "{out}{err}");
}

/// One process carried request 7 with a lease of its own; an earlier one had a request 7 too.
const PAST: &str = r#"{"seq":1,"time":1699990000000,"activity":"denied","metadata":{"uid":"aa-1"},"keygress":{"request":7,"code":"full"}}
{"seq":2,"time":1700000000000,"activity":"policy_loaded","metadata":{"uid":"bb-2"},"keygress":{"generation":1}}
{"seq":3,"time":1700000001000,"activity":"issued","metadata":{"uid":"bb-3"},"keygress":{"credential":"key","lease":"l-1","expires_in":300}}
{"seq":4,"time":1700000036000,"activity":"used","metadata":{"uid":"bb-4"},"actor":{"process":{"uid":1000,"pid":42}},"http_request":{"http_method":"GET","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"status_code":200,"keygress":{"request":7,"way":"intercept","workload":"job","task":"t-1","rule":"read","credential":"key","lease":"l-1","fingerprint":"f-1","generation":1,"stripped":"authorization,?accesstoken"}}
{"seq":5,"time":1700000036100,"activity":"scrubbed","metadata":{"uid":"bb-5"},"keygress":{"request":7,"credential":"key","lease":"l-1","masked":2}}
{"seq":6,"time":1700000040000,"activity":"revoked","metadata":{"uid":"bb-6"},"keygress":{"credential":"key","lease":"l-1"}}
{"seq":7,"time":1700000041000,"activity":"denied","metadata":{"uid":"bb-7"},"http_request":{"http_method":"PUT","url":{"scheme":"https","hostname":"api.example.com","port":443,"path":"/things/1"}},"status_code":403,"message":"none this method and path","keygress":{"request":8,"way":"forward","workload":"job","code":"not_allowed","generation":1}}
"#;

/// What `explain --id` says of a request of [`PAST`].
fn explained(id: &str, more: &[&str], policy: &str) -> (String, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    std::fs::write(&audit, PAST).unwrap();
    keygress(&[&["explain", "--id", id, "--audit", audit.to_str().unwrap()], more].concat(), policy)
}

#[test]
fn a_request_that_was_made_is_explained_by_its_id() {
    let (out, err, code) = explained("urn:keygress:request:7", &["--policy", "policy.yaml"], POLICY);
    assert_eq!(code, 0, "{err}");
    for part in [
        "sent  GET https://api.example.com/things/1  request 7 at 2023-11-14T22:13:56.000Z\n",
        "who         workload `job`, task t-1, uid 1000, pid 42, by intercept\n",
        "rule        read, policy 1 (in force since 2023-11-14T22:13:20.000Z)\n",
        "credential  `key`, lease l-1, 35 s old, good for another 4 min; fingerprint f-1; since then revoked at 2023-11-14T22:14:00.000Z\n",
        "stripped    authorization, ?accesstoken, as the application sent it\n",
        "masked      the credential came back 2 times, and was masked\n",
        "on record   bb-4 (used), bb-5 (scrubbed)\n",
        "now         allow, as then: rule `read` allows it and puts on `key`\n",
    ] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    assert!(err.contains("1 earlier run had a request 7 too"), "{err}");

    // By the id of a record, and of the earlier process.
    let (out, _, _) = explained("bb-5", &["--format", "json"], POLICY);
    assert_eq!((&json(&out)["request"], &json(&out)["credential"]["left"]), (&7.into(), &265.into()), "{out}");
    let (out, err, _) = explained("aa-1", &[], POLICY);
    assert!(out.starts_with("refused  a request that could not be read") && err.is_empty(), "{out}{err}");
}

#[test]
fn what_was_refused_is_explained_and_what_the_policy_says_of_it_now() {
    let (out, _, _) = explained("8", &[], POLICY);
    assert!(out.contains("why         not_allowed: none this method and path") && !out.contains("now  "), "{out}");
    let (out, _, _) = explained("8", &["--policy", "policy.yaml", "--format", "json"], POLICY);
    assert_eq!((&json(&out)["now"]["decision"], &json(&out)["changed"]), (&"deny".into(), &false.into()));
    let wider = POLICY
        .replace("['GET /things/{id}']", "['GET /things/{id}', PUT /things/**]")
        .replace("from: job, expect: deny", "from: job, expect: allow");
    let (out, err, _) = explained("8", &["--policy", "policy.yaml"], &wider);
    assert!(out.contains("now         allow, otherwise than then: rule `read` allows it"), "{out}{err}");
    // The workload is gone: whoever asked is nobody now.
    let renamed = POLICY.replace("  job: {", "  work: {").replace("[job]", "[work]").replace("from: job", "from: work");
    let (out, err, _) = explained("7", &["--policy", "policy.yaml"], &renamed);
    assert!(out.contains("now         deny, otherwise than then") && err.contains("no workload `job`"), "{out}{err}");
}

#[test]
fn an_id_that_no_request_has_is_told_so() {
    let (_, err, code) = explained("9", &[], POLICY);
    assert!(code == 1 && err.contains("no request 9 is in this audit"), "{err}");
    let (_, err, _) = explained("bb-2", &[], POLICY);
    assert!(err.contains("`bb-2` is a record, but none of a request"), "{err}");
    let (_, err, code) = keygress(&["explain", "--id", "7"], POLICY);
    assert!(code == 2 && err.contains("--audit"), "{err}");
    let (_, err, code) = keygress(&["explain"], POLICY);
    assert!(code == 2 && err.contains("METHOD"), "{err}");
}
