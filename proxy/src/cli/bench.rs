//! `keygress bench`: how fast it is, here. What is measured is always another process: this one is client, clock and table.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use keygress_bench::child::{self, Program};
use keygress_bench::contender::keygress::Keygress;
use keygress_bench::own::{self, Own};
use keygress_bench::results::{Machine, Outcome, Report, Run, Verdict};
use keygress_bench::scenario::{self, Bench, Cores, Progress, Scenario};

use super::check::Format;

/// What runs where no scenario is named.
const SENSIBLE: [&str; 5] = ["S1", "S3", "S4", "S7", "S8"];

/// Arguments of `keygress bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenarios such as `S1`, or `all`. Default: a few, quickly.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Fewer requests and rounds: all scenarios in about a minute.
    #[arg(long)]
    quick: bool,
    /// Say what the scenarios measure.
    #[arg(long)]
    list: bool,
    /// Rounds in which contenders take turns. Default: 5, or 1 if quick.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// One core for who is measured, and one for all others. Default: where there are at least two.
    #[arg(long, value_name = "CORE,CORE", value_delimiter = ',', num_args = 1..=2)]
    cores: Vec<usize>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write `report.json` into this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Load-test this policy instead: keygress is started with it.
    #[arg(long, value_name = "PATH", requires = "target", conflicts_with_all = ["scenarios", "list"])]
    policy: Option<PathBuf>,
    #[command(flatten)]
    own: OwnArgs,
    /// Become the server that standard input orders.
    #[arg(long, hide = true, exclusive = true)]
    serve: bool,
}

/// What is asked of a user's own policy.
#[derive(Debug, clap::Args)]
struct OwnArgs {
    /// What is requested through it.
    #[arg(long, value_name = "URL", requires = "policy")]
    target: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET", requires = "policy")]
    method: http::Method,
    /// Ask by CONNECT, and verify what keygress shows inside.
    #[arg(long, requires = "policy")]
    connect: bool,
    /// Connections at once.
    #[arg(long, default_value_t = 32, requires = "policy", value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Requests a second, whatever the answers take. Default: as fast as they are answered.
    #[arg(long, requires = "policy", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Stop after this time.
    #[arg(long, default_value = "10s", requires = "policy", value_parser = duration)]
    duration: Duration,
    /// Stop after so many requests.
    #[arg(long, requires = "policy")]
    requests: Option<u64>,
    /// The status that a right answer has.
    #[arg(long, default_value = "200", requires = "policy")]
    status: http::StatusCode,
    /// Certificates (PEM) that the target may have, beside the system's roots.
    #[arg(long, value_name = "FILE", requires = "policy")]
    upstream_ca: Option<PathBuf>,
    /// Load a target that is not on this machine. Only what is yours.
    #[arg(long, requires = "policy")]
    unsafe_remote_target: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| format!("`{text}` is not a duration: write it as `30s` or `2m`"))
}

