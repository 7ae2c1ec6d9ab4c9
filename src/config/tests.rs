//! What a config is read to, and what is said where it can't be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::document::render;
use crate::redact;

const ROOT: &str = "/srv/shop";

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    Config::parse(text, Path::new(ROOT), "production", &vars(variables))
        .map_err(|invalid| render(invalid.as_ref(), 100, false))
}

/// `text`, with a database behind it if it has none.
fn with_database(text: &str) -> String {
    match text.contains("[database]") {
        true => text.to_string(),
        false => format!("{text}\n\n[database]\nurl = \"postgres://app@db.example.com/shop\"\n"),
    }
}

fn refusals(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let message = match parse(&with_database(text), &[]) {
            Ok(config) => format!("ACCEPTED {config:?}"),
            Err(message) => message,
        };
        writeln!(out, "{}\n", message.trim_end()).unwrap();
    }
    out
}

#[test]
fn a_database_is_all_that_a_config_needs() {
    let config = parse(&with_database(""), &[]).unwrap();
    assert_eq!(config.environment, "production");
    assert_eq!(config.path, Path::new("/srv/shop/config/production.toml"));
    assert_eq!(config.hash.len(), 64);
    assert!(!config.protected);
    assert_eq!(config.database.url.database(), "shop");
    assert_eq!(config.database.admin_url.database(), "shop");
    assert_eq!(config.database.maintenance_database, "postgres");
    assert_eq!(config.database.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.database.free_disk, FreeDisk::Unset);
    let [root] = config.migrations.as_slice() else { panic!("one root") };
    assert_eq!(root.directory, Path::new("/srv/shop/migrations"));
    assert_eq!((root.name.as_str(), root.lock_retries, root.statement_timeout), ("main", 5, None));
    let StoreLocation::Directory { path, insist } = &config.store else { panic!("{:?}", config.store) };
    assert_eq!((path.as_path(), *insist), (Path::new("/srv/shop/backstay-store"), false));
    assert_eq!(config.backup, Backup { compression: Compression::Gzip { level: 4 }, jobs: 4 });
    assert_eq!(config.flag, None);
    assert!(config.database.pooler.is_none() && config.replicas.is_empty());
    assert!(!config.window.undeclared_replicas);
    assert_eq!(config.database.network_timeout, Duration::from_secs(30));
    assert_eq!(config.window.on_writes, OnWrites::Ask);
    assert!(!config.health.checks_anything());
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
protected = true
[database]
url = "host=db dbname=shop user=app"
admin_url = "postgres://admin@direct/shop"
maintenance_database = "template1"
connect_timeout = "3s"
restart_timeout = "0s"
network_timeout = "5s"
close_timeout = "1m30s"
pooler = { pause = ["hold", "shop"], resume = ["go"], timeout = "2s" }
free_disk = { command = ["df", "--output=avail", "/"] }
[[migrations]]
name = "main"
directory = "./db/main"
[[migrations]]
name = "ai"
tool = "sql"
directory = "/abs/ai"
version_schema = "ai"
version_table = "versions"
lock_timeout = "250ms"
lock_retries = 0
statement_timeout = "1h"
[store]
url = "file:///var/backups"
insist_in_ci = true
[backup]
compression = "gzip"
level = 1
jobs = 8
[maintenance]
flag = { on = ["up"], off = ["down"], status = ["st", "-q"] }
[window]
keep = "0s"
on_writes = "put-back"
sample_bytes = 1
undeclared_replicas = "allow"
replica_timeout = "1m"
[[replicas]]
name = "analytics"
url = "host=replica dbname=shop user=app"
[[replicas]]
url = "host=other dbname=shop user=app"
[[health.http]]
url = "https://shop.example.com/health"
headers = { Accept = "application/json", X-Probe = "1" }
status = 204
contains = "fine"
json = { "/status" = "ok", "/n" = 3, "/f" = 0.5, "/list" = [true], "/o" = { a = "b" } }
latency = "300ms"
successes = 3
interval = "0s"
timeout = "2s"
deadline = "2m"
[[health.sql]]
expect = "select true"
"#,
        &[("CI", "true")],
    )
    .unwrap();
    assert!(config.protected);
    assert_eq!(config.database.close_timeout, Duration::from_secs(90));
    assert_eq!(
        (config.database.restart_timeout, config.database.network_timeout),
        (Duration::ZERO, Duration::from_secs(5))
    );
    let pooler = config.database.pooler.as_ref().expect("a pooler");
    assert_eq!((pooler.pause.len(), pooler.resume.len(), pooler.timeout), (2, 1, Duration::from_secs(2)));
    let names: Vec<&str> = config.replicas.iter().map(|replica| replica.name.as_str()).collect();
    assert_eq!(names, ["analytics", "walreceiver"]);
    assert_eq!(
        (config.window.undeclared_replicas, config.window.replica_timeout),
        (true, Duration::from_secs(60))
    );
    assert!(matches!(&config.database.free_disk, FreeDisk::Command(c) if c.len() == 3));
    let [main, ai] = config.migrations.as_slice() else { panic!("two roots") };
    assert_eq!(main.directory, Path::new("/srv/shop/db/main"));
    assert_eq!((main.version_schema.as_str(), main.lock_timeout), ("public", Duration::from_secs(5)));
    assert_eq!(ai.directory, Path::new("/abs/ai"));
    assert_eq!(
        (ai.version_table.as_str(), ai.statement_timeout),
        ("versions", Some(Duration::from_secs(3600)))
    );
    assert_eq!(config.store, StoreLocation::Directory { path: "/var/backups".into(), insist: true });
    let Some(Flag::Command { status, timeout, .. }) = &config.flag else { panic!("commands") };
    assert_eq!((status.len(), *timeout), (2, Duration::from_secs(30)));
    assert_eq!((config.window.keep, config.window.on_writes), (Duration::ZERO, OnWrites::PutBack));
    let check = &config.health.http[0];
    assert_eq!((check.status, check.successes, check.timeout), (204, 3, Duration::from_secs(2)));
    assert_eq!(check.headers[1], ("X-Probe".into(), "1".into()));
    assert_eq!(check.json[3], ("/list".into(), serde_json::json!([true])));
    assert_eq!(config.health.sql[0].timeout, Duration::from_secs(10));
}

