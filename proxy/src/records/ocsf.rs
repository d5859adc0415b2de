//! Records as OCSF has them (Open Cybersecurity Schema Framework): one class for each kind, and what each class requires.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Line;

/// The version of the schema: what is written was validated against its full text, and that of 1.7.0.
pub const VERSION: &str = "1.6.0";

/// What every event has.
const BASE: [&str; 7] = ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"];

/// A class of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its number.
    pub uid: u64,
    /// Its name.
    pub name: &'static str,
    /// The number of its category.
    pub category_uid: u64,
    /// The name of that.
    pub category: &'static str,
    /// What it requires beside what every event has.
    pub requires: &'static [&'static str],
    /// Of these it requires one.
    pub one_of: &'static [&'static str],
}

const HTTP: Class = Class {
    uid: 4002,
    name: "HTTP Activity",
    category_uid: 4,
    category: "Network Activity",
    requires: &[],
    one_of: &["http_request", "http_response"],
};
const ENTITY: Class = Class {
    uid: 3004,
    name: "Entity Management",
    category_uid: 3,
    category: "Identity & Access Management",
    requires: &["entity"],
    one_of: &[],
};
const FINDING: Class =
    Class { uid: 2004, name: "Detection Finding", category_uid: 2, category: "Findings", requires: &["finding_info"], one_of: &[] };
const LIFECYCLE: Class =
    Class { uid: 6002, name: "Application Lifecycle", category_uid: 6, category: "Application Activity", requires: &["app"], one_of: &[] };
const LOG: Class = Class {
    uid: 1008,
    name: "Event Log Activity",
    category_uid: 1,
    category: "System Activity",
    requires: &[],
    one_of: &["log_file", "log_name", "log_provider", "log_type", "log_type_id"],
};
const OTHER: Class = Class { uid: 0, name: "Base Event", category_uid: 0, category: "Uncategorized", requires: &[], one_of: &[] };

/// Every class that is written.
pub const CLASSES: [Class; 6] = [HTTP, ENTITY, FINDING, LIFECYCLE, LOG, OTHER];

impl Class {
    /// What an event of this class lacks.
    #[must_use]
    pub fn missing(&self, event: &Value) -> Vec<&'static str> {
        let mut missing: Vec<&str> = BASE.iter().chain(self.requires).copied().filter(|key| event.get(key).is_none()).collect();
        if !self.one_of.is_empty() && self.one_of.iter().all(|key| event.get(key).is_none()) {
            missing.extend(self.one_of.first());
        }
        missing
    }
}

