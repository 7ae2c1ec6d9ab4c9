//! The rules by name: squawk's and ours, what they weigh, and what they need to be worth a word.

use std::collections::BTreeMap;

use super::finding::Level;
use crate::nearest::nearest;
use Level::{Error, Off, Warn};

/// For what a finding is not worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It always is.
    Always,
    /// For objects that the same migrations made: nobody knows them yet.
    New,
    /// For tables that are new, or so small that the work takes no time.
    NewOrSmall,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub name: &'static str,
    /// What it weighs where the config says nothing.
    pub level: Level,
    pub reach: Reach,
}

const fn rule(name: &'static str, level: Level, reach: Reach) -> Rule {
    Rule { name, level, reach }
}

/// Our rules: what only a look at the database, or at a migration as a whole, can know.
#[rustfmt::skip]
pub(super) const OURS: &[Rule] = &[
    rule("dropped-column-still-used", Error, Reach::New),
    rule("dropped-table-still-used", Error, Reach::New),
    rule("renamed-column-still-used", Error, Reach::New),
    rule("renamed-table-still-used", Error, Reach::New),
    rule("enum-value-removed", Error, Reach::Always),
    rule("not-null-without-default", Error, Reach::New),
    rule("type-change-rewrites", Error, Reach::NewOrSmall),
    rule("missing-downgrade", Warn, Reach::Always),
    rule("irreversible-downgrade", Warn, Reach::Always),
    rule("vacuum-full", Error, Reach::NewOrSmall),
    rule("cluster", Error, Reach::NewOrSmall),
    rule("update-without-where", Error, Reach::NewOrSmall),
    rule("delete-without-where", Error, Reach::New),
    rule("backfill-in-transaction-with-ddl", Error, Reach::NewOrSmall),
    rule("lock-table", Error, Reach::NewOrSmall),
    rule("set-tablespace", Error, Reach::NewOrSmall),
    rule("set-logged-unlogged", Error, Reach::NewOrSmall),
    rule("create-trigger-locks", Warn, Reach::NewOrSmall),
    rule("refresh-materialized-view", Warn, Reach::NewOrSmall),
    rule("attach-partition", Error, Reach::NewOrSmall),
    rule("second-access-exclusive-lock", Warn, Reach::Always),
    rule("foreign-key-without-index", Warn, Reach::NewOrSmall),
    rule("not-probeable", Error, Reach::Always),
    rule("unparsed-statement", Warn, Reach::Always),
    rule("malformed-allow", Error, Reach::Always),
    rule("unused-allow", Warn, Reach::Always),
];

/// Squawk's rules. Error: what locks or rewrites a table that is not small, or breaks those who use it. Off: what
/// is a matter of taste, what we do ourselves (timeouts), and what a migration in one transaction has no need of.
#[rustfmt::skip]
pub(super) const SQUAWK: &[Rule] = &[
    rule("adding-field-with-default", Error, Reach::NewOrSmall),
    rule("adding-foreign-key-constraint", Error, Reach::NewOrSmall),
    rule("adding-not-nullable-field", Error, Reach::NewOrSmall),
    rule("adding-required-field", Error, Reach::New),
    rule("adding-serial-primary-key-field", Error, Reach::NewOrSmall),
    rule("ban-add-column", Off, Reach::New),
    rule("ban-add-composite-attribute", Off, Reach::Always),
    rule("ban-add-enum-value", Off, Reach::Always),
    rule("ban-alter-database-options", Off, Reach::Always),
    rule("ban-alter-domain-with-add-constraint", Warn, Reach::Always),
    rule("ban-alter-extension", Off, Reach::Always),
    rule("ban-alter-function-options", Off, Reach::Always),
    rule("ban-alter-generated-expression", Off, Reach::New),
    rule("ban-alter-identity", Off, Reach::New),
    rule("ban-alter-policy-condition", Off, Reach::New),
    rule("ban-alter-policy-roles", Off, Reach::New),
    rule("ban-alter-role-options", Off, Reach::Always),
    rule("ban-alter-row-level-security", Off, Reach::New),
    rule("ban-alter-sequence-values", Off, Reach::Always),
    rule("ban-alter-system-options", Off, Reach::Always),
    rule("ban-alter-view-options", Off, Reach::New),
    rule("ban-char-field", Off, Reach::Always),
    rule("ban-concurrent-index-creation-in-transaction", Error, Reach::Always),
    rule("ban-create-domain-with-constraint", Off, Reach::Always),
    rule("ban-create-policy", Off, Reach::New),
    rule("ban-detach-inheritance", Off, Reach::New),
    rule("ban-disable-trigger", Off, Reach::New),
    rule("ban-drop-column", Warn, Reach::New),
    rule("ban-drop-constraint", Off, Reach::New),
    rule("ban-drop-database", Error, Reach::Always),
    rule("ban-drop-default", Off, Reach::New),
    rule("ban-drop-domain", Warn, Reach::Always),
    rule("ban-drop-extension", Warn, Reach::Always),
    rule("ban-drop-function", Warn, Reach::Always),
    rule("ban-drop-generated-expression", Warn, Reach::New),
    rule("ban-drop-index", Off, Reach::New),
    rule("ban-drop-not-null", Off, Reach::New),
    rule("ban-drop-policy", Off, Reach::New),
    rule("ban-drop-schema", Warn, Reach::Always),
    rule("ban-drop-sequence", Warn, Reach::Always),
    rule("ban-drop-table", Warn, Reach::New),
    rule("ban-drop-trigger", Off, Reach::New),
    rule("ban-drop-type", Warn, Reach::Always),
    rule("ban-drop-view", Warn, Reach::New),
    rule("ban-duplicate-column-assignments", Error, Reach::Always),
    rule("ban-new-write-restriction", Off, Reach::New),
    rule("ban-replace-view-function", Off, Reach::New),
    rule("ban-replica-identity", Off, Reach::New),
    rule("ban-revoke", Off, Reach::Always),
    rule("ban-set-default", Off, Reach::New),
    rule("ban-set-schema", Warn, Reach::New),
    rule("ban-truncate-cascade", Error, Reach::New),
    rule("ban-uncommitted-transaction", Off, Reach::Always),
    rule("changing-column-type", Warn, Reach::NewOrSmall),
    rule("constraint-missing-not-valid", Error, Reach::NewOrSmall),
    rule("disallowed-unique-constraint", Error, Reach::NewOrSmall),
    rule("identifier-too-long", Warn, Reach::Always),
    rule("prefer-bigint-over-int", Off, Reach::Always),
    rule("prefer-bigint-over-smallint", Off, Reach::Always),
    rule("prefer-identity", Off, Reach::Always),
    rule("prefer-repack", Off, Reach::NewOrSmall),
    rule("prefer-robust-stmts", Off, Reach::Always),
    rule("prefer-text-field", Off, Reach::Always),
    rule("prefer-timestamp-tz", Off, Reach::Always),
    rule("renaming-column", Warn, Reach::New),
    rule("renaming-object", Warn, Reach::New),
    rule("renaming-table", Warn, Reach::New),
    rule("require-concurrent-index-creation", Error, Reach::NewOrSmall),
    rule("require-concurrent-index-deletion", Warn, Reach::NewOrSmall),
    rule("require-concurrent-partition-detach", Warn, Reach::NewOrSmall),
    rule("require-concurrent-reindex", Error, Reach::NewOrSmall),
    rule("require-enum-value-ordering", Off, Reach::Always),
    rule("require-lock-timeout", Off, Reach::Always),
    rule("require-statement-timeout", Off, Reach::Always),
    rule("require-table-schema", Off, Reach::Always),
    rule("transaction-nesting", Error, Reach::Always),
    rule("unused-ignore", Warn, Reach::Always),
];

