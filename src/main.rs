//! The `osier` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    osier::cli::main()
}