#[test]
fn an_alembic_project_has_its_own_keys() {
    let text = "env_file = \"no.env\"\n[database]\nurl = \"postgres://app@db/shop\"\n[[migrations]]\nname = \"main\"\n\
                tool = \"alembic\"\n[[migrations]]\nname = \"ai\"\ntool = \"alembic\"\ndirectory = \"backend\"\n\
                command = [\"poetry\", \"run\", \"alembic\"]\nini = \"ai.ini\"\nsection = \"ai\"\nx = [\"tenant=a\"]\n\
                url_env = \"SQLALCHEMY_DATABASE_URL\"\ndriver = \"postgresql+asyncpg\"\ntimeout = \"5m\"\n\
                version_table = \"alembic_version_ai\"";
    let config = parse(text, &[]).unwrap();
    let [main, ai] = config.migrations.as_slice() else { panic!("two roots") };
    let (Tool::Alembic(first), Tool::Alembic(second)) = (&main.tool, &ai.tool) else { panic!("{main:?}") };
    assert_eq!(main.directory, Path::new("/srv/shop"), "the project's root");
    assert_eq!((first.command.as_slice(), first.ini.as_str()), (&["alembic".to_string()][..], "alembic.ini"));
    assert_eq!((first.url_env.as_str(), first.timeout), ("DATABASE_URL", Duration::from_secs(7200)));
    assert_eq!(ai.directory, Path::new("/srv/shop/backend"));
    assert_eq!((second.command.len(), second.section.as_str(), second.x.len()), (3, "ai", 1));
    assert_eq!(second.driver.as_deref(), Some("postgresql+asyncpg"));
}