/// Where our rule says more about the same thing, squawk's is silent.
pub(super) const SAYS_MORE: &[(&str, &[&str])] = &[
    ("dropped-column-still-used", &["ban-drop-column"]),
    ("dropped-table-still-used", &["ban-drop-table", "ban-drop-view"]),
    ("renamed-column-still-used", &["renaming-column"]),
    ("renamed-table-still-used", &["renaming-table", "renaming-object", "ban-set-schema"]),
    ("not-null-without-default", &["adding-required-field"]),
    ("type-change-rewrites", &["changing-column-type"]),
    ("adding-foreign-key-constraint", &["constraint-missing-not-valid"]),
];

/// The rule called `name`.
pub(super) fn find(name: &str) -> Option<&'static Rule> {
    OURS.iter().chain(SQUAWK).find(|rule| rule.name == name)
}

/// All names, for "did you mean".
pub fn names() -> impl Iterator<Item = &'static str> {
    OURS.iter().chain(SQUAWK).map(|rule| rule.name)
}

/// The names of the rules that are not squawk's.
pub fn ours() -> impl Iterator<Item = &'static str> {
    OURS.iter().map(|rule| rule.name)
}

/// The rule that a wrong name was probably meant to be: a misspelt one, or the beginning of one.
pub fn meant(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    let begins = || names().find(|known| name.len() > 6 && plain(known).starts_with(&plain(name)));
    nearest(name, names()).or_else(begins)
}

/// What the rule called `name` weighs where nobody says anything.
pub fn default_level(name: &str) -> Option<Level> {
    find(name).map(|rule| rule.level)
}

/// What a project thinks of the rules, and what it takes for a small table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Levels that differ from the rules' own.
    pub levels: BTreeMap<String, Level>,
    /// A table with at least so many rows is not small.
    pub small_table_rows: u64,
    /// Nor is one of at least so many bytes.
    pub small_table_bytes: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { levels: BTreeMap::new(), small_table_rows: 10_000, small_table_bytes: 8 << 20 }
    }
}

impl Policy {
    /// What the rule weighs here.
    pub(super) fn level(&self, rule: &Rule) -> Level {
        self.levels.get(rule.name).copied().unwrap_or(rule.level)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogue_has_every_rule_of_squawk_once() {
        let ours: Vec<&str> = names().collect();
        assert_eq!(ours.iter().collect::<BTreeSet<_>>().len(), ours.len());
        // It is told of comments, and can't be named in one.
        for rule in SQUAWK.iter().filter(|rule| rule.name != "unused-ignore") {
            let parsed: squawk_linter::Rule = rule.name.parse().unwrap();
            assert_eq!(parsed.to_string(), rule.name, "its name of today");
        }
        let defaults = squawk_linter::Linter::with_default_rules().rules;
        for rule in defaults {
            let name = rule.to_string();
            // An alias for the two below it.
            assert!(
                name == "require-timeout-settings" || find(&name).is_some(),
                "{name} is not in the catalogue"
            );
        }
        for (more, less) in SAYS_MORE {
            assert!(find(more).is_some() && less.iter().all(|less| find(less).is_some()), "{more}");
        }
    }
}
