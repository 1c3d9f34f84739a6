//! The command line inside a program that is not `fleche`, as a user's own binary has it.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleche_cli::main()
}
