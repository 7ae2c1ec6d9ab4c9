//! The lint: what is dangerous about pending migrations, before they run.
//!
//! [`lint`] is pure: migrations ([`Subject`]), what is known of the database ([`Facts`]) and what the project thinks
//! of the rules ([`Policy`]) go in, [`Finding`]s come out. It reads SQL by squawk's parser, never as text, and asks
//! squawk's linter and our own rules. Squawk knows only files; we know sizes, dependencies and queries, so a word on
//! a table that is new or small is not said, and a word on what is still used is said with who uses it.

mod allow;
mod candidate;
mod catalogue;
mod facts;
mod finding;
mod rules;
mod sql;
mod squawk;
mod subject;
#[cfg(test)]
mod tests;
mod usage;
mod world;

pub use catalogue::{Policy, default_level, meant, names, ours};
pub use facts::{Facts, FactsError, read as look};
pub use finding::{Finding, Level, show, tally};
pub use subject::{Rendered, Subject};

use self::allow::Comments;
use self::candidate::{Candidate, Turn};
use self::catalogue::SAYS_MORE;
use self::rules::Locks;
use self::sql::{Effect, Name};
use self::subject::Reading;
use self::world::{Ahead, World};
use crate::failure::Failure;

/// Judges migrations in the order in which they would run. Without `facts` only what files tell is told.
///
/// # Errors
/// A defect of the parser, which ends nothing but this.
pub fn lint(subjects: &[Subject], facts: Option<&Facts>, policy: &Policy) -> Result<Vec<Finding>, Failure> {
    sql::on_a_deep_stack(|| judge_all(subjects, facts, policy))
        .map_err(|error| Failure::internal("read the migrations' SQL").caused_by(&error))
}

fn judge_all(subjects: &[Subject], facts: Option<&Facts>, policy: &Policy) -> Vec<Finding> {
    let readings: Vec<Vec<Reading>> =
        subjects.iter().map(|subject| subject.statements.iter().map(|s| s.read()).collect()).collect();
    let mut ahead = Ahead::default();
    for reading in readings.iter().flatten() {
        if let Reading::Effects(effects) = reading {
            effects.iter().for_each(|effect| ahead.note(effect));
        }
    }
    let mut world = World::new(facts, ahead);
    let mut told_enums = Vec::new();
    let pairs = subjects.iter().zip(&readings);
    pairs
        .flat_map(|(subject, readings)| judge_one(subject, readings, &mut world, policy, &mut told_enums))
        .collect()
}

/// A candidate, and whether it is not worth a word.
struct Verdict {
    candidate: Candidate,
    silent: bool,
}

fn judge_one(
    subject: &Subject,
    readings: &[Reading],
    world: &mut World<'_>,
    policy: &Policy,
    told_enums: &mut Vec<Name>,
) -> Vec<Finding> {
    let comments = Comments::of(subject);
    let mut squawk = squawk::judge(subject, world.facts.map(|facts| facts.version));
    let mut locks = Locks::default();
    let mut verdicts: Vec<Verdict> = Vec::new();
    for (number, (statement, reading)) in subject.statements.iter().zip(readings).enumerate() {
        let mut found: Vec<Candidate> = squawk.extract_if(.., |c| c.statement == Some(number)).collect();
        match reading {
            Reading::Effects(effects) => {
                let turn = Turn { world, subject, statement, effects };
                found.iter_mut().for_each(|candidate| inform(candidate, &turn));
                found.retain(|candidate| !is_refuted(candidate, &turn));
                found.extend(rules::judge(&turn, told_enums));
                found.extend(locks.judge(&turn, policy));
            }
            Reading::Unread(why) => {
                let what = format!("this statement is not checked: {why}");
                found.extend(Candidate::new("unparsed-statement", what));
            }
        }
        found.iter_mut().for_each(|candidate| candidate.statement = Some(number));
        drop_what_is_said_better(&mut found);
        verdicts.extend(found.into_iter().map(|candidate| weigh(candidate, world, policy)));
        if let Reading::Effects(effects) = reading {
            effects.iter().for_each(|effect| world.apply(effect));
        }
    }
    let of_file = rules::whole(subject, &comments).into_iter().chain(squawk);
    verdicts.extend(of_file.map(|candidate| Verdict { candidate, silent: false }));
    let unused = take_allowed(&mut verdicts, &comments, world.facts.is_some());
    verdicts.extend(unused.into_iter().map(|candidate| Verdict { candidate, silent: false }));
    let told = verdicts.into_iter().filter(|verdict| !verdict.silent);
    let mut findings: Vec<Finding> = told.filter_map(|v| finding(v.candidate, subject, policy)).collect();
    findings
        .sort_by(|a, b| (a.line, a.statement, b.level, a.rule).cmp(&(b.line, b.statement, a.level, b.rule)));
    findings
}

