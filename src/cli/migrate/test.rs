//! `migrate test`: the migrations tried out on a scratch database, and the real database looked at.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::drift::View;
use crate::migrate::trial::{Finding, Made, Outcome};
use crate::migrate::{Database, Migrator};
use crate::pg::{ConnInfo, Session};
use crate::steps::{Root, Roots, direct, migrator, own_database, try_out};
use crate::words::count;

/// Try the migrations on a scratch database: up, down and up again, step by step and as a whole
#[derive(Debug, Args)]
pub struct Test {
    /// Make the scratch database on the server of this URL, as its role; the environment's own database is then
    /// not looked at
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl Test {
    /// Where scratch databases are made, and what they are made like.
    fn place(&self, config: &Config) -> Result<Database, Failure> {
        let own = own_database(config, "migrate test");
        let Some(url) = &self.server else { return Ok(own) };
        let server =
            ConnInfo::parse(url).map_err(|error| Failure::usage("read --server").caused_by(&error))?;
        Ok(Database { info: server.with_database(own.info.database()), admin: server, ..own })
    }
}

/// What was found so far, printed as it comes.
struct Sheet<'a> {
    shell: &'a Shell,
    several: bool,
    findings: Vec<(String, Finding)>,
}

impl Sheet<'_> {
    fn add(&mut self, root: &str, finding: Finding) {
        if !self.shell.json() {
            let whose = if self.several { format!("{root}: ") } else { String::new() };
            let mut lines = vec![format!("{} {whose}{}", self.mark(finding.outcome), finding.said)];
            lines.extend(finding.details.iter().map(|line| format!("    {}", line.replace('\n', "\n    "))));
            self.shell.tell(&lines.join("\n"), Value::Null);
        }
        self.findings.push((root.to_string(), finding));
    }

    fn mark(&self, outcome: Outcome) -> &'static str {
        match (outcome, self.shell.look.unicode) {
            (Outcome::Passed, true) => "✓",
            (Outcome::Failed, true) => "✗",
            (Outcome::Passed, false) => "ok",
            (Outcome::Failed, false) => "NO",
            (Outcome::Warned, _) => "!",
        }
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.findings.iter().filter(|(_, finding)| finding.outcome == outcome).count() as u64
    }

    /// How it came out as a whole, as the last line.
    fn verdict(&self) -> String {
        let (failed, warned) = (self.count(Outcome::Failed), self.count(Outcome::Warned));
        let all = count(self.findings.len() as u64 - warned, "check", "checks");
        let besides = match warned {
            0 => String::new(),
            n => format!(", {}", count(n, "warning", "warnings")),
        };
        match failed {
            0 => format!("{} {all} passed{besides}", self.mark(Outcome::Passed)),
            n => format!("{} {n} of {all} failed{besides}", self.mark(Outcome::Failed)),
        }
    }
}

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    meant: &[&MigrationRoot],
    command: &Test,
) -> Result<Verdict, Trouble> {
    let place = command.place(config)?;
    let mut sheet = Sheet { shell, several: meant.len() > 1, findings: Vec::new() };
    let mut standing = Standing::default();
    if let Some(roots) = readable(config, &mut sheet) {
        let made = try_out(&roots, meant, &place, &mut |root, finding| sheet.add(root, finding)).await?;
        if command.server.is_none() {
            standing = look_at_real(shell, config, &roots, meant, &made, &mut sheet).await?;
        }
    }
    let failed = sheet.count(Outcome::Failed) > 0;
    if shell.json() {
        shell.tell("", document(config, &sheet, &standing, failed));
    } else {
        let mut lines = vec![String::new(), sheet.verdict()];
        lines.extend(standing.lines());
        shell.tell(&lines.join("\n"), Value::Null);
    }
    Ok(if failed { Verdict::Refused } else { Verdict::Done })
}

/// The files of all roots; one that can't be read, or is no chain, is a finding.
fn readable<'a>(config: &'a Config, sheet: &mut Sheet<'_>) -> Option<Vec<Root<'a>>> {
    let mut roots = Vec::new();
    for root in &config.migrations {
        match migrator(root, None) {
            Ok(migrator) => roots.push((root, migrator)),
            Err(failure) => {
                let said = "the files make no chain of revisions";
                let details = failure.causes.iter().chain(&failure.next).cloned().collect();
                sheet.add(&root.name, Finding::failed("chain", said).with(details));
            }
        }
    }
    (roots.len() == config.migrations.len()).then_some(roots)
}

/// Where the real database stands.
#[derive(Default)]
struct Standing {
    current: Vec<(String, BTreeSet<String>)>,
    tables: Option<usize>,
    expected: Option<usize>,
}

impl Standing {
    /// The last lines, as a person wants to compare them.
    fn lines(&self) -> Vec<String> {
        let several = self.current.len() > 1;
        let mut lines: Vec<String> = self
            .current
            .iter()
            .map(|(root, rows)| {
                let whose = if several { format!(" of {root}") } else { String::new() };
                let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                let at = if rows.is_empty() { "none".to_string() } else { rows.join(", ") };
                format!("  Current revision{whose}: {at}")
            })
            .collect();
        lines.extend(self.tables.map(|n| format!("  Tables in the database: {n}")));
        lines.extend(self.expected.map(|n| format!("  Expected tables: {n}")));
        lines
    }
}

