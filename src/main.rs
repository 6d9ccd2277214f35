//! The `osier` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread and any runtime: the keeper must have one thread.
    #[cfg(all(target_os = "linux", feature = "process"))]
    if let Some(code) = osier::runtime::keeper::run_if_asked() {
        return code;
    }
    osier::cli::main()
}
