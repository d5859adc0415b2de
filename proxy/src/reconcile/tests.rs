use super::*;
use crate::records::{self, Step};

/// 2026-01-31T12:00:00Z.
const NOON: i64 = 1_769_860_800_000;

fn made(records: &[(i64, &str, &str, &str, &str)]) -> Made {
    let line = |(second, activity, host, method, path): &(i64, &str, &str, &str, &str)| {
        let time = NOON + second * 1000;
        format!(
            "{{\"time\":{time},\"activity\":\"{activity}\",\"http_request\":{{\"http_method\":\"{method}\",\"url\":{{\"hostname\":\"{host}\",\
             \"path\":\"{path}\"}}}},\"keygress\":{{\"credential\":\"key\"}}}}\n"
        )
    };
    let text: String = records.iter().map(line).collect();
    let mut made = Made::default();
    records::read(text.as_bytes(), b"", |_, line| {
        made.take(line, None);
        Ok(Step::On)
    })
    .unwrap();
    made
}

/// The beginning and the end of an audit, with what is between.
fn audit(between: &[(i64, &'static str, &'static str, &'static str, &'static str)]) -> Made {
    let ends = [(-1000, "opened", "", "", ""), (1000, "closed", "", "", "")];
    made(&[&ends[..1], between, &ends[1..]].concat())
}

fn trail(events: &[(&str, &str, &str)]) -> Vec<Logged> {
    let record = |(id, time, source): &(&str, &str, &str)| {
        format!(
            "{{\"eventVersion\":\"1.09\",\"eventID\":\"{id}\",\"eventTime\":\"2026-01-31T{time}Z\",\"eventSource\":\"{source}\",\
             \"eventName\":\"GetObject\",\"sourceIPAddress\":\"192.0.2.7\",\"userIdentity\":{{\"type\":\"IAMUser\",\
             \"accessKeyId\":\"AKIAIOSFODNN7EXAMPLE\"}}}}"
        )
    };
    let records: Vec<String> = events.iter().map(record).collect();
    cloudtrail(format!("{{\"Records\":[{}]}}", records.join(",")).as_bytes()).unwrap()
}

fn ids(compared: &Compared) -> (usize, Vec<&str>, usize) {
    (compared.ours, compared.foreign.iter().map(|one| one.id.as_str()).collect(), compared.outside)
}

#[test]
fn a_use_that_keygress_did_not_make_is_found_in_cloudtrail() {
    let bucket = "acme.s3.eu-west-1.amazonaws.com";
    let logged =
        trail(&[("a", "12:00:01", "s3.amazonaws.com"), ("b", "12:00:02", "s3.amazonaws.com"), ("c", "12:00:03", "sts.amazonaws.com")]);
    let one = audit(&[(1, "used", bucket, "GET", "/x")]);
    let compared = one.compare(logged.clone(), 60_000);
    assert_eq!(ids(&compared), (1, vec!["b", "c"], 0), "each use on record stands for one");
    assert_eq!((compared.foreign[0].what.as_str(), compared.foreign[0].from.as_deref()), ("s3:GetObject", Some("192.0.2.7")));
    let all = [(1, "used", bucket, "GET", "/x"), (2, "used", bucket, "GET", "/x"), (3, "used", "sts.eu-west-1.amazonaws.com", "POST", "/")];
    assert_eq!(ids(&audit(&all).compare(logged, 60_000)), (3, vec![], 0));
}

#[test]
fn what_was_denied_is_late_elsewhere_or_before_the_audit_is_no_proof() {
    let bucket = "acme.s3.eu-west-1.amazonaws.com";
    let logged = || trail(&[("a", "12:00:00", "s3.amazonaws.com")]);
    for (second, activity, host) in [
        (0, "denied", bucket),
        (61, "used", bucket),
        (0, "used", "s3.example.com"),
        (0, "used", "acme.s3-object-lambda.eu-west-1.amazonaws.com"),
    ] {
        assert_eq!(ids(&audit(&[(second, activity, host, "GET", "/")]).compare(logged(), 60_000)), (0, vec!["a"], 0), "{activity} {host}");
    }
    assert_eq!(ids(&audit(&[(60, "used", bucket, "GET", "/")]).compare(logged(), 60_000)), (1, vec![], 0));
    let early = trail(&[("a", "09:00:00", "s3.amazonaws.com")]);
    assert_eq!(ids(&audit(&[]).compare(early, 60_000)), (0, vec![], 1), "the audit had not begun");
    assert_eq!(ids(&Made::default().compare(logged(), 60_000)), (0, vec![], 1));
}

#[test]
fn a_use_that_keygress_did_not_make_is_found_in_the_log_of_github() {
    let entry = |id: &str, path: &str| {
        format!(
            "{{\"_document_id\":\"{id}\",\"@timestamp\":{NOON},\"action\":\"api.request\",\"actor\":\"bot\",\"actor_ip\":\"192.0.2.7\",\
             \"hashed_token\":\"aGFzaA==\",\"request_method\":\"GET\",\"url_path\":\"{path}\"}}"
        )
    };
    let human = format!("{{\"_document_id\":\"h\",\"@timestamp\":{NOON},\"action\":\"org.update_member\"}}");
    let (one, two) = (entry("a", "/repos/acme/api"), entry("b", "/repos/acme/secrets"));
    for text in [format!("[{one},{two},{human}]"), format!("{one}\n{two}\n{human}\n")] {
        let made = audit(&[(0, "used", "api.github.com", "GET", "/repos/acme/api"), (0, "used", "api.github.com", "GET", "/user")]);
        let compared = made.compare(github(text.as_bytes()).unwrap(), 60_000);
        assert_eq!(ids(&compared), (1, vec!["b"], 0));
        assert_eq!(compared.foreign[0].what, "api.request GET /repos/acme/secrets");
    }
}

#[test]
fn what_is_no_log_is_said() {
    assert!(cloudtrail(b"[]").unwrap_err().starts_with("is no CloudTrail file"));
    assert!(github(b"{\"action\":\"x\",\"hashed_token\":\"y\"}").unwrap_err().contains("without `@timestamp`"));
    assert!(github(b"nothing").unwrap_err().starts_with("is no audit log of GitHub"));
}
