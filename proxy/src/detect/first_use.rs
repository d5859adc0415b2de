use keygress_policy::destination::Host;
use keygress_policy::response::Detector as Name;

use super::baseline::{Baseline, Novelty};
use super::{Detector, Finding, Ground, Seen};
use crate::audit::{Event, Kind};

/// In which respects the uses of a credential are alike.
pub const DIMENSIONS: [&str; 5] = ["workload", "process", "host", "method", "path class"];

/// Segments of a path that make its class; what is deeper is one.
const DEPTH_MAX: usize = 6;

/// First use of a credential by a workload, process, host, method or class of paths that it never had, once its baseline is settled.
#[derive(Default)]
pub(super) struct FirstUse {
    text: String,
}

impl Detector for FirstUse {
    fn name(&self) -> Name {
        Name::FirstUse
    }

    fn see(&mut self, seen: &Seen<'_>, ground: &mut Ground<'_>) -> Option<Finding> {
        let Event { kind: Kind::Used, credential: Some(credential), lease: Some(_), .. } = seen.event else { return None };
        let (baseline, settle_ms) = ground.baselines.of(credential)?;
        let (mut unusual, mut usual) = (Vec::new(), Vec::new());
        for (at, name) in DIMENSIONS.iter().enumerate() {
            self.text.clear();
            value(at, seen.event, &mut self.text);
            let before = baseline.dimensions.get(at).map_or(0, |dimension| dimension.values.len());
            if baseline.learn(at, &self.text, seen.at, settle_ms) == Novelty::Unusual {
                unusual.push(format!("{name} `{}`", self.text));
                usual.push(known(baseline, at, before));
            }
        }
        if unusual.is_empty() {
            return None;
        }
        let expected = format!("`{credential}` with {}", usual.join(", "));
        let finding = Finding::of(seen, expected, format!("its first use with {}", unusual.join(", ")), credential.to_string());
        Some(Finding { since: Some(baseline.since), events: baseline.uses.saturating_sub(1), ..finding })
    }
}

/// What was usual, in words: the first few values that stood there before.
fn known(baseline: &Baseline, at: usize, before: usize) -> String {
    let name = DIMENSIONS.get(at).copied().unwrap_or_default();
    let values = baseline.dimensions.get(at).map(|dimension| dimension.values.as_slice()).unwrap_or_default();
    let shown: Vec<String> = values.iter().take(before.min(3)).map(|value| format!("`{value}`")).collect();
    let more = if before > 3 { format!(" and {} more", before - 3) } else { String::new() };
    format!("{name} {}{more}", shown.join(" or "))
}

fn value(at: usize, event: &Event, out: &mut String) {
    let text = |out: &mut String, text: Option<&str>| out.push_str(text.unwrap_or("none"));
    match at {
        0 => text(out, event.workload.as_deref()),
        1 => text(out, event.process.as_deref().or(event.peer.as_deref())),
        2 => match event.destination.as_ref().map(|to| &to.host) {
            Some(Host::Name(name)) => out.push_str(name),
            Some(Host::Ip(ip)) => out.push_str(&ip.to_string()),
            None => out.push_str("none"),
        },
        3 => text(out, event.method.as_ref().map(http::Method::as_str)),
        _ => class(event.path.as_ref().map_or("", http::uri::PathAndQuery::path), out),
    }
}

/// The class of a path: what looks like a name of one thing among many stands for all of them.
fn class(path: &str, out: &mut String) {
    for (depth, segment) in path.trim_start_matches('/').split('/').enumerate() {
        out.push('/');
        if depth == DEPTH_MAX {
            out.push('…');
            return;
        }
        out.push_str(if is_an_id(segment) { "{}" } else { segment });
    }
}

fn is_an_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_version = segment.len() <= 3 && segment.starts_with('v');
    !is_version && digits > 0 && (digits == segment.len() || digits >= 3 || segment.len() >= 16) || segment.len() > 40
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;
    use crate::detect::tests::{Ground as Fake, event, to};

    fn used(workload: &str, method: http::Method, path: &str) -> Event {
        let path = Some(PathAndQuery::try_from(path).unwrap());
        let about = Event { workload: Some(workload.into()), process: Some("user shop".into()), ..event(Kind::Used) };
        let about = Event { credential: Some("crm".into()), lease: Some("l".into()), method: Some(method), path, ..about };
        to("crm.test", about)
    }

    /// What the last event gives after 300 usual ones, a minute apart.
    fn after_300(last: &Event) -> Option<Finding> {
        let (mut detector, mut ground) = (FirstUse::default(), Fake::default());
        for minute in 0..300 {
            let usual = used("shop", http::Method::GET, &format!("/v1/orders/{minute}"));
            assert_eq!(ground.see(&mut detector, &usual, minute * 60_000), None);
        }
        ground.see(&mut detector, last, 300 * 60_000)
    }

    #[test]
    fn each_dimension_is_seen() {
        let finding = after_300(&used("shop", http::Method::DELETE, "/v1/orders/7")).unwrap();
        assert_eq!(finding.expected, "`crm` with method `GET`");
        assert_eq!(finding.seen, "its first use with method `DELETE`");
        assert_eq!((finding.since, finding.events), (Some(0), 300));
        let finding = after_300(&used("lab", http::Method::GET, "/v1/refunds")).unwrap();
        assert_eq!(finding.seen, "its first use with workload `lab`, path class `/v1/refunds`");
        let elsewhere = to("other.test", used("shop", http::Method::GET, "/v1/orders/7"));
        assert_eq!(after_300(&elsewhere).unwrap().seen, "its first use with host `other.test`");
        let process = Event { process: Some("user root".into()), ..used("shop", http::Method::GET, "/v1/orders/7") };
        assert_eq!(after_300(&process).unwrap().expected, "`crm` with process `user shop`");
    }

    #[test]
    fn another_id_another_task_and_a_denial_are_usual() {
        let usual = || used("shop", http::Method::GET, "/v1/orders/9f86d081884c7d65");
        assert_eq!(after_300(&usual()), None);
        assert_eq!(after_300(&Event { task: Some("another".into()), pid: Some(99), ..usual() }), None);
        let denied = Event { kind: Kind::Denied, ..used("shop", http::Method::DELETE, "/v1/orders/7") };
        assert_eq!(after_300(&denied), None, "what never left teaches nothing");
        let bare = Event { lease: None, credential: None, ..used("shop", http::Method::DELETE, "/") };
        assert_eq!(after_300(&bare), None);
    }

    #[test]
    fn a_class_stands_for_the_things_of_a_kind() {
        for (path, expected) in [
            ("/v1/orders/12345", "/v1/orders/{}"),
            ("/v1/orders/7", "/v1/orders/{}"),
            ("/repos/acme/api/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/repos/acme/api/commits/{}"),
            ("/u/123e4567-e89b-12d3-a456-426614174000/x", "/u/{}/x"),
            ("/api/v2/s3/list", "/api/v2/s3/list"),
            ("/", "/"),
            ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/…"),
        ] {
            let mut out = String::new();
            class(path, &mut out);
            assert_eq!(out, expected);
        }
    }
}
