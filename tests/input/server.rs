//! The server, the way to it, and who may come in.

use std::sync::Mutex;

use crate::common::project::{Project, SENTINEL};
use crate::common::{cluster, session};
use crate::refused::{WRONG, refused, says};

const RELEASE: [&str; 3] = ["run", "release", "--yes"];

/// Has the server ask this role for its password (the others are let in as they are).
pub async fn require_password(role: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    {
        let _guard = ONE_AT_A_TIME.lock();
        let path = cluster().folder().join("data/pg_hba.conf");
        let text = std::fs::read_to_string(&path).expect("pg_hba.conf");
        let role = role.replace('"', "\"\"");
        let line = format!("host all \"{role}\" 127.0.0.1/32 scram-sha-256\n");
        std::fs::write(&path, line + &text).expect("pg_hba.conf");
    }
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let loaded = async || -> String {
        let fresh = session(&cluster().url("postgres", "postgres")).await;
        fresh.query_one("SELECT pg_conf_load_time()::text", &[]).await.expect("a time").get(0)
    };
    let before = loaded().await;
    admin.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    while loaded().await == before {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Another DATABASE_URL in the env file.
fn connect_by(project: &Project, url: &str) {
    project.edit(".env.production", &project.url(), url);
}

#[tokio::test]
async fn a_wrong_password() {
    let project = Project::shop().await;
    let encoded = SENTINEL.replace('/', "%2F").replace('@', "%40");
    connect_by(&project, &project.url().replace(&encoded, WRONG));
    // The right one is for the test itself.
    require_password(&project.name).await;
    let words = ["could not connect to", "password", &project.name];
    refused(&project, &RELEASE, 3, &words).await;
    refused(&project, &["doctor"], 3, &words).await;
    refused(&project, &["plan", "release"], 3, &words).await;
    let status = project.run(&["status"]).expect(0);
    says(&status, &["unknown", "password"]);
    connect_by_nothing(&project).await;
}

/// No password at all is another mistake than a wrong one.
async fn connect_by_nothing(project: &Project) {
    let text = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
    project.write(".env.production", &text.replace(&format!(":{WRONG}@"), "@"));
    refused(project, &RELEASE, 3, &["could not connect to", "none was given", "PGPASSWORD"]).await;
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let project = Project::shop().await;
    connect_by(&project, &project.url().replace("127.0.0.1", "no-such-host.invalid"));
    refused(&project, &RELEASE, 3, &["could not connect to", "no-such-host.invalid", "host"]).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let project = Project::shop().await;
    let free = std::net::TcpListener::bind(("127.0.0.1", 0))
        .expect("a port")
        .local_addr()
        .expect("an address")
        .port();
    connect_by(&project, &project.url().replace(&cluster().port().to_string(), &free.to_string()));
    refused(&project, &RELEASE, 3, &["could not connect to", "refused", "pg_isready", &free.to_string()])
        .await;
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    let project = Project::shop().await;
    connect_by(&project, &format!("{}_copy", project.url()));
    let missing = format!("{}_copy", project.name);
    refused(&project, &RELEASE, 3, &["could not find", &missing, "createdb"]).await;
    refused(&project, &["doctor"], 3, &[&missing, "createdb"]).await;
}

#[tokio::test]
async fn a_role_that_may_not_log_in() {
    let project = Project::shop().await;
    connect_by(&project, &project.url().replace(&format!("//{}:", project.name), "//nobody_here:"));
    refused(&project, &RELEASE, 3, &["could not connect to", "nobody_here"]).await;
}

#[tokio::test]
async fn a_url_that_is_none() {
    let project = Project::shop().await;
    connect_by(&project, "127.0.0.1/shop");
    refused(&project, &RELEASE, 2, &["config/production.toml", "url"]).await;
}

#[tokio::test]
async fn a_server_that_is_no_postgresql() {
    let project = Project::shop().await;
    let port = project.app.url().rsplit(':').next().expect("a port").replace("/health", "");
    connect_by(&project, &project.url().replace(&cluster().port().to_string(), &port));
    refused(&project, &RELEASE, 3, &["could not connect to", "PostgreSQL server"]).await;
}