#[test]
fn a_bucket_is_a_store_and_outlives_a_ci_runner() {
    let text = "[database]\nurl = \"postgres://app@db/shop\"\n[store]\nurl = \"gs://${BUCKET}/shop/\"";
    let config = parse(text, &[("CI", "true"), ("BUCKET", "acme-backups")]).unwrap();
    let StoreLocation::Bucket(location) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!(
        (location.bucket(), location.to_string().as_str()),
        ("acme-backups", "gs://acme-backups/shop")
    );
}

#[test]
fn files_of_other_systems_are_read() {
    let text = "\u{feff}# Notepad was here\r\n[database]\r\nurl = \"postgres://app@db/shop\"\r\n";
    assert_eq!(parse(text, &[]).unwrap().database.url.database(), "shop");
    let wrong = Config::parse(&format!("{text}ulr = 1\r\n"), Path::new(ROOT), "production", &vars(&[]));
    let invalid = wrong.unwrap_err();
    assert_eq!(invalid.position(&invalid.findings()[0]), (4, 1));
    assert!(render(invalid.as_ref(), 100, false).contains("[config/production.toml:4:1]"));
}

#[test]
fn free_disk_has_four_forms() {
    for (text, is) in [
        ("\"/var/lib\"", FreeDisk::Path("/var/lib".into())),
        ("\"data\"", FreeDisk::Path("/srv/shop/data".into())),
        ("\"unchecked\"", FreeDisk::Unchecked),
        ("{ bytes = 5_000 }", FreeDisk::Bytes(5000)),
        ("{ command = [\"x\"] }", FreeDisk::Command(vec!["x".into()])),
    ] {
        let text = format!("[database]\nurl = \"postgres://app@db/shop\"\nfree_disk = {text}");
        assert_eq!(parse(&text, &[]).unwrap().database.free_disk, is);
    }
}

#[test]
fn variables_are_taken_from_the_environment_before_the_env_file() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("config")).unwrap();
    std::fs::write(
        root.path().join("config/x.toml"),
        "env_file = \".env\"\n[database]\nurl = \"postgres://${DB_USER}@${DB_HOST}/${DB_NAME:-shop}\"\n\
         [maintenance]\nflag = { file = \"$${x}/$y\" }",
    )
    .unwrap();
    write_env(root.path(), ".env", b"DB_USER=file\nDB_HOST=from-file\nB=\"it's (a) $B\"");
    let process = vars(&[("DB_USER", "process"), ("B", "other")]);
    let config = Config::load(root.path(), "x", &process).unwrap();
    assert_eq!(config.database.url.database(), "shop");
    assert!(matches!(&config.flag, Some(Flag::File(path)) if *path == config.root.join("${x}/$y")));
    assert_eq!(config.variables["B"], "it's (a) $B");
    let merged = config.variables_with(&process);
    assert_eq!((merged["DB_USER"].as_str(), merged["DB_HOST"].as_str()), ("process", "from-file"));
    assert_eq!(merged["B"], "other");
}

/// An env file that nobody else may read.
fn write_env(root: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(root.join(name), bytes).unwrap();
    set_mode(&root.join(name), 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, permissions).unwrap();
}

#[test]
fn an_env_file_that_others_can_read_or_change_is_refused_with_what_mends_it() {
    let root = tempfile::tempdir().unwrap();
    let text = "env_file = \"o'env\"\n[database]\nurl = \"postgres://app@db/shop\"\n";
    write_env(root.path(), "o'env", b"A=hunter2");
    let path = root.path().join("o'env");
    let load = || Config::parse(text, root.path(), "production", &vars(&[]));
    for (mode, may) in
        [(0o644, "can read the"), (0o640, "can read the"), (0o666, "read and change"), (0o620, "can change")]
    {
        set_mode(&path, mode);
        let shown = render(load().unwrap_err().as_ref(), 200, false);
        let mends = format!("chmod 600 '{}'", path.display().to_string().replace('\'', "'\\''"));
        assert!(shown.contains(may) && shown.contains(&format!("mode {mode:04o}")), "{shown}");
        assert!(shown.contains(&mends) && !shown.contains("hunter2"), "{mends}\n{shown}");
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&path, mode);
        assert_eq!(load().unwrap().env_file.as_deref(), Some(path.as_path()));
    }
}

