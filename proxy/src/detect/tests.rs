use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::response::Detector as Name;

use super::*;
use crate::audit::{Destination, Event, Kind, Written};
use crate::known::Thing;

/// An event with nothing said but its kind.
pub(super) fn event(kind: Kind) -> Event {
    Event::new(kind)
}

/// The same, to this host.
pub(super) fn to(host: &str, event: Event) -> Event {
    Event { destination: Some(Destination { scheme: Scheme::Https, host: Host::parse(host).unwrap(), port: 443 }), ..event }
}

/// A policy with one credential, `crm`, for `crm.test`, and baselines that settle within a second.
pub(super) struct Ground(Baselines);

impl Default for Ground {
    fn default() -> Self {
        Self(Baselines::new(Duration::from_secs(1)))
    }
}

fn reaches(credential: &str, host: &Host) -> Option<bool> {
    (credential == "crm").then(|| host.to_string() == "crm.test")
}

impl Ground {
    pub(super) fn see(&mut self, detector: &mut dyn Detector, event: &Event, at: i64) -> Option<Finding> {
        if let Some(credential) = event.credential.as_ref().filter(|_| event.kind == Kind::Used && event.lease.is_some()) {
            self.0.touch(credential, at);
        }
        detector.see(&Seen { event, at }, &mut super::Ground { reaches: &reaches, baselines: &mut self.0 })
    }
}

#[test]
fn every_name_has_one_detector() {
    let mut names: Vec<_> = detectors().iter().map(|detector| detector.name()).collect();
    assert_eq!(names.len(), Name::ALL.len());
    names.sort_by_key(|name| name.as_str());
    names.dedup();
    assert_eq!(names.len(), Name::ALL.len());
}

#[test]
fn an_alert_says_what_was_expected_and_seen_and_what_it_rests_on() {
    let watch = Watch::new(Baselines::new(Duration::ZERO), None);
    let shown = Some(Arc::new(Thing::Value { credential: "crm".into(), lease: "l".into(), fingerprint: "f".into() }));
    let event = Event { shown, workload: Some("shop".into()), request: Some(3), ..to("crm.test", event(Kind::Used)) };
    let take = |second: i64| watch.take(&Written { event: event.clone(), time: Timestamp::from_second(second).unwrap() }, &reaches);
    let raised = take(1);
    let [one] = &raised[..] else { panic!("{raised:?}") };
    assert_eq!((one.detector, one.leaked.as_deref(), one.event.code), (Name::RealValue, Some("crm"), Some("real_value")));
    assert_eq!((one.event.kind, one.event.request, one.event.credential.as_deref()), (Kind::Alert, Some(3), Some("crm")));
    assert_eq!(
        one.event.message.as_deref().unwrap(),
        "expected the value of `crm` to be put on by keygress alone, and held by no application; seen: workload `shop` sent it itself to \
         `https://crm.test:443` (fingerprint f)"
    );
    assert!(take(2).is_empty() && take(3).is_empty(), "the same again is counted");
    assert_eq!(take(601)[0].event.evidence.as_ref().unwrap().repeated, 2);
}
