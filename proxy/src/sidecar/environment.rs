use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::SIDECAR;
use super::containers::{CAPTURE, TRUST_VOLUME};
use super::plan::{PORT, Plan, TRUST};
use super::pod::Wanted;
use crate::runtimes::{Files, PROXY, java};

/// The variable that Java takes options from; those of the container stay.
const JAVA: &str = "JAVA_TOOL_OPTIONS";

/// Whether a container is one of ours, or was given what it needs before.
pub(super) fn has(container: &Map<String, Value>) -> bool {
    let is_ours = container.get("name").is_some_and(|name| name == SIDECAR || name == CAPTURE);
    let mut mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    is_ours || mounts.any(|mount| mount.get("name").is_some_and(|name| name == TRUST_VOLUME))
}

/// Gives a container what it needs: the volume of what it trusts, the variables of every runtime, placeholders. What it sets itself stays.
pub(super) fn give(container: &mut Map<String, Value>, wanted: &Wanted, plan: &Plan, notes: &mut Vec<String>) -> Result<(), String> {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let entries = |container: &'_ Map<String, Value>, list: &str| match container.get(list) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => Ok(entries.clone()),
        Some(_) => Err(format!("`{list}` of its container `{name}` is no list")),
    };
    let (mut mounts, mut env) = (entries(container, "volumeMounts")?, entries(container, "env")?);
    if mounts.iter().any(|mount| mount.get("mountPath").and_then(Value::as_str).is_some_and(|path| path.trim_end_matches('/') == TRUST)) {
        return Err(format!("its container `{name}` mounts something at `{TRUST}`: give that another path"));
    }
    mounts.push(json!({ "name": TRUST_VOLUME, "mountPath": TRUST, "readOnly": true }));
    for (variable, value) in variables(wanted, plan) {
        match env.iter_mut().find(|own| own.get("name").is_some_and(|own| *own == variable)) {
            None => env.push(json!({ "name": variable, "value": value })),
            Some(own) if variable == JAVA && own.get("value").is_some_and(Value::is_string) => {
                let before = own.get("value").and_then(Value::as_str).unwrap_or_default();
                *own = json!({ "name": variable, "value": format!("{before} {value}") });
            }
            Some(own) if own.get("value").is_some_and(|own| *own == value) => {}
            Some(_) => notes.push(format!("its container `{name}` sets `{variable}` itself, which stays")),
        }
    }
    container.insert("volumeMounts".to_owned(), Value::Array(mounts));
    container.insert("env".to_owned(), Value::Array(env));
    Ok(())
}

fn variables(wanted: &Wanted, plan: &Plan) -> BTreeMap<String, String> {
    let files = Files::of(plan.trust());
    let listener = std::net::SocketAddr::from(([127, 0, 0, 1], PORT));
    let named = files.variables().map(|(name, file)| (name.to_owned(), file.display().to_string()));
    let mut variables: BTreeMap<_, _> = named.chain(wanted.placeholders.iter().cloned()).collect();
    let url = format!("http://{listener}");
    if wanted.capture {
        variables.insert(JAVA.to_owned(), java::trust(&files.java));
    } else {
        variables.extend(PROXY.iter().map(|name| ((*name).to_owned(), url.clone())));
        variables.insert(JAVA.to_owned(), java::options(listener, &files.java, &[]));
        variables.insert("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned());
    }
    variables.insert("KEYGRESS_ROUTES".to_owned(), url);
    variables
}
