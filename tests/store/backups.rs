//! Whole backups on a bucket, from a real database: through faults that pass, and stopped by one that stays.

use std::process::{Command, Stdio};

use backstay::backup::verify::Level;
use backstay::backup::{self, list};
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::pg::ConnInfo;
use backstay::store::Store;

use crate::common;
use crate::common::command_line::CommandLine;
use crate::fake::{BUCKET, Fake, Fault, On};

const SHOP: &str = "CREATE TABLE users (id int PRIMARY KEY, name text); \
                    INSERT INTO users SELECT i, md5(i::text) FROM generate_series(1, 60000) i; \
                    CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users); \
                    INSERT INTO orders SELECT i, i FROM generate_series(1, 5000) i";

async fn shop() -> ConnInfo {
    let url = common::fresh_database().await;
    common::session(&url).await.batch_execute(SHOP).await.unwrap();
    ConnInfo::parse(&url).unwrap()
}

#[tokio::test]
async fn a_backup_comes_through_faults_that_pass() {
    let (fake, info) = (Fake::start().await, shop().await);
    let store = fake.store();
    for fault in [Fault::Answer(503, ""), Fault::CutRequest(2000), Fault::LoseReply, Fault::Flip] {
        fake.times(2, On::Upload, fault);
        fake.once(On::Upload, Fault::None);
    }
    let place = backup::Place::fresh("production");
    let options = backup::write::Options::default();
    let written = backup::write(&info, &store, &place, &options, &Progress::none()).await;
    let manifest = written.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    assert_eq!(manifest.tables.len(), 2);

    for fault in
        [Fault::Answer(503, ""), Fault::CutReply(900), Fault::Flip, Fault::Short(3), Fault::LoseReply]
    {
        fake.times(2, On::Read, fault);
    }
    let proof =
        backup::verify(&store, &place, Level::Read, None, &Default::default(), &Progress::none()).await;
    assert_eq!(proof.unwrap_or_else(|e| panic!("{}", Failure::from(e))).mismatches, []);
}

#[tokio::test]
async fn an_outage_leaves_no_backup_and_what_is_left_can_be_pruned() {
    let (fake, info) = (Fake::start().await, shop().await);
    let store = fake.brief_store();
    fake.times(4, On::Upload, Fault::None);
    fake.always(On::Upload, Fault::Answer(503, "Backend Error"));
    let place = backup::Place::fresh("production");
    let options = backup::write::Options::default();
    let refused = backup::write(&info, &store, &place, &options, &Progress::none()).await.unwrap_err();
    let failure = Failure::from(refused);
    let text = format!("{failure} {:?}", failure.next);
    for said in
        [BUCKET, "shop/backups/production/", "503 (Backend Error)", "tried", "status.cloud.google.com"]
    {
        assert!(text.contains(said), "no {said} in {text}");
    }

    let listing = list::list(&store, "production").await.unwrap();
    assert_eq!((listing.backups.len(), listing.incomplete.len()), (0, 1), "{listing:?}");
    assert!(list::find(&store, "production", "latest").await.is_err());
    fake.once(On::Delete, Fault::Answer(503, ""));
    fake.once(On::Delete, Fault::LoseReply);
    list::remove(&store, "production", &listing.incomplete[0]).await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
}

/// The real program, told by the variable that Google's own libraries know.
fn backstay(project: &CommandLine, host: (&str, &str), arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_backstay"))
        .args(arguments)
        .current_dir(project.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", project.path())
        .env("DATABASE_URL", &project.url)
        .env(host.0, host.1)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).expect("UTF-8"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_keeps_its_backups_in_a_bucket() {
    let fake = Fake::start().await;
    let project = CommandLine::new(&format!("[store]\nurl = \"gs://{BUCKET}/shop\"")).await;
    project.session().await.batch_execute(SHOP).await.unwrap();
    fake.times(2, On::Upload, Fault::Answer(503, ""));
    fake.times(2, On::Read, Fault::CutReply(10));
    let address = fake.address();
    let run = |arguments: &[&str]| {
        let (code, text) = backstay(&project, ("STORAGE_EMULATOR_HOST", &address), arguments);
        assert_eq!(code, 0, "{arguments:?}\n{text}");
        text
    };
    run(&["backup", "create"]);
    let proven = run(&["backup", "verify", "latest", "--level", "read"]);
    assert!(proven.contains(" is good: "), "{proven}");
    let listed = run(&["backup", "list"]);
    assert!(listed.contains("read"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_without_credentials_says_how_to_get_some() {
    let project = CommandLine::new("[store]\nurl = \"gs://acme-backups\"").await;
    // Where there are no credentials, Google Cloud's metadata server is asked; nobody listens there.
    let began = std::time::Instant::now();
    let (code, text) = backstay(&project, ("GCE_METADATA_HOST", "127.0.0.1:1"), &["backup", "list"]);
    assert_eq!(code, 3, "{text}");
    for said in
        ["the bucket acme-backups", "GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth application-default login"]
    {
        assert!(text.contains(said), "no {said} in {text}");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    // What needs no store does not ask for it.
    let (code, text) = backstay(&project, ("GCE_METADATA_HOST", "127.0.0.1:1"), &["migrate", "current"]);
    assert_eq!(code, 0, "{text}");
}
