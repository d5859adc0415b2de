//! What `check`, `inventory` and `scan` say in SARIF is SARIF 2.1.0.

use std::process::Output;

use keygress_tests::client::bare;
use keygress_tests::proxy::binary;
use keygress_tests::site::Site;
use serde_json::Value;

/// What the standard's schema says of the objects that keygress writes: which properties must be there, and which of the others may.
const OBJECTS: &[(&str, &[&str], &[&str])] = &[
    ("sarifLog", &["version", "runs"], &["$schema"]),
    ("run", &["tool"], &["results", "invocations", "automationDetails", "columnKind"]),
    ("tool", &["driver"], &[]),
    ("toolComponent", &["name"], &["version", "semanticVersion", "rules"]),
    ("reportingDescriptor", &["id"], &["shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"]),
    ("multiformatMessageString", &["text"], &["markdown"]),
    ("reportingConfiguration", &[], &["level"]),
    ("result", &["message"], &["ruleId", "ruleIndex", "level", "locations", "partialFingerprints", "properties"]),
    ("message", &["text"], &[]),
    ("location", &[], &["physicalLocation"]),
    ("physicalLocation", &["artifactLocation"], &["region"]),
    ("artifactLocation", &["uri"], &[]),
    ("region", &["startLine"], &["startColumn"]),
    ("invocation", &["executionSuccessful"], &["toolExecutionNotifications"]),
    ("notification", &["message"], &["level", "locations"]),
    ("runAutomationDetails", &[], &["id"]),
];

/// Which object stands under which property.
const BELOW: &[(&str, &str, &str)] = &[
    ("sarifLog", "runs", "run"),
    ("run", "tool", "tool"),
    ("run", "results", "result"),
    ("run", "invocations", "invocation"),
    ("run", "automationDetails", "runAutomationDetails"),
    ("tool", "driver", "toolComponent"),
    ("toolComponent", "rules", "reportingDescriptor"),
    ("reportingDescriptor", "shortDescription", "multiformatMessageString"),
    ("reportingDescriptor", "fullDescription", "multiformatMessageString"),
    ("reportingDescriptor", "help", "multiformatMessageString"),
    ("reportingDescriptor", "defaultConfiguration", "reportingConfiguration"),
    ("result", "message", "message"),
    ("result", "locations", "location"),
    ("location", "physicalLocation", "physicalLocation"),
    ("physicalLocation", "artifactLocation", "artifactLocation"),
    ("physicalLocation", "region", "region"),
    ("invocation", "toolExecutionNotifications", "notification"),
    ("notification", "message", "message"),
    ("notification", "locations", "location"),
];

/// What is wrong with an object of this kind, each with its place.
fn wrong(kind: &str, value: &Value, place: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![format!("{place}: no object")] };
    let (_, required, others) = OBJECTS.iter().find(|(name, ..)| *name == kind).unwrap();
    let mut wrong: Vec<String> = Vec::new();
    wrong.extend(required.iter().filter(|key| !object.contains_key(**key)).map(|key| format!("{place}: no `{key}`")));
    for (key, value) in object {
        let place = format!("{place}/{key}");
        if !required.contains(&key.as_str()) && !others.contains(&key.as_str()) {
            wrong.push(format!("{place}: not of a {kind}"));
        }
        let below = BELOW.iter().find(|(of, name, _)| *of == kind && name == key);
        match (below, value) {
            (Some((.., inner)), Value::Array(all)) => {
                wrong.extend(all.iter().enumerate().flat_map(|(at, value)| self::wrong(inner, value, &format!("{place}/{at}"))));
            }
            (Some((.., inner)), value) => wrong.extend(self::wrong(inner, value, &place)),
            (None, value) => wrong.extend(wrong_value(key, value).map(|why| format!("{place}: {why}"))),
        }
    }
    wrong
}

fn wrong_value(key: &str, value: &Value) -> Option<&'static str> {
    let text = value.as_str();
    let is_reference = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte));
    match key {
        "version" if text != Some("2.1.0") && text != Some(env!("CARGO_PKG_VERSION")) => Some("no version"),
        "level" if !["none", "note", "warning", "error"].contains(&text.unwrap_or_default()) => Some("no level"),
        "columnKind" if !["utf16CodeUnits", "unicodeCodePoints"].contains(&text.unwrap_or_default()) => Some("no kind of columns"),
        "startLine" | "startColumn" if value.as_u64().is_none_or(|number| number == 0) => Some("not counted from 1"),
        "uri" | "$schema" if !text.is_some_and(is_reference) => Some("no reference"),
        "text" | "id" | "ruleId" | "name" if text.is_none_or(str::is_empty) => Some("no text"),
        "executionSuccessful" if !value.is_boolean() => Some("no boolean"),
        "ruleIndex" if value.as_u64().is_none() => Some("no index"),
        _ => None,
    }
}

