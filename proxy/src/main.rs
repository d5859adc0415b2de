//! The `keygress` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    keygress::cli::run()
}
