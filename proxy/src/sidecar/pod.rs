use serde_json::{Map, Value, json};

use super::containers::{self, Volumes};
use super::environment;
use super::objects::Outcome;
use super::plan::{CAPTURED_PORT, METRICS_PORT, PORT, Plan};
use super::{LABEL, SIDECAR};

/// What a pod says of itself.
const CAPTURE: &str = "keygress.dev/capture";
const POLICY: &str = "keygress.dev/policy";
const CONFIG: &str = "keygress.dev/config";
const SECRETS: &str = "keygress.dev/secrets";
const PLACEHOLDERS: &str = "keygress.dev/placeholders";

/// What a pod wants, by its annotations over the plan.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Whether connections are brought to keygress.
    pub(super) capture: bool,
    /// The ConfigMap of the policy.
    pub(super) policy: String,
    /// The ConfigMap that holds `proxy.yaml`.
    pub(super) config: Option<String>,
    /// Secrets for keygress alone.
    pub(super) secrets: Vec<String>,
    /// Variable → placeholder.
    pub(super) placeholders: Vec<(String, String)>,
}

/// Adds keygress to a pod, or to the template of pods, that asks for it.
///
/// # Errors
/// Why it cannot be added, and what to do.
pub(super) fn add(pod: &mut Value, plan: &Plan) -> Result<Outcome, String> {
    if !asks(pod)? {
        return Ok(Outcome::default());
    }
    let wanted = wanted(pod, plan)?;
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut).ok_or("it has no `spec`")?;
    let is_there = names(spec.get("initContainers")).any(|name| name == SIDECAR);
    let volumes = Volumes::of(&wanted, plan);
    if !is_there {
        fits(spec, plan)?;
        list(spec, "volumes")?.extend(volumes.all);
    }
    let (mut notes, mut given) = (Vec::new(), 0);
    for containers in ["containers", "initContainers"] {
        for container in list(spec, containers)? {
            let container = container.as_object_mut().ok_or_else(|| format!("`{containers}` holds something that is no container"))?;
            if !environment::has(container) {
                environment::give(container, &wanted, plan, &mut notes)?;
                given += 1;
            }
        }
    }
    if is_there {
        // Where another webhook added a container since, that one is new.
        return Ok(Outcome { added: usize::from(given > 0), had: usize::from(given == 0), notes });
    }
    let ours = wanted.capture.then(|| containers::capture(plan)).into_iter().chain([containers::sidecar(&wanted, plan, volumes.mounts)]);
    list(spec, "initContainers")?.splice(0..0, ours);
    let metadata =
        pod.as_object_mut().and_then(|pod| pod.get_mut("metadata")).and_then(Value::as_object_mut).ok_or("it has no `metadata`")?;
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut().ok_or("`annotations` is no mapping")?;
    annotations.insert("keygress.dev/injected".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    Ok(Outcome { added: 1, notes, ..Outcome::default() })
}

fn asks(pod: &Value) -> Result<bool, String> {
    match pod.pointer("/metadata/labels").and_then(|labels| labels.get(LABEL)) {
        None => Ok(false),
        Some(Value::String(value)) if value == "true" => Ok(true),
        Some(Value::String(value)) if value == "false" => Ok(false),
        Some(_) => Err(format!("the label `{LABEL}` is neither \"true\" nor \"false\", in quotes")),
    }
}

fn wanted(pod: &Value, plan: &Plan) -> Result<Wanted, String> {
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    let said = |name: &str| -> Result<Option<&str>, String> {
        match annotations.and_then(|annotations| annotations.get(name)) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.trim())),
            Some(_) => Err(format!("the annotation `{name}` is no text: put it in quotes")),
        }
    };
    let capture = match said(CAPTURE)? {
        None => !plan.no_capture,
        Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(format!("the annotation `{CAPTURE}` is \"true\" or \"false\", not `{other}`")),
    };
    let words = |text: Option<&str>| -> Vec<String> {
        text.into_iter().flat_map(|text| text.split(',')).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let resource = |annotation: &str, name: &str| {
        let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        if fits { Ok(()) } else { Err(format!("the annotation `{annotation}`: `{name}` is not the name of an object")) }
    };
    let (policy, config, secrets) = (said(POLICY)?.unwrap_or(&plan.policy_config_map), said(CONFIG)?, words(said(SECRETS)?));
    resource(POLICY, policy)?;
    config.iter().try_for_each(|name| resource(CONFIG, name))?;
    secrets.iter().try_for_each(|name| resource(SECRETS, name))?;
    let mut placeholders = plan.placeholders.clone();
    for word in words(said(PLACEHOLDERS)?) {
        let (name, like) = word.split_once('=').unwrap_or((&word, ""));
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            return Err(format!("the annotation `{PLACEHOLDERS}`: write `VARIABLE=prefix`, not `{word}`"));
        }
        placeholders.insert(name.to_owned(), super::plan::placeholder(like));
    }
    let (policy, config) = (policy.to_owned(), config.map(str::to_owned));
    Ok(Wanted { capture, policy, config, secrets, placeholders: placeholders.into_iter().collect() })
}

/// Whether keygress can stand beside these containers, and hold.
fn fits(spec: &Map<String, Value>, plan: &Plan) -> Result<(), String> {
    let is = |name: &str| spec.get(name) == Some(&Value::Bool(true));
    if is("hostNetwork") {
        return Err("`hostNetwork` would open its listener to the whole node: take it away, or run keygress on the node".to_owned());
    }
    if is("hostPID") {
        return Err("`hostPID` lets the other containers look at the process of keygress: take it away".to_owned());
    }
    if is("shareProcessNamespace") {
        return Err("`shareProcessNamespace` lets the other containers into the memory of keygress: take it away".to_owned());
    }
    if spec.get("os").and_then(|os| os.get("name")).is_some_and(|name| name == "windows") {
        return Err("keygress runs on Linux, and this pod on Windows".to_owned());
    }
    if spec.get("containers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err("it has no containers".to_owned());
    }
    if let Some(name) = names(spec.get("volumes")).find(|name| name.starts_with("keygress-")) {
        return Err(format!("it has a volume `{name}` of its own: give that another name"));
    }
    let user = |holder: Option<&Value>| holder.and_then(|holder| holder.pointer("/securityContext/runAsUser")).and_then(Value::as_u64);
    let of_pod = spec.get("securityContext").and_then(|context| context.get("runAsUser")).and_then(Value::as_u64);
    let containers = || ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array()).flatten();
    for container in containers() {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        if name == SIDECAR || name == containers::CAPTURE {
            return Err(format!("it has a container `{name}` of its own: give that another name"));
        }
        if user(Some(container)).or(of_pod) == Some(u64::from(plan.user)) {
            return Err(format!("its container `{name}` runs as user {}, as keygress does: give it another (`runAsUser`)", plan.user));
        }
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        let mut ports = ports.filter_map(|port| port.get("containerPort")?.as_u64());
        if let Some(port) = ports.find(|port| [PORT, CAPTURED_PORT, METRICS_PORT].map(u64::from).contains(port)) {
            return Err(format!("its container `{name}` has port {port}, which keygress needs: give it another"));
        }
    }
    Ok(())
}

fn names(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(|item| item.get("name")?.as_str())
}

/// A list of the spec, which may not be there yet.
fn list<'s>(spec: &'s mut Map<String, Value>, name: &str) -> Result<&'s mut Vec<Value>, String> {
    let list = spec.entry(name).or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().ok_or_else(|| format!("`{name}` is no list"))
}
