//! The schemas of files held against the real parser: what they know, what they take, what they refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use miette::Diagnostic;
use serde_json::{Value, json};

use crate::config::Config;
use crate::document::Invalid;
use crate::runbook::Runbook;

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn of(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        let url = "http://backstay.test/schema.json";
        compiler.add_resource(url, schema).expect("a schema");
        let index = compiler.compile(url, &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        self.schemas.validate(value, self.index).map_err(|error| format!("{error:#}"))
    }
}

const DATABASE: &str = "[database]\nurl = \"postgres://app@db/shop\"\n";

fn config_of(text: &str) -> Result<Config, Box<Invalid>> {
    let set = ["DATABASE_URL", "ADMIN_URL", "REPLICA_URL", "SLACK_WEBHOOK"];
    let url = |name: &str| match name {
        "SLACK_WEBHOOK" => "https://hooks.example.com/services/x".to_string(),
        name => format!("postgres://app@{}/shop", name.to_lowercase().replace('_', "")),
    };
    let variables: BTreeMap<String, String> = set.iter().map(|name| (name.to_string(), url(name))).collect();
    Config::parse(text, Path::new("/project"), "production", &variables)
}

fn runbook_of(text: &str) -> Result<Runbook, Box<Invalid>> {
    Runbook::parse(text, "runbooks/x.toml", &BTreeMap::new())
}

fn json_of(toml: &str) -> Value {
    let value: toml::Value = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    serde_json::to_value(value).expect("JSON")
}

/// What the parser says that a table takes, from its word on a key that no table has.
fn taken(invalid: &Invalid) -> Option<BTreeSet<String>> {
    let finding =
        invalid.findings().iter().find(|finding| finding.message().contains("unknown key `zzz`"))?;
    let help = finding.help()?.to_string();
    let (_, list) = help.split_once(" takes ")?;
    Some(list.split('`').skip(1).step_by(2).map(String::from).collect())
}

fn keys(properties: &Value) -> BTreeSet<String> {
    properties.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// Every table that a schema has, by path, with the keys of all its forms.
fn tables(schema: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.entry(path.to_string()).or_default().extend(keys(&schema["properties"]));
        for (key, inner) in properties {
            tables(inner, format!("{path}.{key}").trim_start_matches('.'), found);
        }
    }
    for form in schema["anyOf"].as_array().into_iter().flatten() {
        tables(form, path, found);
    }
    if schema["items"].is_object() {
        tables(&schema["items"], path, found);
    }
}

#[test]
fn the_config_schema_has_the_parsers_keys_and_no_others() {
    let mut found = BTreeMap::new();
    tables(&super::config(), "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (path, known) in found {
        // Rules of the lint are names, not keys: an unknown one is told otherwise.
        if path == "lint.rules" {
            let names: BTreeSet<String> = crate::migrate::lint::names().map(String::from).collect();
            assert_eq!(known, names);
            continue;
        }
        let text = match path.as_str() {
            "" => format!("zzz = 1\n{DATABASE}"),
            "database" => format!("{DATABASE}zzz = 1\n"),
            // The other tool has fewer.
            "migrations" => format!("{DATABASE}[migrations]\ntool = \"alembic\"\nzzz = 1\n"),
            path => format!("{DATABASE}[{path}]\nzzz = 1\n"),
        };
        let refused = config_of(&text).expect_err(&text);
        assert_eq!(taken(&refused), Some(known), "[{path}]");
    }
}

/// Values of every sort, each of which some key takes.
fn pool() -> Vec<toml::Value> {
    let text = |text: &str| toml::Value::String(text.into());
    let list = |items: &[&str]| toml::Value::Array(items.iter().map(|item| text(item)).collect());
    let pairs = |pairs: &[(&str, &str)]| {
        toml::Value::Table(pairs.iter().map(|(key, value)| ((*key).to_string(), text(value))).collect())
    };
    let mut pool = vec![true.into(), 0.into(), 7.into(), (-1).into(), 1.5.into(), toml::Value::Array(vec![])];
    pool.extend(["", "x", "10s", "10 s", "${DATABASE_URL}"].map(text));
    pool.extend([list(&["a"]), toml::Value::Array(vec![1.into()]), pairs(&[]), pairs(&[("/a", "b")])]);
    pool
}

/// The words that a property's schema names.
fn words(schema: &Value) -> Vec<toml::Value> {
    let own = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let own: Vec<toml::Value> =
        own.filter_map(Value::as_str).map(|word| toml::Value::String(word.into())).collect();
    let below =
        ["anyOf", "oneOf"].into_iter().filter_map(|forms| schema[forms].as_array()).flatten().flat_map(words);
    own.into_iter().chain(below).collect()
}

