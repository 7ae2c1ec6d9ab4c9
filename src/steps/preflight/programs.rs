//! The programs that we start: each can be started, and shows no secret among its arguments, which everybody on this
//! machine can read with `ps` (invariant 10); who writes the config can put one there all the same.

use std::borrow::Cow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Check, Finding};
use crate::config::{Config, Flag, FreeDisk};
use crate::redact::redact;
use crate::runbook::{Service, Undo};
use crate::steps::Outline;

/// A program that we start.
struct Started<'a> {
    /// The key that names it.
    key: String,
    argv: &'a [String],
    /// Where it runs.
    folder: PathBuf,
    /// Nothing else finds out before the window whether it can be started.
    unproven: bool,
}

/// Whether each can be started, and a warning for each whose arguments show a secret that we know.
pub(super) fn examine(config: &Config, outline: &Outline) -> Check {
    let programs = programs(config, outline);
    let unproven = || programs.iter().filter(|program| program.unproven);
    let findings = unproven().filter_map(missing).chain(programs.iter().filter_map(shows_a_secret)).collect();
    Check::new("commands", format!("{} can be started", unproven().count()), findings)
}

/// Every program of the config and of the plan.
fn programs<'a>(config: &'a Config, outline: &'a Outline) -> Vec<Started<'a>> {
    let mut programs = Vec::new();
    let mut add = |key: String, argv: &'a [String], folder: Option<&PathBuf>, unproven: bool| {
        let folder = folder.unwrap_or(&config.root).clone();
        programs.push(Started { key, argv, folder, unproven });
    };
    for (line, Service { name, command }) in
        outline.commands.iter().flat_map(|(l, all)| all.iter().map(move |one| (l, one)))
    {
        let whose = if name.is_empty() { "the command".to_string() } else { format!("service {name}") };
        let folder = command.directory.as_ref();
        add(format!("run of {whose} on line {line}"), &command.run, folder, true);
        if let Undo::Run(undo) = &command.undo {
            add(format!("undo of {whose} on line {line}"), undo, folder, true);
        }
    }
    for (line, argv) in &outline.logs {
        add(format!("log of the watch on line {line}"), argv, None, true);
    }
    if let Some(Flag::Command { on, off, status, .. }) = &config.flag {
        add("[maintenance] flag, on".into(), on, None, outline.window);
        add("[maintenance] flag, off".into(), off, None, outline.window);
        add("[maintenance] flag, status".into(), status, None, false);
    }
    if let Some(pooler) = &config.database.pooler {
        add("[database.pooler] pause".into(), &pooler.pause, None, outline.window);
        add("[database.pooler] resume".into(), &pooler.resume, None, outline.window);
    }
    if let FreeDisk::Command(argv) = &config.database.free_disk {
        add("[database] free_disk".into(), argv, None, false);
    }
    if let Some(argv) = &config.notify.run {
        // A notice that can't be sent never stops a release.
        add("[notify] run".into(), argv, None, false);
    }
    if let Some(tunnel) = &config.tunnel {
        add("[tunnel] run".into(), &tunnel.run, None, false);
    }
    programs
}

fn missing(program: &Started<'_>) -> Option<Finding> {
    let name = program.argv.first()?;
    let executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let found = if name.contains('/') {
        executable(&program.folder.join(name))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|place| executable(&place.join(name)))
    };
    let what = || format!("{name} is not there or not executable, and is the {}", program.key);
    (!found).then(|| Finding::blocks(what(), format!("install {name}, or give its full path")))
}

fn shows_a_secret(program: &Started<'_>) -> Option<Finding> {
    // Whatever is masked in them is one.
    let shown = program.argv.iter().any(|argument| matches!(redact(argument), Cow::Owned(_)));
    shown.then(|| {
        Finding::warns(
            format!(
                "{} has a secret among its arguments, which everybody on this machine can read with ps",
                program.key
            ),
            "leave it to a file that only this user can read (~/.pgpass), or to the program's environment, which has \
             the variables of the env file: in a shell's text, $NAME instead of ${NAME}",
        )
    })
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
flag = { on = ["curl-of-nowhere", "-u", "me:hunter2-argv"], off = ["true"], status = ["test", "-e", "flag"] }
[tunnel]
run = ["cloud-sql-proxy", "--token", "${DISK_TOKEN}"]
port = 5433
[notify]
run = ["sh", "-c", "curl -H \"Authorization: $DISK_TOKEN\" https://example.com"]
"#;
        let variables =
            [("PGBOUNCER_URL", "postgres://p:hunter2-argv@b/pgbouncer"), ("DISK_TOKEN", "tok-argv-1")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        let config =
            Config::parse(text, Path::new("/srv"), "production", &BTreeMap::from(variables)).unwrap();
        let command = CommandStep {
            run: words(&["true", "api"]),
            undo: Undo::Run(words(&["true", "--token=tok-argv-1"])),
            timeout: Duration::from_secs(1),
            directory: None,
            env: BTreeMap::new(),
            url: None,
        };
        let outline = Outline {
            commands: BTreeMap::from([(LineId::Line(9), vec![Service { name: String::new(), command }])]),
            logs: vec![(LineId::Line(12), words(&["no-such-journalctl", "-H", "tok-argv-1"]))],
            window: true,
            ..Outline::default()
        };
        let check = examine(&config, &outline);
        let found: Vec<String> = check.findings.into_iter().map(|finding| finding.what).collect();
        let (missing, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|what| what.contains("is not there"));
        let absent = ["log of the watch on line 12", "[maintenance] flag, on"];
        assert!(absent.iter().all(|key| missing.iter().any(|what| what.ends_with(key))), "{missing:?}");
        let keys = [
            "undo of the command on line 9",
            "log of the watch on line 12",
            "[maintenance] flag, on",
            "[database.pooler] pause",
            "[database] free_disk",
            "[tunnel] run",
        ];
        assert_eq!(found.len(), keys.len(), "{found:?}");
        for (what, key) in found.iter().zip(keys) {
            assert!(what.starts_with(key) && !what.contains("hunter2"), "{what}");
        }
    }
}
