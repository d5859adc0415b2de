//! One suite of the gate: a command with a budget, and what became of it.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keygress_tests::tools;

/// A command that passes or fails as a whole.
pub(crate) struct Suite {
    name: &'static str,
    budget: Duration,
    command: Box<dyn FnOnce() -> Result<Command>>,
    excuse: Option<(&'static str, &'static str)>,
}

/// What became of a suite.
pub(crate) struct Outcome {
    name: &'static str,
    budget: Duration,
    took: Duration,
    /// Tests that passed; a suite without tests counts as one.
    pub(crate) passed: usize,
    /// Tests that failed, likewise.
    pub(crate) failed: usize,
    /// The tests that failed, by name.
    pub(crate) failing: Vec<String>,
    /// What they said: the end of it.
    pub(crate) said: Vec<String>,
    note: String,
}

/// How many lines of what failing tests said are shown once more at the end.
const LINES_SAID: usize = 60;

/// What the lines of a run told.
#[derive(Default)]
struct Told {
    passed: usize,
    failed: usize,
    ignored: usize,
    excused: bool,
    failing: Vec<String>,
    said: Vec<String>,
    /// Whether the lines are what failing tests said.
    failures: bool,
}

impl Suite {
    /// A suite that runs this command; the command may first have to be installed.
    pub(crate) fn new(name: &'static str, budget: Duration, command: impl FnOnce() -> Result<Command> + 'static) -> Self {
        Self { name, budget, command: Box::new(command), excuse: None }
    }

    /// A suite that is a cargo command.
    pub(crate) fn cargo(name: &'static str, budget: Duration, arguments: &str) -> Self {
        let mut command = Command::new("cargo");
        command.args(arguments.split(' '));
        Self::new(name, budget, || Ok(command))
    }

    /// Sets an environment variable.
    pub(crate) fn with(self, key: &'static str, value: &'static str) -> Self {
        let command = self.command;
        let command = Box::new(move || {
            let mut command = command()?;
            command.env(key, value);
            Ok(command)
        });
        Self { command, ..self }
    }

    /// A failure whose output holds `sign` is no failure of ours: the line `says` so in the summary.
    pub(crate) fn unless(self, sign: &'static str, says: &'static str) -> Self {
        Self { excuse: Some((sign, says)), ..self }
    }

    /// Runs it, shows its output, ends it where it outlives its budget.
    pub(crate) fn run(self) -> Outcome {
        let begun = announce(self.name, self.budget);
        let excuse = self.excuse;
        let ended = (self.command)().and_then(|command| watch(command, begun, self.budget, excuse.map(|(sign, _)| sign)));
        let mut outcome = Outcome { took: begun.elapsed(), ..Outcome::new(self.name, self.budget) };
        match ended {
            Err(error) => {
                println!("{error:#}");
                outcome.note = format!("{error:#}").lines().next().unwrap_or_default().into();
                outcome.failed = 1;
            }
            Ok((_, told)) if told.excused => outcome.note = excuse.map(|(_, says)| says).unwrap_or_default().into(),
            Ok((success, told)) => outcome.count(success, told),
        }
        outcome
    }
}

/// A suite that is a function of ours.
pub(crate) fn inside(name: &'static str, budget: Duration, work: impl FnOnce() -> Result<()>) -> Outcome {
    let begun = announce(name, budget);
    let result = work();
    let mut outcome = Outcome { took: begun.elapsed(), passed: 1, ..Outcome::new(name, budget) };
    if let Err(error) = result {
        println!("{error:#}");
        (outcome.passed, outcome.failed) = (0, 1);
        outcome.note = format!("{error:#}").lines().next().unwrap_or_default().into();
    }
    outcome
}

fn announce(name: &str, budget: Duration) -> Instant {
    println!("\n== {name} (budget {} s)", budget.as_secs());
    Instant::now()
}

impl Outcome {
    fn new(name: &'static str, budget: Duration) -> Self {
        Self { name, budget, took: Duration::ZERO, passed: 0, failed: 0, failing: Vec::new(), said: Vec::new(), note: "ok".into() }
    }

    /// The suite's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Takes in what a second run of the failing tests, alone, brought. Both runs stay in what is told.
    pub(crate) fn once_more(&mut self, second: &Self) {
        self.took += second.took;
        if second.failed == 0 && second.passed >= self.failing.len() {
            self.passed += self.failing.len();
            self.failed = 0;
            self.note = format!("ok, {} tests, but UNSTEADY, passed only when run again: {}", self.passed, self.failing.join(", "));
        } else {
            self.note = "FAILED, twice".into();
        }
    }

    fn count(&mut self, success: bool, told: Told) {
        let tests = told.passed + told.failed > 0;
        self.passed = if tests { told.passed } else { usize::from(success) };
        self.failed = if success { told.failed } else { told.failed.max(1) };
        self.note = match (success, tests) {
            (true, true) => format!("ok, {} tests", told.passed),
            (true, false) => "ok".into(),
            (false, _) => "FAILED".into(),
        };
        if told.ignored > 0 {
            self.failed += 1;
            self.note = format!("FAILED: {} tests are switched off", told.ignored);
        }
        let skipped = told.said.len().saturating_sub(LINES_SAID);
        self.said = told.said.into_iter().skip(skipped).collect();
        self.failing = told.failing;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {:>8.1} {:>8}  {}", self.name, self.took.as_secs_f64(), self.budget.as_secs(), self.note)
    }
}

