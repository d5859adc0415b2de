//! What a scenario has at hand.

use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::{fs, io::Write};

use anyhow::Context;
use tempfile::TempDir;

use super::{Scenario, Shape};
use crate::child::Program;
use crate::contender::keygress::Keygress;
use crate::contender::{Contender, Running, Site};
use crate::load::Protocol;
use crate::results::{Outcome, Row};
use crate::upstream::{self, Upstream};

/// Everything that a `keygress bench` runs with.
pub struct Bench {
    /// How this program is started as a server.
    pub servers: Program,
    /// keygress itself.
    pub keygress: Keygress,
    /// Who takes turns with it.
    pub peers: Vec<Box<dyn Contender>>,
    /// Fewer requests, fewer runs: about a minute for everything.
    pub quick: bool,
    /// Rounds in which contenders take turns.
    pub rounds: usize,
    /// One core for who is measured and one for all others; without it the scheduler decides.
    pub cores: Option<Cores>,
    /// Is told what happens.
    pub progress: Box<dyn FnMut(Progress<'_>)>,
}

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Of who is measured.
    pub measured: usize,
    /// Of the client and the upstream.
    pub others: usize,
}

/// What happens now.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'p> {
    /// A scenario begins.
    Scenario(&'p Scenario),
    /// A step of it.
    Step(&'p str),
    /// A part of it has its result.
    Outcome(&'p Outcome),
}

/// The upstream and the credential of one scenario.
pub(super) struct Scene {
    pub(super) upstream: Upstream,
    pub(super) token: String,
    pub(super) token_file: PathBuf,
    folder: TempDir,
}

/// A contender that is up, and what it did so far.
pub(super) struct Turn {
    pub(super) row: Row,
    pub(super) running: Running,
}

impl Bench {
    /// Tells what happens now.
    pub(super) fn step(&mut self, step: &str) {
        (self.progress)(Progress::Step(step));
    }

    /// `full`, or `quick` where it is to be quick.
    pub(super) fn either<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Starts an upstream and makes a token.
    pub(super) fn scene(&self, protocol: Protocol) -> anyhow::Result<Scene> {
        self.scene_on(protocol, self.cores.map(|cores| cores.others))
    }

    /// As [`Bench::scene`], with the upstream on this core.
    pub(super) fn scene_on(&self, protocol: Protocol, core: Option<usize>) -> anyhow::Result<Scene> {
        let settings = upstream::Settings { h2: protocol == Protocol::Http2, core, threads: 1 };
        let upstream = upstream::start(&self.servers, &settings).context("the upstream")?;
        let folder = tempfile::Builder::new().prefix("keygress-bench-").tempdir()?;
        let token = token()?;
        let token_file = folder.path().join("token");
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&token_file)?;
        file.write_all(token.as_bytes())?;
        Ok(Scene { upstream, token, token_file, folder })
    }

    /// Who is measured: 0 is keygress, then the peers.
    pub(super) fn contender(&self, number: usize) -> &dyn Contender {
        match number.checked_sub(1).and_then(|peer| self.peers.get(peer)) {
            Some(peer) => &**peer,
            None => &self.keygress,
        }
    }

    /// Who has this name.
    pub(super) fn named(&self, name: &str) -> Option<&dyn Contender> {
        (0..=self.peers.len()).map(|number| self.contender(number)).find(|contender| contender.name() == name)
    }

    /// Starts everyone who can do this, keygress first; the notes say who is not in it, and why.
    pub(super) fn start_all(&self, scene: &Scene, shape: &Shape) -> anyhow::Result<(Vec<Turn>, Vec<String>)> {
        let (mut turns, mut notes) = (Vec::new(), Vec::new());
        for number in 0..=self.peers.len() {
            let contender = self.contender(number);
            let folder = scene.folder(contender.name())?;
            let started =
                contender.can(shape).map_err(anyhow::Error::msg).and_then(|()| contender.start(&scene.site(self, &folder, shape)));
            match started {
                Ok(running) => turns.push(Turn { row: Row::of(contender), running }),
                // Without keygress there is nothing to measure.
                Err(error) if number == 0 => return Err(error),
                Err(error) => notes.push(format!("{} is not in it: {error:#}", contender.name())),
            }
        }
        Ok((turns, notes))
    }

    /// The core of who is measured.
    pub(super) fn measured_core(&self) -> Option<usize> {
        self.cores.map(|cores| cores.measured)
    }
}

impl Scene {
    /// A folder of its own for a contender.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join(name.replace([' ', '/'], "-"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// What a contender finds.
    pub(super) fn site<'s>(&'s self, bench: &Bench, folder: &'s std::path::Path, shape: &'s Shape) -> Site<'s> {
        Site { folder, upstream: &self.upstream, shape, token_file: &self.token_file, token: &self.token, core: bench.measured_core() }
    }
}

/// A token that nobody used before.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0; 20];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("no randomness")?;
    Ok(bytes.iter().fold("sk_bench_".to_owned(), |token, byte| format!("{token}{byte:02x}")))
}
