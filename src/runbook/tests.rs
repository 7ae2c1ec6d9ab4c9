//! What a runbook is read to, and what is said where it can't be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::document::render;

const MINUTE: Duration = Duration::from_secs(60);

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
}

fn parse(text: &str) -> Result<Runbook, String> {
    let variables =
        vars(&[("DEPLOY", "./deploy new"), ("DEPLOY_UNDO", "./deploy old"), ("MAINTENANCE", "./work")]);
    Runbook::parse(text, "runbooks/release.toml", &variables).map_err(|e| render(e.as_ref(), 100, false))
}

fn refusals(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let message = match parse(text) {
            Ok(runbook) => format!("ACCEPTED {runbook:?}"),
            Err(message) => message,
        };
        writeln!(out, "{}\n", message.trim_end()).unwrap();
    }
    out
}

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn the_shipped_release_is_the_whole_checklist() {
    let release = parse(SHIPPED[0].1).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(names(&release.before), ["preflight", "backup", "preview", "approve"]);
    let window = release.window.unwrap();
    assert_eq!(
        (window.guard, window.max, window.first_deploy),
        (GuardKind::Clone, Duration::from_secs(900), false)
    );
    assert_eq!(names(&window.during), ["migrate to head", "verify"]);
    assert_eq!(names(&window.open), ["deploy", "health"]);
    let StepKind::Command(command) = &window.open[0].kind else { panic!("a command") };
    assert_eq!(command.run, ["sh", "-c", "./deploy new"]);
    assert_eq!(command.undo, Undo::Run(vec!["sh".into(), "-c".into(), "./deploy old".into()]));
    assert_eq!(command.timeout, Duration::from_secs(600));
    assert_eq!(names(&release.after), ["record"]);
}

#[test]
fn every_shipped_runbook_is_one() {
    for (name, text) in SHIPPED {
        let runbook = parse(text).unwrap_or_else(|m| panic!("{name}: {m}"));
        assert_eq!(runbook.name, name);
        assert!(!runbook.description.is_empty());
        assert_eq!(runbook.text, text);
    }
}

#[test]
fn a_release_is_taken_back_once_and_alone() {
    let window = "[[during]]\nstep = \"rollback\"\nby = \"guard\"\n[window]\nguard = \"clone\"\n";
    let step = parse(window).unwrap().rollback().cloned().unwrap();
    assert!(matches!(step.kind, StepKind::Rollback { by: Some(By::Guard) }), "{step:?}");
    for beside in ["rollback", "migrate"] {
        let message = parse(&format!("{window}[[during]]\nstep = \"{beside}\"\n")).unwrap_err();
        assert!(message.contains("stands beside a `rollback`"), "{message}");
    }
    let message = parse("[[open]]\nstep = \"rollback\"\n[window]\nguard = \"clone\"\n").unwrap_err();
    assert!(message.contains("`rollback` can't stand in [[open]]"), "{message}");
}

