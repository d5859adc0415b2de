use keygress_policy::response::Detector as Name;

use super::baseline::Window;
use super::{Detector, Finding, Ground, Seen};
use crate::audit::{Event, Kind};

/// A span of time, and what is far outside of what was seen in those before.
struct Span {
    name: &'static str,
    milliseconds: i64,
    /// Spans without which nothing is settled.
    spans_min: u64,
    /// So many times the most that was ever seen is far outside,
    factor: u64,
    /// but never so few.
    floor: u64,
}

const SPANS: [Span; 2] = [
    Span { name: "minute", milliseconds: 60_000, spans_min: 30, factor: 5, floor: 100 },
    Span { name: "hour", milliseconds: 3_600_000, spans_min: 12, factor: 3, floor: 1_000 },
];

/// Rate (a minute) and volume (an hour) of a credential far above its baseline.
pub(super) struct Rate;

impl Detector for Rate {
    fn name(&self) -> Name {
        Name::Rate
    }

    fn see(&mut self, seen: &Seen<'_>, ground: &mut Ground<'_>) -> Option<Finding> {
        let Event { kind: Kind::Used, credential: Some(credential), lease: Some(_), .. } = seen.event else { return None };
        let (baseline, settle_ms) = ground.baselines.of(credential)?;
        let is_old = seen.at.saturating_sub(baseline.since) >= settle_ms;
        let (since, uses) = (baseline.since, baseline.uses);
        let over = SPANS.iter().zip(&mut baseline.windows).find_map(|(span, window)| {
            let most = window.count_in(seen.at / span.milliseconds, span);
            most.filter(|_| is_old).map(|most| (span, most))
        });
        let (span, most) = over?;
        let name = span.name;
        let limit = limit(most, span);
        let expected = format!("at most {most} uses of `{credential}` a {name}, the most so far");
        let saw = format!("more than {limit} in this {name}, last by {}", seen.who());
        let finding = Finding::of(seen, expected, saw, format!("{credential} {name}"));
        Some(Finding { since: Some(since), events: uses, ..finding })
    }
}

fn limit(most: u64, span: &Span) -> u64 {
    most.saturating_mul(span.factor).max(span.floor)
}

impl Window {
    /// Counts one in the span of this number; the most in a span before, where this one goes beyond what is usual just now.
    fn count_in(&mut self, index: i64, span: &Span) -> Option<u64> {
        if index != self.index {
            // What goes far beyond is not learned as a whole: it would hide the next time.
            self.most = self.most.max(self.count.min(limit(self.most, span)));
            self.spans += u64::from(self.count > 0);
            (self.index, self.count) = (index, 0);
        }
        self.count += 1;
        (self.spans >= span.spans_min && self.count == limit(self.most, span) + 1).then_some(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::{Ground as Fake, event, to};

    /// What is found at the end of these minutes, each with so many uses.
    fn found(minutes: &[i64]) -> Vec<(usize, Finding)> {
        let (mut detector, mut ground) = (Rate, Fake::default());
        let used = Event { credential: Some("crm".into()), lease: Some("l".into()), ..to("crm.test", event(Kind::Used)) };
        let mut found = Vec::new();
        for (minute, uses) in minutes.iter().enumerate() {
            for number in 0..*uses {
                let at = minute as i64 * 60_000 + number * 60_000 / uses;
                found.extend(ground.see(&mut detector, &used, at).map(|finding| (minute, finding)));
            }
        }
        found
    }

    fn after(usual: i64, minutes: usize, last: &[i64]) -> Vec<(usize, Finding)> {
        found(&[vec![usual; minutes], last.to_vec()].concat())
    }

    #[test]
    fn a_rate_far_above_the_baseline_is_seen_once_a_minute() {
        let all = after(30, 60, &[400, 30, 30, 400]);
        let (minute, finding) = &all[0];
        assert_eq!((*minute, finding.expected.as_str()), (60, "at most 30 uses of `crm` a minute, the most so far"));
        assert!(finding.seen.starts_with("more than 150 in this minute"), "{finding:?}");
        assert_eq!((finding.since, finding.events), (Some(0), 30 * 60 + 151));
        assert_eq!(all.len(), 1, "as many again are no longer far outside: {all:?}");
    }

    #[test]
    fn a_volume_far_above_the_baseline_is_seen_although_no_minute_is() {
        let all = after(10, 13 * 60, &[45; 60]);
        assert!(all.iter().any(|(_, finding)| finding.expected == "at most 600 uses of `crm` a hour, the most so far"), "{all:?}");
        assert!(all.iter().all(|(_, finding)| !finding.expected.contains("minute")), "{all:?}");
    }

    #[test]
    fn growth_bursts_of_few_and_what_is_young_are_usual() {
        let growing: Vec<i64> = (0..120).map(|minute| 20 + minute * 2).collect();
        assert_eq!(found(&growing), [], "it grows");
        assert_eq!(after(1, 60, &[99]), [], "few");
        assert_eq!(after(30, 20, &[400]), [], "young");
        assert_eq!(after(30, 60, &[120]), [], "busy, but not far outside");
    }
}
