//! `backstay demo` as a newcomer starts it: it holds, and it leaves nothing behind, however it ends.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backstay::demo::app::pages::NewOrder;
use backstay::demo::crowd::Acknowledged;
use backstay::demo::notary::{self, State};
use backstay::demo::release::{FIRST, RELEASES};
use backstay::demo::shop;
use backstay::event::Progress;
use backstay::migrate::{self, Migrations};
use backstay::pg::ConnInfo;

/// A folder that the demo takes for the system's temporary one; the server's user must reach it.
fn temporary_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    // What the surroundings say must not reach the releases of the demo.
    command
        .arg("demo")
        .env("TMPDIR", temporary)
        .env("CI", "true")
        .env("PGHOST", "nowhere.invalid")
        .env("DATABASE_URL", "postgresql://nowhere.invalid/nothing")
        .env("BACKSTAY_ENV", "nothing")
        .stdin(Stdio::null());
    command
}

/// Processes that know of the folder: by their arguments, their environment or where they stand.
fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let stands = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        if pid != std::process::id()
            && (stands.starts_with(folder) || arguments.contains(&needle) || environment.contains(&needle))
        {
            found.push(format!("{pid}: {arguments}"));
        }
    }
    found
}

fn files_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Nothing of the demo is left; what is being ended gets `patience`.
fn assert_nothing_left(folder: &Path, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let (files, processes) = (files_in(folder), processes_of(folder));
        if files.is_empty() && processes.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {files:?} {processes:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_holds_twice_in_a_row() {
    let temporary = temporary_folder();
    for args in [&[][..], &["--json"]] {
        let began = Instant::now();
        let output = demo(temporary.path()).args(args).output().unwrap();
        let (said, shown) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said}\n{shown}");
        // It takes 15 s on two quiet cores; tests that run beside it take their share.
        assert!(began.elapsed() < Duration::from_secs(180), "{:?}", began.elapsed());
        assert_nothing_left(temporary.path(), Duration::from_millis(500));
        for wanted in ["exit code 0.", "exit code 4.", "Looked at from outside"] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        if args.is_empty() {
            assert!(said.contains("no order was lost"), "{said}");
            assert_eq!(said.matches("schema dump equals the one at the guard").count(), 2, "{said}");
            assert_eq!(said.matches("content equals that at the guard").count(), 2, "{said}");
        } else {
            let document: serde_json::Value = serde_json::from_str(&said).unwrap();
            common::schema::Validator::of_command("demo").holds(&document);
            assert_eq!(document["held"], true);
            let exits: Vec<_> = document["releases"].as_array().unwrap().iter().map(|r| &r["exit"]).collect();
            assert_eq!(exits, [0, 4, 4]);
            assert!(document["orders"]["acknowledged"].as_u64() > Some(100), "{document}");
            assert!(document["rows"].as_u64() > Some(50_000), "{document}");
        }
    }
}

/// Starts the demo and waits until its screen says `until`.
fn started(temporary: &Path, until: &str) -> Child {
    let shown = tempfile::NamedTempFile::new().unwrap();
    let mut child = demo(temporary).stdout(Stdio::null()).stderr(shown.reopen().unwrap()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let screen = std::fs::read_to_string(shown.path()).unwrap();
        if screen.contains(until) {
            break;
        }
        let over = child.try_wait().unwrap().is_some() || Instant::now() >= deadline;
        assert!(!over, "never said {until:?}: {screen}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn interrupted_in_the_window_it_leaves_nothing() {
    for (name, until) in [("INT", "users see the maintenance page"), ("TERM", "read back to the last byte")] {
        let temporary = temporary_folder();
        let mut child = started(temporary.path(), until);
        signal(&child, name);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(6), "SIG{name}");
        assert_nothing_left(temporary.path(), Duration::from_secs(2));
    }
}

#[test]
fn interrupted_before_there_is_a_server_it_leaves_nothing() {
    let temporary = temporary_folder();
    let mut child = demo(temporary.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while files_in(temporary.path()).is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_nothing_left(temporary.path(), Duration::from_secs(2));
}

#[test]
fn killed_it_leaves_nothing_either() {
    let temporary = temporary_folder();
    let mut child = started(temporary.path(), "users see the maintenance page");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_nothing_left(temporary.path(), Duration::from_secs(10));
}

/// A demo that could not fail would prove nothing: what it looks for is found when it is there.
#[tokio::test]
async fn a_lost_order_and_a_changed_byte_are_seen() {
    let cluster = common::cluster();
    shop::create(&ConnInfo::parse(&cluster.url("postgres", "postgres")).unwrap()).await.unwrap();
    let url = cluster.url(shop::NAME, shop::NAME);
    let (info, mut session) = (ConnInfo::parse(&url).unwrap(), common::session(&url).await);
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FIRST.1.iter().chain(RELEASES[0].migrations) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let migrations = Migrations::load(folder.path()).unwrap();
    migrate::upgrade(&mut session, &migrations, "head", &migrate::Options::default(), &Progress::none())
        .await
        .unwrap();
    assert!(shop::load(&info).await.unwrap() > 50_000);

    let then = State::read(&info).await.unwrap();
    assert_eq!(then.differences(&State::read(&info).await.unwrap()), Vec::<String>::new());
    let row = session
        .query_one("SELECT order_id, product_id, quantity, customer_id FROM order_items JOIN orders ON id = order_id \
                    ORDER BY order_id LIMIT 1", &[])
        .await
        .unwrap();
    let order = NewOrder {
        customer: u32::try_from(row.get::<_, i64>(3)).unwrap(),
        product: u32::try_from(row.get::<_, i64>(1)).unwrap(),
        quantity: u32::try_from(row.get::<_, i32>(2)).unwrap(),
    };
    let there = Acknowledged { id: row.get(0), order };
    let other = Acknowledged { order: NewOrder { quantity: order.quantity + 1, ..order }, ..there };
    let lost = Acknowledged { id: 1_000_000, order };
    assert_eq!(notary::missing(&info, &[there, other, lost]).await.unwrap(), [other, lost]);

    for (change, seen) in [
        ("UPDATE products SET price = price + 0.01 WHERE id = 7", "products"),
        ("SELECT nextval('orders_id_seq')", "orders_id_seq"),
        ("COMMENT ON TABLE orders IS 'changed'", "schema dump"),
    ] {
        session.batch_execute(change).await.unwrap();
        let differences = then.differences(&State::read(&info).await.unwrap());
        assert!(differences.iter().any(|d| d.contains(seen)), "{change}: {differences:?}");
    }
}