#[test]
fn every_key_of_every_step_is_read() {
    let runbook = parse(
        r##"
[[before]]
step = "backup"
verify = "restore"
[[before]]
name = "warm up"
step = "command"
run = ["./warm", "up it's", "$HOME", "${DEPLOY}"]
timeout = "1m"
directory = "ops"
env = { MODE = "x", TARGET = "${DEPLOY}" }
[window]
guard = "backup"
max = "1h"
first_deploy = true
[[during]]
step = "migrate"
to = "ai@head"
root = "ai"
[[during]]
step = "verify"
tables = ["users", "odd \"name\""]
columns = { users = ["id", "email"], orders = { id = "uuid", "total due" = "numeric(10,2)" } }
owner = "app"
indexes = 3
foreign_keys = 2
may_shrink = ["sessions"]
[[during]]
step = "verify"
tables = 11
[[open]]
step = "command"
run = ["true"]
undo = "none"
[[open]]
step = "services"
[[open.service]]
name = "api"
run = ["./api"]
undo = ["./api", "back"]
url = "https://api.example.org"
[[open.service]]
name = "web"
run = ["./web"]
undo = "none"
directory = "web"
[[open]]
step = "health"
[[open.http]]
url = "http://127.0.0.1/"
[[open]]
step = "health"
sql = [{ expect = "select true" }]
[[after]]
step = "watch"
for = "5m"
every = "5s"
in_a_row = 2
on_breach = "rollback-advice"
http = [{ url = "http://127.0.0.1/" }]
log = { file = "log/api.log", pattern = "ERROR|Traceback", most = "3/10m" }
activity = { blocked = 0 }
rows = { fall = 1, may_shrink = ["sessions"] }
lag = false
[[after]]
step = "record"
changelog = "docs/CHANGES.md"
schema = "docs/schema.sql"
tag = "release-{date}"
"##,
    )
    .unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(runbook.name, "release");
    assert!(matches!(runbook.before[0].kind, StepKind::Backup { verify: Level::Restore }));
    let StepKind::Command(command) = &runbook.before[1].kind else { panic!("a command") };
    assert_eq!(command.run, ["./warm", "up it's", "$HOME", "./deploy new"]);
    assert_eq!(command.undo, Undo::None);
    assert_eq!(command.directory.as_deref(), Some(Path::new("ops")));
    assert_eq!(command.env["TARGET"], "./deploy new");
    let window = runbook.window.unwrap();
    assert!(window.first_deploy && window.guard == GuardKind::Backup);
    assert_eq!(names(&window.during), ["migrate ai to ai@head", "verify", "verify 2"]);
    let StepKind::Verify(verify) = &window.during[1].kind else { panic!("verify") };
    assert_eq!((verify.table_count, verify.tables.len()), (None, 2));
    assert_eq!(verify.columns["users"]["email"], "");
    assert_eq!(verify.columns["orders"]["total due"], "numeric(10,2)");
    assert!(matches!(&window.during[2].kind, StepKind::Verify(v) if v.table_count == Some(11)));
    assert_eq!(names(&window.open), ["true", "api, web", "health", "health 2"]);
    let StepKind::Services(services) = &window.open[1].kind else { panic!("services") };
    assert_eq!(services[0].command.undo, Undo::Run(vec!["./api".into(), "back".into()]));
    assert_eq!(
        (&*services[1].name, services[1].command.directory.as_deref()),
        ("web", Some(Path::new("web")))
    );
    let StepKind::Health { http, .. } = &window.open[2].kind else { panic!("health") };
    assert_eq!((http[0].status, http[0].deadline), (200, Duration::from_secs(60)));
    let StepKind::Watch(watch) = &runbook.after[0].kind else { panic!("watch") };
    assert_eq!((watch.lasts, watch.every, watch.in_a_row), (MINUTE * 5, MINUTE / 12, 2));
    assert_eq!((watch.on_breach, watch.http.len(), watch.lag), (OnBreach::RollbackAdvice, 1, None));
    let file = LogSource::File("log/api.log".into());
    let texts = vec!["ERROR".to_string(), "Traceback".to_string()];
    let most = Rate { count: 3, within: MINUTE * 10 };
    assert_eq!(watch.logs, [LogWatch { source: file, texts, most }]);
    let limits = ActivityLimits { longest_query: MINUTE * 2, blocked: 0, idle_in_transaction: MINUTE * 2 };
    assert_eq!(watch.activity, Some(limits));
    let rows = RowLimits { asked: true, fall: 1, may_shrink: vec!["sessions".into()] };
    assert_eq!(watch.rows, Some(rows));
    let StepKind::Record(record) = &runbook.after[1].kind else { panic!("record") };
    assert_eq!(record.changelog.as_deref(), Some(Path::new("docs/CHANGES.md")));
    assert!(record.schema.is_some() && record.tag.as_deref() == Some("release-{date}"));
}

#[test]
fn a_checklist_has_a_line_for_each_question() {
    let asks = "[[before]]\nstep = \"checklist\"\nask = \"Are on-call and support told, all of them, by name?\"\n\
                [[before]]\nstep = \"checklist\"\nname = \"the page\"\nask = \"Is it up?\"\n\
                [[before]]\nstep = \"checklist\"\nask = [\"Is a driver there?\", \"And a second one?\"]";
    let runbook = parse(asks).unwrap_or_else(|m| panic!("{m}"));
    let config = Config::parse(
        "[database]\nurl = \"postgres://app@db/shop\"",
        Path::new("/srv"),
        "production",
        &vars(&[]),
    );
    let plan = crate::engine::plan::Plan::compile(&runbook, &config.unwrap());
    let lines: Vec<_> =
        plan.questions().map(|(ask, line)| (line.id.to_string(), line.name.as_str(), ask)).collect();
    let lines: Vec<_> = lines.iter().map(|(id, name, ask)| (id.as_str(), *name, *ask)).collect();
    let long = "Are on-call and support told, all of them, by name?";
    assert_eq!(
        lines,
        [
            ("1", long, long),
            ("2", "the page", "Is it up?"),
            ("3", "Is a driver there?", "Is a driver there?"),
            ("4", "And a second one?", "And a second one?")
        ]
    );
}

