//! `backstay completions SHELL`: what the shell needs to complete our commands and options.

use clap::Args;
use clap_complete::{Shell as Kind, generate};

use super::{Shell, Trouble, output};
use crate::failure::{Failure, Verdict};
use crate::runbook::SHIPPED;

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
    output::print(&script(command.shell));
    Ok(Verdict::Done)
}

/// The shell's script: clap's, and what it can't know, the names of a project's environments and runbooks. elvish and
/// PowerShell have clap's alone. **Pure.**
fn script(shell: Kind) -> String {
    let mut script = Vec::new();
    generate(shell, &mut offered(super::command()), super::PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Kind::Bash => {
            let (functions, registered) = script.split_at(script.rfind("\nif ").unwrap_or(script.len()));
            let registered = registered.replace("complete -F _backstay ", "complete -F _backstay_here ");
            format!("{functions}{}{registered}", here(include_str!("completions/here.bash")))
        }
        Kind::Zsh => {
            let lines: Vec<String> = script.lines().map(asking_the_folder).collect();
            let script = lines.join("\n");
            let (functions, called) = script.split_at(script.rfind("\nif ").unwrap_or(script.len()));
            format!("{functions}{}{called}\n", here(include_str!("completions/here.zsh")))
        }
        Kind::Fish => format!("{script}{}", here(include_str!("completions/here.fish"))),
        _ => script.into_owned(),
    }
}

fn here(text: &str) -> String {
    let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    text.replace("@SHIPPED@", &shipped.join(" "))
}

/// A line of zsh's script, where it asks for an environment or a runbook.
fn asking_the_folder(line: &str) -> String {
    let by = if line.starts_with("'-e+[") || line.starts_with("'--env=[") {
        ":_backstay_environments'"
    } else if line.starts_with("':runbook ") || line.starts_with("'::runbook ") {
        ":_backstay_runbooks'"
    } else {
        return line.to_string();
    };
    line.replace(":_default'", by)
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
            let script = script(shell);
            for word in ["doctor", "downgrade", "--put-back"] {
                let word = if shell == Kind::Fish { word.trim_start_matches("--") } else { word };
                assert!(script.contains(word), "{shell}: no {word}");
            }
            assert!(!script.contains("demo-app"), "{shell} completes what is hidden");
        }
    }

    /// What bash offers for `line`, as it is typed in `folder`.
    fn offered_by_bash(folder: &std::path::Path, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let ask = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _backstay_here backstay \"${{COMP_WORDS[COMP_CWORD]}}\" x\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script(Kind::Bash),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
        );
        let asked =
            std::process::Command::new("bash").arg("-c").arg(ask).current_dir(folder).output().unwrap();
        assert!(asked.stderr.is_empty(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn bash_offers_the_environments_and_runbooks_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("shop");
        for file in [
            "config/production.toml",
            "config/staging.toml",
            "config/default.toml",
            "runbooks/reindex.toml",
            "runbooks/$(false).toml",
        ] {
            let path = project.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let offered = |line: &str| offered_by_bash(&project, line);
        assert_eq!(offered("backstay status -e "), ["production", "staging"]);
        assert_eq!(offered("backstay run re"), ["reindex", "release"]);
        assert_eq!(offered("backstay -e production plan $"), ["$(false)"]);
        assert_eq!(offered("backstay run release --pla"), ["--plan", "--plain"]);
        assert_eq!(offered_by_bash(root.path(), "backstay -C shop doctor -e st"), ["staging"]);
        assert!(offered_by_bash(root.path(), "backstay stat").contains(&"status".to_string()));
    }

    #[test]
    fn zsh_and_fish_ask_the_folder_too() {
        let zsh = script(Kind::Zsh);
        assert!(zsh.contains(":ENV:_backstay_environments'") && zsh.contains(":_backstay_runbooks'"));
        assert!(zsh.trim_end().ends_with("fi"), "what calls it stays last");
        assert!(script(Kind::Fish).contains("-s e -l env -x -a '(__fish_backstay_names config"));
    }
}
