//! The documents are true: their examples are parsed by the code that they speak of, their commands exist.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use backstay::answers::Answers;
use backstay::backup::manifest::Manifest;
use backstay::backup::proof::ProofRecord;
use backstay::config::{Config, env_file};
use backstay::engine::plan::Plan;
use backstay::failure::Verdict;
use backstay::journal::Record;
use backstay::journal::lease::Lease;
use backstay::migrate::{Migrations, script};
use backstay::runbook::{Runbook, SHIPPED};
use backstay::window::ledger;

/// What a reader may be sent to.
const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "docs/around.md",
    "docs/backups.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/formats.md",
    "docs/github-actions.md",
    "docs/maintenance-windows.md",
    "docs/rollback.md",
    "docs/window.md",
];

/// A fenced block of a document: its language, the word behind it, its text.
struct Block {
    language: String,
    label: String,
    text: String,
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn blocks(name: &str) -> Vec<Block> {
    let text = document(name);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let (language, label) = info.split_once(' ').unwrap_or((info, ""));
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push(Block { language: language.into(), label: label.into(), text: body.join("\n") + "\n" });
    }
    found
}

fn labelled(name: &str, label: &str) -> Vec<String> {
    let found: Vec<_> = blocks(name).into_iter().filter(|b| b.label == label).map(|b| b.text).collect();
    assert!(!found.is_empty(), "{name} has no block labelled {label}");
    found
}

/// The guide's project, as a reader who copies its files has it.
fn guide() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    for block in blocks("README.md").iter().filter(|block| !block.label.is_empty()) {
        let path = project.path().join(&block.label);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &block.text).unwrap();
        if block.label.starts_with(".env") {
            // As the guide says: chmod 600.
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    project
}

#[test]
fn the_guides_project_is_read_and_fits_the_shipped_runbooks() {
    let project = guide();
    let config = Config::load(project.path(), "production", &BTreeMap::new()).unwrap();
    assert_eq!(config.database.url.database(), "myapp");
    assert!(config.protected && config.flag.is_some());
    let runbook = Runbook::load(project.path(), "release", &config.variables_with(&BTreeMap::new())).unwrap();
    runbook.check_against(&config).unwrap();
}

#[test]
fn the_guides_migrations_are_one_chain_and_its_stamp_names_the_first() {
    let project = guide();
    let migrations = Migrations::load(&project.path().join("migrations")).unwrap();
    let rows = |target| migrations.chain().rows_at(target).unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(rows("head"), ["ea9069514d27"]);
    assert!(document("README.md").contains("backstay migrate stamp 9fd62e8b1c04 "));
    assert!(migrations.script("9fd62e8b1c04").is_some_and(|script| script.revision.down.is_empty()));
}

#[test]
fn examples_of_the_configuration_are_read() {
    for text in labelled("docs/configuration.md", "runbook") {
        Runbook::parse(&text, "docs/configuration.md", &BTreeMap::new()).unwrap();
    }
    let variables =
        BTreeMap::from([("DATABASE_URL".to_string(), "postgresql://app@127.0.0.1:5433/shop".to_string())]);
    let configs: Vec<Config> = labelled("docs/configuration.md", "config")
        .iter()
        .map(|text| Config::parse(text, Path::new("/srv"), "production", &variables).unwrap())
        .collect();
    assert!(configs.iter().any(|config| config.tunnel.as_ref().is_some_and(|tunnel| tunnel.port == 5433)));
    for text in labelled("docs/configuration.md", "migration") {
        script::parse(&text, Path::new("example.sql")).unwrap();
    }
    for text in labelled("docs/configuration.md", "env") {
        let variables = env_file::parse(&text).unwrap();
        assert_eq!(variables["DATABASE_URL"], "postgresql://app:pa(ss$word@db.example.com:5432/app");
        assert_eq!(variables["DEPLOY"], "systemctl restart api");
        assert_eq!(variables["PRIVATE_KEY"], "double quotes know \n and \" and \\");
    }
}

#[test]
fn examples_of_what_stands_around_the_database_are_read() {
    let urls = ["DATABASE_URL", "REPLICA_URL", "PGBOUNCER_URL"];
    let variables: BTreeMap<String, String> =
        urls.map(|name| (name.to_string(), format!("postgresql://app@{name}/shop"))).into();
    let configs: Vec<Config> = labelled("docs/around.md", "config")
        .iter()
        .map(|text| Config::parse(text, Path::new("/srv"), "production", &variables).unwrap())
        .collect();
    assert_eq!(configs[0].replicas[0].name, "analytics");
    assert!(configs[1].database.pooler.is_some());
    for text in labelled("docs/around.md", "runbook") {
        Runbook::parse(&text, "docs/around.md", &BTreeMap::new()).unwrap();
    }
}

#[test]
fn examples_of_maintenance_windows_are_read() {
    const PAGE: &str = "docs/maintenance-windows.md";
    let variables = BTreeMap::from([("DATABASE_URL".into(), "postgresql://app@db/shop".into())]);
    let config =
        Config::parse(&labelled(PAGE, "config")[0], Path::new("/srv"), "production", &variables).unwrap();
    let schedule = config.schedule.as_ref().expect("a schedule");
    assert_eq!(schedule.to_string(), "tue-thu 22:00-02:00, sun 06:00-12:00 (Europe/Berlin)");
    assert_eq!(schedule.freezes.len(), 1);
    let runbook = Runbook::parse(&labelled(PAGE, "runbook")[0], PAGE, &BTreeMap::new()).unwrap();
    let plan = Plan::compile(&runbook, &config);
    let answers = Answers::parse(&labelled(PAGE, "answers")[0], "answers.toml").unwrap();
    assert!(plan.questions().all(|(ask, line)| answers.to(ask, &line.name).is_some_and(|answer| answer.yes)));
    assert_eq!(plan.questions().count(), 3);
}

