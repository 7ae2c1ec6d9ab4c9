//! The examples of docs/github-actions.md, and every file that the documents show, are what they say they are.

use std::collections::BTreeMap;
use std::path::Path;

use backstay::config::Config;
use backstay::runbook::Runbook;
use backstay::schema;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::common::project::of_this_repository;
use crate::common::schema::Validator;

const GUIDE: &str = "docs/github-actions.md";

/// The fenced texts of a document that carry `label`.
fn labelled(file: &str, label: &str) -> Vec<String> {
    let text = std::fs::read_to_string(of_this_repository(file)).expect(file);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") && line.ends_with(&format!(" {label}")) {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(body.join("\n"));
        }
    }
    found
}

fn yaml(text: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

/// Every line of a shell in a workflow that calls backstay.
fn calls(yaml: &Yaml, found: &mut Vec<String>) {
    match yaml {
        Yaml::Hash(map) => {
            for (key, value) in map {
                match (key.as_str(), value.as_str()) {
                    (Some("run" | "buildCommand"), Some(script)) => found.extend(
                        script
                            .lines()
                            .map(str::trim)
                            .filter(|line| line.starts_with("backstay "))
                            .map(String::from),
                    ),
                    _ => calls(value, found),
                }
            }
        }
        Yaml::Array(items) => items.iter().for_each(|item| calls(item, found)),
        _ => {}
    }
}

#[test]
fn the_workflows_are_workflows() {
    let workflows = labelled(GUIDE, "workflow");
    assert_eq!(workflows.len(), 3);
    for text in &workflows {
        let workflow = yaml(text);
        assert!(!workflow["name"].is_badvalue() && !workflow["on"].is_badvalue(), "{text}");
        let jobs = workflow["jobs"].as_hash().expect("jobs");
        for (name, job) in jobs {
            assert!(job["runs-on"].as_str().is_some(), "{name:?}");
            for step in job["steps"].as_vec().expect("steps") {
                let does = ["run", "uses"].map(|key| !step[key].is_badvalue());
                assert_eq!(does.iter().filter(|does| **does).count(), 1, "{step:?}");
            }
            if let Some(needed) = job["needs"].as_str() {
                assert!(jobs.contains_key(&Yaml::String(needed.into())), "{needed}");
            }
        }
        // A job that asks Google for a token may do so.
        let asks = text.contains("google-github-actions/auth") || text.contains("./.github/actions/backstay");
        assert_eq!(asks, workflow["permissions"]["id-token"].as_str() == Some("write"), "{text}");
    }
    let action = yaml(&labelled(GUIDE, "action")[0]);
    assert_eq!(action["runs"]["using"].as_str(), Some("composite"));
    assert_eq!(yaml(&labelled(GUIDE, "render")[0])["services"][0]["type"].as_str(), Some("web"));
}

/// `line` with a word in the place of whatever stands between `begin` and `end`.
fn filled(line: &str, begin: &str, end: &str) -> String {
    match line.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1))) {
        Some((before, after)) => format!("{before}x{}", filled(after, begin, end)),
        None => line.to_string(),
    }
}

/// The real program knows every command that the guide types, with its options.
#[test]
fn the_commands_are_commands() {
    let mut found = Vec::new();
    for label in ["workflow", "render"] {
        labelled(GUIDE, label).iter().for_each(|text| calls(&yaml(text), &mut found));
    }
    assert!(found.len() > 12, "{found:?}");
    for line in found {
        let line = filled(&filled(&line, "${{", "}}"), "${", "}");
        let words = line.split(' ').skip(1).map(|word| word.trim_matches('"'));
        let arguments: Vec<&str> = words.chain(["--help"]).collect();
        let known = std::process::Command::new(env!("CARGO_BIN_EXE_backstay"))
            .args(&arguments)
            .output()
            .expect("help");
        assert!(known.status.success(), "{line}\n{}", String::from_utf8_lossy(&known.stderr));
        let help = String::from_utf8_lossy(&known.stdout).into_owned();
        for option in arguments.iter().filter(|word| word.starts_with("--") && **word != "--help") {
            assert!(help.contains(option), "{line}: {option} is not in\n{help}");
        }
    }
}

#[test]
fn the_configs_and_runbooks_are_valid() {
    let (configs, runbooks) = (Validator::strict(schema::config()), Validator::strict(schema::runbook()));
    let json = |text: &str| -> Value {
        serde_json::to_value(toml::from_str::<toml::Value>(text).expect("TOML")).expect("JSON")
    };
    let names = [
        "BACKEND",
        "BACKEND_IMAGE",
        "FRONTEND",
        "FRONTEND_IMAGE",
        "GCP_REGION",
        "HEALTH_URL",
        "DATABASE_URL",
        "BACKSTAY_STORE",
    ];
    let value = |name: &str| match name {
        "HEALTH_URL" => "https://shop.example.com/health",
        "DATABASE_URL" => "postgresql://app@db/shop",
        "BACKSTAY_STORE" => "gs://acme-backups/shop",
        _ => "x",
    };
    let variables: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_string(), value(name).to_string())).collect();
    let mut seen = 0;
    for file in [GUIDE, "docs/configuration.md", "docs/around.md"] {
        for text in labelled(file, "config") {
            configs.holds(&json(&text));
            seen += 1;
        }
        for text in labelled(file, "runbook") {
            runbooks.holds(&json(&text));
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
    let configs: Vec<Config> = labelled(GUIDE, "config")
        .iter()
        .map(|text| {
            Config::parse(text, Path::new("/project"), "production", &variables)
                .unwrap_or_else(|invalid| panic!("{invalid:?}"))
        })
        .collect();
    for text in labelled(GUIDE, "runbook") {
        let runbook =
            Runbook::parse(&text, GUIDE, &variables).unwrap_or_else(|invalid| panic!("{invalid:?}"));
        runbook.check_against(&configs[0]).unwrap_or_else(|invalid| panic!("{invalid:?}"));
    }
}

#[test]
fn records_and_manifests_that_are_shown_are_valid() {
    let (records, manifests) = (Validator::strict(schema::record()), Validator::strict(schema::manifest()));
    let shown = labelled("docs/formats.md", "record");
    assert!(shown.len() > 5);
    for text in shown {
        records.holds(&serde_json::from_str(&text).expect("JSON"));
    }
    for text in labelled("docs/formats.md", "manifest") {
        manifests.holds(&serde_json::from_str(&text).expect("JSON"));
    }
}
