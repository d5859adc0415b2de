//! `conformance`: what others wrote to try servers, against the listeners of this proxy: h2spec, testssl.sh, slowhttptest. Each finding is
//! judged in one place, beside the program that makes it; what is not judged fails. Names of programs as arguments: those alone.
//!
//! Connections to the upstream's name are captured, so that programs which know of no proxy speak to the intercepting listener; one that
//! sends no server name is brought through a `CONNECT`. Needs root, for a network namespace.
#![expect(clippy::print_stdout, reason = "it speaks to a terminal")]

/// HTTP/2, case by case.
mod h2spec;

/// TLS, as scanners see it.
mod testssl;

/// Who is slow on purpose.
mod slow;

/// `CONNECT` for clients that know of no proxy.
mod relay;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use keygress_tests::attack::ground::Ground;
use keygress_tests::tools;

/// A program, and what it comes to.
type Trial = fn() -> Result<String>;

/// All of them.
const TRIALS: [(&str, Trial); 3] = [("h2spec", h2spec::run), ("testssl", testssl::run), ("slowhttptest", slow::run)];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !TRIALS.iter().any(|(known, _)| known == name)) {
        println!("error: there is no `{unknown}`\nhelp: name some of h2spec, testssl, slowhttptest");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for (name, trial) in TRIALS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name)) {
        let begun = Instant::now();
        let ended = trial().with_context(|| format!("{name} came to something that is not judged"));
        let seconds = begun.elapsed().as_secs();
        match ended {
            Ok(said) => println!("{name}, {seconds} s: {said}"),
            Err(why) => {
                println!("{name}, {seconds} s: FAILED\n{why:#}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Where connections to the upstream are captured.
fn captured<U>(ground: &Ground<U>) -> Result<IpAddr> {
    ground.target.captured.context("nothing is captured")
}

/// This program for the ground's network, in which the name of the upstream leads to this address.
fn command<U>(ground: &Ground<U>, program: PathBuf, address: IpAddr) -> Result<Command> {
    let hosts = ground.site.write("hosts", &format!("127.0.0.1 localhost\n{address} {}\n", ground.target.host))?;
    let mut command = Command::new(tools::program("unshare")?);
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(hosts).arg(program);
    command.current_dir(ground.site.folder());
    Ok(command)
}