/// The results of a document that is what the standard asks for.
fn results(output: &Output) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(wrong("sarifLog", &document, ""), Vec::<String>::new(), "{document:#}");
    let run = &document["runs"][0];
    let results = run["results"].as_array().unwrap();
    for result in results {
        let rule = &run["tool"]["driver"]["rules"][usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
    }
    results.clone()
}

fn keygress(site: &Site, arguments: &[&str]) -> Output {
    bare(binary().unwrap()).args(arguments).args(["--format", "sarif"]).current_dir(site.folder()).output().unwrap()
}

const POLICY: &str = "version: 1
credentials:
  key:
    owner: nobody
    static: { reason: a test, expires: 2099-12-31 }
    source: { file: /run/secrets/key }
    inject: bearer
    only_to: [api.github.com]
rules:
  read: { from: any, to: https://api.github.com, allow: ['* /**'], credential: key }
";

#[test]
fn lints_are_sarif_with_place_and_rule() {
    let site = Site::new().unwrap();
    site.write("policy a.yaml", POLICY).unwrap();
    site.write("bad.yaml", &POLICY.replace("bearer", "basic").replace("credential: key }", "credential: other }")).unwrap();
    site.write("audit.jsonl", "{\"seq\":1,\"time\":1700000000000,\"activity\":\"used\"}\n{\"seq\":2,\"ti").unwrap();

    let output = keygress(&site, &["check", "policy a.yaml"]);
    assert!(output.status.success() && results(&output).iter().all(|result| result["level"] != "error"), "{output:?}");
    let output = keygress(&site, &["check", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let found = results(&output);
    let errors: Vec<_> = found.iter().filter(|result| result["level"] == "error").collect();
    assert_eq!(errors.len(), 2, "{found:?}");
    let place = &errors[0]["locations"][0]["physicalLocation"];
    assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&"bad.yaml".into(), &7.into()));

    for arguments in [&["inventory", "policy a.yaml"][..], &["inventory", "policy a.yaml", "--audit", "audit.jsonl"]] {
        let found = results(&keygress(&site, arguments));
        let of = |rule: &str| found.iter().find(|result| result["ruleId"] == rule).unwrap_or_else(|| panic!("{rule}: {found:?}"));
        assert_eq!((&of("owner_missing")["level"], &of("federate")["level"]), (&"error".into(), &"warning".into()));
        assert_eq!(of("anyone")["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "policy%20a.yaml");
    }

    site.write("a b.env", &format!("KEY=gsk_{}\n", &"b9Kd72LmXq0ZtR4vWc81".repeat(3)[..52])).unwrap();
    let output = keygress(&site, &["scan", "a b.env", "missing"]);
    let found = results(&output);
    assert_eq!((found.len(), &found[0]["ruleId"]), (1, &"groq".into()));
    assert_eq!(found[0]["locations"][0]["physicalLocation"]["region"]["startColumn"], 5);
}

#[test]
fn what_is_no_sarif_is_seen_by_the_test() {
    let site = Site::new().unwrap();
    site.write("policy.yaml", POLICY).unwrap();
    let good: Value = serde_json::from_slice(&keygress(&site, &["inventory", "policy.yaml"]).stdout).unwrap();
    assert_eq!(wrong("sarifLog", &good, ""), Vec::<String>::new());
    for (pointer, value) in [
        ("/runs/0/tool", serde_json::json!({})),
        ("/version", "2.0".into()),
        ("/runs/0/results/0/level", "high".into()),
        ("/runs/0/results/0/message", serde_json::json!({ "words": "x" })),
        ("/runs/0/results/0/locations/0/physicalLocation/region/startLine", 0.into()),
        ("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri", "a b".into()),
        ("/runs/0/columnKind", "bytes".into()),
        ("/runs/0/invocations/0", serde_json::json!({})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!wrong("sarifLog", &bad, "").is_empty(), "{pointer}");
    }
}
