//! The two runbooks of an application: the shipped ones, with its own way to deploy in them.

use super::quoted;
use crate::init::answers::Answers;
use crate::runbook::SHIPPED;

/// Where the release's is, from the root.
pub const RELEASE: &str = "runbooks/release.toml";
/// Where that of the way back is, from the root.
pub const EMERGENCY: &str = "runbooks/emergency-rollback.toml";

/// `runbooks/release.toml`: the shipped one with the application's own way to deploy in it.
pub fn runbook(answers: &Answers) -> String {
    let shipped = SHIPPED.iter().find(|(name, _)| *name == "release").map_or("", |(_, text)| text);
    let mut paragraphs: Vec<String> = shipped.split("\n\n").map(String::from).collect();
    if let Some(deploy) = paragraphs.iter_mut().find(|paragraph| paragraph.contains("${DEPLOY}")) {
        *deploy = deploy_step(answers);
    }
    paragraphs
        .join("\n\n")
        .replace(" release -e production ", &format!(" release -e {} ", answers.environment))
}

pub(super) fn deploy_step(answers: &Answers) -> String {
    const WHAT: &str = "# The database is open again, the flag still up: the new version is put in place. `undo` takes that back. It runs if\n\
         # the command was started, even if it failed: it must be right to run it twice. \"none\" waives it.\n";
    let Some(deploy) = &answers.deploy else {
        return format!(
            "{WHAT}#[[open]]\n#step = \"command\"\n#name = \"deploy\"\n#run = [\"systemctl\", \"restart\", \"api\"]\n\
             #undo = [\"systemctl\", \"restart\", \"api@previous\"]"
        );
    };
    let undo = answers.undo.as_deref().map_or("\"none\"".to_string(), in_shell);
    format!(
        "{WHAT}[[open]]\nstep = \"command\"\nname = \"deploy\"\nrun = {}\nundo = {undo}",
        in_shell(deploy)
    )
}

/// `runbooks/emergency-rollback.toml`: the shipped one with the way back of the application's own deploy.
pub fn emergency(answers: &Answers) -> String {
    let shipped = SHIPPED.iter().find(|(name, _)| *name == "emergency-rollback").map_or("", |(_, text)| text);
    let lines = shipped.lines().filter(|line| !line.starts_with("# A copy of this file"));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\n#\n\n", "\n\n");
    let paragraphs = text.split("\n\n").map(|paragraph| match paragraph.contains("${DEPLOY}") {
        true => start_step(answers),
        false => paragraph.to_string(),
    });
    let text = paragraphs.collect::<Vec<_>>().join("\n\n") + "\n";
    text.replace(" rollback -e production ", &format!(" rollback -e {} ", answers.environment))
}

fn start_step(answers: &Answers) -> String {
    const WHAT: &str =
        "# The old code is put in place: the deploy step of the release, the other way round.\n";
    let (Some(deploy), Some(undo)) = (&answers.deploy, &answers.undo) else {
        return format!(
            "{WHAT}#[[open]]\n#step = \"command\"\n#name = \"start the old code\"\n\
             #run = [\"systemctl\", \"restart\", \"api@previous\"]\n#undo = [\"systemctl\", \"restart\", \"api\"]"
        );
    };
    let (run, undo) = (in_shell(undo), in_shell(deploy));
    format!("{WHAT}[[open]]\nstep = \"command\"\nname = \"start the old code\"\nrun = {run}\nundo = {undo}")
}

/// The command that has a shell do `line`. A `${` in it is the shell's, which has the env file's variables too: what a
/// runbook fills in itself would be a secret from there on, and has none of a shell's other forms.
pub fn in_shell(line: &str) -> String {
    format!("[\"sh\", \"-c\", {}]", quoted(&line.replace("${", "$${")))
}
