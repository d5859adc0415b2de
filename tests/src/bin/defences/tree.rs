use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use keygress_tests::attack::defences::Removal;
use keygress_tests::tools;

/// How long a test may take: without its defence it may also never end, which is seen.
const TEST_TIME_MAX: Duration = Duration::from_secs(90);

/// A copy of all that git knows of this tree, and a target folder of its own.
pub(crate) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    /// It was ended after [`TEST_TIME_MAX`].
    Hung,
}

impl Ended {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "UNSEEN",
            Self::Failed => "fails",
            Self::Hung => "never ends",
        }
    }
}

impl Tree {
    /// Copies what has changed since the last time: what has not keeps its times, and is not built again.
    pub(crate) fn copied() -> Result<Self> {
        let from = tools::root();
        let folder = from.join("target/defences");
        let tree = Self { root: folder.join("tree"), target: folder.join("target") };
        let listed =
            Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(&from).output()?;
        ensure!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            // What git still lists may be deleted by now.
            if let Ok(bytes) = fs::read(from.join(name)) {
                write(&tree.root.join(name), &bytes)?;
            }
        }
        Ok(tree)
    }

    /// Builds the suite. What does not build shows nothing.
    pub(crate) fn build(&self) -> Result<()> {
        let done = self.cargo(&["--no-run"]).output()?;
        ensure!(done.status.success(), "the tree does not build:\n{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Runs one test of the suite.
    pub(crate) fn run(&self, test: &str) -> Result<Ended> {
        let output = self.root.with_file_name("output");
        let file = fs::File::create(&output)?;
        let mut command = self.cargo(&["--", "--exact", test]);
        command.stdout(file.try_clone()?).stderr(file).process_group(0);
        let mut child = command.spawn().context("cargo")?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > TEST_TIME_MAX {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                    rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
                }
                child.wait()?;
                return Ok(Ended::Hung);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = fs::read_to_string(&output)?;
        let line = |result: &str| said.contains(&format!("\ntest {test} ... {result}\n"));
        match (status.success(), line("ok"), line("FAILED")) {
            (true, true, false) => Ok(Ended::Passed),
            (false, false, true) => Ok(Ended::Failed),
            _ => bail!("`{test}` ended otherwise than a test does:\n{said}"),
        }
    }

    /// Does this while a defence is missing; afterwards it is there again.
    pub(crate) fn without<T>(&self, removal: &Removal, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.root.join(removal.file);
        let text = fs::read_to_string(&path)?;
        ensure!(text.matches(removal.from).count() == 1, "`{}`: what it takes away is not once in {}", removal.name, removal.file);
        fs::write(&path, text.replacen(removal.from, removal.to, 1))?;
        let done = work(self).with_context(|| format!("without `{}`", removal.name));
        fs::write(&path, text)?;
        done
    }

    fn cargo(&self, more: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(["test", "--locked", "--profile", "ci", "--workspace", "--test", "adversarial"]).args(more);
        // Only what a removal touches is compiled again.
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).env("CARGO_INCREMENTAL", "1").stdin(Stdio::null());
        command
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}
