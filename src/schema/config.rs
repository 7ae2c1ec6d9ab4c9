//! The schema of an environment, read off the annotated defaults: its keys, their kinds, defaults and what they mean stand in
//! that file alone. What a value in it can't show (a choice of words, a range, another form) is said here.

use serde_json::{Map, Value, json};

use crate::config::DEFAULTS;
use crate::event::NOTICES;
use crate::migrate::lint;
use crate::time::parse_duration;

/// Definitions that the runbook's schema uses too.
pub(super) const SHARED: [&str; 6] = ["text", "duration", "command", "texts", "variable", "boolean"];

/// Tables of which there can be several, `[[x]]`.
const LISTS: [&str; 5] = ["replicas", "migrations", "health.http", "health.sql", "notify.webhook"];

/// Keys without which a table says nothing.
const REQUIRED: [(&str, &str); 5] = [
    ("database", "url"),
    ("replicas", "url"),
    ("health.http", "url"),
    ("health.sql", "expect"),
    ("notify.webhook", "url"),
];

pub(super) fn schema() -> Value {
    let mut root = table();
    root["required"] = json!(["database"]);
    let mut at: Vec<String> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    let mut fresh = true;
    for line in DEFAULTS.lines() {
        if let Some(comment) = line.strip_prefix("# ").or((line == "#").then_some("")) {
            if std::mem::take(&mut fresh) {
                said.clear();
            }
            said.push(comment.to_string());
        } else if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            at = header.split('.').map(String::from).collect();
            describe(place(&mut root, &at), &said);
            fresh = true;
        } else if let Some((key, value, is_default)) = setting(line) {
            let path = at.iter().chain([&key]).map(String::as_str).collect::<Vec<_>>().join(".");
            let mut property = kind(&path, &value);
            describe(&mut property, &said);
            if is_default {
                property["default"] = value;
            }
            place(&mut root, &at)["properties"][key] = property;
            fresh = true;
        } else {
            said.clear();
        }
    }
    finish(&mut root);
    root
}

/// What stands above a line of the file is what it means; keys that follow each other share it.
fn describe(schema: &mut Value, said: &[String]) {
    if !said.is_empty() {
        schema["description"] = said.join(" ").into();
    }
}

/// `key = value`, or `#key = value` of one without a default.
fn setting(line: &str) -> Option<(String, Value, bool)> {
    let shown = line.strip_prefix('#');
    let parsed: toml::Table = toml::from_str(shown.unwrap_or(line)).ok()?;
    let (key, value) = parsed.into_iter().next()?;
    Some((key, serde_json::to_value(value).ok()?, shown.is_none()))
}

fn table() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// The table at this path, made if it is not there.
fn place<'s>(root: &'s mut Value, path: &[String]) -> &'s mut Value {
    path.iter().fold(root, |table_, key| {
        let inner = &mut table_["properties"][key];
        if inner.is_null() {
            *inner = table();
        }
        inner
    })
}

fn reference(name: &str) -> Value {
    // Draft 7 ignores what stands beside a reference.
    json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] })
}

/// What the value of a key may be.
fn kind(path: &str, shown: &Value) -> Value {
    if let Some(known) = known(path) {
        return known;
    }
    match shown {
        Value::Bool(_) => reference("boolean"),
        Value::Number(_) => json!({ "type": "integer", "minimum": 0 }),
        Value::String(text) if parse_duration(text).is_ok() => reference("duration"),
        Value::Array(_) => reference("texts"),
        Value::Object(_) => json!({ "type": "object" }),
        _ => reference("text"),
    }
}

/// A day, or what begins with one.
const DAY: &str = "^\\s*\\d{4}-\\d{2}-\\d{2}";

fn one_or_more() -> Value {
    json!({ "anyOf": [{ "$ref": "#/definitions/text" }, { "$ref": "#/definitions/texts" }] })
}

