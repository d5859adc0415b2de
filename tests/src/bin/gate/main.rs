//! `cargo gate`: everything that must hold before a change lands, in order, each suite with its budget. `--full` adds what is slow.
#![expect(clippy::print_stdout, reason = "the gate speaks to a terminal")]

/// One suite: run it within its budget, watch what it prints.
mod suite;

/// Instructions of the warm request path.
mod instructions;

/// What the full gate adds: the release binary, its figures, the demo.
mod release;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keygress_tests::tools;
use suite::{Outcome, Suite};

/// All that a suite may take together, from an empty cache on two cores.
const BUDGET: Duration = Duration::from_secs(45 * 60);

/// The tests of the workspace.
const TESTS: &str = "test --locked --profile ci --workspace --no-fail-fast";

/// This many failing tests are run once more: a machine that others use can spoil one, a fault of ours fails again. What failed first
/// is told in any case.
const MOST_AGAIN: usize = 3;

fn main() -> ExitCode {
    let full = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--full") => true,
        Some(other) => {
            println!("error: unexpected argument `{other}`\nhelp: `cargo gate` or `cargo gate --full`");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut outcomes = vec![suite::inside("tools", Duration::from_secs(300), provide)];
    for suite in quick() {
        let mut outcome = suite.run();
        if (1..=MOST_AGAIN).contains(&outcome.failing.len()) {
            outcome.once_more(&again(&outcome.failing).run());
        }
        outcomes.push(outcome);
    }
    outcomes.push(suite::inside("instructions", Duration::from_secs(180), instructions::suite));
    if full {
        outcomes.extend(release::suites());
    }
    summarise(&outcomes, begun.elapsed(), full)
}

/// The suites of every change. Their budgets and that of the tools add up to less than [`BUDGET`].
fn quick() -> Vec<Suite> {
    let cargo = |name, seconds, arguments: &str| Suite::cargo(name, Duration::from_secs(seconds), arguments);
    vec![
        cargo("fmt", 20, "fmt --all --check"),
        cargo("clippy", 420, "clippy --locked --profile ci --workspace --all-targets -- -D warnings"),
        cargo("tests", 1080, TESTS),
        cargo("docs", 180, "doc --locked --profile ci --workspace --no-deps").with("RUSTDOCFLAGS", "-D warnings"),
        Suite::new("deny", Duration::from_secs(420), || cargo_deny("--locked check --hide-inclusion-graph licenses bans sources")),
        Suite::new("advisories", Duration::from_secs(60), || cargo_deny("--locked check --hide-inclusion-graph advisories"))
            .unless("failed to fetch advisory database", "the advisory database cannot be reached from here: advisories were NOT checked"),
        Suite::new("typos", Duration::from_secs(20), || Ok(std::process::Command::new(tools::python()?.with_file_name("typos")))),
    ]
}

/// A second run of these tests alone.
fn again(failing: &[String]) -> Suite {
    Suite::cargo("again", Duration::from_secs(300), &format!("{TESTS} -- --exact {}", failing.join(" ")))
}

/// The toolchain is the MSRV or the line says that it is newer; then everything that is not Rust.
fn provide() -> Result<()> {
    let rustc = std::process::Command::new("rustc").arg("--version").output().context("rustc")?;
    let rustc = String::from_utf8_lossy(&rustc.stdout).trim().to_owned();
    let msrv = env!("CARGO_PKG_RUST_VERSION");
    let proven = if rustc.contains(&format!("rustc {msrv}.")) { "is the MSRV: this run proves it" } else { "is newer than the MSRV" };
    println!("{rustc} {proven} ({msrv})");
    for line in tools::provide_all()? {
        println!("{line}");
    }
    Ok(())
}

/// cargo-deny, built once for this machine where it is missing.
fn cargo_deny(arguments: &str) -> Result<std::process::Command> {
    if std::process::Command::new("cargo-deny").arg("--version").output().is_err() {
        println!("cargo-deny is missing: installing it");
        let install = ["install", "--quiet", "--locked", "--debug", "cargo-deny", "--version", "0.20.2"];
        tools::run(std::process::Command::new("cargo").args(install)).context("cargo-deny: cargo install --locked cargo-deny")?;
    }
    let mut command = std::process::Command::new("cargo");
    command.arg("deny").args(arguments.split(' '));
    Ok(command)
}

fn summarise(outcomes: &[Outcome], took: Duration, full: bool) -> ExitCode {
    println!("\n{:<12} {:>8} {:>8}  result", "suite", "seconds", "budget");
    for outcome in outcomes {
        println!("{outcome}");
    }
    println!("{:<12} {:>8.1} {:>8}", "together", took.as_secs_f64(), BUDGET.as_secs());
    let late = !full && took > BUDGET;
    if late {
        println!("the gate took longer than its budget");
    }
    for outcome in outcomes {
        outcome.said.iter().for_each(|line| println!("{}: {line}", outcome.name()));
    }
    let passed: usize = outcomes.iter().map(|outcome| outcome.passed).sum();
    let failed = outcomes.iter().map(|outcome| outcome.failed).sum::<usize>() + usize::from(late);
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
