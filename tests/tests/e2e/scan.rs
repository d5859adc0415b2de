//! Keys that are not yet behind the proxy are found where they lie, and never told.

use std::path::Path;
use std::process::{Command, Output};

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::Site;
use keygress_tests::tools;
use serde_json::Value;

use crate::ledger;

/// Keys of vendors' shapes that never were keys; put together here, so that nobody takes this file for a leak.
fn groq() -> String {
    format!("gsk_{}", &"b9Kd72LmXq0ZtR4vWc81".repeat(3)[..52])
}

fn linear() -> String {
    format!("lin_api_{}", &"Vt3Zq9Rb7Xk2Nw5Ls8Gh".repeat(2)[..40])
}

fn datadog() -> String {
    "4f9ac1d07be2358690d1c7e45ab3f28c".to_owned()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = bare(tools::program("git").unwrap());
    git.args(["-c", "user.name=A Test", "-c", "user.email=dev@example.com", "-c", "init.defaultBranch=main"]).args(arguments);
    tools::run(git.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")).unwrap();
}

fn scan(site: &Site, arguments: &[&str]) -> (Output, String) {
    let output = bare(binary().unwrap()).arg("scan").args(arguments).current_dir(site.folder()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// No piece of any of these is in what was said, however it is written.
fn assert_silent(said: &str) {
    use base64::Engine as _;
    for key in [groq(), linear(), datadog()] {
        let body = &key[key.len() - 28..];
        assert!(!said.contains(&body[..12]) && !said.contains(&body[12..24]), "a piece of a key was told: {said}");
        let coded = base64::engine::general_purpose::STANDARD.encode(&key);
        assert!(!said.contains(&coded[16..36]), "a key was told in base64: {said}");
    }
}

/// A repository as people have them, with an image beside it.
fn repository(site: &Site) {
    use base64::Engine as _;
    let folder = site.folder().join("app");
    write(&folder, "CODEOWNERS", "* @everybody\n/deploy/ @operations\n");
    write(&folder, ".gitignore", ".env\n");
    write(&folder, ".env", &format!("# local\nGROQ_API_KEY={}\n", groq()));
    let coded = base64::engine::general_purpose::STANDARD.encode(datadog());
    write(&folder, "deploy/secret.yaml", &format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: a }}\ndata:\n  DD_API_KEY: {coded}\n"));
    write(&folder, ".github/workflows/ci.yml", &format!("jobs:\n  a:\n    env:\n      LINEAR: {}\n", linear()));
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "--message", "all"]);
    write(site.folder(), "layer/etc/app.env", &format!("GROQ_API_KEY={}\n", groq()));
    let tar =
        |arguments: &[&str]| tools::run(Command::new(tools::program("tar").unwrap()).args(arguments).current_dir(site.folder())).unwrap();
    tar(&["--create", "--gzip", "--file", "blob", "--directory", "layer", "etc"]);
    tar(&["--create", "--file", "image.tar", "--transform", "s,^blob,blobs/sha256/aa,", "blob"]);
}

const POLICY: &str = "version: 1
credentials:
  model: { owner: a, static: { reason: a test, expires: 2099-12-31 }, source: { file: /run/secrets/model }, preset: groq }