/// The schema of a key of a table, whichever form of the table has it.
fn property<'s>(schema: &'s Value, path: &str, key: &str) -> Option<&'s Value> {
    let forms = || schema["anyOf"].as_array().into_iter().flatten();
    match path.split_once('.').or((!path.is_empty()).then_some((path, ""))) {
        None => schema["properties"].get(key).or_else(|| forms().find_map(|form| property(form, path, key))),
        Some((first, rest)) => match schema["properties"].get(first) {
            Some(inner) => property(inner, rest, key),
            None => forms().find_map(|form| property(form, path, key)),
        },
    }
}

/// Whether the parser minds the sort of a value, and not what it says or what stands around it.
fn minds_the_sort(invalid: &Invalid) -> bool {
    const NOT_OF_SORT: [&str; 5] = [
        "must be longer than",
        "must be at most",
        "must be one line",
        "must be a web address",
        "must be a table",
    ];
    invalid.findings().iter().map(|finding| finding.message()).any(|message| {
        message.contains("` must be ") && !NOT_OF_SORT.iter().any(|other| message.contains(other))
    })
}

/// Holds what `parse` takes of `texts` against what the schema takes.
fn hold<T>(
    schema: &Validator,
    texts: impl Iterator<Item = (String, String)>,
    parse: impl Fn(&str) -> Result<T, Box<Invalid>>,
) {
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for (what, text) in texts {
        let checked = schema.check(&json_of(&text));
        match parse(&text) {
            Ok(_) => {
                taken += 1;
                wrong.extend(
                    checked.err().map(|why| format!("{what}: the parser takes it, the schema not: {why}")),
                );
            }
            // What a variable holds, no schema knows.
            Err(invalid) if minds_the_sort(&invalid) && !text.contains("${") => {
                refused += 1;
                wrong.extend(
                    checked.ok().map(|()| format!("{what}: the schema takes it, the parser not: {invalid}")),
                );
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 50 && refused > 100, "{taken} taken, {refused} refused");
}

#[test]
fn the_config_schema_takes_what_the_parser_takes() {
    let (schema, mut found) = (super::config(), BTreeMap::new());
    tables(&schema, "", &mut found);
    let needed = BTreeMap::from([
        ("replicas", "url = \"postgres://app@replica/shop\"\n"),
        ("health.http", "url = \"http://127.0.0.1/\"\n"),
        ("health.sql", "expect = \"select true\"\n"),
        ("notify.webhook", "url = \"http://127.0.0.1/hook\"\n"),
        ("database", "url = \"postgres://app@db/shop\"\n"),
    ]);
    let (needed, pool, schema) = (&needed, &pool(), &schema);
    let texts = found.iter().filter(|(path, _)| path.as_str() != "lint.rules").flat_map(|(path, known)| {
        let tables = &found;
        let leaves = known
            .iter()
            .filter(move |key| !tables.contains_key(format!("{path}.{key}").trim_start_matches('.')));
        leaves.flat_map(move |key| {
            let words = property(schema, path, key).map(words).unwrap_or_default();
            pool.iter().cloned().chain(words).map(move |value| {
                let line = format!("{key} = {value}\n");
                let beside: String = needed
                    .get(path.as_str())
                    .into_iter()
                    .flat_map(|text| text.lines())
                    .filter(|beside| !beside.starts_with(&format!("{key} =")))
                    .map(|beside| format!("{beside}\n"))
                    .collect();
                let text = match path.as_str() {
                    "" => format!("{line}{DATABASE}"),
                    "database" => format!("[database]\n{beside}{line}"),
                    path => format!("{DATABASE}[{path}]\n{beside}{line}"),
                };
                (format!("[{path}] {key} = {value}"), text)
            })
        })
    });
    hold(&Validator::of(super::config()), texts, config_of);
}

fn step_schemas() -> BTreeMap<String, Value> {
    let schema = super::runbook();
    let steps = schema["definitions"]["step"]["oneOf"].as_array().cloned().unwrap_or_default();
    steps
        .into_iter()
        .map(|step| (step["properties"]["step"]["const"].as_str().unwrap_or_default().to_string(), step))
        .collect()
}

#[test]
fn the_runbook_schema_has_the_parsers_steps_and_keys_and_no_others() {
    let refused = runbook_of("[[before]]\nstep = \"zzz\"\n").expect_err("no step");
    let help = Diagnostic::help(&refused.findings()[0]).expect("the steps").to_string();
    let known: BTreeSet<String> = help.split('`').skip(1).step_by(2).map(String::from).collect();
    let steps = step_schemas();
    assert_eq!(
        steps.keys().cloned().collect::<BTreeSet<_>>(),
        known,
        "add what is new to src/schema/runbook.json"
    );
    for (kind, step) in &steps {
        let text = format!("[[before]]\nstep = \"{kind}\"\nzzz = 1\n");
        assert_eq!(
            taken(&runbook_of(&text).expect_err(&text)),
            Some(keys(&step["properties"])),
            "step {kind}"
        );
    }
    let schema = super::runbook();
    let refused = runbook_of("zzz = 1\n[[before]]\nstep = \"preflight\"\n").expect_err("a key");
    assert_eq!(taken(&refused), Some(keys(&schema["properties"])));
    let refused = runbook_of("[window]\nzzz = 1\n[[before]]\nstep = \"preflight\"\n").expect_err("a key");
    assert_eq!(taken(&refused), Some(keys(&schema["properties"]["window"]["properties"])));
    let refused = runbook_of("[[before]]\nstep = \"verify\"\ntables = { zzz = 1 }\n").expect_err("a key");
    assert_eq!(taken(&refused), Some(["exactly".to_string()].into()));
}

#[test]
fn the_runbook_schema_takes_what_the_parser_takes() {
    let pool = pool();
    // Where each may stand; undo is what a command in the window needs, so it stands before it.
    let place = |kind: &str| match kind {
        "migrate" => "[window]\n[[during]]",
        "health" | "verify" | "record" => "[[after]]",
        _ => "[[before]]",
    };
    let beside = |kind: &str, key: &str| match kind {
        "command" if key != "run" => "run = [\"true\"]\n",
        _ => "",
    };
    let mut texts = Vec::new();
    for (kind, step) in step_schemas() {
        for key in keys(&step["properties"]).into_iter().filter(|key| key != "step") {
            for value in pool.iter().cloned().chain(words(&step["properties"][&key])) {
                let before = if kind == "approve" { "" } else { beside(&kind, &key) };
                let text = format!("{}\nstep = \"{kind}\"\n{before}{key} = {value}\n", place(&kind));
                texts.push((format!("{kind}: {key} = {value}"), text));
            }
        }
    }
    let schema = super::runbook();
    let window = &schema["properties"]["window"]["properties"];
    for key in keys(window) {
        for value in pool.iter().cloned().chain(words(&window[&key])) {
            let text = format!("[[before]]\nstep = \"preflight\"\n[window]\n{key} = {value}\n");
            texts.push((format!("[window] {key} = {value}"), text));
        }
    }
    hold(&Validator::of(schema), texts.into_iter(), runbook_of);
}

#[test]
fn what_is_shipped_is_valid() {
    let config = Validator::of(super::config());
    for text in [crate::config::DEFAULTS, include_str!("../../config/production.toml")] {
        // The defaults alone name no database; a table of theirs may be there without its address.
        let mut value = json_of(text);
        value["database"]["url"] = json!("${DATABASE_URL}");
        for (table, key) in
            [("replicas", "url"), ("health/http", "url"), ("health/sql", "expect"), ("notify/webhook", "url")]
        {
            let place = value.pointer_mut(&format!("/{table}")).filter(|place| place.is_object());
            place.into_iter().for_each(|place| place[key] = json!("${X}"));
        }
        assert_eq!(config.check(&value), Ok(()));
    }
    let runbook = Validator::of(super::runbook());
    for (name, text) in crate::runbook::SHIPPED {
        assert_eq!(runbook.check(&json_of(text)), Ok(()), "{name}");
    }
}

#[test]
fn an_editor_is_told_what_the_defaults_say() {
    let schema = super::config();
    let key = &schema["properties"]["database"]["properties"]["close_timeout"];
    assert_eq!(key["default"], "30s");
    assert!(
        key["description"].as_str().unwrap().starts_with("How long it may take to end every session"),
        "{key}"
    );
    let mut silent = Vec::new();
    told_nothing(&schema, "", &mut silent);
    assert!(silent.is_empty(), "without a description: {silent:?}");
}

fn told_nothing(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let is_table = property["properties"].is_object();
        let needs = !path.starts_with(".lint.rules.") && !is_table;
        if needs && property["description"].as_str().is_none_or(str::is_empty) {
            found.push(path.clone());
        }
        told_nothing(property, &path, found);
    }
    schema["anyOf"].as_array().into_iter().flatten().for_each(|form| told_nothing(form, path, found));
}

#[test]
fn the_other_schemas_are_schemas() {
    for schema in [super::event(), super::record(), super::manifest(), super::plan()] {
        assert!(schema["title"].is_string());
        Validator::of(schema);
    }
    Validator::of(super::output(None).expect("all"));
    let commands = super::commands();
    assert!(commands.len() > 25 && commands.contains(&"migrate lint".to_string()), "{commands:?}");
    for command in &commands {
        let schema = super::output(Some(command)).expect(command);
        let named = schema["anyOf"][0]["$ref"].as_str().expect("a reference").replace("%20", " ");
        assert_eq!(
            schema.pointer(named.trim_start_matches('#')).map(Value::is_object),
            Some(true),
            "{command}"
        );
    }
    let one = Validator::of(super::output(Some("migrate lint")).expect("one"));
    assert!(one.check(&json!("no document")).is_err() && one.check(&json!({ "environment": "x" })).is_err());
    assert_eq!(super::output(Some("no such")), None);
}
