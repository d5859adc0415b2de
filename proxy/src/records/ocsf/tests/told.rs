//! Fields and kinds are told in one place, `proxy/audit.md`, and that is true.

use std::collections::BTreeSet;

use keygress_policy::inject::strip;

use super::*;
use crate::audit::{Evidence, Setup, Signing, SigningKey};
use crate::telemetry::Context;

const TOLD: &str = include_str!("../../../../audit.md");

/// The rows of the table below this heading, without what is code.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = TOLD.split_once(&format!("\n## {heading}\n")).unwrap();
    let table = rest.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    table.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()).collect()
}

/// Everything that a record can say.
fn everything(kind: Kind) -> Event {
    let asked = http::Request::get("/").header("cookie", "a").body(()).unwrap();
    Event {
        peer: Some("spiffe://a".into()),
        broker: Some("edge".into()),
        trace: Some("t-1".into()),
        span: Some(Context::root([1; 16], [2; 8])),
        expires_in: Some(60),
        stripped: strip(&mut asked.into_parts().0, &[], None),
        masked: Some(1),
        unscrubbed: true,
        mints: true,
        lost: Some(1),
        evidence: Some(Box::new(Evidence { since: Some(jiff::Timestamp::UNIX_EPOCH), repeated: 1, ..Evidence::default() })),
        ..full(kind)
    }
}

/// The signed lines of these events.
fn signed(events: Vec<Event>) -> Vec<String> {
    let (sender, lines) = mpsc::channel();
    let signing = Some(Signing::with(SigningKey::generate().unwrap(), None));
    let audit = Audit::open(Setup { signing, ..Setup::from(Sink::Memory(sender)) }, Metrics::new()).unwrap();
    events.into_iter().for_each(|event| audit.record(event));
    audit.close();
    drop(audit);
    lines.iter().collect()
}

/// The paths of all values in it.
fn leaves(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| leaves(value, format!("{at}.{key}").trim_start_matches('.'), found)),
        _ => drop(found.insert(at.to_owned())),
    }
}

#[test]
fn every_field_is_told_and_every_field_that_is_told_is_written() {
    let (mut written, mut exported_as) = (BTreeSet::new(), Vec::new());
    for line in signed([Kind::Used, Kind::Alert].map(everything).into()) {
        leaves(&serde_json::from_str(&line).unwrap(), "", &mut written);
        exported_as.push(exported(&line));
    }
    let rows = rows("What a line holds");
    let told: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(written, told);
    // The event of a use has every OCSF field that the table names.
    let used = exported_as.iter().find(|event| event["metadata"]["event_code"] == "used").unwrap();
    for row in rows.iter().filter(|row| !row[2].is_empty()) {
        let pointer = format!("/{}", row[2].replace('.', "/"));
        assert!(used.pointer(&pointer).is_some(), "{} is not `{}` in {used:#}", row[0], row[2]);
    }
}

#[test]
fn every_kind_is_told_with_its_class() {
    let told: BTreeSet<_> = rows("What happened").into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    let known: BTreeSet<_> = KINDS.iter().map(|(name, class, ..)| ((*name).to_owned(), class.name.to_owned())).collect();
    assert_eq!(told, known);
}
