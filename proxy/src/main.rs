//! The `keygress` binary.

use std::process::ExitCode;

// musl's own allocator costs several microseconds a request; glibc's is as quick as this one, and holds a third of the memory.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keygress::cli::run()
}