#[test]
fn a_tunnel_has_a_program_and_a_port() {
    let config = parse(&with_database("[tunnel]\nrun = [\"ssh\", \"-N\"]\nport = 5433"), &[]).unwrap();
    let tunnel = Tunnel {
        run: vec!["ssh".into(), "-N".into()],
        port: 5433,
        timeout: std::time::Duration::from_secs(30),
    };
    assert_eq!(config.tunnel, Some(tunnel));
    assert_eq!(parse(&with_database(""), &[]).unwrap().tunnel, None);
    for wrong in ["run = [\"x\"]", "port = 1", "run = [\"x\"]\nport = 0", "run = \"x\"\nport = 1"] {
        assert!(parse(&with_database(&format!("[tunnel]\n{wrong}")), &[]).is_err(), "{wrong}");
    }
}

#[test]
fn a_program_to_notify_is_an_argument_vector() {
    let config = parse(&with_database("[notify]\nrun = [\"/opt/app/notify\", \"a b\"]"), &[]).unwrap();
    assert_eq!(config.notify.run.as_deref(), Some(&["/opt/app/notify".to_string(), "a b".to_string()][..]));
    assert_eq!(parse(&with_database(""), &[]).unwrap().notify.run, None);
    for wrong in ["[notify]\nrun = \"notify me\"", "[notify]\nrun = []", "[notify]\nurl = \"x\""] {
        assert!(parse(&with_database(wrong), &[]).is_err(), "{wrong}");
    }
}

#[test]
fn an_env_file_need_not_be_there_if_nothing_is_missed() {
    let text = "env_file = \".env.nowhere\"\n[database]\nurl = \"${DATABASE_URL}\"";
    assert!(parse(text, &[("DATABASE_URL", "postgres://a@b/c")]).is_ok());
    insta::assert_snapshot!(parse(text, &[]).unwrap_err());
}

#[test]
fn a_bad_env_file_is_told_without_its_values() {
    let root = tempfile::tempdir().unwrap();
    let text = "env_file = \"broken.env\"\n[database]\nurl = \"${DATABASE_URL}\"\n";
    write_env(root.path(), "broken.env", b"A=1\nhunter2\nPASS=\"hunter2\nmore\n");
    let invalid = Config::parse(text, root.path(), "production", &vars(&[])).unwrap_err();
    let shown = render(invalid.as_ref(), 100, false);
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
    write_env(root.path(), "broken.env", b"\xff\xfeA");
    let invalid = Config::parse(text, root.path(), "production", &vars(&[])).unwrap_err();
    assert!(invalid.findings()[0].message().contains("not UTF-8"));
    let folder = Config::parse("env_file = \".\"", root.path(), "production", &vars(&[])).unwrap_err();
    assert!(folder.findings()[0].message().contains("could not read the env file"));
    let endless =
        Config::parse("env_file = \"/dev/zero\"", root.path(), "production", &vars(&[])).unwrap_err();
    assert!(render(endless.as_ref(), 200, false).contains("it holds more than 1.0 MB, as no env file does"));
}

