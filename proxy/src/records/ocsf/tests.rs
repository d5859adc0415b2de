use std::sync::mpsc;
use std::time::Duration;

use http::uri::PathAndQuery;
use keygress_policy::destination::{Host, Scheme};

use super::*;
use crate::audit::{Audit, Destination, Event, Kind, Sink};
use crate::metrics::Metrics;

/// What is told of all this.
mod told;

/// The next kind; a new one must be named here.
fn after(kind: Kind) -> Option<Kind> {
    Some(match kind {
        Kind::Issued => Kind::Intended,
        Kind::Intended => Kind::Used,
        Kind::Used => Kind::Scrubbed,
        Kind::Scrubbed => Kind::Denied,
        Kind::Denied => Kind::Revoked,
        Kind::Revoked => Kind::RevokeFailed,
        Kind::RevokeFailed => Kind::Expired,
        Kind::Expired => Kind::PolicyLoaded,
        Kind::PolicyLoaded => Kind::PolicyRejected,
        Kind::PolicyRejected => Kind::Stopped,
        Kind::Stopped => Kind::Resumed,
        Kind::Resumed => Kind::TaskOpened,
        Kind::TaskOpened => Kind::TaskClosed,
        Kind::TaskClosed => Kind::Ended,
        Kind::Ended => Kind::Alert,
        Kind::Alert => Kind::BaselineReset,
        Kind::BaselineReset => Kind::Opened,
        Kind::Opened => Kind::Recovered,
        Kind::Recovered => Kind::Gap,
        Kind::Gap => Kind::Checkpoint,
        Kind::Checkpoint => Kind::Closed,
        Kind::Closed => return None,
    })
}

fn kinds() -> Vec<Kind> {
    std::iter::successors(Some(Kind::Issued), |kind| after(*kind)).collect()
}

/// The lines that the audit writes of these events.
fn lines(events: Vec<Event>) -> Vec<String> {
    let (sender, lines) = mpsc::channel();
    let audit = Audit::open(Sink::Memory(sender), Metrics::new()).unwrap();
    let count = events.len();
    events.into_iter().for_each(|event| audit.record(event));
    audit.close();
    let taken: Vec<String> = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(30)).ok()).take(count).collect();
    assert_eq!(taken.len(), count);
    taken
}

fn exported(line: &str) -> Value {
    let read: Line<'_> = serde_json::from_str(line).unwrap();
    event(&read, &serde_json::from_str(line).unwrap())
}

fn full(kind: Kind) -> Event {
    Event {
        request: Some(3),
        way: Some("intercept"),
        workload: Some("billing".into()),
        task: Some("t-1".into()),
        uid: Some(1000),
        pid: Some(42),
        method: Some(http::Method::PATCH),
        destination: Some(Destination { scheme: Scheme::Https, host: Host::parse("[::1]").unwrap(), port: 443 }),
        path: Some(PathAndQuery::from_static("/v1/charges")),
        rule: Some("charge".into()),
        credential: Some("stripe".into()),
        lease: Some("l-1".into()),
        fingerprint: Some("f-1".into()),
        code: Some("no_rule"),
        status: Some(403),
        generation: Some(2),
        message: Some("a sentence".into()),
        ..Event::new(kind)
    }
}

fn class_of(event: &Value) -> Class {
    *CLASSES.iter().find(|class| event["class_uid"] == class.uid).unwrap_or_else(|| panic!("{event}"))
}