/// Measures, and prints what was seen.
///
/// # Errors
/// Where something that is needed does not start, or a scenario has no such name. Wrong answers are no error: they are counted, and the exit
/// code is 1.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.serve {
        child::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.list {
        for scenario in scenario::SCENARIOS {
            writeln!(anstream::stdout(), "{:<4} {}", scenario.id, scenario.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    child::raise_descriptor_limit();
    let outcomes = match &args.policy {
        Some(policy) => vec![own::run(&args.own(policy)?, &Keygress::new(std::env::current_exe()?))?],
        None => measure(args)?,
    };
    let report = report(args, outcomes);
    if let Some(folder) = &args.out {
        write(folder, &report).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    }
    match args.format {
        Format::Text => report.outcomes.iter().try_for_each(print)?,
        Format::Json => writeln!(anstream::stdout(), "{}", serde_json::to_string_pretty(&report)?)?,
    }
    let runs = report.outcomes.iter().flat_map(|outcome| &outcome.rows).flat_map(|row| &row.runs);
    let is_right = runs.filter(|run| run.spoiled.is_none()).all(|run| run.errors.is_empty());
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(args: &Args) -> anyhow::Result<Vec<Outcome>> {
    let scenarios = args.chosen()?;
    let is_quick = args.quick || args.scenarios.is_empty();
    let mut bench = Bench {
        servers: Program::ours(&["bench", "--serve"])?,
        keygress: Keygress::new(std::env::current_exe()?),
        peers: Vec::new(),
        quick: is_quick,
        rounds: args.rounds.map_or(if is_quick { 1 } else { 5 }, usize::from),
        cores: args.cores()?,
        progress: Box::new(tell),
    };
    // Client and servers stay out of the way of who is measured.
    child::pin(bench.cores.map(|cores| cores.others))?;
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        outcomes.extend(scenario.run(&mut bench).with_context(|| scenario.id)?);
    }
    Ok(outcomes)
}

impl Args {
    fn chosen(&self) -> anyhow::Result<Vec<&'static Scenario>> {
        if self.scenarios.iter().any(|name| name == "all") {
            return Ok(scenario::SCENARIOS.iter().collect());
        }
        let named: Vec<&str> =
            if self.scenarios.is_empty() { SENSIBLE.to_vec() } else { self.scenarios.iter().map(String::as_str).collect() };
        let unknown = |name: &str| format!("there is no scenario `{name}`; `keygress bench --list` names them");
        named.into_iter().map(|name| scenario::find(name).with_context(|| unknown(name))).collect()
    }

    fn cores(&self) -> anyhow::Result<Option<Cores>> {
        match *self.cores {
            [measured, others] => Ok(Some(Cores { measured, others })),
            [] => Ok((child::cores() >= 2).then_some(Cores { measured: 0, others: 1 })),
            _ => bail!("`--cores` takes two: one for who is measured, one for all others"),
        }
    }

    fn own<'a>(&'a self, policy: &'a std::path::Path) -> anyhow::Result<Own<'a>> {
        let own = &self.own;
        Ok(Own {
            policy,
            target: own.target.as_deref().context("no target")?,
            method: own.method.clone(),
            connect: own.connect,
            connections: usize::from(own.connections),
            per_second: own.rate.map(f64::from),
            requests: own.requests,
            time: own.duration,
            status: own.status,
            upstream_ca: own.upstream_ca.as_deref(),
            unsafe_remote: own.unsafe_remote_target,
        })
    }
}

/// One line on standard error that is overwritten; where nobody looks, nothing.
fn tell(progress: Progress<'_>) {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return;
    }
    // Progress that cannot be shown is no reason to stop.
    let _ = match progress {
        Progress::Scenario(scenario) => write!(stderr, "\r\x1b[K{}: {}", scenario.id, scenario.about),
        Progress::Step(step) => write!(stderr, "\r\x1b[K{step}"),
        Progress::Outcome(_) => write!(stderr, "\r\x1b[K"),
    };
    let _ = stderr.flush();
}

fn report(args: &Args, outcomes: Vec<Outcome>) -> Report {
    Report {
        format: 1,
        began: jiff::Timestamp::now().to_string(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        quick: args.quick || args.scenarios.is_empty() && args.policy.is_none(),
        machine: Machine::here(),
        outcomes,
    }
}

fn write(folder: &std::path::Path, report: &Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(report)?)?;
    Ok(())
}

/// A table of one outcome.
fn print(outcome: &Outcome) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    writeln!(out, "\n{}  {}", outcome.scenario, outcome.title)?;
    for condition in &outcome.conditions {
        writeln!(out, "    {condition}")?;
    }
    for row in &outcome.rows {
        let (right, wrong) = row
            .runs
            .iter()
            .filter(|run| run.spoiled.is_none())
            .fold((0, 0), |(right, wrong), run| (right + run.right, wrong + run.errors.values().sum::<u64>()));
        writeln!(out, "  {} {}: {right} right, {wrong} wrong", row.contender, row.version)?;
        for name in names(&row.runs) {
            if let Some(spread) = row.spread(&name) {
                let unit =
                    row.runs.iter().flat_map(|run| &run.figures).find(|figure| figure.metric == name).map_or("", |f| f.unit.as_str());
                writeln!(out, "    {name:<28} {:>12.1} {unit:<6} ({:.1} to {:.1})", spread.median, spread.min, spread.max)?;
            }
        }
        for (kind, count) in row.runs.iter().filter(|run| run.spoiled.is_none()).flat_map(|run| &run.errors) {
            writeln!(out, "    wrong: {kind} ({count})")?;
        }
    }
    for held in &outcome.bars {
        let word = match held.verdict() {
            Verdict::Reached => "reached",
            Verdict::Missed => "missed",
            Verdict::Unknown => continue,
        };
        let number = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.1}"));
        writeln!(out, "  bar: {} {} against {}: {word}", held.bar.metric, number(held.figure), number(held.limit))?;
    }
    for note in &outcome.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

/// The metrics of some runs, each once, in the order in which they come.
fn names(runs: &[Run]) -> Vec<String> {
    let mut names = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        if !names.contains(&figure.metric) {
            names.push(figure.metric.clone());
        }
    }
    names
}