#[test]
fn secrets_are_registered_as_they_are_read() {
    let text = "[database]\nurl = \"postgres://app:literal-pw-1@db/shop\"\nadmin_url = \"${ADMIN_URL}\"\n\
                [[health.http]]\nurl = \"http://x/\"\nheaders = { Authorization = \"Bearer literal-pw-2\", X-Odd = \"${ODD}\" }";
    parse(text, &[("ADMIN_URL", "postgres://admin:taken%2Dpw%2D3@db/shop"), ("ODD", "taken-pw-4")]).unwrap();
    let shown = redact::redact("literal-pw-1 literal-pw-2 taken-pw-3 taken%2Dpw%2D3 taken-pw-4").into_owned();
    assert_eq!(shown, "*** *** *** *** ***");
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(refusals(&[
        "protectd = true",
        "[databse]\nurl = \"postgres://a@b/c\"",
        "[databases]\nurl = \"postgres://a@b/c\"\nextra = 1\n[database]\nurl = \"postgres://a@b/c\"",
        "[[health.http]]\nurl = \"http://h/\"\nstats = 200",
        "[maintenance]\nflag = { file = \"/f\", fiel = \"/g\" }",
        "[window]\nguard = \"clone\"",
    ]));
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(refusals(&[
        "[database]",
        "protected = true # and nothing of a [database]\n",
        "[[health.http]]\nstatus = 200",
        "[[health.sql]]",
        "[maintenance]\nflag = {}",
        "[maintenance]\nflag = { on = [\"a\"], off = [\"b\"] }",
    ]));
    insta::assert_snapshot!("nothing_at_all", parse("", &[]).unwrap_err());
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(refusals(&[
        "protected = \"true\"",
        "database = \"postgres://a@b/c\" # [database]",
        "[backup]\njobs = \"4\"",
        "[backup]\nlevel = 0.5",
        "[window]\nkeep = 24",
        "[window]\nkeep = 2025-01-01",
        "[maintenance]\nflag = \"/opt/app/maintenance\"",
        "[maintenance]\nflag = { on = \"touch x\", off = [], status = [\"\"] }",
        "[[health.http]]\nurl = [\"http://h/\"]\njson = { \"/at\" = 2025-01-01, \"/n\" = nan }",
        "health = 1",
        "migrations = [1]",
    ]));
}

#[test]
fn wrong_values() {
    insta::assert_snapshot!(refusals(&[
        "[window]\nkeep = \"1 day\"",
        "[[migrations]]\nlock_timeout = \"0s\"\nstatement_timeout = \"90d\"",
        "[window]\non_writes = \"putback\"",
        "[backup]\ncompression = \"gzip\"\nlevel = 10",
        "[backup]\ncompression = \"zstd\"\nlevel = 20",
        "[backup]\ncompression = \"lz4\"",
        "[migrations]\nfile_name = \"{rev}_{slug}\"\nrevision_ids = \"serial\"",
        "[migrations]\nfile_name = \"../{revision}\"",
        "[migrations]\ncommand = [\"poetry\", \"run\", \"alembic\"]\nurl_env = \"URL\"",
        "[migrations]\ntool = \"alembic\"\ncomand = [\"alembic\"]\nurl_env = \"$URL\"\ndriver = \"asyncpg\"\nx = \"tenant=a\"",
        "[migrations]\ntool = \"flyway\"\ndirectory = \"\"",
        "[[migrations]]\nname = \"a\"\n[[migrations]]\nname = \"a\"",
        "[[migrations]]\nname = \"main\"\n[[migrations]]\nname = \"ai\"",
        "[store]\nurl = \"gs://Bucket/prefix\"",
        "[store]\nurl = \"gs://bucket/../prefix\"",
        "[store]\nurl = \"s3://bucket\"",
        "[store]\nurl = \"file://store/here\"",
        "[maintenance]\nflag = { file = \"/f\", on = [\"x\"] }",
        "[[health.http]]\nurl = \"localhost:8000/health\"\nstatus = 99\nheaders = { \"a b\" = \"c\" }\njson = { status = \"ok\" }",
        "[database]\nurl = \"postgres://app@db/postgres\"",
        "[database]\nurl = \"mysql://app@db/shop\"",
        "[database]\nurl = \"  \"",
        "[database]\nurl = \"postgres://app@db/shop\"\nfree_disk = { bytes = 1, command = [\"df\"] }",
        "[database]\nurl = \"postgres://app@db/shop\"\nmaintenance_database = \"a\\nb\"",
    ]));
}

