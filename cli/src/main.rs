//! The command `fleche`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleche_cli::main()
}
