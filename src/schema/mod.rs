//! JSON Schemas of what people write and what programs read.
//!
//! A schema says what the parser says, no more: every key that a file may have, and its kind. What depends on more than
//! one key (which step may stand where) is the parser's alone. Tests hold each against the real parser, or against what
//! the real program prints.

mod config;

use serde_json::{Value, json};

const RUNBOOK: &str = include_str!("runbook.json");
const EVENT: &str = include_str!("event.json");
const RECORD: &str = include_str!("record.json");
const MANIFEST: &str = include_str!("manifest.json");
const PLAN: &str = include_str!("plan.json");
const OUTPUT: &str = include_str!("output.json");

/// `config/<environment>.toml`.
pub fn config() -> Value {
    config::schema()
}

/// `runbooks/<name>.toml`.
pub fn runbook() -> Value {
    let mut schema = parsed(RUNBOOK);
    // A health step checks as an environment does.
    let config = config::schema();
    for name in ["http", "sql"] {
        schema["definitions"][name] = config["properties"]["health"]["properties"][name].clone();
    }
    for name in config::SHARED {
        schema["definitions"][name] = config["definitions"][name].clone();
    }
    schema
}

/// One line of a run's `--json`.
pub fn event() -> Value {
    parsed(EVENT)
}

/// One record of a journal.
pub fn record() -> Value {
    parsed(RECORD)
}

/// `manifest.json` of a backup.
pub fn manifest() -> Value {
    parsed(MANIFEST)
}

/// The file of `plan --out`.
pub fn plan() -> Value {
    parsed(PLAN)
}

/// The `--json` of every command that is no run; `command` alone, if it is named: `migrate lint`. Nothing if there is no
/// such command.
pub fn output(command: Option<&str>) -> Option<Value> {
    let mut schema = parsed(OUTPUT);
    let Some(command) = command else { return Some(schema) };
    let commands = commands();
    if !commands.iter().any(|known| known == command) {
        return None;
    }
    let definitions = schema["$defs"].as_object_mut()?;
    definitions.retain(|name, _| name == command || !commands.contains(name));
    let (one, failed) = (json!({ "$ref": reference(command) }), json!({ "$ref": reference("failed") }));
    schema["title"] = format!("backstay {command} --json").into();
    schema["anyOf"] = json!([one, failed]);
    Some(schema)
}

/// The way to a definition; names of commands have spaces.
fn reference(name: &str) -> String {
    format!("#/$defs/{}", name.replace(' ', "%20"))
}

/// The commands that [`output`] knows.
pub fn commands() -> Vec<String> {
    let schema = parsed(OUTPUT);
    let of_commands = schema["anyOf"].as_array().into_iter().flatten().filter_map(|one| one["$ref"].as_str());
    let names = of_commands.filter_map(|name| name.strip_prefix("#/$defs/")).filter(|name| *name != "failed");
    names.map(|name| name.replace("%20", " ")).collect()
}

/// A schema of ours. They are compiled in, and tests read each.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
