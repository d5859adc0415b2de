use serde_json::Value;

use super::plan::Plan;
use super::pod;

/// How deep lists may lie in lists.
const DEPTH_MAX: usize = 8;

/// What became of the pods of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Pods that keygress was added to.
    pub added: usize,
    /// Pods that asked and had it already.
    pub had: usize,
    /// What a reader should know: settings of their own that containers keep.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.added += other.added;
        self.had += other.had;
        self.notes.extend(other.notes);
        self
    }
}

/// Adds keygress to the pods of an object that ask for it: of a Pod, a workload, or a List of them. Every other object stays as it is.
///
/// # Errors
/// Names the object whose pod asks and cannot have it, with the reason and the remedy. The object is to be discarded then.
pub fn add(object: &mut Value, plan: &Plan) -> Result<Outcome, String> {
    below(object, plan, 0)
}

fn below(object: &mut Value, plan: &Plan, depth: usize) -> Result<Outcome, String> {
    if depth > DEPTH_MAX {
        return Err("lists lie too deep in lists".to_owned());
    }
    let kind = text(object, "/kind").to_owned();
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut).filter(|_| kind.ends_with("List")) {
        return items.iter_mut().try_fold(Outcome::default(), |all, item| Ok(all.and(below(item, plan, depth + 1)?)));
    }
    let Some(place) = template(text(object, "/apiVersion"), &kind) else { return Ok(Outcome::default()) };
    let name = [text(object, "/metadata/name"), text(object, "/metadata/generateName")].into_iter().find(|name| !name.is_empty());
    let name = format!("{kind} `{}`", name.unwrap_or("without a name"));
    let Some(template) = object.pointer_mut(place) else { return Ok(Outcome::default()) };
    let mut outcome = pod::add(template, plan).map_err(|why| format!("{name}: {why}"))?;
    outcome.notes.iter_mut().for_each(|note| *note = format!("{name}: {note}"));
    Ok(outcome)
}

/// Where the template of its pods stands.
fn template(api_version: &str, kind: &str) -> Option<&'static str> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("/template"),
        ("", "ReplicationController") | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Some("/spec/template")
        }
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