#[test]
fn a_long_command_gets_a_short_name() {
    let text = "[[before]]\nstep = \"command\"\nrun = [\"./x\", \"one\\ntwo\", \"ääääääääääääääääääääääääääääääääääää\"]";
    let name = &parse(text).unwrap().before[0].name;
    assert_eq!(name, "./x one two äääääääääääääääääääääääääää…");
    assert!(name.chars().count() <= 40);
    let text =
        "[[before]]\nstep = \"command\"\nrun = [\"sh\", \"-c\", \"${DEPLOY} postgres://u:pw-of-a-name@h/d\"]";
    assert_eq!(parse(text).unwrap().before[0].name, "sh -c ${DEPLOY} postgres://u:***@h/d");
}

#[test]
fn typing_errors() {
    insta::assert_snapshot!(refusals(&[
        "[windw]\nguard = \"clone\"\n[[before]]\nstep = \"preflight\"",
        "[[before]]\nstep = \"preflight\"\n[window]\ngaurd = \"clone\"\nmax = 15",
        "[[before]]\nstep = \"prefligth\"\nunknown = 1",
        "[[before]]\nstep = \"reboot\"",
        "[[before]]\nstep = \"watch\"\nfor = \"10m\"",
        "[[before]]\nname = \"nothing\"",
        "[[before]]\nstep = \"backup\"\nverify = \"full\"\nlevel = 3",
        "[[before]]\nstep = 5",
        "before = \"preflight\"",
        "[before]\nstep = \"preflight\"\nname = \"\"",
        "[window]\nguard = \"copy\"\n[[during]]\nstep = \"migrate\"",
        "",
        "name = \"x\"\n# nothing else\n",
    ]));
}

#[test]
fn bad_steps() {
    insta::assert_snapshot!(refusals(&[
        "[[before]]\nstep = \"command\"\nrun = \"systemctl restart api\"",
        "[[before]]\nstep = \"command\"\nrun = []",
        "[[before]]\nstep = \"command\"\nrun = [\"\", \"x\"]\ntimeout = \"0s\"",
        "[[before]]\nstep = \"command\"",
        "[[before]]\nstep = \"command\"\nrun = [\"x\"]\nenv = { A = 1, \"B=C\" = \"d\" }",
        "[window]\n[[open]]\nstep = \"command\"\nrun = [\"x\"]",
        "[window]\n[[open]]\nstep = \"command\"\nrun = [\"x\"]\nundo = \"systemctl restart api@previous\"",
        "[window]\n[[open]]\nstep = \"command\"\nrun = [\"sh\", \"-c\", \"${DEPLOI}\"]\nundo = []",
        "[window]\n[[open]]\nstep = \"services\"",
        "[window]\n[[open]]\nstep = \"services\"\n[[open.service]]\nname = \"api\"\nrun = [\"x\"]\n[[open.service]]\nrun = [\"x\"]\nundos = \"none\"",
        "[[after]]\nstep = \"services\"\nservice = [{ name = \"a\", run = [\"x\"] }, { name = \"a\", run = [\"y\"] }]",
        "[window]\n[[during]]\nstep = \"verify\"\ntables = \"users\"\ncolumns = { users = \"id\" }\nindexes = -1",
        "[[before]]\nstep = \"approve\"\nname = \"go\"\n[[before]]\nstep = \"preflight\"\nname = \"go\"",
        "[[after]]\nstep = \"health\"\n[[after.http]]\nurl = \"ftp://x\"\nstatsu = 1",
        "[[before]]\nstep = \"checklist\"\nquestion = \"Told?\"",
        "[[before]]\nstep = \"checklist\"\nask = []",
        "[[before]]\nstep = \"checklist\"\nask = [\"Told?\", \"Up?\", \"Told?\"]",
        "[[before]]\nstep = \"checklist\"\nask = 5",
        "[[after]]\nstep = \"watch\"\nlog = { pattern = \"ERROR||x\", most = \"5 per minute\" }\non_breach = \"restore\"",
        "[[after]]\nstep = \"record\"\ntag = \"release {day}\"",
        "[[after]]\nstep = \"watch\"\nlog = { file = \"x\", pattern = \"x\" , command = [\"x\"] }\nactivity = true\nrows = 5",
    ]));
}

