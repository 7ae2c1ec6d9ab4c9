//! What everybody on this machine can read with `ps`: the arguments of our programs. No secret belongs there
//! (invariant 10); who writes the config can put one there all the same.

use std::borrow::Cow;

use super::Finding;
use crate::config::{Config, Flag, FreeDisk};
use crate::redact::redact;
use crate::runbook::Undo;
use crate::steps::Outline;

/// A warning for each program of the config and of the plan whose arguments show a secret that we know.
pub(super) fn examine(config: &Config, outline: &Outline) -> Vec<Finding> {
    let shown = programs(config, outline).into_iter().filter(|(_, argv)| {
        // Whatever is masked in them is one.
        argv.iter().any(|argument| matches!(redact(argument), Cow::Owned(_)))
    });
    let finding = |(key, _)| {
        Finding::warns(
            format!(
                "{key} has a secret among its arguments, which everybody on this machine can read with ps"
            ),
            "leave it to a file that only this user can read (~/.pgpass), or to the program's environment, which has \
             the variables of the env file: in a shell's text, $NAME instead of ${NAME}",
        )
    };
    shown.map(finding).collect()
}

/// Every program that we start, by the key that names it.
fn programs<'a>(config: &'a Config, outline: &'a Outline) -> Vec<(String, &'a [String])> {
    let mut programs = Vec::new();
    let mut add = |key: String, argv: &'a [String]| programs.push((key, argv));
    for (line, command) in &outline.commands {
        add(format!("run of the command on line {line}"), &command.run);
        if let Undo::Run(undo) = &command.undo {
            add(format!("undo of the command on line {line}"), undo);
        }
    }
    if let Some(Flag::Command { on, off, status, .. }) = &config.flag {
        add("[maintenance] flag, on".into(), on);
        add("[maintenance] flag, off".into(), off);
        add("[maintenance] flag, status".into(), status);
    }
    if let Some(pooler) = &config.database.pooler {
        add("[database.pooler] pause".into(), &pooler.pause);
        add("[database.pooler] resume".into(), &pooler.resume);
    }
    if let FreeDisk::Command(argv) = &config.database.free_disk {
        add("[database] free_disk".into(), argv);
    }
    if let Some(argv) = &config.notify.run {
        add("[notify] run".into(), argv);
    }
    programs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::event::LineId;
    use crate::runbook::CommandStep;

    fn words(argv: &[&str]) -> Vec<String> {
        argv.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_that_ps_would_show_is_named_by_its_key() {
        let text = r#"
[database]
url = "postgres://app@db/shop"
admin_url = "postgres://ops@direct/shop"
free_disk = { command = ["df", "${DISK_TOKEN}"] }
[database.pooler]
pause = ["psql", "-d", "${PGBOUNCER_URL}", "-c", "PAUSE shop"]
resume = ["psql", "-c", "RESUME shop"]
[maintenance]
flag = { on = ["curl", "-u", "me:hunter2-argv"], off = ["true"], status = ["test", "-e", "flag"] }
[notify]
run = ["sh", "-c", "curl -H \"Authorization: $DISK_TOKEN\" https://example.com"]
"#;
        let variables =
            [("PGBOUNCER_URL", "postgres://p:hunter2-argv@b/pgbouncer"), ("DISK_TOKEN", "tok-argv-1")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        let config =
            Config::parse(text, Path::new("/srv"), "production", &BTreeMap::from(variables)).unwrap();
        let command = CommandStep {
            run: words(&["restart", "api"]),
            undo: Undo::Run(words(&["restart", "--token=tok-argv-1"])),
            timeout: Duration::from_secs(1),
            directory: None,
            env: BTreeMap::new(),
            url: None,
        };
        let outline =
            Outline { commands: BTreeMap::from([(LineId::Line(9), command)]), ..Outline::default() };
        let found: Vec<String> = examine(&config, &outline).into_iter().map(|finding| finding.what).collect();
        let keys = [
            "undo of the command on line 9",
            "[maintenance] flag, on",
            "[database.pooler] pause",
            "[database] free_disk",
        ];
        assert_eq!(found.len(), keys.len(), "{found:?}");
        for (what, key) in found.iter().zip(keys) {
            assert!(what.starts_with(key) && !what.contains("hunter2"), "{what}");
        }
    }
}