/// How an activity is counted.
#[derive(Clone, Copy)]
enum Activity {
    /// By the method of the request.
    Method,
    /// As one that the class knows.
    Is(u64, &'static str),
    /// As one that it does not.
    Else(&'static str),
}

const INFORMATIONAL: u64 = 1;
const LOW: u64 = 2;
const MEDIUM: u64 = 3;
const HIGH: u64 = 4;

const SUCCESS: u64 = 1;
const FAILURE: u64 = 2;

/// What each kind of record is: class, activity, whether it succeeded, how severe, and for a request what was done with it (action,
/// disposition).
type Row = (&'static str, Class, Activity, u64, u64, Option<(u64, u64)>);

#[rustfmt::skip]
const KINDS: &[Row] = &[
    ("issued", ENTITY, Activity::Is(1, "Create"), SUCCESS, INFORMATIONAL, None),
    ("intended", HTTP, Activity::Method, SUCCESS, INFORMATIONAL, Some((1, 1))),
    ("used", HTTP, Activity::Method, SUCCESS, INFORMATIONAL, Some((1, 1))),
    ("scrubbed", HTTP, Activity::Method, SUCCESS, LOW, Some((4, 11))),
    ("denied", HTTP, Activity::Method, FAILURE, LOW, Some((2, 2))),
    ("ended", HTTP, Activity::Method, FAILURE, LOW, Some((2, 21))),
    ("revoked", ENTITY, Activity::Is(4, "Delete"), SUCCESS, INFORMATIONAL, None),
    ("revoke_failed", ENTITY, Activity::Is(4, "Delete"), FAILURE, MEDIUM, None),
    ("expired", ENTITY, Activity::Is(11, "Deactivate"), SUCCESS, INFORMATIONAL, None),
    ("policy_loaded", ENTITY, Activity::Is(3, "Update"), SUCCESS, INFORMATIONAL, None),
    ("policy_rejected", ENTITY, Activity::Is(3, "Update"), FAILURE, MEDIUM, None),
    ("stopped", ENTITY, Activity::Is(12, "Suspend"), SUCCESS, MEDIUM, None),
    ("resumed", ENTITY, Activity::Is(13, "Resume"), SUCCESS, LOW, None),
    ("task_opened", ENTITY, Activity::Is(1, "Create"), SUCCESS, INFORMATIONAL, None),
    ("task_closed", ENTITY, Activity::Is(4, "Delete"), SUCCESS, INFORMATIONAL, None),
    ("alert", FINDING, Activity::Is(1, "Create"), SUCCESS, HIGH, None),
    ("baseline_reset", ENTITY, Activity::Is(3, "Update"), SUCCESS, LOW, None),
    ("opened", LIFECYCLE, Activity::Is(3, "Start"), SUCCESS, INFORMATIONAL, None),
    ("closed", LIFECYCLE, Activity::Is(4, "Stop"), SUCCESS, INFORMATIONAL, None),
    ("recovered", LOG, Activity::Is(9, "Enable"), SUCCESS, LOW, None),
    ("gap", LOG, Activity::Else("Gap"), FAILURE, HIGH, None),
    ("checkpoint", LOG, Activity::Else("Checkpoint"), SUCCESS, INFORMATIONAL, None),
];

/// The methods that HTTP Activity counts.
const METHODS: [(&str, u64, &str); 9] = [
    ("CONNECT", 1, "Connect"),
    ("DELETE", 2, "Delete"),
    ("GET", 3, "Get"),
    ("HEAD", 4, "Head"),
    ("OPTIONS", 5, "Options"),
    ("POST", 6, "Post"),
    ("PUT", 7, "Put"),
    ("TRACE", 8, "Trace"),
    ("PATCH", 9, "Patch"),
];

/// A record as an event. What OCSF has no name for stands under `unmapped`, as it is; what is of a kind that this version does not know is
/// a base event.
#[must_use]
pub fn event(line: &Line<'_>, record: &Value) -> Value {
    let kind = line.activity.as_str();
    let known = KINDS.iter().find(|(name, ..)| *name == kind);
    let unknown: Row = ("", OTHER, Activity::Else("Unknown"), 0, 0, None);
    let (_, mut class, activity, status, severity, done) = *known.unwrap_or(&unknown);
    let mut event = Map::new();
    if class == HTTP && !request(&mut event, line) {
        class = OTHER;
    }
    let (id, name) = activity_of(if class == OTHER && known.is_some() { Activity::Else("Refused") } else { activity }, line);
    for (key, number, name) in [
        ("activity", id, Some(name)),
        ("severity", severity, SEVERITIES.get(usize::try_from(severity).unwrap_or(0)).map(|name| (*name).to_owned())),
        ("status", status, STATUSES.get(usize::try_from(status).unwrap_or(0)).map(|name| (*name).to_owned())),
    ] {
        event.insert(format!("{key}_id"), json!(number));
        event.insert(if key == "activity" { "activity_name".to_owned() } else { key.to_owned() }, json!(name));
    }
    event.insert("class_uid".to_owned(), json!(class.uid));
    event.insert("class_name".to_owned(), json!(class.name));
    event.insert("category_uid".to_owned(), json!(class.category_uid));
    event.insert("category_name".to_owned(), json!(class.category));
    event.insert("type_uid".to_owned(), json!(class.uid * 100 + id));
    event.insert("time".to_owned(), json!(line.time));
    event.insert("metadata".to_owned(), metadata(line, class));
    text(&mut event, "message", line.message.given());
    text(&mut event, "status_detail", line.keygress.code.given());
    if class == HTTP
        && let Some((action, disposition)) = done
    {
        event.insert("action_id".to_owned(), json!(action));
        event.insert("disposition_id".to_owned(), json!(disposition));
        if let Some(rule) = line.keygress.rule.given() {
            event.insert("firewall_rule".to_owned(), json!({ "name": rule }));
        }
    }
    if class == HTTP || class == ENTITY {
        actor(&mut event, line);
    }
    own(&mut event, line, class);
    let ours = ["keygress", "prev", "hash"].iter().filter_map(|key| Some(((*key).to_owned(), record.get(key)?.clone())));
    event.insert("unmapped".to_owned(), Value::Object(ours.collect()));
    Value::Object(event)
}

const SEVERITIES: [&str; 5] = ["Unknown", "Informational", "Low", "Medium", "High"];
const STATUSES: [&str; 3] = ["Unknown", "Success", "Failure"];

fn activity_of(activity: Activity, line: &Line<'_>) -> (u64, String) {
    let method = line.http_request.http_method.as_str();
    match activity {
        Activity::Is(id, name) => (id, name.to_owned()),
        Activity::Else(name) => (99, name.to_owned()),
        Activity::Method if method.is_empty() => (0, "Unknown".to_owned()),
        Activity::Method => match METHODS.iter().find(|(name, ..)| *name == method) {
            Some((_, id, name)) => (*id, (*name).to_owned()),
            None => (99, method.to_owned()),
        },
    }
}

fn metadata(line: &Line<'_>, class: Class) -> Value {
    let mut metadata = Map::new();
    metadata.insert("version".to_owned(), json!(VERSION));
    metadata.insert("product".to_owned(), product());
    metadata.insert("log_name".to_owned(), json!("audit"));
    metadata.insert("sequence".to_owned(), json!(line.seq));
    text(&mut metadata, "uid", line.metadata.uid.given());
    text(&mut metadata, "event_code", line.activity.given());
    if class == HTTP {
        metadata.insert("profiles".to_owned(), json!(["host", "security_control"]));
    }
    Value::Object(metadata)
}

fn product() -> Value {
    json!({ "name": "keygress", "uid": "keygress", "vendor_name": "keygress", "version": env!("CARGO_PKG_VERSION") })
}

/// Adds the request and its answer; `false` where the record has neither.
fn request(event: &mut Map<String, Value>, line: &Line<'_>) -> bool {
    let asked = &line.http_request;
    let host = asked.url.hostname.given();
    let mut request = Map::new();
    // Another method has no word in the schema: the name of the activity says it.
    let known = asked.http_method.given().filter(|method| METHODS.iter().any(|(name, ..)| name == method));
    text(&mut request, "http_method", known);
    if let Some(id) = line.keygress.request {
        request.insert("uid".to_owned(), json!(id.to_string()));
    }
    if let Some(host) = host {
        let (scheme, port, path) = (asked.url.scheme.given().unwrap_or("https"), asked.url.port, asked.url.path.as_str());
        let mut url = Map::new();
        url.insert("url_string".to_owned(), json!(format!("{scheme}://{host}:{port}{path}")));
        url.insert("scheme".to_owned(), json!(scheme));
        url.insert("hostname".to_owned(), json!(host));
        url.insert("port".to_owned(), json!(port));
        text(&mut url, "path", asked.url.path.given());
        request.insert("url".to_owned(), Value::Object(url));
        let bare = host.trim_matches(['[', ']']);
        let name = if bare.parse::<IpAddr>().is_ok() { ("ip", bare) } else { ("hostname", host) };
        event.insert("dst_endpoint".to_owned(), json!({ name.0: name.1, "port": port }));
    }
    if line.status_code > 0 {
        event.insert("http_response".to_owned(), json!({ "code": line.status_code }));
        event.insert("status_code".to_owned(), json!(line.status_code.to_string()));
    }
    let is_any = !request.is_empty() || line.status_code > 0;
    if !request.is_empty() {
        event.insert("http_request".to_owned(), Value::Object(request));
    }
    if let Some(workload) = line.keygress.workload.given() {
        event.insert("src_endpoint".to_owned(), json!({ "name": workload }));
    }
    is_any
}

/// Adds who did it, where that is known.
fn actor(event: &mut Map<String, Value>, line: &Line<'_>) {
    let mut actor = Map::new();
    text(&mut actor, "app_name", line.keygress.workload.given());
    if let Some(task) = line.keygress.task.given() {
        actor.insert("session".to_owned(), json!({ "uid": task }));
    }
    if let Some(pid) = line.actor.process.pid {
        actor.insert("process".to_owned(), json!({ "pid": pid }));
    }
    if let Some(uid) = line.actor.process.uid {
        actor.insert("user".to_owned(), json!({ "uid": uid.to_string() }));
    }
    if !actor.is_empty() {
        event.insert("actor".to_owned(), Value::Object(actor));
    }
}

/// Adds what the class requires of its own.
fn own(event: &mut Map<String, Value>, line: &Line<'_>, class: Class) {
    let ours = &line.keygress;
    if class == ENTITY {
        event.insert("entity".to_owned(), entity(line));
    } else if class == FINDING {
        let title = ours.code.given().or(line.message.given()).unwrap_or("alert");
        let uid = line.metadata.uid.given().unwrap_or("unknown");
        let mut info = Map::from_iter([("uid".to_owned(), json!(uid)), ("title".to_owned(), json!(title))]);
        info.insert("created_time".to_owned(), json!(line.time));
        text(&mut info, "desc", line.message.given());
        event.insert("finding_info".to_owned(), Value::Object(info));
        // For a finding this says how far its review is: it is new.
        event.insert("status".to_owned(), json!("New"));
        event.insert("is_alert".to_owned(), json!(true));
        let named = [("credential", &ours.credential), ("workload", &ours.workload), ("task", &ours.task)];
        let named = named.iter().filter_map(|(kind, name)| Some(json!({ "type": kind, "name": name.given()? })));
        event.insert("resources".to_owned(), named.collect());
    } else if class == LIFECYCLE {
        event.insert("app".to_owned(), product());
    } else if class == LOG {
        event.insert("log_name".to_owned(), json!("audit"));
        event.insert("log_provider".to_owned(), json!("keygress"));
    }
}

fn entity(line: &Line<'_>) -> Value {
    let ours = &line.keygress;
    let kind = line.activity.as_str();
    let mut entity = Map::new();
    if kind.starts_with("policy_") {
        entity.insert("name".to_owned(), json!("policy"));
        entity.insert("type".to_owned(), json!("policy"));
        text(&mut entity, "version", ours.generation.map(|generation| generation.to_string()).as_deref());
        return Value::Object(entity);
    }
    let host = &line.http_request.url.hostname;
    let named = [("lease", &ours.credential), ("workload", &ours.workload), ("task", &ours.task), ("host", host)];
    let task_first = kind.starts_with("task_").then_some(("task", &ours.task));
    let found = task_first.into_iter().chain(named).find_map(|(of, name)| Some((of, name.given()?)));
    let (of, name) = found.unwrap_or(("unknown", kind));
    let of = if of == "lease" && ours.lease.given().is_none() { "credential" } else { of };
    entity.insert("name".to_owned(), json!(name));
    entity.insert("type".to_owned(), json!(of));
    text(&mut entity, "uid", ours.lease.given());
    Value::Object(entity)
}

fn text(object: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests;
