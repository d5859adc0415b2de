//! The command line: one file per subcommand, each with its `Args` and its `run`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// `keygress serve`: the proxy.
pub mod serve;

/// The application never holds a key.
#[derive(Debug, Parser)]
#[command(name = "keygress", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the proxy: the sidecar of a pod, or the egress proxy of a host.
    Serve(serve::Args),
}

/// Parses the arguments and runs the command: 0 where it did what it was asked, 1 where it failed, 2 where it was asked wrongly.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where not even this can be printed the exit code says it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args),
    };
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(anstream::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
