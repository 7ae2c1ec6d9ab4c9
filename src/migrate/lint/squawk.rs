//! Squawk's rules, told what it can't see from a file alone.

use squawk_linter::{Linter, Rule as SquawkRule, Version};

use super::candidate::Candidate;
use super::catalogue::{SQUAWK, find};
use super::sql::squawk_tree;
use super::subject::Subject;

/// What squawk says of a migration, its own ignore comments heeded. Of a version that is not known, it thinks 15.
pub(super) fn judge(subject: &Subject, version: Option<u32>) -> Vec<Candidate> {
    // What is too large for the parser is told statement by statement.
    let Some(tree) = squawk_tree(&subject.text) else { return Vec::new() };
    let mut linter = Linter::from(SQUAWK.iter().filter_map(|rule| SquawkRule::try_from(rule.name).ok()));
    linter.settings.assume_in_transaction = subject.transactional;
    if let Some(version) = version.and_then(|version| words(version).parse::<Version>().ok()) {
        linter.settings.pg_version = version;
    }
    let violations = linter.lint(&tree, &subject.text);
    let candidate = |violation: squawk_linter::Violation| {
        let at = usize::from(violation.text_range.start());
        let name = violation.code.to_string();
        let mut found = Candidate::new(find(&name)?.name, plain(&violation.message))?;
        found.statement = subject.statements.iter().position(|statement| statement.span.contains(&at));
        found.line = Some(1 + u32::try_from(subject.text[..at].matches('\n').count()).unwrap_or(u32::MAX));
        found.help.extend(violation.help.map(|help| plain(&help)));
        if name.starts_with("require-concurrent") && subject.transactional {
            found.help.push(match subject.path.extension() {
                Some(extension) if extension == "py" => {
                    "CONCURRENTLY needs `with op.get_context().autocommit_block():` around it".into()
                }
                _ => "CONCURRENTLY needs a script of its own with `-- transaction: off` in its header".into(),
            });
        }
        Some(found)
    };
    violations.into_iter().filter_map(candidate).collect()
}

/// `16.0` for 160003.
fn words(version: u32) -> String {
    format!("{}.{}", version / 10_000, version % 10_000)
}

/// A sentence as ours are: without Markdown, without a full stop.
fn plain(text: &str) -> String {
    text.replace('`', "").trim().trim_end_matches('.').to_string()
}
