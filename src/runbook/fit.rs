//! Whether a runbook and an environment fit each other.

use super::{Runbook, Step, StepKind, WatchStep};
use crate::config::Config;
use crate::document::tree::Place;
use crate::document::{self, Finding, Invalid, Read, Table, Variables, spell_out};
use crate::nearest::nearest;

impl Runbook {
    /// Refuses what only shows with both files at hand: a window without a flag, a window whose
    /// application nothing proves healthy, a `health` step with nothing to check, a migration root that
    /// the environment does not have.
    ///
    /// # Errors
    /// All of these, at their places in the runbook.
    pub fn check_against(&self, config: &Config) -> Result<(), Box<Invalid>> {
        let findings = self.misfits(config);
        if findings.is_empty() {
            return Ok(());
        }
        document::read(&self.origin, &self.text, Variables::default(), None, |table| {
            table.allow_any_key();
            point_at(table, findings)
        })
    }

    /// All steps in their order, with the key and the number of their table in the file.
    fn lines(&self) -> impl Iterator<Item = (Spot, &Step)> {
        let (during, open) = match &self.window {
            Some(window) => (window.during.as_slice(), window.open.as_slice()),
            None => (&[][..], &[][..]),
        };
        [("before", self.before.as_slice()), ("during", during), ("open", open), ("after", &self.after)]
            .into_iter()
            .flat_map(|(key, steps)| {
                steps.iter().enumerate().map(move |(n, step)| (Spot::Line(key, n, "step"), step))
            })
    }

    fn misfits(&self, config: &Config) -> Vec<(Spot, Finding)> {
        let mut findings = Vec::new();
        let file = format!("config/{}.toml", config.environment);
        if let Some(window) = &self.window {
            if config.flag.is_none() {
                findings.push((Spot::Window, no_flag(&file)));
            }
            if !window.first_deploy && !self.checks_health(config) {
                findings.push((Spot::Window, no_health(&file)));
            }
        }
        for (spot, step) in self.lines() {
            match &step.kind {
                StepKind::Migrate { root: Some(root), .. } => {
                    let Spot::Line(key, number, _) = spot else { continue };
                    let spot = Spot::Line(key, number, "root");
                    findings.extend(unknown_root(root, config, &file).map(|finding| (spot, finding)));
                }
                StepKind::Health { http, sql }
                    if http.is_empty() && sql.is_empty() && !config.health.checks_anything() =>
                {
                    findings.push((spot, nothing_to_check(&file)));
                }
                StepKind::Watch(WatchStep { rows: Some(rows), .. })
                    if rows.asked && self.window.is_none() =>
                {
                    let Spot::Line(key, number, _) = spot else { continue };
                    findings.push((Spot::Line(key, number, "rows"), nothing_to_compare()));
                }
                _ => {}
            }
        }
        findings
    }

    fn checks_health(&self, config: &Config) -> bool {
        config.health.checks_anything()
            || self.lines().any(|(_, step)| match &step.kind {
                StepKind::Health { http, sql } => !http.is_empty() || !sql.is_empty(),
                _ => false,
            })
    }
}

/// A place of the runbook, before its text is at hand.
#[derive(Clone, Copy)]
enum Spot {
    Window,
    /// A line by the key and number of its table, and the key in it to point at.
    Line(&'static str, usize, &'static str),
}

fn point_at(table: &mut Table<'_>, findings: Vec<(Spot, Finding)>) -> Read<()> {
    let mut result = Ok(());
    for (spot, finding) in findings {
        let (key, number, inner) = match spot {
            Spot::Window => ("window", 0, ""),
            Spot::Line(key, number, inner) => (key, number, inner),
        };
        let node = table.find(key).and_then(|node| node.items().get(number));
        let node = node.map(|node| node.get(inner).unwrap_or(node));
        let place = node.map_or(&Place::Default, |node| &node.place);
        result = Err(table.reader().note(place, finding));
    }
    result
}

fn no_flag(file: &str) -> Finding {
    Finding::new(format!("a window needs a maintenance flag, and {file} has none"))
        .label("no flag to raise")
        .help(format!("add to {file}: [maintenance] with flag = {{ file = \"/opt/app/maintenance\" }}"))
}

fn no_health(file: &str) -> Finding {
    Finding::new("nothing would prove that the application serves after this window")
        .label("no health check, here or in the environment")
        .help(format!(
            "add [[health.http]] with a url to {file}; for a first deploy, without an application to go back \
             to, say first_deploy = true"
        ))
}

fn nothing_to_check(file: &str) -> Finding {
    Finding::new("this health step has nothing to check")
        .label("no checks of its own, and none in the environment")
        .help(format!("add [[health.http]] with a url to {file}, or http = [{{ url = \"…\" }}] to the step"))
}

fn nothing_to_compare() -> Finding {
    Finding::new("no rows are counted in a runbook without a window").label("nothing to compare with").help(
        "they are counted behind the fence; a [[after.sql]] check can hold a count against a number of yours",
    )
}

fn unknown_root(root: &str, config: &Config, file: &str) -> Option<Finding> {
    let names: Vec<&str> = config.migrations.iter().map(|root| root.name.as_str()).collect();
    if names.contains(&root) {
        return None;
    }
    let label = match nearest(root, names.iter().copied()) {
        Some(meant) => format!("did you mean root = \"{meant}\"?"),
        None => "not there".into(),
    };
    let finding = Finding::new(format!("{file} has no migrations called `{root}`")).label(label);
    Some(finding.help(format!("it has {}", spell_out(&names))))
}
