//! A child process that ends with its handle, and its lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to say that it is ready.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub struct Process {
    child: Child,
    lines: Arc<Lines>,
}

#[derive(Default)]
struct Lines {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    streams_open: usize,
}

impl Process {
    /// Starts a program; `input` is its whole standard input.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &mut Command, input: &str) -> Result<Self> {
        let name = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| name.clone())?;
        let lines = Arc::new(Lines::default());
        if let Some(stream) = child.stdout.take() {
            lines.follow(stream);
        }
        if let Some(stream) = child.stderr.take() {
            lines.follow(stream);
        }
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).with_context(|| name)?;
        }
        Ok(Self { child, lines })
    }

    /// Waits for a line that holds `sign`, and returns what follows it.
    ///
    /// # Errors
    /// Where the program ends or a minute passes without it; with its lines.
    pub fn wait_for(&self, sign: &str) -> Result<String> {
        let end = Instant::now() + READY_TIME_MAX;
        let mut heard = self.lines.heard.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(rest) = heard.lines.iter().find_map(|line| line.split_once(sign)).map(|(_, rest)| rest.trim().to_owned()) {
                return Ok(rest);
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.streams_open == 0 || left.is_zero() {
                bail!("`{sign}` never came:\n{}", heard.lines.join("\n"));
            }
            heard = self.lines.changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The port in its line `ready PORT`.
    ///
    /// # Errors
    /// Where that line does not come.
    pub fn port(&self) -> Result<u16> {
        Ok(self.wait_for("ready ")?.parse()?)
    }

    /// What it has printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.heard.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }
}

impl Lines {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        lines.heard.lock().unwrap_or_else(PoisonError::into_inner).streams_open += 1;
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                lines.heard.lock().unwrap_or_else(PoisonError::into_inner).lines.push(line);
                lines.changed.notify_all();
            }
            lines.heard.lock().unwrap_or_else(PoisonError::into_inner).streams_open -= 1;
            lines.changed.notify_all();
        });
    }
}

impl Process {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a service manager does, and returns all that it printed.
    ///
    /// # Errors
    /// Where it cannot be asked to end, or does not within a minute.
    pub fn end(mut self) -> Result<Vec<String>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).context("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let end = Instant::now() + READY_TIME_MAX;
        let mut heard = self.lines.heard.lock().unwrap_or_else(PoisonError::into_inner);
        while heard.streams_open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("it does not end:\n{}", heard.lines.join("\n"));
            }
            heard = self.lines.changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let lines = heard.lines.clone();
        drop(heard);
        self.child.wait()?;
        Ok(lines)
    }

    /// Ends it as a crash does: without a word before.
    ///
    /// # Errors
    /// Where it cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that was waited for has given its id back.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A polite end first: nginx and its like take their workers with them.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