#[test]
fn a_schedule_is_read() {
    let schedule = |text: &str| {
        let text = with_database(&format!("[schedule]\n{text}"));
        parse(&text, &[]).unwrap_or_else(|m| panic!("{m}")).schedule
    };
    let shown = |text: &str| schedule(text).expect("a schedule").to_string();
    assert!(schedule("").is_none());
    let berlin = "time_zone = \"Europe/Berlin\"\n";
    assert_eq!(
        shown(&format!("{berlin}days = \"fri-mon\"\ntimes = \"22:00-2:00\"")),
        "mon fri-sun 22:00-02:00 (Europe/Berlin)"
    );
    assert_eq!(
        shown(&format!("{berlin}times = [\"00:00-24:00\"]\nalso = [{{ days = [\"Sunday\", \"wed\"] }}]")),
        "daily 00:00-24:00, wed sun 00:00-24:00 (Europe/Berlin)"
    );
    assert_eq!(
        shown("time_zone = \"utc\"\ndays = \"sat\"\ntimes = [\"20:00-00:00\", \"06:00-09:00\"]"),
        "sat 20:00-00:00, sat 06:00-09:00 (UTC)"
    );
    let freezes = format!(
        "{berlin}[[schedule.freezes]]\nfrom = 2026-12-18\nto = 2027-01-06\nwhy = \"trade\"\n[[schedule.freezes]]\nfrom = \"2026-11-27 18:00\"\nto = 2026-11-30T06:30:00\n[[schedule.freezes]]\nfrom = 2026-12-06\n"
    );
    let freezes = schedule(&freezes).expect("a schedule").freezes;
    let spans: Vec<String> = freezes.iter().map(|freeze| format!("{} {}", freeze.from, freeze.to)).collect();
    assert_eq!(
        spans,
        [
            "2026-12-18T00:00:00 2027-01-07T00:00:00",
            "2026-11-27T18:00:00 2026-11-30T06:30:00",
            "2026-12-06T00:00:00 2026-12-07T00:00:00"
        ]
    );
}

#[test]
fn wrong_schedules() {
    let with_zone = |text: &str| format!("[schedule]\ntime_zone = \"UTC\"\n{text}");
    let texts = [
        "[schedule]\ndays = \"tue\"".to_string(),
        "[schedule]\ntime_zone = \"Europe/Berln\"\nday = \"tue\"".to_string(),
        "[schedule]\ntime_zone = \"CEST\"".to_string(),
        with_zone("days = [\"tues\", \"mon-\"]\ntimes = []"),
        with_zone("times = [\"22:00\", \"22-23\", \"24:00-01:00\", \"23:00-24:30\", \"10:00-10:00\"]"),
        with_zone("times = 22"),
        with_zone("freezes = [{ from = 2026-12-18, to = 2026-12-17 }, { to = 2026-12-17 }]"),
        with_zone("freezes = [{ from = \"Christmas\" }, { from = 2026-12-18T10:00:00Z }, { from = 5 }]"),
    ];
    insta::assert_snapshot!(refusals(&texts.each_ref().map(String::as_str)));
}

#[test]
fn variables() {
    insta::assert_snapshot!(refusals(&[
        "[database]\nurl = \"${DATABASE_URL}\"",
        "[database]\nurl = \"postgres://${DB_USER}:${DB_PASSWORD}@db/${DB_NAME:-shop}\"",
        "[database]\nurl = \"\\u0024{ESCAPED} and ${PLAIN}\"",
        "[database]\nurl = \"${DATABASE-URL}\"",
        "[database]\nurl = \"${DATABASE_URL\"",
    ]));
    let empty = parse("[database]\nurl = \"${DATABASE_URL}\"", &[("DATABASE_URL", "")]);
    insta::assert_snapshot!("an_empty_variable", empty.unwrap_err());
}

#[test]
fn a_misspelled_variable_is_found_in_the_env_file() {
    let root = tempfile::tempdir().unwrap();
    write_env(root.path(), ".env", b"DATABASE_URI=postgres://app:hunter2hunter2@db/shop");
    let text = "env_file = \".env\"\n[database]\nurl = \"${DATABASE_URL}\"";
    let invalid = Config::parse(text, root.path(), "production", &vars(&[])).unwrap_err();
    insta::assert_snapshot!(render(invalid.as_ref(), 100, false));
}

