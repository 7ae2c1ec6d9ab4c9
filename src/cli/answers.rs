//! `--answers FILE`: the checklist's questions, answered ahead.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Shell;
use crate::answers::Answers;
use crate::engine::plan::Plan;
use crate::engine::state::{State, Status};
use crate::failure::Failure;
use crate::time::show_bytes;

/// No file of answers is larger; a device that never ends would be.
const LARGEST: u64 = 1_000_000;

/// Answers to a checklist
#[derive(Debug, Args)]
pub struct Answering {
    /// Answers to the runbook's checklist questions, in TOML or JSON: "the question" = true, or
    /// = { answer = "yes", by = "who", note = "…" }
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl Answering {
    /// The answers, with nothing left to be asked that nobody could be asked for.
    ///
    /// # Errors
    /// The file is no file of answers, or answers what `plan` does not ask; a question is left open and there is no
    /// terminal to ask on (exit 2). An answer is a no (exit 3). Nothing was begun.
    pub fn read(
        &self,
        shell: &Shell,
        verb: &str,
        runbook: &str,
        plan: &Plan,
        state: &State,
    ) -> Result<Answers, Failure> {
        let answers = self.answers.as_deref().map(load).transpose()?.unwrap_or_default();
        let asked: Vec<(&str, &str)> =
            plan.questions().map(|(ask, line)| (ask, line.name.as_str())).collect();
        answers.expect_asked(&asked)?;
        let open: Vec<(&str, &str)> = plan
            .questions()
            .filter(|(_, line)| state.status(line.id) != Status::Finished)
            .map(|(ask, line)| (ask, line.name.as_str()))
            .collect();
        if let Some((ask, _)) =
            open.iter().find(|(ask, name)| answers.to(ask, name).is_some_and(|answer| !answer.yes))
        {
            return Err(Failure::refused(format!("{verb} {runbook}"))
                .because_of(format!("{} answers no to: {ask}", answers.file))
                .leaving("nothing was begun")
                .then("see to it, and correct the answer"));
        }
        let missing: Vec<&str> =
            open.iter().filter(|(ask, name)| answers.to(ask, name).is_none()).map(|(ask, _)| *ask).collect();
        if missing.is_empty() || shell.can_ask() {
            return Ok(answers);
        }
        Err(unanswered(verb, runbook, &missing))
    }
}

fn load(path: &Path) -> Result<Answers, Failure> {
    let file = path.display().to_string();
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(std::io::Error::other(format!("it holds more than {}", show_bytes(LARGEST))));
        }
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| {
        Failure::usage(format!("read the answers in {file}")).caused_by(&error).leaving("nothing was begun")
    })?;
    Answers::parse(&text, &file)
}

fn unanswered(verb: &str, runbook: &str, missing: &[&str]) -> Failure {
    let mut failure = Failure::usage(format!("{verb} {runbook} without a person"))
        .because_of("its checklist has questions, and there is no terminal to ask them on")
        .leaving("nothing was begun")
        .then("give --answers FILE with these lines, or run it in a terminal; --yes does not answer them:");
    for ask in missing {
        failure = failure.then(format!("{ask:?} = {{ answer = \"yes\", by = \"who says so\" }}"));
    }
    failure
}
