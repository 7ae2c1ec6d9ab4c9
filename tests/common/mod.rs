//! What every test binary shares: one throw-away PostgreSQL, and fresh databases on it.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use backstay::demo::cluster::Cluster;

pub mod command_line;
pub mod dice;
pub mod pristine;
pub mod project;
pub mod schema;

/// The cluster of this test process.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let settings = ["max_connections = 500", "max_prepared_transactions = 5", "wal_level = logical"];
    CLUSTER.get_or_init(|| {
        match std::env::var_os("BACKSTAY_TEST_POSTGRES") {
            // `make test-matrix`: the server programs of another version.
            Some(binaries) => Cluster::start_with(std::path::Path::new(&binaries), &settings),
            None => Cluster::start_from(&pack(), &settings),
        }
        .expect("a PostgreSQL cluster")
    })
}

/// The cluster's `server_version_num`.
pub fn version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let postgres = cluster().binaries().join("postgres");
        let output = std::process::Command::new(postgres).arg("--version").output().expect("a version");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let number = text.split_whitespace().nth(2).expect("postgres (PostgreSQL) 15.18");
        let (major, minor) = number.split_once('.').expect("a release");
        major.parse::<u32>().expect("a number") * 10_000 + minor.parse::<u32>().expect("a number")
    })
}

/// A name that no other test of this process uses.
pub fn fresh_name(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{stem}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A fresh database owned by a fresh role without superuser rights; gives its URL.
pub async fn fresh_database() -> String {
    let name = fresh_name("app");
    let admin = session(&cluster().url("postgres", "postgres")).await;
    admin.batch_execute(&format!("CREATE ROLE {name} LOGIN CREATEDB")).await.expect("a role");
    admin.batch_execute(&format!("CREATE DATABASE {name} OWNER {name}")).await.expect("a database");
    cluster().url(&name, &name)
}

/// A session on `url`.
pub async fn session(url: &str) -> backstay::pg::Session {
    let info = backstay::pg::ConnInfo::parse(url).expect("a good URL");
    backstay::pg::connect(&info, &Default::default()).await.expect("a session")
}

/// An env file that others can read is refused.
pub fn keep_private(path: &std::path::Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(".env") {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("a private env file");
    }
}

/// Where the data directory that every test's server starts from is packed.
pub fn pack() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("initdb.tar")
}