async fn look_at_real(
    shell: &Shell,
    config: &Config,
    roots: &Roots<'_>,
    meant: &[&MigrationRoot],
    made: &[Made],
    sheet: &mut Sheet<'_>,
) -> Result<Standing, Failure> {
    let info = direct(config);
    let session = match shell.connect(config, info, "migrate test").await {
        Ok(session) => session,
        Err(failure) => {
            let details = failure.causes.iter().chain(&failure.next).cloned().collect();
            sheet.add(
                "database",
                Finding::failed("database", format!("could not {}", failure.what)).with(details),
            );
            return Ok(Standing::default());
        }
    };
    sheet.add("database", Finding::passed("database", format!("connected to {}", info.describe())));
    let mut standing = Standing::default();
    for (root, migrator) in roots {
        if meant.iter().any(|meant| meant.name == root.name) {
            let rows = look_at_revision(&root.name, &**migrator, &session, sheet).await?;
            standing.current.push((root.name.clone(), rows));
        }
    }
    // Which tables belong to which root is known only where all were tried.
    if meant.len() == roots.len() {
        look_at_tables(config, roots, made, &mut standing, sheet).await?;
    }
    Ok(standing)
}

async fn look_at_revision(
    name: &str,
    migrator: &dyn Migrator,
    session: &Session,
    sheet: &mut Sheet<'_>,
) -> Result<BTreeSet<String>, Failure> {
    let current = migrator.current(session).await?;
    let at = current.revisions.iter().cloned().collect::<Vec<_>>().join(", ");
    let at = if at.is_empty() { "no revision".to_string() } else { at };
    for (wrong, what) in
        [(&current.unknown, "no file has"), (&current.edited, "edited after it was applied:")]
    {
        if !wrong.is_empty() {
            sheet.add(name, Finding::failed("revision", format!("{what} {}", wrong.join(", "))));
        }
    }
    for attempt in &current.unfinished {
        let said =
            format!("{} of {} was broken off: {}", attempt.direction, attempt.revision, attempt.extent());
        sheet.add(name, Finding::failed("revision", said));
    }
    if current.unknown.is_empty() {
        let plan = migrator.chain().graph().plan_upgrade(&current.revisions, "heads").unwrap_or_default();
        let pending: Vec<String> = plan.into_iter().map(|step| step.revision).collect();
        sheet.add(
            name,
            match pending.as_slice() {
                [] => Finding::passed("revision", format!("the database is at {at} (head)")),
                pending => Finding::warned(
                    "revision",
                    format!("the database is at {at}, {} pending: {}", pending.len(), pending.join(", ")),
                ),
            },
        );
    }
    Ok(current.revisions)
}

async fn look_at_tables(
    config: &Config,
    roots: &Roots<'_>,
    made: &[Made],
    standing: &mut Standing,
    sheet: &mut Sheet<'_>,
) -> Result<(), Failure> {
    let database = own_database(config, "migrate test");
    let migrators: Vec<&dyn Migrator> = roots.iter().map(|(_, migrator)| &**migrator).collect();
    let view = View { without_schemas: config.drift.ignore_schemas.clone(), ..View::default() };
    let found = view.tables(&migrators, &database).await?;
    standing.tables = Some(found.len());
    let expected: Option<Vec<BTreeSet<String>>> =
        made.iter().zip(&standing.current).map(|(made, (_, rows))| made.tables_at(rows)).collect();
    let Some(expected) = expected else { return Ok(()) };
    let expected: BTreeSet<String> = expected.into_iter().flatten().collect();
    standing.expected = Some(expected.len());
    for finding in compare_tables(&expected, &found) {
        sheet.add("database", finding);
    }
    Ok(())
}

/// **Pure.**
fn compare_tables(expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Vec<Finding> {
    let listed = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let missing: Vec<&String> = expected.difference(found).collect();
    let unexpected: Vec<&String> = found.difference(expected).collect();
    let mut findings = vec![match missing.as_slice() {
        [] => {
            let tables = count(expected.len() as u64, "table", "tables");
            Finding::passed("tables", format!("the database has all {tables} that its migrations make"))
        }
        _ => {
            let said = format!("the database lacks {} of {} tables", missing.len(), expected.len());
            Finding::failed("tables", format!("{said}: {}", listed(missing)))
        }
    }];
    if !unexpected.is_empty() {
        let said = format!("the database has tables that no migration makes: {}", listed(unexpected));
        findings.push(Finding::warned("tables", said));
    }
    findings
}

fn document(config: &Config, sheet: &Sheet<'_>, standing: &Standing, failed: bool) -> Value {
    let checks: Vec<Value> = sheet
        .findings
        .iter()
        .map(|(root, finding)| {
            json!({
                "root": root, "check": finding.check, "outcome": finding.outcome, "said": finding.said,
                "details": finding.details,
            })
        })
        .collect();
    let current: serde_json::Map<String, Value> =
        standing.current.iter().map(|(root, rows)| (root.clone(), json!(rows))).collect();
    json!({
        "environment": config.environment, "passed": !failed, "checks": checks,
        "current": current, "tables": standing.tables, "expected_tables": standing.expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn missing_tables_fail_and_others_are_told() {
        let said = |expected: &[&str], found: &[&str]| -> Vec<(Outcome, String)> {
            let findings = compare_tables(&names(expected), &names(found));
            findings.into_iter().map(|finding| (finding.outcome, finding.said)).collect()
        };
        let good = "the database has all 2 tables that its migrations make";
        assert_eq!(said(&["a", "b"], &["a", "b"]), [(Outcome::Passed, good.to_string())]);
        assert_eq!(
            said(&["a", "b"], &["b", "c"]),
            [
                (Outcome::Failed, "the database lacks 1 of 2 tables: a".to_string()),
                (Outcome::Warned, "the database has tables that no migration makes: c".to_string()),
            ]
        );
    }
}