#[test]
fn literal_passwords_are_masked_in_excerpts() {
    let shown = refusals(&[
        "[database]\nurl = \"postgres://app:correct-horse@db/postgres\"\nconnect_timeut = \"1s\"",
        "[database]\nurl = \"postgres://app:correct-horse@db/${NAME}\"",
        "[database]\nurl = \"host=db dbname=postgres password=correct-horse user=app\"",
        "# url = \"postgres://app:correct-horse@db/postgres\"\n[database]\nurl = 5\npassword = \"correct-horse\"",
        "[database\nurl = \"postgres://app:correct-horse@db/postgres",
        "[[health.http]]\nheaders = { Authorization = \"Bearer correct-horse\" }\nurl = 1",
    ]);
    assert!(!shown.contains("horse"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn syntax_errors() {
    insta::assert_snapshot!(refusals(&[
        "[database\nurl = \"x\"",
        "protected = yes",
        "protected = true\nprotected = true",
        "a = \"open\nb = 1",
        "= 1",
        "ä = 1",
        "x = [1,",
    ]));
}

#[test]
fn what_stands_around_the_database_is_said_whole() {
    let database = "[database]\nurl = \"postgres://app@pooler/shop\"\n";
    insta::assert_snapshot!(refusals(&[
        &format!("{database}pooler = {{ pause = [\"a\"], resume = [\"b\"] }}"),
        &format!(
            "{database}admin_url = \"postgres://app@pooler/postgres\"\n[database.pooler]\npause = [\"a\"]\nresume = [\"b\"]"
        ),
        &format!("{database}admin_url = \"postgres://app@db/shop\"\n[database.pooler]\npause = [\"a\"]"),
        "[[replicas]]\nname = \"analytics\"",
        "[window]\nundeclared_replicas = true",
    ]));
}

#[test]
fn a_directory_store_is_refused_in_ci() {
    let refused = |ci: &str, text: &str| parse(&with_database(text), &[("CI", ci)]);
    insta::assert_snapshot!(refused("true", "[store]\nurl = \"file://./store\"").unwrap_err());
    assert!(refused("1", "").is_err());
    for ci in ["", "false", "FALSE"] {
        assert!(refused(ci, "").is_ok(), "CI={ci}");
    }
    assert!(refused("true", "[store]\ninsist_in_ci = true").is_ok());
}

#[test]
fn environments_that_are_not_there() {
    let root = tempfile::tempdir().unwrap();
    let show = |error: ConfigError| {
        // Wide, so that no line is broken where the folder's name is longer.
        render(&error, 200, false).replace(root.path().to_str().unwrap(), "ROOT").trim_end().to_string()
    };
    let load = |name: &str| show(Config::load(root.path(), name, &vars(&[])).unwrap_err());
    let find = || show(find_environment(root.path(), None, None).unwrap_err());
    let mut out = vec![load("production"), load("../etc/passwd"), load("default"), find()];
    std::fs::create_dir(root.path().join("config")).unwrap();
    for name in ["production", "staging", "default"] {
        std::fs::write(root.path().join("config").join(format!("{name}.toml")), "").unwrap();
    }
    out.extend([load("prod"), find()]);
    std::fs::write(root.path().join("config/latin.toml"), b"# \xe4").unwrap();
    out.push(load("latin"));
    std::fs::create_dir(root.path().join("config/folder.toml")).unwrap();
    out.push(load("folder"));
    insta::assert_snapshot!(out.join("\n"));
}

#[test]
fn the_failure_of_a_bad_file_says_every_line() {
    let text = "protectd = true\n[database]\nurl = \"postgres://app@db/shop\"\n[window]\nkeep = 1";
    let invalid = Config::parse(text, Path::new(ROOT), "production", &vars(&[])).unwrap_err();
    let failure = crate::failure::Failure::from(ConfigError::from(invalid));
    insta::assert_debug_snapshot!(failure);
}

/// Every key that the annotated defaults name is read, with the value that they show.
#[test]
fn the_annotated_defaults_name_only_keys_that_are_read() {
    let uncommented: String = DEFAULTS
        .lines()
        .map(|line| {
            match line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())) {
                Some(setting) => format!("{setting}\n"),
                None => format!("{line}\n"),
            }
        })
        .collect();
    // A tool's own keys are refused with another.
    let uncommented = uncommented.replace("tool = \"sql\"", "tool = \"alembic\"");
    let config = parse(
        &uncommented,
        &[
            ("DATABASE_URL", "postgres://app@pooler/shop"),
            ("ADMIN_URL", "postgres://admin@db/shop"),
            ("PGBOUNCER_URL", "postgres://admin@pooler/pgbouncer"),
            ("REPLICA_URL", "postgres://app@replica/shop"),
            ("SLACK_WEBHOOK", "https://hooks.example.com/services/x"),
        ],
    );
    let config = config.unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(config.health.http.len(), 1);
    assert_eq!(config.health.sql.len(), 1);
    let schedule = config.schedule.expect("a schedule");
    assert_eq!(
        schedule.to_string(),
        "tue-thu sun 22:00-02:00, sat 06:00-09:00, sat 20:00-24:00 (Europe/Berlin)"
    );
    assert_eq!(schedule.freezes.len(), 1);
    // The defaults alone, as a whole file, are those of an empty one.
    let from_file = parse(&with_database(""), &[]).unwrap();
    assert_eq!(config.window, from_file.window);
    assert_eq!(config.backup, from_file.backup);
    assert_eq!(config.lint, from_file.lint);
    let silent = parse(&with_database("[migrations]\ntool = \"alembic\""), &[]).unwrap();
    let (Tool::Alembic(shown), Tool::Alembic(silent)) =
        (&config.migrations[0].tool, &silent.migrations[0].tool)
    else {
        panic!("alembic");
    };
    // Shown are SQL files' own folder, and two keys that have no default.
    let as_silent =
        alembic::Settings { directory: silent.directory.clone(), x: vec![], driver: None, ..*shown.clone() };
    assert_eq!(as_silent, **silent, "what stands there is what it is if not set");
}

/// The file shows what the rules weigh where nobody says anything, so it must be what they weigh.
#[test]
fn the_defaults_of_the_lint_are_those_of_its_rules() {
    let config = parse(&with_database(""), &[]).unwrap();
    assert!(lint::names().all(|name| config.lint.levels.get(name) == lint::default_level(name).as_ref()));
    assert_eq!(config.lint.levels.len(), lint::names().count());
    assert_eq!(lint::Policy { levels: Default::default(), ..config.lint }, lint::Policy::default());
    let own = parse(&with_database("[lint]\nsmall_table_rows = 5\n[lint.rules]\nvacuum-full = \"off\""), &[])
        .unwrap()
        .lint;
    assert_eq!((own.small_table_rows, own.levels["vacuum-full"]), (5, lint::Level::Off));
    assert_eq!(own.levels["lock-table"], lint::Level::Error);
}

#[test]
fn rules_that_are_none() {
    insta::assert_snapshot!(refusals(&[
        "[lint.rules]\nprefer-big-int = \"off\"\nban-drop-colum = \"off\"\nvacuum-full = \"of\"",
        "[lint]\nsmall_table_row = 5",
    ]));
}

#[test]
fn the_shipped_production_config_is_one() {
    let text = include_str!("../../config/production.toml");
    let config = parse(text, &[("DATABASE_URL", "postgres://app@db/shop")]).unwrap_or_else(|m| panic!("{m}"));
    assert!(config.protected);
    assert_eq!(config.flag, Some(Flag::File("/opt/app/maintenance".into())));
    assert_eq!(config.health.http[0].url, "http://127.0.0.1:8000/health");
}
