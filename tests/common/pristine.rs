//! A database that is put back to its beginning again and again, and what it is before and after a release.

use std::path::Path;

use backstay::backup::attributes::DatabaseAttributes;
use backstay::backup::fingerprint::{self, Content};
use backstay::backup::schema::schema_of;
use backstay::event::Progress;
use backstay::migrate::{self, Migrations};
use backstay::pg::ConnInfo;

use super::project::Project;
use super::{cluster, session};

/// The whole of a database as far as a user could tell: the schema as `pg_dump` has it, and every row.
pub type Snapshot = (String, Content);

/// What a project's database is at its beginning.
pub struct Pristine {
    copy: String,
    /// The database's own attributes.
    pub attributes: DatabaseAttributes,
    /// What it holds.
    pub old: Snapshot,
}

impl Pristine {
    /// Copies the project's database as it is now.
    pub async fn of(project: &Project) -> Self {
        let copy = format!("pristine_{}", project.name);
        let admin = session(&cluster().url("postgres", "postgres")).await;
        let attributes = DatabaseAttributes::read(&admin, &project.name).await.expect("attributes");
        let clone = format!("CREATE DATABASE {copy} TEMPLATE {0} OWNER {0}", project.name);
        admin.batch_execute(&clone).await.expect("a pristine copy");
        Self { copy, attributes, old: project.state().await }
    }

    /// Drops the project's database with all that runs made beside it, and makes it anew.
    pub async fn restore(&self, project: &Project) {
        let name = &project.name;
        let admin = session(&cluster().url("postgres", "postgres")).await;
        for database in project.databases().await {
            let drop = format!("DROP DATABASE \"{database}\" WITH (FORCE)");
            admin.batch_execute(&drop).await.expect("a dropped database");
        }
        let clone = format!("CREATE DATABASE {name} TEMPLATE {} OWNER {name}", self.copy);
        admin.batch_execute(&clone).await.expect("a fresh copy");
        for statement in self.attributes.statements(name) {
            admin.batch_execute(&statement).await.expect("an attribute");
        }
    }

    /// The state that the migrations in `folder` leave: a copy, migrated by itself.
    pub async fn migrated(&self, project: &Project, folder: &Path) -> Snapshot {
        let admin = session(&cluster().url("postgres", "postgres")).await;
        let name = format!("migrated_{}", project.name);
        let clone = format!("CREATE DATABASE {name} TEMPLATE {} OWNER {}", self.copy, project.name);
        admin.batch_execute(&clone).await.expect("a copy");
        let info = project.info().with_database(&name);
        let migrations = Migrations::load(folder).expect("migrations");
        let mut owner = backstay::pg::connect(&info, &Default::default()).await.expect("a session");
        migrate::upgrade(&mut owner, &migrations, "head", &migrate::Options::default(), &Progress::none())
            .await
            .expect("the migrations");
        snapshot(&info).await
    }
}

/// What the database at `info` holds.
pub async fn snapshot(info: &ConnInfo) -> Snapshot {
    let options = fingerprint::Options::default();
    let schema = schema_of(info, &options.session).await.expect("a schema dump");
    (schema, fingerprint::database(info, &options, &Progress::none()).await.expect("the content"))
}
