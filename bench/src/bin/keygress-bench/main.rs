//! keygress beside its peers in one run: `bench/run` builds and calls this. What is measured is always another process.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use keygress_bench::child::{self, Program};
use keygress_bench::contender::keygress::Keygress;
use keygress_bench::contender::{self, Contender};
use keygress_bench::report;
use keygress_bench::results::{Machine, Outcome, Report};
use keygress_bench::scenario::{self, Bench, Cores, Progress, Scenario};

/// Rounds in which contenders take turns; of an odd number the median is one that was seen.
const ROUNDS: u16 = 5;

/// The same, if it is to be quick.
const ROUNDS_QUICK: u16 = 3;

/// keygress and its peers, in turns, before the same upstream.
#[derive(Debug, Parser)]
#[command(name = "keygress-bench", version, about)]
struct Args {
    /// Scenarios such as `S1`. Default: all in which peers take part.
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Fewer requests and rounds.
    #[arg(long)]
    quick: bool,
    /// Only these peers; keygress always runs. Default: all.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds in which contenders take turns. Default: 5, or 3 if quick.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// The keygress that is measured.
    #[arg(long, value_name = "FILE", default_value = "target/release/keygress")]
    keygress: PathBuf,
    /// Write `report.json` and `report.html` into this folder.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// One core for who is measured, and one for client and upstream.
    #[arg(long, value_name = "CORE,CORE", value_delimiter = ',', num_args = 2, default_value = "0,1")]
    cores: Vec<usize>,
    /// Read this `report.json` and write the page anew; nothing is measured.
    #[arg(long, value_name = "FILE")]
    again: Option<PathBuf>,
    /// Become the server that standard input orders.
    #[arg(long, hide = true, exclusive = true)]
    serve: bool,
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        let _ = writeln!(anstream::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.serve {
        child::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = match &args.again {
        Some(file) => serde_json::from_slice(&std::fs::read(file).with_context(|| file.display().to_string())?)?,
        None => measure(args)?,
    };
    write(&args.out, &report).with_context(|| format!("cannot write to `{}`", args.out.display()))?;
    write!(anstream::stdout(), "{}", report::terminal(&report))?;
    writeln!(anstream::stdout(), "\n{}", args.out.join("report.html").display())?;
    let runs = report.outcomes.iter().flat_map(|outcome| &outcome.rows).filter(|row| row.contender == "keygress").flat_map(|row| &row.runs);
    let is_right = runs.filter(|run| run.spoiled.is_none()).all(|run| run.errors.is_empty());
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(args: &Args) -> anyhow::Result<Report> {
    let scenarios = args.chosen()?;
    let (peers, absent) = args.peers()?;
    let [measured, others] = *args.cores else { bail!("`--cores` takes two") };
    ensure!(args.keygress.is_file(), "`{}` is not there: cargo build --release", args.keygress.display());
    child::raise_descriptor_limit();
    let machine = Machine::here();
    // Our threads and the upstream stay away from who is measured.
    child::pin(Some(others))?;
    let began = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut bench = Bench {
        servers: Program::ours(&["--serve"])?,
        keygress: Keygress::new(std::path::absolute(&args.keygress)?),
        peers,
        quick: args.quick,
        rounds: usize::from(args.rounds.unwrap_or(if args.quick { ROUNDS_QUICK } else { ROUNDS })),
        cores: Some(Cores { measured, others }),
        progress: Box::new(tell),
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for scenario in scenarios {
        outcomes.extend(scenario.run(&mut bench).with_context(|| scenario.id)?);
    }
    for outcome in &mut outcomes {
        outcome.notes.extend(absent.iter().map(|name| format!("{name} is not in it: it is not installed here")));
    }
    // bench/run says how it was called itself.
    let command = std::env::var("KEYGRESS_BENCH_COMMAND").unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "));
    Ok(Report { format: 1, began, command, quick: args.quick, machine, outcomes })
}

impl Args {
    fn chosen(&self) -> anyhow::Result<Vec<&'static Scenario>> {
        if self.scenarios.is_empty() {
            return Ok(scenario::SCENARIOS.iter().collect());
        }
        let known = || scenario::SCENARIOS.iter().map(|scenario| scenario.id).collect::<Vec<_>>().join(", ");
        self.scenarios
            .iter()
            .map(|name| scenario::find(name).with_context(|| format!("there is no scenario `{name}`: {}", known())))
            .collect()
    }

    /// The peers that take part, and the names of those that should and are not installed.
    fn peers(&self) -> anyhow::Result<(Vec<Box<dyn Contender>>, Vec<String>)> {
        let all = contender::peers();
        let unknown = self.only.iter().find(|name| *name != "keygress" && !all.iter().any(|peer| peer.name() == *name));
        if let Some(name) = unknown {
            bail!("there is no peer `{name}`: {}", all.iter().map(|peer| peer.name()).collect::<Vec<_>>().join(", "));
        }
        let wanted = all.into_iter().filter(|peer| self.only.is_empty() || self.only.iter().any(|name| name == peer.name()));
        let (present, absent): (Vec<_>, Vec<_>) = wanted.partition(|peer| contender::is_installed(&**peer));
        Ok((present, absent.iter().map(|peer| peer.name().to_owned()).collect()))
    }
}

fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(report)?)?;
    std::fs::write(folder.join("report.html"), report::html(report))?;
    Ok(())
}

/// Steps on one line that is overwritten where somebody looks; the table of each scenario as soon as it is there.
fn tell(progress: Progress<'_>) {
    let mut stderr = std::io::stderr();
    let is_watched = stderr.is_terminal();
    // Progress that cannot be shown is no reason to stop.
    let _ = match progress {
        Progress::Scenario(scenario) => writeln!(stderr, "{}: {}", scenario.id, scenario.about),
        Progress::Step(step) if is_watched => write!(stderr, "\r\x1b[K{step}"),
        Progress::Step(_) => Ok(()),
        Progress::Outcome(outcome) if is_watched => write!(stderr, "\r\x1b[K{}", report::table(outcome)),
        Progress::Outcome(outcome) => write!(stderr, "{}", report::table(outcome)),
    };
    let _ = stderr.flush();
}
