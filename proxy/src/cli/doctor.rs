//! `keygress doctor`: what holds on this machine and what does not, tried and not only read; and one request through the real data path.

/// The machine and the settings: user, files, audit, clock, certificates.
mod surroundings;

/// Attempts at what the sandbox forbids.
mod attempts;

/// One request, from a client of ours to a server of ours.
mod wire;

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::check::Format;
use crate::config::Flags;
use crate::sandbox::{Measure, State};

/// Arguments of `keygress doctor`: those of `serve`, as it would be started.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How one finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Good,
    Warning,
    Bad,
}

/// One line of the report.
struct Finding {
    name: String,
    level: Level,
    detail: String,
}

impl Finding {
    fn new(name: impl Into<String>, level: Level, detail: impl Into<String>) -> Self {
        Self { name: name.into(), level, detail: detail.into() }
    }
}

impl From<&Measure> for Finding {
    fn from(measure: &Measure) -> Self {
        let level = match measure.state {
            State::Enforced => Level::Good,
            State::Partly => Level::Warning,
            State::Missing => Level::Bad,
        };
        Self::new(measure.name, level, &measure.detail)
    }
}

/// A group of findings.
struct Chapter {
    title: &'static str,
    findings: Vec<Finding>,
}

/// Looks at everything, prints it, and exits with 1 where something is bad.
///
/// # Errors
/// Where the settings are wrong or the report cannot be printed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    crate::sandbox::undumpable();
    let settings = if args.flags.names_a_policy() { Some(args.flags.settings()?) } else { None };
    let surroundings = surroundings::look(settings.as_ref());
    let certificates = surroundings::certificates(settings.as_ref());
    let wire = wire::Wire::prepare()?;
    let measures = wire.measures().iter().map(Finding::from);
    let process: Vec<_> = measures.chain([attempts::all(wire.elsewhere())]).collect();
    let wire = wire.prove();
    let chapters = [
        Chapter { title: "the process that `serve` becomes", findings: process },
        Chapter { title: "where it runs", findings: surroundings },
        Chapter { title: "who trusts its certificates", findings: certificates },
        Chapter { title: "one request on the wire", findings: wire },
    ];
    match args.format {
        Format::Text => print(&chapters)?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", as_json(&chapters))?,
    }
    let is_bad = chapters.iter().flat_map(|chapter| &chapter.findings).any(|finding| finding.level == Level::Bad);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const TITLE: Style = Style::new().bold();

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    fn mark(self) -> (&'static str, Style) {
        match self {
            Self::Good => ("✔", AnsiColor::Green.on_default().bold()),
            Self::Warning => ("!", AnsiColor::Yellow.on_default().bold()),
            Self::Bad => ("✘", AnsiColor::Red.on_default().bold()),
        }
    }
}

fn print(chapters: &[Chapter]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let width = chapters.iter().flat_map(|chapter| &chapter.findings).map(|finding| finding.name.chars().count()).max().unwrap_or(0);
    writeln!(out, "{TITLE}keygress {}{TITLE:#} on Linux {}", env!("CARGO_PKG_VERSION"), kernel())?;
    for Chapter { title, findings } in chapters.iter().filter(|chapter| !chapter.findings.is_empty()) {
        writeln!(out, "\n{TITLE}{title}{TITLE:#}")?;
        for Finding { name, level, detail } in findings {
            let (mark, style) = level.mark();
            writeln!(out, "  {style}{mark}{style:#} {name:width$}  {detail}")?;
        }
    }
    let count = |level| chapters.iter().flat_map(|chapter| &chapter.findings).filter(|finding| finding.level == level).count();
    writeln!(out, "\n{} good, {} to look at, {} bad", count(Level::Good), count(Level::Warning), count(Level::Bad))
}

fn as_json(chapters: &[Chapter]) -> Value {
    let chapters = chapters.iter().map(|Chapter { title, findings }| {
        let findings =
            findings.iter().map(|Finding { name, level, detail }| json!({ "name": name, "level": level.as_str(), "detail": detail }));
        json!({ "title": title, "findings": findings.collect::<Vec<_>>() })
    });
    json!({ "version": env!("CARGO_PKG_VERSION"), "kernel": kernel(), "chapters": chapters.collect::<Vec<_>>() })
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
