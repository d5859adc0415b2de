//! What `cargo gate --full` adds: the release binary with its figures, the demo from it, the static binary of the image, the suite without
//! each defence, the admin page in a browser, what others wrote to try servers, and the peers of the bench.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use keygress_tests::tools;

use crate::suite::{self, Outcome, Suite};

/// The target of the image.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// The release binary may be this large.
const BINARY_BYTES_MAX: u64 = 15_000_000;

/// `keygress demo` may take this long.
const DEMO_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) fn suites() -> Vec<Outcome> {
    vec![
        Suite::cargo("release", Duration::from_secs(900), "build --locked --release --package keygress").run(),
        suite::inside("figures", Duration::from_secs(60), figures),
        Suite::new("static", Duration::from_secs(1200), static_build).run(),
        Suite::cargo("defences", Duration::from_secs(2400), "run --locked --profile ci --package keygress-tests --bin defences").run(),
        Suite::cargo("browser", Duration::from_secs(600), "run --locked --profile ci --package keygress-tests --bin browser").run(),
        Suite::cargo("conformance", Duration::from_secs(1500), "run --locked --profile ci --package keygress-tests --bin conformance")
            .run(),
        Suite::new("peers", Duration::from_secs(900), peers).run(),
    ]
}

/// The binary as the image holds it: musl, no dynamic part.
fn static_build() -> Result<Command> {
    tools::run(Command::new("rustup").args(["target", "add", STATIC])).context("the static binary needs the target: rustup target add")?;
    let compiler = tools::program("musl-gcc")?;
    let mut command = Command::new("cargo");
    command
        .args(["build", "--locked", "--release", "--package", "keygress", "--target", STATIC])
        .env("CC_x86_64_unknown_linux_musl", compiler);
    Ok(command)
}

/// The peers of the bench: installed, and each carries requests with the right credential.
fn peers() -> Result<Command> {
    let mut command = Command::new(tools::root().join("bench/run"));
    command.arg("--check");
    Ok(command)
}

fn figures() -> Result<()> {
    let binary = tools::root().join("target/release/keygress");
    let bytes = std::fs::metadata(&binary).context("the release binary")?.len();
    println!("binary: {:.1} MB", bytes as f64 / 1e6);
    ensure!(bytes <= BINARY_BYTES_MAX, "the binary has {bytes} bytes, more than {BINARY_BYTES_MAX}");

    let begun = Instant::now();
    tools::run(Command::new(&binary).arg("--version"))?;
    println!("start to version: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);

    let begun = Instant::now();
    tools::run(Command::new(&binary).arg("demo"))?;
    let took = begun.elapsed();
    println!("demo: {:.2} s", took.as_secs_f64());
    ensure!(took <= DEMO_TIME_MAX, "the demo took {took:?}, more than {DEMO_TIME_MAX:?}");
    Ok(())
}
