//! `backstay completions SHELL`: what the shell needs to complete our commands and options.

use clap::Args;
use clap_complete::{Shell as Kind, generate};

use super::{Shell, Trouble, output};
use crate::failure::{Failure, Verdict};

/// Print the completions for a shell: bash, zsh, fish, elvish, powershell
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Kind,
}

pub(super) fn run(shell: &Shell, command: &Completions) -> Result<Verdict, Trouble> {
    if shell.json() {
        return Err(Failure::usage("print completions as JSON").then("leave --json out").into());
    }
    let mut script = Vec::new();
    generate(command.shell, &mut offered(super::command()), super::PROGRAM, &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(Verdict::Done)
}

/// The program without the commands that are hidden, which clap_complete would offer.
fn offered(program: clap::Command) -> clap::Command {
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new(super::PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments().cloned())
        .subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Kind::Bash, Kind::Zsh, Kind::Fish] {
            let mut script = Vec::new();
            generate(shell, &mut offered(super::super::command()), "backstay", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["doctor", "downgrade", "--put-back"] {
                let word = if shell == Kind::Fish { word.trim_start_matches("--") } else { word };
                assert!(script.contains(word), "{shell}: no {word}");
            }
            assert!(!script.contains("demo-app"), "{shell} completes what is hidden");
        }
    }
}
