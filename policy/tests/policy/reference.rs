//! The reference is true: each example compiles and passes its own tests, each key has its place.

use std::collections::BTreeSet;

use keygress_policy::document::{REFERENCE, schema};
use keygress_policy::problem::{Colour, render};
use serde_json::Value;

use crate::provider::{Provider, compile, files};

/// The fenced examples of the reference.
fn examples() -> Vec<&'static str> {
    REFERENCE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_compiles_and_passes_its_tests() {
    assert!(examples().len() >= 7);
    for example in examples() {
        let files = files(&[("reference.md", example)]);
        let (policy, warnings) = compile(&files).unwrap_or_else(|problems| panic!("{}", render(&problems, &files, Colour::Plain)));
        // What weakens safety is documented too, and `check` warns of it.
        let warnings: Vec<_> = warnings.into_iter().filter(|warning| !matches!(warning.code, "unscrubbed" | "mints")).collect();
        assert!(warnings.is_empty(), "{}", render(&warnings, &files, Colour::Plain));
        let failures: Vec<_> = policy.run_tests().into_iter().filter_map(|test| test.failure).collect();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

#[test]
fn every_key_is_documented_and_shown() {
    let schema: Value = serde_json::from_str(&schema::<Provider>()).unwrap();
    let mut keys = BTreeSet::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.contains("encoded_slash") && keys.contains("service_account") && keys.contains("oauth2_client_credentials"), "{keys:?}");
    let shown = examples().concat();
    for key in keys {
        assert!(REFERENCE.contains(&format!("`{key}`")), "`{key}` is not in the reference");
        // A bare word such as `inject: basic` shows an injection as well as a key does.
        assert!(shown.contains(&format!("{key}:")) || shown.contains(&format!(": {key}\n")), "`{key}` is in no example");
    }
}

/// The names of all properties in a schema.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        keys.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(map) => map.values().for_each(|value| collect_keys(value, keys)),
        Value::Array(list) => list.iter().for_each(|value| collect_keys(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_schema_is_closed_and_says_what_is_required() {
    let schema: Value = serde_json::from_str(&schema::<Provider>()).unwrap();
    assert_eq!(schema["title"], "Policy");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version"]));
    assert_eq!(schema["$defs"]["Rule"]["required"], serde_json::json!(["to"]));
    assert_eq!(schema["$defs"]["Rule"]["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Credential"]["required"], serde_json::json!(["owner", "source"]));
    let described = schema["$defs"]["Rule"]["properties"].as_object().unwrap().values().all(|key| key.get("description").is_some());
    assert!(described, "a key without a description");
}
