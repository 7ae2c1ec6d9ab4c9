//! `[lint]`.

use crate::document::{Finding, Read, Value};
use crate::migrate::lint::{Level, Policy, names};
use crate::nearest::nearest;

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
    if names().any(|known| known == name) {
        return Ok((name.to_string(), value.word(&LEVELS)?));
    }
    let label = match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "no rule is called so".into(),
    };
    let finding = Finding::new(format!("the lint has no rule `{name}`")).label(label);
    Err(value.wrong(finding.help("config/default.toml lists all rules")))
}
