//! Redis: OpenBao makes and removes its users.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::nginx::free_port;
use crate::client::TIME_MAX;
use crate::process::Process;
use crate::site::{Site, canary};
use crate::tools;

/// A running Redis.
pub struct Redis {
    /// Its port.
    pub port: u16,
    /// The password of its user `default`.
    pub password: String,
    _process: Process,
}

impl Redis {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be had or started.
    pub fn start(site: &Site) -> Result<Self> {
        let password = canary()?;
        let mut last = None;
        // Another process may take the port between our look and its bind.
        for _ in 0..5 {
            let port = free_port()?;
            let mut command = Command::new(tools::program("redis-server")?);
            command.current_dir(site.folder()).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--requirepass", &password, "--save", "", "--appendonly", "no"]);
            let process = Process::start(&mut command, "")?;
            match process.wait_for("Ready to accept connections") {
                Ok(_) => return Ok(Self { port, password, _process: process }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("redis-server")?)
    }

    /// Whether somebody may log in so.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn admits(&self, user: &str, password: &str) -> Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(TIME_MAX))?;
        write!(stream, "AUTH {user} {password}\r\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.starts_with("+OK"))
    }

    /// Waits until somebody may log in no more: with a session OpenBao ends what hangs on it, and does so after it has answered.
    ///
    /// # Errors
    /// Where the user is still admitted after [`TIME_MAX`], or Redis does not answer.
    pub fn await_end_of(&self, user: &str, password: &str) -> Result<()> {
        let begun = Instant::now();
        while self.admits(user, password)? {
            ensure!(begun.elapsed() < TIME_MAX, "Redis still knows {user}");
        }
        Ok(())
    }
}
