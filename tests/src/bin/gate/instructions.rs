//! Instructions of the warm request path, counted by valgrind: the one figure of speed that noise cannot fool. They are kept in
//! `bench/instructions.json`; a path that became dearer fails, and so does a number that is not true any more.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use keygress_tests::tools;
use serde_json::Value;

/// Where the numbers are kept.
const KEPT: &str = "bench/instructions.json";

/// Rounds of the shorter run, and how many more the longer one has: the difference knows nothing of start and end.
const ROUNDS: u64 = 200;
const MORE_ROUNDS: u64 = 3000;

/// Builds the fixed program and counts.
pub(crate) fn suite() -> Result<()> {
    tools::run(Command::new("cargo").args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "ci",
        "--package",
        "keygress-bench",
        "--example",
        "warm_path",
    ]))?;
    let kept = tools::root().join(KEPT);
    let kept: Value = serde_json::from_slice(&std::fs::read(&kept)?).with_context(|| KEPT)?;
    let tolerance = kept["tolerance_percent"].as_f64().with_context(|| format!("{KEPT}: tolerance_percent"))?;
    let program = tools::root().join("target/ci/examples/warm_path");
    let mut wrong = Vec::new();
    for part in ["request", "record"] {
        let expected = kept[part].as_u64().with_context(|| format!("{KEPT}: {part}"))?;
        let counted = instructions(&program, part)?;
        println!("{part}: {counted} instructions, {expected} are kept");
        wrong.extend(judge(part, counted, expected, tolerance));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// What one round of a part costs.
fn instructions(program: &Path, part: &str) -> Result<u64> {
    let (few, many) = (total(program, part, ROUNDS)?, total(program, part, ROUNDS + MORE_ROUNDS)?);
    Ok(many.saturating_sub(few) / MORE_ROUNDS)
}

/// Everything that a run of the program executes.
fn total(program: &Path, part: &str, rounds: u64) -> Result<u64> {
    let output = Command::new(tools::program("valgrind")?)
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args([part, &rounds.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {said}");
    counted(&said).ok_or_else(|| anyhow!("valgrind counted nothing: {said}"))
}

/// The number behind `I refs:`; versions differ in the spaces between.
fn counted(said: &str) -> Option<u64> {
    let (_, number) = said.lines().filter_map(|line| line.split_once(" refs:")).find(|(name, _)| name.trim_end().ends_with('I'))?;
    number.trim().replace(',', "").parse().ok()
}

/// What is wrong with a count: too many, or so few that the kept number would let the next change waste the difference.
fn judge(part: &str, counted: u64, expected: u64, tolerance: f64) -> Option<String> {
    let percent = (counted as f64 / (expected as f64).max(1.0) - 1.0) * 100.0;
    if percent > tolerance {
        return Some(format!("`{part}` became {percent:.1} % dearer: {counted} instructions instead of {expected}"));
    }
    (percent < -tolerance).then(|| format!("`{part}` became {:.1} % cheaper: set it to {counted} in {KEPT}", -percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_per_cent_more_fails_and_so_does_a_number_that_is_not_true_any_more() {
        assert_eq!(judge("request", 1000, 1000, 5.0), None);
        assert_eq!((judge("request", 1049, 1000, 5.0), judge("request", 951, 1000, 5.0)), (None, None));
        assert!(judge("request", 1100, 1000, 5.0).unwrap().contains("10.0 % dearer"));
        assert!(judge("request", 900, 1000, 5.0).unwrap().contains("set it to 900"));
        assert!(judge("request", 1000, 0, 5.0).is_some(), "a number that was never measured is none");
    }

    #[test]
    fn valgrinds_count_is_read() {
        assert_eq!(counted("==1== \n==1== I refs:        2,345,678\n==1==\n"), Some(2_345_678));
        assert_eq!(counted("==1== \n==1== I   refs:      345,678\n==1== LL refs: 1\n"), Some(345_678));
        assert_eq!(counted("==1== nothing"), None);
    }
}
