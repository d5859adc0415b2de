//! The list of scenarios.

use super::turns::Turns;
use super::{Bench, Entrance, Shape, bulk, fleet, overload, replaced, rest, sizes, startup, steps};
use crate::load::{Pace, Protocol, Reuse};
use crate::results::{Bar, Limit, Outcome, metric};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// `S1`.
    pub id: &'static str,
    /// What it measures.
    pub about: &'static str,
    run: fn(&mut Bench) -> anyhow::Result<Vec<Outcome>>,
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    /// Where something that it needs does not start. What goes wrong with single requests is counted in the outcome.
    pub fn run(&self, bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
        (bench.progress)(super::Progress::Scenario(self));
        let outcomes = (self.run)(bench)?;
        for outcome in &outcomes {
            (bench.progress)(super::Progress::Outcome(outcome));
        }
        Ok(outcomes)
    }
}

/// All of them, in order.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { id: "S1", about: "plain HTTP/1.1 in, TLS out, 200 bytes", run: s1 },
    Scenario { id: "S2", about: "as S1, 10 KiB", run: s2 },
    Scenario { id: "S3", about: "CONNECT and interception, connections reused, HTTP/1.1 and HTTP/2", run: s3 },
    Scenario { id: "S4", about: "CONNECT and interception, a new connection for each request", run: s4 },
    Scenario { id: "S5", about: "HTTP/2 in, HTTP/2 out", run: s5 },
    Scenario { id: "S6", about: "memory: idle, and with 1,000 and 10,000 idle connections", run: rest::run },
    Scenario { id: "S7", about: "from the start of the process to the first proxied request", run: startup::run },
    Scenario { id: "S8", about: "latency over the direct way, at a low constant pace", run: s8 },
    Scenario { id: "S9", about: "hot reload of 10,000 rules under load", run: replaced::run },
    Scenario { id: "S10", about: "policies of 10, 1,000 and 100,000 rules", run: sizes::run },
    Scenario { id: "S11", about: "what single steps cost", run: steps::run },
    Scenario { id: "S12", about: "large bodies up and down: throughput, flat memory", run: bulk::run },
    Scenario { id: "S13", about: "twice as many requests as it can carry", run: overload::run },
    Scenario { id: "S14", about: "a fleet: thousands of credentials that renew at one issuer", run: fleet::run },
];

/// The scenario of this name; upper and lower case are one.
#[must_use]
pub fn find(id: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.id.eq_ignore_ascii_case(id))
}

fn least_of(metric: &str, factor: f64, peers: &[&str]) -> Bar {
    Bar { metric: metric.to_owned(), limit: Limit::AtMostTimes(factor, peers.iter().map(|&peer| peer.to_owned()).collect()) }
}

fn s1(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { requests: bench.either(100_000, 8_000), ..Shape::default() };
    let bars = vec![
        least_of(metric::CPU_PER_REQUEST, 0.95, &["nginx", "haproxy"]),
        least_of(metric::CPU_PER_REQUEST, 0.33, &["envoy"]),
        least_of(metric::CPU_PER_REQUEST, 1.45, &["floor"]),
    ];
    turns("S1", "plain HTTP/1.1 in, TLS out, 200 bytes", shape, bars, bench)
}

fn s2(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { response_bytes: 10 * 1024, requests: bench.either(100_000, 6_000), ..Shape::default() };
    let bars = vec![least_of(metric::CPU_PER_REQUEST, 0.95, &["haproxy"]), least_of(metric::CPU_PER_REQUEST, 0.45, &["envoy"])];
    turns("S2", "plain HTTP/1.1 in, TLS out, 10 KiB", shape, bars, bench)
}

fn s3(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let h1 = Shape { entrance: Entrance::Intercept, requests: bench.either(100_000, 6_000), ..Shape::default() };
    let h2 = Shape { protocol: Protocol::Http2, connections: 8, streams: 4, ..h1.clone() };
    let bars = vec![least_of(metric::CPU_PER_REQUEST, 0.85, &["nginx", "haproxy"]), least_of(metric::CPU_PER_REQUEST, 0.33, &["envoy"])];
    let mut outcomes = turns("S3", "intercepted, connections reused, HTTP/1.1", h1, bars, bench)?;
    outcomes.extend(turns("S3-h2", "intercepted, connections reused, HTTP/2 in", h2, vec![], bench)?);
    Ok(outcomes)
}

fn s4(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let resumed = Shape {
        entrance: Entrance::Intercept,
        connections: 16,
        reuse: Reuse::Never { resume: true },
        requests: bench.either(10_000, 600),
        ..Shape::default()
    };
    let full = Shape { reuse: Reuse::Never { resume: false }, ..resumed.clone() };
    let peers = ["nginx", "haproxy", "envoy", "squid", "mitmproxy"];
    let bars = || vec![least_of(metric::CPU_PER_REQUEST, 1.0, &peers)];
    let mut outcomes = turns("S4", "intercepted, a new connection each, sessions resumed", resumed, bars(), bench)?;
    outcomes.extend(turns("S4-full", "intercepted, a new connection each, full handshakes", full, bars(), bench)?);
    Ok(outcomes)
}

fn s5(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape {
        entrance: Entrance::Intercept,
        protocol: Protocol::Http2,
        upstream: Protocol::Http2,
        connections: 8,
        streams: 4,
        requests: bench.either(100_000, 6_000),
        ..Shape::default()
    };
    let bars = vec![least_of(metric::CPU_PER_REQUEST, 0.5, &["envoy"]), least_of(metric::CPU_PER_REQUEST, 0.95, &["nginx"])];
    turns("S5", "HTTP/2 in, HTTP/2 out", shape, bars, bench)
}

fn s8(bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    let shape = Shape { connections: 1, pace: Pace::Constant(500.0), requests: bench.either(5_000, 500), ..Shape::default() };
    let peers = ["nginx", "haproxy", "envoy"];
    let bars = vec![least_of(metric::ADDED_P50, 0.9, &peers), least_of(metric::ADDED_P99, 0.9, &peers)];
    let turns = Turns { id: "S8", title: "latency over the direct way at 500 requests a second", shape, against_direct: true, bars };
    Ok(vec![turns.run(bench)?])
}

fn turns(id: &'static str, title: &'static str, shape: Shape, bars: Vec<Bar>, bench: &mut Bench) -> anyhow::Result<Vec<Outcome>> {
    Ok(vec![Turns { id, title, shape, against_direct: false, bars }.run(bench)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_found_by_its_name() {
        assert_eq!(find("s1").unwrap().id, "S1");
        assert!(find("S99").is_none());
        for scenario in SCENARIOS {
            assert_eq!(find(scenario.id).unwrap().about, scenario.about, "two scenarios have the name {}", scenario.id);
        }
    }
}