#[test]
fn every_record_kind_has_what_its_class_requires_however_little_it_says() {
    for make in [full as fn(Kind) -> Event, Event::new] {
        let events = kinds().into_iter().map(make).collect();
        for line in lines(events) {
            let event = exported(&line);
            let class = class_of(&event);
            assert_eq!(class.missing(&event), Vec::<&str>::new(), "{event}");
            assert_eq!(event["type_uid"].as_u64().unwrap(), class.uid * 100 + event["activity_id"].as_u64().unwrap(), "{event}");
            assert_eq!((&event["category_uid"], &event["metadata"]["version"]), (&class.category_uid.into(), &VERSION.into()));
            assert!(event["metadata"]["product"]["name"].is_string() && event["metadata"]["uid"].is_string(), "{event}");
            assert!(event["severity_id"].as_u64().unwrap() >= 1 && event["unmapped"]["keygress"].is_object(), "{event}");
            if class.uid == 0 {
                assert_eq!(event["activity_id"], 99, "{event}");
            }
        }
    }
}

#[test]
fn every_kind_is_in_the_table_and_every_class_is_used() {
    let words: Vec<&str> = kinds().iter().map(|kind| kind.as_str()).collect();
    assert!(words.iter().all(|word| KINDS.iter().filter(|(name, ..)| name == word).count() == 1), "{words:?}");
    assert_eq!(words.len(), KINDS.len());
    for class in CLASSES.iter().filter(|class| class.uid != 0) {
        assert!(KINDS.iter().any(|(_, of, ..)| of == class), "{}", class.name);
    }
}

#[test]
fn a_request_says_who_asked_what_of_whom_and_what_was_done() {
    let taken = lines(vec![full(Kind::Denied), full(Kind::Issued), full(Kind::Alert)]);
    let denied = exported(&taken[0]);
    assert_eq!((&denied["activity_id"], &denied["activity_name"]), (&9.into(), &"Patch".into()));
    assert_eq!(denied["http_request"]["url"]["url_string"], "https://[::1]:443/v1/charges");
    assert_eq!((&denied["dst_endpoint"]["ip"], &denied["http_response"]["code"]), (&"::1".into(), &403.into()));
    assert_eq!((&denied["actor"]["user"]["uid"], &denied["actor"]["process"]["pid"]), (&"1000".into(), &42.into()));
    assert_eq!((&denied["action_id"], &denied["disposition_id"], &denied["status"]), (&2.into(), &2.into(), &"Failure".into()));
    assert_eq!((&denied["firewall_rule"]["name"], &denied["status_detail"]), (&"charge".into(), &"no_rule".into()));
    assert_eq!(denied["unmapped"]["keygress"]["fingerprint"], "f-1");
    let issued = exported(&taken[1]);
    assert_eq!(issued["entity"], json!({ "name": "stripe", "type": "lease", "uid": "l-1" }));
    let alert = exported(&taken[2]);
    assert_eq!((&alert["finding_info"]["title"], &alert["severity"], &alert["status"]), (&"no_rule".into(), &"High".into(), &"New".into()));
}

#[test]
fn a_method_that_the_schema_does_not_know_is_told_by_the_name_of_the_activity() {
    let other = Event { method: Some(http::Method::from_bytes(b"PROPFIND").unwrap()), ..full(Kind::Used) };
    let event = exported(&lines(vec![other])[0]);
    assert_eq!((&event["activity_id"], &event["activity_name"]), (&99.into(), &"PROPFIND".into()));
    assert!(event["http_request"].get("http_method").is_none() && event["http_request"]["url"].is_object(), "{event}");
}

#[test]
fn a_kind_of_another_version_is_a_base_event() {
    let event = exported(r#"{"seq":1,"time":5,"activity":"unheard_of","keygress":{"new":1}}"#);
    assert_eq!((&event["class_uid"], &event["activity_id"], &event["type_uid"]), (&0.into(), &99.into(), &99.into()));
    assert_eq!(class_of(&event).missing(&event), Vec::<&str>::new());
    assert_eq!(event["unmapped"]["keygress"]["new"], 1);
}

#[test]
fn what_is_missing_is_seen() {
    assert_eq!(HTTP.missing(&json!({ "activity_id": 1 })).last(), Some(&"http_request"));
    assert_eq!(ENTITY.missing(&json!({})).len(), BASE.len() + 1);
}