rules:
  ask: { from: any, to: https://api.groq.com, allow: [POST /openai/v1/chat/completions], credential: model }
";

#[test]
fn keys_are_found_where_they_lie_and_are_in_nothing_that_is_said() {
    let site = Site::new().unwrap();
    repository(&site);
    site.write("policy.yaml", POLICY).unwrap();
    let arguments = ["app", "image.tar", "--policy", "policy.yaml"];

    let (output, said) = scan(&site, &[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_silent(&said);
    let found = json(&output);
    let rows = found["rows"].as_array().unwrap();
    let row = |file: &str| rows.iter().find(|row| row["file"] == file).unwrap_or_else(|| panic!("{file}: {said}"));
    assert_eq!(rows.len(), 4, "{said}");
    let env = row("app/.env");
    assert_eq!(
        (&env["key"], &env["line"], &env["owner"], &env["age_from"]),
        (&"groq".into(), &2.into(), &"@everybody".into(), &"file".into())
    );
    assert_eq!((&env["replaced_by"][0]["credential"], &env["replaced_by"][0]["because"]), (&"model".into(), &"preset".into()));
    let secret = row("app/deploy/secret.yaml");
    assert_eq!((&secret["key"], &secret["line"], &secret["coded"]), (&"datadog".into(), &5.into(), &true.into()));
    assert_eq!(
        (&secret["owner"], &secret["owner_from"], &secret["age_from"]),
        (&"@operations".into(), &"CODEOWNERS".into(), &"git".into())
    );
    assert!(secret["age_days"].as_u64().unwrap() > 100 && secret["replaced_by"].as_array().unwrap().is_empty(), "{secret}");
    assert_eq!(row("app/.github/workflows/ci.yml")["line"], 4);
    let layer = row("image.tar!blobs/sha256/aa!etc/app.env");
    assert_eq!((&layer["fingerprint"], &layer["age_from"]), (&env["fingerprint"], &"archive".into()), "one key has one fingerprint");

    let (output, said) = scan(&site, &arguments);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_silent(&said);
    assert!(
        said.contains("app/deploy/secret.yaml:5 (base64)") && said.contains("model (preset)") && said.contains("4 keys: 3 high, 1 medium"),
        "{said}"
    );

    let (output, said) = scan(&site, &[&arguments[..], &["--format", "sarif"]].concat());
    assert_silent(&said);
    let results = json(&output)["runs"][0]["results"].clone();
    let place =
        &results.as_array().unwrap().iter().find(|result| result["ruleId"] == "datadog").unwrap()["locations"][0]["physicalLocation"];
    assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&"app/deploy/secret.yaml".into(), &5.into()));
}

#[test]
fn who_wrote_a_line_is_asked_of_the_commit_and_nothing_of_the_repository_runs() {
    let site = Site::new().unwrap();
    let folder = site.folder().join("app");
    write(&folder, "a.env", &format!("A={}\n", groq()));
    write(&folder, ".gitattributes", "*.env filter=evil diff=evil\n");
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "--message", "all"]);
    let touch = format!("touch {}; cat", site.folder().join("ran").display());
    for key in ["filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.fsmonitor", "core.sshCommand"] {
        git(&folder, &["config", key, &touch]);
    }
    // A line that is not committed has no author, and one that moved still has.
    write(&folder, "a.env", &format!("B={}\nA={}\n", linear(), groq()));
    let (output, said) = scan(&site, &["app", "--format", "json"]);
    let rows = json(&output)["rows"].clone();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{said}")).clone();
    assert_eq!((&row("groq")["owner"], &row("groq")["owner_from"]), (&"dev@example.com".into(), &"git".into()));
    assert_eq!((&row("linear")["owner"], &row("linear")["age_from"]), (&Value::Null, &"file".into()));
    assert!(!site.folder().join("ran").exists(), "the repository ran a program");
}

#[test]
fn where_nothing_is_found_the_exit_code_says_whether_all_was_searched() {
    let site = Site::new().unwrap();
    write(site.folder(), "clean/a.txt", "nothing here\n");
    let (output, said) = scan(&site, &["clean"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("no keys") && said.contains("1 file searched"), "{said}");
    let (output, said) = scan(&site, &["clean", "missing"]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("not searched  missing: "), "{said}");
    let (output, _) = scan(&site, &["clean", "missing", "--format", "sarif"]);
    assert_eq!(json(&output)["runs"][0]["invocations"][0]["executionSuccessful"], false);
    write(site.folder(), "report.json", "{}");
    let (output, said) = scan(&site, &["--import", "report.json"]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: `report.json` is no report"), "{said}");
    assert_eq!(scan(&site, &[]).0.status.code(), Some(2));
}

#[test]
fn a_key_that_keygress_puts_on_is_known_by_its_value() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "localhost").unwrap();
    let file = site.write_secret("key", &groq()).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let policy = format!(
        "version: 1
credentials:
  own:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
rules:
  echo:
    from: any
    to: https://localhost:{}
    allow_ips: [127.0.0.0/8, \"::1/128\"]
    allow: [GET /hello]
    credential: own
",
        file.display(),
        echo.port
    );
    site.write("policy.yaml", &policy).unwrap();
    let (serving, address) = ledger::serve(&site);
    assert_eq!(ledger::get(&site, &address, &format!("https://localhost:{}/hello", echo.port)), "200");
    assert_eq!(echo.seen()[0].values("authorization"), [format!("Bearer {}", groq())]);
    drop(serving);

    write(site.folder(), "app/one.env", &groq());
    write(site.folder(), "app/two.env", &linear());
    let state = ["--state", "state", "--state-key", "state-key", "--audit", "audit.jsonl", "--format", "json"];
    let (output, said) = scan(&site, &[&["app"][..], &state].concat());
    assert_silent(&said);
    let rows = json(&output)["rows"].clone();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{said}")).clone();
    assert_eq!(row("groq")["replaced_by"], serde_json::json!([{ "because": "same_value", "credential": "own" }]), "{said}");
    assert_eq!(row("linear")["replaced_by"], serde_json::json!([]));
    let audit = std::fs::read_to_string(site.folder().join("audit.jsonl")).unwrap();
    assert!(audit.contains(row("groq")["fingerprint"].as_str().unwrap()), "the fingerprint is that of the audit");

    let (output, said) = scan(&site, &["app", "--format", "json"]);
    assert_eq!(json(&output)["rows"][0]["replaced_by"], serde_json::json!([]), "without the key nothing is known: {said}");
    let (output, said) = scan(&site, &["app", "--state", "nowhere", "--state-key", "state-key"]);
    assert!(output.status.code() == Some(2) && said.contains("there is no state folder `nowhere`"), "{said}");
}
