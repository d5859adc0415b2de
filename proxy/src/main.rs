//! The `keygress` binary.

use std::io::Write;
use std::process::ExitCode;

// musl's own allocator costs several microseconds a request; glibc's is as quick as this one, and holds a third of the memory.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // What a panic says may hold what it worked on: where it happened is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let _ = writeln!(std::io::stderr(), "error: keygress failed{place}; please report it");
    }));
    keygress::cli::run()
}
