//! What a run yields: figures with their units, and the bars they are held against. Figures are as seen, never edited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything of one `keygress bench`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format: 1.
    pub format: u32,
    /// When it began, RFC 3339.
    pub began: String,
    /// The command line.
    pub command: String,
    /// The short form: fewer requests, fewer runs.
    pub quick: bool,
    /// What it ran on.
    pub machine: Machine,
    /// The scenarios, in the order in which they ran.
    pub outcomes: Vec<Outcome>,
}

/// What the figures were measured on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as the kernel names it.
    pub processor: String,
    /// How many of its cores were ours.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// This one; what the kernel does not say is empty.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib = field(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: crate::child::cores(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_bytes: kib.unwrap_or(0) * 1024,
        }
    }
}

/// What one scenario came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// `S1`.
    pub scenario: String,
    /// One line: what is measured.
    pub title: String,
    /// How: connections, bodies, pace, policy, audit mode; one sentence each.
    pub conditions: Vec<String>,
    /// One row for each contender, in the order in which they took turns.
    pub rows: Vec<Row>,
    /// What keygress is held against here.
    pub bars: Vec<Held>,
    /// What a reader must know: what was left out, who cannot do this and why.
    pub notes: Vec<String>,
}

/// One contender in one scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// `keygress`, `nginx`, …
    pub contender: String,
    /// As it says itself.
    pub version: String,
    /// Its runs, spoiled ones included.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// What was measured.
    pub figures: Vec<Figure>,
    /// Latency by percentile, in microseconds, rising: for plots.
    pub latency: Vec<(f64, f64)>,
    /// Responses that were right in every respect.
    pub right: u64,
    /// What went wrong, by kind; never part of latency or of the count above.
    pub errors: BTreeMap<String, u64>,
    /// Why this run does not count: other load took the machine away.
    pub spoiled: Option<String>,
}

/// One number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What it is: one of [`metric`], or a scenario's own words.
    pub metric: String,
    /// In this unit.
    pub unit: Unit,
    /// As measured.
    pub value: f64,
}

/// Names of the figures that several scenarios have.
pub mod metric {
    /// User and system time of the proxy, all its threads and processes, per request; microseconds.
    pub const CPU_PER_REQUEST: &str = "cpu per request";
    /// Right responses per second.
    pub const THROUGHPUT: &str = "throughput";
    /// Latency, 50th percentile, from the intended send time.
    pub const P50: &str = "p50";
    /// 99th percentile.
    pub const P99: &str = "p99";
    /// 99.9th percentile.
    pub const P999: &str = "p99.9";
    /// Latency over that of the direct way in the same round, 50th percentile.
    pub const ADDED_P50: &str = "added p50";
    /// 99th percentile.
    pub const ADDED_P99: &str = "added p99";
    /// The largest resident size that the proxy had.
    pub const PEAK_RSS: &str = "peak rss";
    /// Resident size without a connection.
    pub const IDLE_RSS: &str = "idle rss";
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Microseconds.
    #[serde(rename = "µs")]
    Microseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Requests a second.
    #[serde(rename = "req/s")]
    PerSecond,
    /// MiB.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// MiB a second.
    #[serde(rename = "MiB/s")]
    MebibytesPerSecond,
    /// Percent.
    #[serde(rename = "%")]
    Percent,
    /// A plain number.
    #[serde(rename = "")]
    Count,
}

impl Unit {
    /// As it is written after a number.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Nanoseconds => "ns",
            Self::PerSecond => "req/s",
            Self::Mebibytes => "MiB",
            Self::MebibytesPerSecond => "MiB/s",
            Self::Percent => "%",
            Self::Count => "",
        }
    }
}

/// What keygress is to reach in one metric of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bar {
    /// The figure of keygress.
    pub metric: String,
    /// Its limit.
    pub limit: Limit,
}

/// How far a figure may go.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// At most this times the least that any of these contenders has in the same run.
    AtMostTimes(f64, Vec<String>),
    /// At least this times the most that any of these contenders has in the same run.
    AtLeastTimes(f64, Vec<String>),
}

