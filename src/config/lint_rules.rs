//! `[lint]`.

use crate::document::{Finding, Read, Value};
use crate::migrate::lint::{Level, Policy, meant, names};
use crate::words::either;

const LEVELS: [(&str, Level); 3] = [("error", Level::Error), ("warn", Level::Warn), ("off", Level::Off)];

/// `[lint]`, with the levels of `[lint.rules]`.
pub(super) fn policy(value: Value<'_>) -> Read<Policy> {
    value.table(|table| {
        let rows = table.require("small_table_rows", "small_table_rows = 10000", |v| v.number(0..=u64::MAX));
        let bytes =
            table.require("small_table_bytes", "small_table_bytes = 8388608", |v| v.number(0..=u64::MAX));
        let levels = table.require("rules", "[lint.rules]", |v| v.table(|rules| rules.every(level)));
        Ok(Policy {
            small_table_rows: rows?,
            small_table_bytes: bytes?,
            levels: levels?.into_iter().collect(),
        })
    })
}

fn level(name: &str, value: Value<'_>) -> Read<(String, Level)> {
    if !names().any(|known| known == name) {
        let label = match meant(name) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "no rule is called so".into(),
        };
        let finding = Finding::new(format!("the lint has no rule `{name}`")).label(label);
        return Err(value.wrong(finding.help("config/default.toml lists all rules")));
    }
    // Not read as other words are: the value of a key with `key` in its name would be taken for a secret.
    let written = value.node().as_text();
    let level = LEVELS.iter().find(|(word, _)| Some(*word) == written);
    level.map(|(_, level)| (name.to_string(), *level)).ok_or_else(|| {
        let right = either(&LEVELS.map(|(word, _)| format!("\"{word}\"")));
        value.wrong(Finding::new(format!("`{name}` must be {right}")).label("this is none of them"))
    })
}