#[test]
fn impossible_orders() {
    insta::assert_snapshot!(refusals(&[
        "[[before]]\nstep = \"migrate\"\n[window]\n[[after]]\nstep = \"migrate\"",
        "[window]\n[[open]]\nstep = \"migrate\"",
        "[[during]]\nstep = \"migrate\"\n[[open]]\nstep = \"health\"",
        "[[before]]\nstep = \"approve\"\n[[before]]\nstep = \"preview\"\n[window]\n[[during]]\nstep = \"migrate\"",
        "[[before]]\nstep = \"approve\"\n[window]\n[[during]]\nstep = \"migrate\"",
        "[[before]]\nstep = \"verify\"\n[[before]]\nstep = \"record\"",
        "[window]\n[[during]]\nstep = \"preview\"\n[[during]]\nstep = \"backup\"\n[[during]]\nstep = \"health\"",
        "[[after]]\nstep = \"preflight\"",
    ]));
}

#[test]
fn a_runbook_is_held_against_its_environment() {
    let config = |text: &str| {
        let text = format!("{text}\n[database]\nurl = \"postgres://app@db/shop\"");
        Config::parse(&text, Path::new("/srv/shop"), "production", &vars(&[])).unwrap()
    };
    let against = |runbook: &str, settings: &str| {
        parse(runbook)
            .unwrap_or_else(|m| panic!("{m}"))
            .check_against(&config(settings))
            .map_err(|invalid| render(invalid.as_ref(), 100, false))
    };
    const FLAG: &str = "[maintenance]\nflag = { file = \"/f\" }";
    const HEALTH: &str = "[[health.http]]\nurl = \"http://h/\"";
    let release = SHIPPED[0].1;
    let window = "[window]\n[[during]]\nstep = \"migrate\"\nroot = \"mian\"\n[[open]]\nstep = \"health\"";
    let shown = [
        against(release, "").unwrap_err(),
        against(release, FLAG).unwrap_err(),
        against(window, HEALTH).unwrap_err(),
        against("[[after]]\nstep = \"health\"", "").unwrap_err(),
        against("[[after]]\nstep = \"watch\"\nrows = true", "").unwrap_err(),
    ];
    insta::assert_snapshot!(shown.join("\n"));

    let both = format!("{FLAG}\n{HEALTH}");
    assert_eq!(against(release, &both), Ok(()));
    assert_eq!(against("[[after]]\nstep = \"preflight\"".replace("after", "before").as_str(), ""), Ok(()));
    assert_eq!(against("[window]\nfirst_deploy = true\n[[during]]\nstep = \"migrate\"", FLAG), Ok(()));
    let own = "[window]\n[[during]]\nstep = \"migrate\"\n[[open]]\nstep = \"health\"\nhttp = [{ url = \"http://h/\" }]";
    assert_eq!(against(own, FLAG), Ok(()));
}

#[test]
fn a_name_a_path_or_a_shipped_one() {
    let root = tempfile::tempdir().unwrap();
    let load = |name: &str| {
        let variables = vars(&[("DEPLOY", "x"), ("DEPLOY_UNDO", "y")]);
        Runbook::load(root.path(), name, &variables)
    };
    assert_eq!(load("release").unwrap().origin, "shipped:release");

    std::fs::create_dir(root.path().join("runbooks")).unwrap();
    let own = "description = \"own\"\n[[before]]\nstep = \"preflight\"";
    std::fs::write(root.path().join("runbooks/release.toml"), own).unwrap();
    std::fs::write(root.path().join("elsewhere.toml"), own).unwrap();
    for (name, origin, called) in [
        ("release", "runbooks/release.toml", "release"),
        ("runbooks/release.toml", "runbooks/release.toml", "release"),
        ("elsewhere.toml", "elsewhere.toml", "elsewhere"),
        (root.path().join("elsewhere.toml").to_str().unwrap(), "elsewhere.toml", "elsewhere"),
    ] {
        let runbook = load(name).unwrap();
        assert_eq!((runbook.origin.as_str(), runbook.name.as_str()), (origin, called));
    }

    let show =
        |error: RunbookError| render(&error, 100, false).replace(root.path().to_str().unwrap(), "ROOT");
    std::fs::create_dir(root.path().join("runbooks/folder.toml")).unwrap();
    let shown =
        [load("relaese"), load("xyz"), load("no/such.toml"), load("folder")].map(|r| show(r.unwrap_err()));
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_journaled_text_is_read_again() {
    let first = parse(SHIPPED[0].1).unwrap();
    let again = Runbook::parse(
        &first.text,
        &first.origin,
        &vars(&[("DEPLOY", "./deploy new"), ("DEPLOY_UNDO", "./deploy old")]),
    )
    .unwrap();
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
}