/// A bar, and whether it is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The bar.
    pub bar: Bar,
    /// The median of keygress.
    pub figure: Option<f64>,
    /// What it was held against: the limit itself, or the factor times the peer's median.
    pub limit: Option<f64>,
}

/// What is known of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Reached.
    Reached,
    /// Missed.
    Missed,
    /// The figure, or the peer, is not in this run.
    Unknown,
}

impl Held {
    /// Whether it is reached.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let (Some(figure), Some(limit)) = (self.figure, self.limit) else { return Verdict::Unknown };
        let is_reached = match self.bar.limit {
            Limit::AtMost(_) | Limit::AtMostTimes(..) => figure <= limit,
            Limit::AtLeast(_) | Limit::AtLeastTimes(..) => figure >= limit,
        };
        if is_reached { Verdict::Reached } else { Verdict::Missed }
    }
}

impl Run {
    /// Adds a figure.
    pub fn figure(&mut self, metric: &str, unit: Unit, value: f64) {
        self.figures.push(Figure { metric: metric.to_owned(), unit, value });
    }

    /// The figure of this name.
    #[must_use]
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.metric == metric).map(|figure| figure.value)
    }
}

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of these values; `None` where there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

impl Row {
    /// Of a contender that did nothing yet.
    #[must_use]
    pub fn of(contender: &dyn crate::contender::Contender) -> Self {
        Self { contender: contender.name().to_owned(), version: contender.version(), runs: Vec::new() }
    }

    /// The spread of a metric over the runs that count.
    #[must_use]
    pub fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(self.runs.iter().filter(|run| run.spoiled.is_none()).filter_map(|run| run.value(metric)))
    }
}

impl Outcome {
    /// The row of a contender.
    #[must_use]
    pub fn row(&self, contender: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender)
    }

    /// Holds keygress against a bar.
    #[must_use]
    pub fn hold(&self, bar: Bar) -> Held {
        let median = |name: &str| self.row(name).and_then(|row| row.spread(&bar.metric)).map(|spread| spread.median);
        let limit = match &bar.limit {
            Limit::AtMost(limit) | Limit::AtLeast(limit) => Some(*limit),
            Limit::AtMostTimes(factor, names) => {
                names.iter().filter_map(|name| median(name)).min_by(f64::total_cmp).map(|best| best * factor)
            }
            Limit::AtLeastTimes(factor, names) => {
                names.iter().filter_map(|name| median(name)).max_by(f64::total_cmp).map(|best| best * factor)
            }
        };
        let figure = median("keygress");
        Held { bar, figure, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: &str, values: &[f64]) -> Row {
        let run = |value: &f64| {
            let mut run = Run::default();
            run.figure(metric::CPU_PER_REQUEST, Unit::Microseconds, *value);
            run
        };
        Row { contender: contender.into(), version: String::new(), runs: values.iter().map(run).collect() }
    }

    fn outcome(rows: Vec<Row>) -> Outcome {
        Outcome { scenario: "S1".into(), title: String::new(), conditions: vec![], rows, bars: vec![], notes: vec![] }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_spoiled_run_does_not_count() {
        let mut row = row("keygress", &[1.0, 2.0, 90.0]);
        row.runs[2].spoiled = Some("something else ran".into());
        assert_eq!(row.spread(metric::CPU_PER_REQUEST).unwrap().max, 2.0);
    }

    #[test]
    fn a_ratio_is_held_against_the_better_peer() {
        let bar = || Bar {
            metric: metric::CPU_PER_REQUEST.into(),
            limit: Limit::AtMostTimes(0.5, vec!["nginx".into(), "haproxy".into(), "absent".into()]),
        };
        let held = |ours: f64| outcome(vec![row("keygress", &[ours]), row("nginx", &[30.0]), row("haproxy", &[20.0])]).hold(bar());
        assert_eq!((held(10.0).limit, held(10.0).verdict()), (Some(10.0), Verdict::Reached));
        assert_eq!(held(10.1).verdict(), Verdict::Missed);
        assert_eq!(outcome(vec![row("keygress", &[1.0])]).hold(bar()).verdict(), Verdict::Unknown);
    }
}
