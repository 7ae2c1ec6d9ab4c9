//! `backstay approve FILE`: who agrees to a plan is written into its file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Shell, Trouble, plan_file};
use crate::engine::proposal::Proposal;
use crate::failure::{Failure, Verdict};
use crate::journal::Driver;
use crate::steps::{Approval, How};
use crate::time::now;
use crate::ui::foreign::clean;
use crate::words::count;

/// Show a plan file, and write into it who agrees to it
#[derive(Debug, Args)]
pub struct Approve {
    /// The file of `backstay plan --out`
    file: PathBuf,
    /// Who agrees [default: the name of your account]
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Ask nothing: whoever --by names has agreed elsewhere
    #[arg(long, requires = "by")]
    yes: bool,
}

pub(super) async fn run(shell: &Shell, command: &Approve) -> Result<Verdict, Trouble> {
    let mut proposal = plan_file::read(&command.file)?;
    if !command.yes {
        // It comes from a file: nothing in it may move the cursor over what is to be read.
        shell.note(&clean(&show(&proposal)));
    }
    let question = format!("Is this to be released to {}?", clean(&proposal.environment));
    if !shell.confirm_by_name(&question, &proposal.environment, command.yes).await? {
        return Err(Failure::refused(format!("approve {}", command.file.display()))
            .because_of(format!("the answer was not {}", proposal.environment))
            .leaving("the file is as it was")
            .into());
    }
    let driver = Driver::this_process();
    let approval = Approval {
        by: name(command, &driver)?,
        how: if command.yes { How::Said } else { How::Typed },
        recorded_by: format!("{} on {}", driver.user, driver.machine.host),
        at: now(),
        of: proposal.hash(),
    };
    proposal.approval = Some(approval.clone());
    plan_file::write(&command.file, &proposal)?;
    let text = format!("{} is approved by {}", command.file.display(), approval.by);
    shell.tell(
        &text,
        json!({ "file": command.file, "environment": proposal.environment, "approval": approval }),
    );
    Ok(Verdict::Done)
}

/// Who agrees: one line, since it stands in the checklist.
fn name(command: &Approve, driver: &Driver) -> Result<String, Failure> {
    let Some(by) = &command.by else { return Ok(driver.user.clone()) };
    let by = by.trim();
    if by.is_empty() || by.chars().any(char::is_control) || by.chars().count() > 200 {
        return Err(Failure::usage("tell who approves")
            .because_of("--by must be a name on one line, of 200 characters at most")
            .leaving("the file is as it was"));
    }
    Ok(by.to_string())
}

fn show(proposal: &Proposal) -> String {
    let Proposal { runbook, environment, target, server, .. } = proposal;
    let mut text = format!("{} on {environment}, database {} on {server}", runbook.name, target.name);
    text.push_str(&format!(
        "\nplanned {}, commit {}",
        proposal.at,
        proposal.commit.as_deref().unwrap_or("unknown")
    ));
    for line in &proposal.lines {
        let id = line.id.to_string();
        text.push_str(&format!("\n  [ ] {id:>2} {}", line.name));
        let told = proposal.commands.get(&id).into_iter().flatten();
        told.for_each(|told| text.push_str(&format!("\n         {told}")));
    }
    match proposal.pending.as_slice() {
        [] => text.push_str("\nno migrations are pending"),
        pending => {
            let number = count(pending.len() as u64, "migration", "migrations");
            text.push_str(&format!("\n{number}: {}\n\n{}", pending.join(", "), proposal.sql));
        }
    }
    text
}