/// Runs a command to its end or the end of its budget; whether it succeeded, and what its lines told.
fn watch(mut command: Command, begun: Instant, budget: Duration, sign: Option<&'static str>) -> Result<(bool, Told)> {
    let name = format!("{command:?}");
    // A group of its own, so that test processes end with it.
    command.current_dir(tools::root()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| name.clone())?;
    let told = Mutex::new(Told::default());
    let (done, ended) = channel::<()>();
    let status = std::thread::scope(|scope| {
        let streams: [Option<Box<dyn std::io::Read + Send>>; 2] =
            [child.stdout.take().map(|stream| Box::new(stream) as _), child.stderr.take().map(|stream| Box::new(stream) as _)];
        for stream in streams.into_iter().flatten() {
            let (told, done) = (&told, done.clone());
            scope.spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    println!("{line}");
                    if let Ok(mut told) = told.lock() {
                        told.hear(&line, sign);
                    }
                }
                drop(done);
            });
        }
        drop(done);
        let left = budget.saturating_sub(begun.elapsed());
        if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            end(&mut child);
            anyhow::bail!("FAILED: over its budget of {} s: {name}", budget.as_secs());
        }
        Ok(child.wait()?)
    })?;
    let told = told.into_inner().unwrap_or_default();
    Ok((status.success(), told))
}

/// Ends the process group of a child that this gate started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

impl Told {
    /// Reads the closing lines of `cargo test`.
    fn hear(&mut self, line: &str, sign: Option<&str>) {
        self.excused |= sign.is_some_and(|sign| line.contains(sign));
        if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
            && !self.failing.iter().any(|known| known == name)
        {
            self.failing.push(name.to_owned());
        }
        self.failures = (self.failures || line == "failures:") && !line.starts_with("test result: ");
        if self.failures {
            self.said.push(line.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split([';', '.']).map(str::trim) {
            let number = |name: &str| part.strip_suffix(name).and_then(|number| number.trim().parse::<usize>().ok()).unwrap_or(0);
            self.passed += number(" passed");
            self.failed += number(" failed");
            self.ignored += number(" ignored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        let mut told = Told::default();
        text.lines().for_each(|line| told.hear(line, Some("cannot reach")));
        told
    }

    #[test]
    fn closing_lines_are_added_up() {
        let told = told(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\nx\ntest result: FAILED. 4 passed; 2 failed; 1 ignored; 0 measured",
        );
        assert_eq!((told.passed, told.failed, told.ignored, told.excused), (7, 2, 1, false));
    }

    #[test]
    fn a_second_run_decides_and_both_are_told() {
        let failed =
            "test a::b ... FAILED\ntest c ... ok\nfailures:\nwhy\ntest a::b ... FAILED\ntest result: FAILED. 1 passed; 1 failed\nx";
        let first = || {
            let mut outcome = Outcome::new("x", Duration::ZERO);
            outcome.count(false, told(failed));
            outcome
        };
        assert_eq!((first().failing, first().failed), (vec!["a::b".to_owned()], 1));
        assert_eq!(first().said, ["failures:", "why", "test a::b ... FAILED"]);
        let ran = |passed, failed| Outcome { passed, failed, ..Outcome::new("again", Duration::ZERO) };
        for (second, failed) in [(ran(1, 0), 0), (ran(0, 1), 1), (ran(0, 0), 1)] {
            let mut outcome = first();
            outcome.once_more(&second);
            assert_eq!(outcome.failed, failed, "{outcome}");
            assert!(failed == 1 || outcome.note.contains("UNSTEADY, passed only when run again: a::b"), "{outcome}");
        }
    }

    #[test]
    fn a_suite_fails_with_its_command_and_with_a_test_that_is_switched_off() {
        let run = |script: &'static str| {
            Suite::new("x", Duration::from_secs(20), move || {
                let mut command = Command::new("sh");
                command.args(["-c", script]);
                Ok(command)
            })
            .unless("cannot reach", "not checked")
            .run()
        };
        assert_eq!((run("exit 0").passed, run("exit 0").failed), (1, 0));
        assert_eq!((run("exit 3").passed, run("exit 3").failed), (0, 1));
        let ignored = run("echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured'");
        assert_eq!((ignored.passed, ignored.failed), (3, 1));
        let excused = run("echo cannot reach it; exit 1");
        assert_eq!((excused.passed, excused.failed, excused.note.as_str()), (0, 0, "not checked"));
    }

    #[test]
    fn a_suite_that_outlives_its_budget_is_ended_and_fails() {
        let outcome = Suite::new("x", Duration::from_millis(50), || {
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 60"]);
            Ok(command)
        })
        .run();
        assert_eq!((outcome.passed, outcome.failed), (0, 1));
        assert!(outcome.took < Duration::from_secs(30), "{}", outcome.note);
    }
}
