//! Everything is on record, allowed or not, and the secret is nowhere.

use crate::world::World;

#[test]
fn what_was_allowed_and_what_was_denied_is_on_record() {
    let mut world = World::new();
    assert_eq!(world.curl(&[&world.url("/hello")]).0.status, 200);
    world.curl(&[&world.url("/forbidden?token=abc")]).0.is_denied().unwrap();
    world.proxy.stop();
    let records = world.proxy.records().unwrap();
    let of = |activity: &str| records.iter().find(|record| record["activity"] == activity).unwrap_or_else(|| panic!("{records:#?}"));
    let (used, denied) = (of("used"), of("denied"));
    assert_eq!((used["keygress"]["rule"].as_str(), used["keygress"]["credential"].as_str()), (Some("echo"), Some("key")));
    assert_eq!((used["status_code"].as_u64(), used["http_request"]["url"]["path"].as_str()), (Some(200), Some("/hello")));
    assert_eq!((denied["keygress"]["code"].as_str(), denied["status_code"].as_u64()), (Some("not_allowed"), Some(403)));
    assert_eq!(denied["http_request"]["url"]["path"].as_str(), Some("/forbidden"));
    assert!(used["actor"]["process"]["uid"].is_u64(), "{used}");
    assert!(used["keygress"]["fingerprint"].is_string(), "{used}");
}

#[test]
fn the_secret_is_in_no_record_metric_or_reply() {
    let mut world = World::new();
    let mut said = String::new();
    for path in ["/hello", "/forbidden", "/hello/../x", "/status/500"] {
        let (reply, _) = world.curl(&["--path-as-is", &world.url(path)]);
        said += &format!("{reply:?}\n");
    }
    said += &world.proxy.metrics();
    world.proxy.stop();
    said += &world.proxy.record_lines().join("\n");
    assert!(said.contains("keygress_requests_total") && said.contains("path_ambiguous"), "{said}");
    assert!(!said.contains(&world.key), "{said}");
    assert!(!said.contains("own-key-of-the-application"), "{said}");
}