/// One table, or a list of them.
fn tables(properties: Value) -> Value {
    let mut one = table();
    one["properties"] = properties;
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn described(mut schema: Value, text: &str) -> Value {
    schema["description"] = text.into();
    schema
}

fn known(path: &str) -> Option<Value> {
    let words =
        |words: &[&str]| json!({ "anyOf": [{ "enum": words }, { "$ref": "#/definitions/variable" }] });
    let number = |low: u64, high: u64| json!({ "type": "integer", "minimum": low, "maximum": high });
    let events = || json!({ "type": "array", "items": words(&NOTICES) });
    Some(match path {
        "migrations.tool" => words(&["sql", "alembic"]),
        "migrations.revision_ids" => words(&["random", "timestamp"]),
        "backup.compression" => words(&["gzip", "zstd"]),
        "window.on_writes" => words(&["ask", "put-back"]),
        "window.undeclared_replicas" => words(&["refuse", "allow"]),
        "stop.on_signal" => words(&["put-back", "leave"]),
        "notify.webhook.format" => words(&["slack", "generic"]),
        "notify.events" | "notify.webhook.events" => events(),
        "backup.level" => number(1, 19),
        "backup.jobs" => number(1, 64),
        "migrations.lock_retries" => number(0, u32::MAX.into()),
        "health.http.status" => number(100, 599),
        "health.http.successes" => number(1, 1000),
        "health.http.headers" => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        "health.http.json" => json!({ "type": "object", "propertyNames": { "pattern": "^(/.*)?$" } }),
        "database.pooler.pause"
        | "database.pooler.resume"
        | "notify.run"
        | "migrations.command"
        | "tunnel.run" => reference("command"),
        "tunnel.port" => number(1, u16::MAX.into()),
        "schedule.days" | "schedule.times" => one_or_more(),
        "schedule.also" => tables(json!({
            "days": described(one_or_more(), "Days, and ranges of them; all, if not set."),
            "times": described(one_or_more(), "From when to when; the whole day, if not set."),
        })),
        "schedule.freezes" => {
            let mut freezes = tables(json!({
                "from": { "type": "string", "pattern": DAY, "description": "The first day, or a day and a time." },
                "to": { "type": "string", "pattern": DAY, "description": "The last day, or a day and a time; the first, if not set." },
                "why": described(reference("text"), "What is said of it."),
            }));
            freezes["anyOf"][0]["required"] = json!(["from"]);
            freezes["anyOf"][1]["items"]["required"] = json!(["from"]);
            freezes
        }
        "database.free_disk" => json!({ "anyOf": [
            { "$ref": "#/definitions/text" },
            { "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1, "properties": {
                "command": { "allOf": [{ "$ref": "#/definitions/command" }], "description": "Prints free bytes." },
                "bytes": { "type": "integer", "minimum": 0, "description": "Free bytes." },
            } },
        ] }),
        _ if path.starts_with("lint.rules.") => json!({ "enum": ["error", "warn", "off"] }),
        _ => return None,
    })
}

/// What no line of the defaults shows.
fn finish(root: &mut Value) {
    // Tables that have no line of their own there.
    root["properties"]["health"]["description"] = "What proves that the application serves.".into();
    root["properties"]["maintenance"]["description"] = "The application's maintenance page.".into();
    let flag = &mut root["properties"]["maintenance"]["properties"]["flag"];
    for (key, text) in [
        ("on", "Raises it."),
        ("off", "Takes it down."),
        ("status", "Exits 0 when it is up, 1 when it is down."),
    ] {
        let mut command = reference("command");
        command["description"] = text.into();
        flag["properties"][key] = command;
    }
    // Every rule, also one that the file forgot.
    for name in lint::names() {
        let rules = &mut root["properties"]["lint"]["properties"]["rules"]["properties"];
        if rules[name].is_null() {
            rules[name] = json!({ "enum": ["error", "warn", "off"] });
        }
    }
    for (path, key) in REQUIRED {
        let path: Vec<String> = path.split('.').map(String::from).collect();
        place(root, &path)["required"] = json!([key]);
    }
    for path in LISTS {
        let path: Vec<String> = path.split('.').map(String::from).collect();
        let one = place(root, &path);
        let description = one.as_object_mut().and_then(|one| one.remove("description"));
        let table = one.take();
        *one = json!({ "description": description, "anyOf": [table, { "type": "array", "items": table }] });
    }
    let Value::Object(body) = root.take() else { return };
    let mut whole = Map::new();
    whole.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    whole.insert("title".into(), "An environment of backstay: config/<environment>.toml".into());
    whole.extend(body);
    whole.insert("description".into(), "It says only what differs from config/default.toml.".into());
    whole.insert("definitions".into(), definitions());
    *root = Value::Object(whole);
}

fn definitions() -> Value {
    json!({
        "variable": { "type": "string", "pattern": "\\$\\{", "description": "A string that takes a variable: \"${NAME}\", \"${NAME:-text}\"." },
        "text": { "type": "string", "pattern": "\\S" },
        "texts": { "type": "array", "items": { "type": "string" } },
        "boolean": { "type": "boolean" },
        "duration": {
            "type": "string",
            "pattern": "(^\\s*([0-9]+(ms|s|m|h|d))+\\s*$)|\\$\\{",
            "description": "\"500ms\", \"30s\", \"15m\", \"1h30m\" or \"2d\".",
        },
        "command": {
            "type": "array", "items": { "type": "string" }, "minItems": 1,
            "description": "A program and its arguments; no shell.",
        },
    })
}
