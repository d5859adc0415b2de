use anyhow::{Context, Result, ensure};
use keygress_tests::attack::ground::Ground;
use keygress_tests::tools;

use super::{captured, command};

/// How many cases it has, in its strict mode.
const CASES: u32 = 146;

/// Every case passes: nothing is judged away.
pub(super) fn run() -> Result<String> {
    // What is installed is installed before the network is another.
    let h2spec = tools::h2spec()?;
    let ground = Ground::new()?;
    let mut h2spec = command(&ground, h2spec, captured(&ground)?)?;
    let port = ground.target.port.to_string();
    h2spec.args(["--host", &ground.target.host, "--port", &port, "--tls", "--insecure", "--strict", "--timeout", "5"]);
    let output = h2spec.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().rev().find(|line| line.contains(" tests, ")).with_context(|| said.clone())?.to_owned();
    let expected = format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed");
    ensure!(output.status.success() && last == expected, "`{expected}` was expected\n{said}");
    ground.left()?;
    Ok(last)
}
