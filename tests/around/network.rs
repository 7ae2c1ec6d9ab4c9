//! The network between the driver and the server: gone for a moment, for longer, for good; and half open, where
//! every byte is taken and none is answered.

use std::time::Duration;

use crate::common::project::Project;
use crate::driver::Driver;
use crate::ground::Ground;
use crate::proxy::Proxy;

/// A migration that is found under way.
const SLOW: &str = "-- revision: 510000000001\n-- revises: c08085465bad\n-- Takes its time\n\n-- upgrade\nSELECT pg_sleep(3);\n\
                    -- downgrade\nSELECT 1;\n";

async fn behind_a_proxy(bounds: &str) -> (Ground, Proxy) {
    let ground = Ground::with(&[]).await;
    let proxy = Proxy::before(ground.cluster.port());
    let through = ground.project.url().replace(&ground.cluster.port().to_string(), &proxy.port.to_string());
    ground.connect_by(&format!("url = \"{through}\"\n{bounds}"));
    (ground, proxy)
}

/// A release that has started `line`.
fn in_line(ground: &Ground, line: &str) -> Driver {
    ground.project.write("migrations/slow.sql", SLOW);
    let mut driver = Driver::start(&ground.project, &["run", "release", "--yes"]);
    driver.starts(&ground.project, line);
    driver
}

/// Whatever the run left is brought to its end, once the network is back.
fn brought_to_an_end(project: &Project, code: i32) -> i32 {
    match code {
        0 | 4 => code,
        6 | 8 => {
            let ended = project.run(&["resume", "--yes"]);
            assert!(matches!(ended.code, 0 | 4), "{ended:?}");
            ended.code
        }
        other => panic!("ended with {other}"),
    }
}

async fn serves(ground: &Ground, code: i32) {
    let project = &ground.project;
    assert!(!project.flag_is_up());
    let owner = crate::common::session(&project.url()).await;
    let revision =
        owner.query_one("SELECT version_num::text FROM alembic_version", &[]).await.expect("a revision");
    let migrated = revision.get::<_, String>(0) != "989ceebf408f";
    assert_eq!(migrated, code == 0, "exit {code}, and the database is the other one");
    owner
        .batch_execute("INSERT INTO customers (name, email) VALUES ('after', 'after')")
        .await
        .expect("a write");
}

#[tokio::test]
async fn silence_for_a_second_is_not_even_noticed() {
    let (ground, proxy) = behind_a_proxy("").await;
    let driver = in_line(&ground, "migrate");
    proxy.freeze();
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.heal();
    driver.ended().expect(0);
    serves(&ground, 0).await;
}

#[tokio::test]
async fn a_statement_that_takes_longer_than_the_silence_allowed_goes_on() {
    let (ground, _proxy) = behind_a_proxy("network_timeout = \"1s\"").await;
    ground.project.write("migrations/slow.sql", SLOW);
    ground.project.run(&["run", "release", "--yes"]).expect(0);
    serves(&ground, 0).await;
}

#[tokio::test]
async fn a_network_that_is_cut_in_the_migration_turns_back_by_itself() {
    let (ground, proxy) = behind_a_proxy("").await;
    let driver = in_line(&ground, "migrate");
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.heal();
    let code = driver.ended().code;
    assert_eq!(brought_to_an_end(&ground.project, code), 4);
    serves(&ground, 4).await;
}

/// With the bounds that the config has by itself: a run that waits, or one that a resume brings to its end.
async fn gone_for_half_a_minute(line: &str, fault: Fault) {
    let (ground, proxy) = behind_a_proxy("").await;
    let driver = in_line(&ground, line);
    fault.befalls(&proxy);
    tokio::time::sleep(Duration::from_secs(30)).await;
    proxy.heal();
    let code = brought_to_an_end(&ground.project, driver.ended().code);
    serves(&ground, code).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_a_minute_of_silence_in_the_migration() {
    gone_for_half_a_minute("migrate", Fault::HalfOpen).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_a_minute_of_silence_in_the_clone() {
    gone_for_half_a_minute("clone the guard", Fault::HalfOpen).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_a_minute_without_a_network_in_the_migration() {
    gone_for_half_a_minute("migrate", Fault::Cut).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_a_minute_without_a_network_after_open() {
    gone_for_half_a_minute("deploy", Fault::Cut).await;
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Every byte is taken and none is passed on.
    HalfOpen,
    /// Connections are cut, and refused.
    Cut,
}

impl Fault {
    fn befalls(self, proxy: &Proxy) {
        match self {
            Self::HalfOpen => proxy.freeze(),
            Self::Cut => proxy.cut(),
        }
    }
}

async fn gone_for_good(line: &str, fault: Fault) {
    let bounds = "network_timeout = \"2s\"\nrestart_timeout = \"3s\"\nconnect_timeout = \"2s\"";
    let (ground, proxy) = behind_a_proxy(bounds).await;
    ground.add_to_config("[lease]\nexpires = \"10s\"");
    let driver = in_line(&ground, line);
    fault.befalls(&proxy);
    let ended = driver.ended();
    assert!(matches!(ended.code, 8), "{line}: {ended:?}");
    assert!(
        ended.err.contains("127.0.0.1") && ended.err.contains("backstay resume"),
        "{line}: {}",
        ended.err
    );
    proxy.heal();
    let code = brought_to_an_end(&ground.project, ended.code);
    serves(&ground, code).await;
}

#[tokio::test]
async fn half_open_in_the_migration() {
    gone_for_good("migrate", Fault::HalfOpen).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_open_in_the_clone() {
    gone_for_good("clone the guard", Fault::HalfOpen).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn half_open_after_open() {
    gone_for_good("deploy", Fault::HalfOpen).await;
}

#[tokio::test]
async fn cut_in_the_migration() {
    gone_for_good("migrate", Fault::Cut).await;
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn cut_after_open() {
    gone_for_good("deploy", Fault::Cut).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_not_waited_for_and_our_own_dead_session_holds_nothing() {
    let bounds = "network_timeout = \"2s\"\nconnect_timeout = \"2s\"";
    let (ground, proxy) = behind_a_proxy(bounds).await;
    let driver = in_line(&ground, "migrate");
    // A firewall that forgot its connections: the server is well, its answers go nowhere.
    proxy.lose_connections();
    let ended = driver.ended().expect(4);
    assert!(ended.err.contains("the connection to the server was lost"), "{}", ended.err);
    serves(&ground, 4).await;
}