#[test]
fn every_kind_of_step_and_every_shipped_runbook_is_documented() {
    let text = document("docs/configuration.md");
    for kind in [
        "preflight",
        "backup",
        "lint",
        "preview",
        "approve",
        "checklist",
        "migrate",
        "rollback",
        "command",
        "verify",
        "health",
        "record",
    ] {
        assert!(text.contains(&format!("\n**`{kind}`** (")), "{kind}");
    }
    for (name, _) in SHIPPED {
        assert!(text.contains(&format!("runbooks/{name}.toml")), "{name}");
    }
}

#[test]
fn every_rule_of_our_own_is_documented() {
    let text = document("docs/lint.md");
    for rule in backstay::migrate::lint::ours() {
        assert!(text.contains(&format!("\n| `{rule}` | ")), "{rule}");
    }
}

#[test]
fn every_example_of_a_record_is_one_and_no_kind_lacks_an_example() {
    let mut kinds: Vec<String> = Vec::new();
    for text in labelled("docs/formats.md", "record") {
        let record: Record = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let written = serde_json::to_value(&record).unwrap();
        // Nothing in the example that the code does not know.
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&text).unwrap());
        kinds.push(written["kind"].as_str().unwrap().to_string());
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "abandoned",
            "began",
            "ended",
            "failed",
            "finished",
            "flag_is_down",
            "interrupted",
            "keep_new",
            "outside_schedule",
            "put_back_anyway",
            "put_back_began",
            "put_back_found",
            "started",
            "took_over",
        ]
    );
}

#[test]
fn the_example_of_a_lease_is_one() {
    for text in labelled("docs/formats.md", "lease") {
        let lease: Lease = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::to_value(lease).unwrap(),
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        );
    }
}

#[test]
fn the_examples_of_a_manifest_and_of_its_verification_hold_together() {
    let manifest = Manifest::parse(labelled("docs/formats.md", "manifest")[0].as_bytes()).unwrap();
    let verified: ProofRecord = serde_json::from_str(&labelled("docs/formats.md", "verified")[0]).unwrap();
    assert_eq!(verified.manifest.as_ref(), Some(&manifest.checksum));
    assert!(verified.mismatches.is_empty());
    let failed: ProofRecord = serde_json::from_str(&labelled("docs/formats.md", "failed")[0]).unwrap();
    assert_eq!((failed.manifest, failed.mismatches.len()), (Some(manifest.checksum), 1));
}

#[test]
fn the_example_of_a_ledger_is_one() {
    let text = &labelled("docs/formats.md", "ledger")[0];
    let document = ledger::Document::parse(text.as_bytes()).unwrap();
    // Nothing in the example that the code does not know.
    assert_eq!(
        serde_json::to_value(&document).unwrap(),
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    );
    let loaded: Vec<_> = document.files.iter().map(|file| file.kind).collect();
    assert!(loaded.is_sorted_by_key(|kind| *kind as u8), "in the order of loading: {loaded:?}");
}

#[test]
fn the_table_of_exit_codes_is_the_programs() {
    let text = document("README.md");
    let all = [
        Verdict::Done,
        Verdict::Internal,
        Verdict::Usage,
        Verdict::Refused,
        Verdict::PutBack,
        Verdict::NotPutBack,
        Verdict::Interrupted,
        Verdict::ChangedButFailing,
        Verdict::InterruptedInWindow,
    ];
    for verdict in all {
        let row = format!("\n| {} | {} |", verdict.exit_code(), verdict.production());
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn every_command_in_a_document_is_one() {
    for name in DOCUMENTS {
        for command in commands(name) {
            let output = Command::new(env!("CARGO_BIN_EXE_backstay"))
                .args(arguments(&command))
                .arg("--help")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: backstay {command}: {said}");
        }
    }
}

/// The words of a command; double quotes keep some together.
fn arguments(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(String::from)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

/// What stands behind `backstay ` on a line of a shell's block, or in backquotes; not what a synopsis leaves open.
fn commands(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for block in blocks(name).iter().filter(|block| block.language == "sh" && block.label.is_empty()) {
        found.extend(block.text.lines().filter_map(|line| line.strip_prefix("backstay ")).map(String::from));
    }
    // Timers and cron lines run them too.
    for block in blocks(name).iter().filter(|block| ["ini", "cron"].contains(&block.language.as_str())) {
        let parts = block.text.lines().flat_map(|line| line.split(" && "));
        found.extend(parts.filter_map(|part| part.split_once("backstay ")).map(|(_, rest)| rest.to_string()));
    }
    let text = document(name);
    found
        .extend(text.split("`backstay ").skip(1).filter_map(|rest| rest.split('`').next()).map(String::from));
    found.retain(|command| !command.contains(['[', '<', '|', '…']));
    found
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    for name in DOCUMENTS {
        let text = document(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let path = folder.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(path.exists(), "{name}: {target}");
        }
    }
}
