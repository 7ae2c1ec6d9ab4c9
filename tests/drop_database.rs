//! A database that holds a subscription is dropped, and the publisher's slot stays.

mod common;

use backstay::demo::cluster::Cluster;
use backstay::pg::drop_database::{drop_database, drop_with_force};
use backstay::pg::{ConnInfo, Session, SessionOptions};

async fn session(cluster: &Cluster, database: &str) -> Session {
    common::session(&cluster.url("postgres", database)).await
}

/// A side database with a running subscription on production's own slot.
async fn subscribed(cluster: &Cluster, name: &str, slot: &str) -> Session {
    let admin = session(cluster, "postgres").await;
    let quoted = backstay::pg::quote_ident(name);
    admin.batch_execute(&format!("CREATE DATABASE {quoted}")).await.expect("a side database");
    let publisher = session(cluster, "publisher").await;
    let make = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
    publisher.batch_execute(&make).await.expect("a slot");
    let side = session(cluster, name).await;
    side.batch_execute("CREATE TABLE t (x integer PRIMARY KEY)").await.expect("a table");
    let subscribe = format!(
        "CREATE SUBSCRIPTION \"a \"\"sub\"\" {slot}\" CONNECTION 'host=127.0.0.1 port={} user=postgres dbname=publisher' \
         PUBLICATION p WITH (create_slot = false, slot_name = '{slot}')",
        cluster.port()
    );
    side.batch_execute(&subscribe).await.expect("a subscription");
    // It lives: a row arrives.
    publisher.batch_execute("INSERT INTO t SELECT count(*) FROM t").await.expect("a row");
    let arrived = "SELECT count(*) FROM t";
    let began = std::time::Instant::now();
    while side.query_one(arrived, &[]).await.expect("a count").get::<_, i64>(0) == 0 {
        assert!(began.elapsed().as_secs() < 30, "the subscription does not apply");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    side
}

async fn count(session: &Session, sql: &str, name: &str) -> i64 {
    session.query_one(sql, &[&name]).await.expect("a count").get(0)
}

#[tokio::test]
async fn the_publishers_slot_stays() {
    let settings = ["wal_level = logical", "max_connections = 50"];
    let cluster = Cluster::start_from(&common::pack(), &settings).expect("a cluster");
    let admin = session(&cluster, "postgres").await;
    admin.batch_execute("CREATE DATABASE publisher").await.expect("a publisher");
    let publisher = session(&cluster, "publisher").await;
    let publish = "CREATE TABLE t (x integer PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t";
    publisher.batch_execute(publish).await.expect("a publication");
    let info = ConnInfo::parse(&cluster.url("postgres", "postgres")).expect("a URL");
    let options = SessionOptions::default();

    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1";
    let databases = "SELECT count(*) FROM pg_database WHERE datname = $1";
    for (name, slot, force) in [("side \"one\"", "one", true), ("closed", "two", false)] {
        let side = subscribed(&cluster, name, slot).await;
        // What happens otherwise: the server refuses.
        let quoted = backstay::pg::quote_ident(name);
        let refused = admin.batch_execute(&format!("DROP DATABASE {quoted} WITH (FORCE)")).await;
        assert!(refused.is_err());
        if force {
            drop_with_force(&admin, &info, &options, name).await.expect("dropped");
        } else {
            side.close().await;
            let close = format!("ALTER DATABASE {quoted} ALLOW_CONNECTIONS false");
            admin.batch_execute(&close).await.expect("closed");
            drop_database(&admin, &info, &options, name).await.expect("dropped");
        }
        assert_eq!(count(&admin, databases, name).await, 0);
        assert_eq!(count(&admin, slots, slot).await, 1, "the slot of {name}");
    }
    // One that is not there is no error.
    drop_database(&admin, &info, &options, "closed").await.expect("nothing to do");
}