/// Tells squawk's candidate what it is about: the tables that its statement works on.
fn inform(candidate: &mut Candidate, turn: &Turn<'_>) {
    for effect in turn.effects {
        let table = match effect {
            Effect::DropIndex { name } => turn.world.table_of_index(name),
            Effect::Reindex { table, index } => {
                table.clone().or_else(|| index.as_ref().and_then(|index| turn.world.table_of_index(index)))
            }
            Effect::Index { table, .. }
            | Effect::AddColumn { table, .. }
            | Effect::DropColumn { table, .. }
            | Effect::RenameColumn { table, .. }
            | Effect::SetType { table, .. }
            | Effect::ForeignKey { table, .. }
            | Effect::Check { table, .. }
            | Effect::Exclusive { table }
            | Effect::Truncate { table }
            | Effect::Drop { name: table, .. }
            | Effect::Rename { from: table, .. } => Some(table.clone()),
            _ => None,
        };
        if let Some(table) = table.filter(|table| !candidate.about.contains(table)) {
            candidate.about.push(table);
        }
    }
    if matches!(candidate.rule.name, "ban-drop-column" | "ban-drop-table" | "ban-drop-view") {
        candidate.evidence = rules::nothing_found(turn.world);
    }
}

/// Squawk takes every change of a type for a rewrite.
fn is_refuted(candidate: &Candidate, turn: &Turn<'_>) -> bool {
    let mut changes =
        turn.effects.iter().filter(|effect| matches!(effect, Effect::SetType { .. })).peekable();
    candidate.rule.name == "changing-column-type"
        && changes.peek().is_some()
        && changes.all(|change| rules::is_free(turn.world, change) == Some(true))
}

fn drop_what_is_said_better(found: &mut Vec<Candidate>) {
    for (more, less) in SAYS_MORE {
        if found.iter().any(|candidate| candidate.rule.name == *more) {
            found.retain(|candidate| !less.contains(&candidate.rule.name));
        }
    }
}

/// Judged in the world as it is at the statement's turn: later it is another.
fn weigh(mut candidate: Candidate, world: &World<'_>, policy: &Policy) -> Verdict {
    let silent = candidate.is_silent(world, policy);
    let sizes: Vec<String> = candidate.about.iter().filter_map(|name| world.size(name)).collect();
    for size in sizes.into_iter().rev() {
        if !candidate.evidence.contains(&size) {
            candidate.evidence.insert(0, size);
        }
    }
    Verdict { candidate, silent }
}

/// Takes out what is allowed; gives what allows nothing. What is silent counts: a table is small on one server and
/// large on another, and a comment can't be right on one of them only.
fn take_allowed(verdicts: &mut Vec<Verdict>, comments: &Comments, facts: bool) -> Vec<Candidate> {
    let mut unused = Vec::new();
    for allow in &comments.allows {
        let used = verdicts.iter().any(|verdict| allow.covers(&verdict.candidate));
        // Without a look at the database some rules can't find anything.
        if !used && facts {
            let what = format!("{} is allowed here, and there is nothing to allow", allow.rule);
            let candidate =
                Candidate::new("unused-allow", what).map(|candidate| candidate.help("take the comment out"));
            unused.extend(candidate.map(|c| Candidate {
                line: Some(allow.line),
                statement: allow.statement,
                ..c
            }));
        }
    }
    verdicts.retain(|verdict| {
        let candidate = &verdict.candidate;
        // A comment can't allow its own mistakes.
        let about_comments = ["malformed-allow", "unused-allow"].contains(&candidate.rule.name);
        about_comments || !comments.allows.iter().any(|allow| allow.covers(candidate))
    });
    unused
}

fn finding(candidate: Candidate, subject: &Subject, policy: &Policy) -> Option<Finding> {
    let level = policy.level(candidate.rule);
    if level == Level::Off {
        return None;
    }
    let statement = candidate.statement.and_then(|number| subject.statements.get(number));
    Some(Finding {
        rule: candidate.rule.name,
        level,
        revision: subject.revision.clone(),
        file: subject.path.clone(),
        line: statement.map(|statement| statement.line).or(candidate.line).unwrap_or(1),
        statement: candidate.statement.map(|number| number + 1),
        excerpt: statement.map(|statement| plain(&statement.excerpt())).unwrap_or_default(),
        what: plain(&candidate.what),
        evidence: candidate.evidence.iter().map(|text| plain(text)).collect(),
        help: candidate.help.iter().map(|text| plain(text)).collect(),
    })
}

/// A name may hold a line end or a terminal's escapes; a finding is one line, in a comment of SQL too.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
