use std::sync::Arc;

use keygress_policy::response::Detector as Name;

use super::{Detector, Finding, Ground, Seen};
use crate::known::Thing;

/// The value of a credential, coming from an application.
pub(super) struct RealValue;

impl Detector for RealValue {
    fn name(&self) -> Name {
        Name::RealValue
    }

    fn see(&mut self, seen: &Seen<'_>, _ground: &mut Ground<'_>) -> Option<Finding> {
        let Thing::Value { credential, fingerprint, .. } = seen.event.shown.as_deref()? else { return None };
        let expected = format!("the value of `{credential}` to be put on by keygress alone, and held by no application");
        let saw = format!("{} sent it itself to {} (fingerprint {fingerprint})", seen.who(), seen.to());
        let matter = format!("{credential} {saw}");
        Some(Finding { leaked: Some(Arc::clone(credential)), ..Finding::of(seen, expected, saw, matter) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Kind};
    use crate::detect::tests::{Ground as Fake, event, to};

    #[test]
    fn a_value_is_seen_wherever_an_application_sends_it() {
        let shown = |thing| {
            let event = Event { shown: Some(Arc::new(thing)), workload: Some("shop".into()), ..to("crm.test", event(Kind::Used)) };
            Fake::default().see(&mut RealValue, &event, 0)
        };
        let finding = shown(Thing::Value { credential: "crm".into(), lease: "l".into(), fingerprint: "f".into() }).unwrap();
        assert_eq!(finding.seen, "workload `shop` sent it itself to `https://crm.test:443` (fingerprint f)");
        assert_eq!(finding.leaked.as_deref(), Some("crm"));
        assert_eq!(shown(Thing::Placeholder { credential: "crm".into(), task: "7".into() }), None);
        let used = Event { credential: Some("crm".into()), fingerprint: Some("f".into()), ..to("crm.test", event(Kind::Used)) };
        assert_eq!(Fake::default().see(&mut RealValue, &used, 0), None, "keygress put it on");
    }
}
