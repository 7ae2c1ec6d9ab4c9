//! `backstay keep`: the process between a command of ours and its tunnel.

use clap::Args;

use crate::process::keeper;

/// Runs a program until standard input ends
#[derive(Debug, Args)]
pub struct Keep {
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    program: Vec<String>,
}

/// Ends the process with the program's exit code.
pub(super) async fn run(command: &Keep) -> ! {
    std::process::exit(keeper::keep(&command.program).await.into())
}
