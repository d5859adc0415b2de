//! What tables and plots ask of an outcome.

use crate::results::{Limit, Outcome, Row, Run, Spread, Unit, metric};

/// The percentiles of which a latency plot has a point.
const PERCENTILES: [f64; 12] = [50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99];

/// How many requests must lie above a percentile for it to mean something.
const ABOVE_MIN: f64 = 5.0;

/// The metrics of an outcome, each once, in the order in which they come; CPU time first, for it repeats best.
pub(super) fn metrics(outcome: &Outcome) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figure in outcome.rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.figures) {
        if !names.contains(&figure.metric) {
            names.push(figure.metric.clone());
        }
    }
    names.sort_by_key(|name| name != metric::CPU_PER_REQUEST);
    names
}

/// The unit of a metric.
pub(super) fn unit_of(outcome: &Outcome, metric: &str) -> Option<Unit> {
    let mut figures = outcome.rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.figures);
    figures.find(|figure| figure.metric == metric).map(|figure| figure.unit)
}

/// With as many digits as mean something: three, or all before the point.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size < 9.995 {
        format!("{value:.2}")
    } else if size < 99.95 {
        format!("{value:.1}")
    } else if size < 9_999.5 {
        format!("{value:.0}")
    } else {
        thousands(value)
    }
}

/// `38 997`: with a space that does not break.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("−{text}") } else { text }
}

/// How many names are told; of more, their number.
const NAMES_MAX: usize = 3;

/// The sign of a limit, and where it comes from: `0.95 × the least of nginx, haproxy`.
pub(super) fn limit(limit: &Limit) -> (&'static str, Option<String>) {
    let of = |factor: f64, names: &[String], word: &str| {
        let times = if factor == 1.0 { String::new() } else { format!("{factor} × ") };
        match names {
            [one] => format!("{times}{one}"),
            some if some.len() <= NAMES_MAX => format!("{times}the {word} of {}", some.join(", ")),
            many => format!("{times}the {word} of {} peers", many.len()),
        }
    };
    match limit {
        Limit::AtMost(_) => ("≤", None),
        Limit::AtLeast(_) => ("≥", None),
        Limit::AtMostTimes(factor, names) => ("≤", Some(of(*factor, names, "least"))),
        Limit::AtLeastTimes(factor, names) => ("≥", Some(of(*factor, names, "most"))),
    }
}

/// The runs of a row that count.
pub(super) fn counting(row: &Row) -> impl Iterator<Item = &Run> {
    row.runs.iter().filter(|run| run.spoiled.is_none())
}

/// Latency by percentile: the median of the runs that count, as far up as requests carry it.
pub(super) fn latency(row: &Row) -> Vec<(f64, f64)> {
    let requests = counting(row).map(|run| run.right).min().unwrap_or(0) as f64;
    let told = PERCENTILES.into_iter().filter(|percentile| requests * (1.0 - percentile / 100.0) >= ABOVE_MIN);
    told.filter_map(|percentile| {
        let of_run = |run: &Run| run.latency.iter().find(|(at, _)| *at >= percentile - 1e-9).map(|(_, latency)| *latency);
        Spread::of(counting(row).filter_map(of_run)).map(|spread| (percentile, spread.median))
    })
    .collect()
}

/// Resident memory by idle connections, for the metrics that end with `way`: (connections, MiB).
pub(super) fn memory(row: &Row, way: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let names: Vec<&str> = counting(row).flat_map(|run| &run.figures).map(|figure| figure.metric.as_str()).collect();
    for name in names {
        let Some((connections, tail)) = name.strip_prefix("rss with ").and_then(|rest| rest.split_once(' ')) else { continue };
        let Ok(connections) = connections.parse::<f64>() else { continue };
        if tail.ends_with(way) && !points.iter().any(|(at, _)| *at == connections) {
            points.extend(row.spread(name).map(|spread| (connections, spread.median)));
        }
    }
    if !points.is_empty() {
        points.extend(row.spread(metric::IDLE_RSS).map(|spread| (0.0, spread.median)));
    }
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let shown: Vec<String> = [0.0, 1.234, 9.999, 24.56, 99.96, 1234.5, 38_997.2, -12_345.0].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "1.23", "10.0", "24.6", "100", "1234", "38\u{202f}997", "−12\u{202f}345"]);
    }

    #[test]
    fn a_percentile_that_few_requests_carry_is_not_shown() {
        let run = |right: u64, latency: f64| Run { right, latency: vec![(50.0, latency), (100.0, 9.0)], ..Run::default() };
        let row = |runs| Row { contender: "nginx".into(), version: String::new(), runs };
        let points = latency(&row(vec![run(100, 1.0), run(100, 3.0), run(100, 2.0)]));
        assert_eq!(points, [(50.0, 2.0), (60.0, 9.0), (70.0, 9.0), (80.0, 9.0), (90.0, 9.0), (95.0, 9.0)]);
        assert_eq!(latency(&row(vec![])), []);
    }

    #[test]
    fn memory_is_read_out_of_the_names_of_figures() {
        let run = |name: &str, mebibytes: f64| {
            let mut run = Run::default();
            run.figure(metric::IDLE_RSS, Unit::Mebibytes, 10.0);
            run.figure(name, Unit::Mebibytes, mebibytes);
            run
        };
        let runs = vec![
            run("rss with 10000 idle, plain", 90.0),
            run("rss with 1000 idle, plain", 20.0),
            run("rss with 1000 idle, intercepted", 30.0),
        ];
        let row = Row { contender: "keygress".into(), version: String::new(), runs };
        assert_eq!(memory(&row, "plain"), [(0.0, 10.0), (1000.0, 20.0), (10_000.0, 90.0)]);
        assert_eq!(memory(&row, "nothing"), []);
    }
}
