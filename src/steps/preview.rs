//! `step = "preview"`: the pending migrations as SQL, on the store.

use sha2::{Digest, Sha256};

use super::site::Preview;
use super::{Report, Site, site};
use crate::failure::Failure;
use crate::migrate::{self, Migrations};
use crate::pg;
use crate::process::{self, Program};

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let pending = pending_sql(site).await?;
    let commit = commit_of(site).await;
    let object = format!("runs/{}/preview.sql", site.run);
    let mut hasher = Sha256::new();
    for part in [commit.as_deref().unwrap_or_default(), &pending.sql, &site.outline.digest] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let text = crate::redact::redact(&pending.sql).into_owned();
    site.store.replace(&object, text.into()).await?;
    let preview = Preview {
        hash: hex::encode(hasher.finalize()),
        sql_hash: hash(&pending.sql),
        revisions: pending.revisions,
        object,
        commit,
    };
    let summary = match preview.revisions.as_slice() {
        [] => "nothing is pending".to_string(),
        revisions => format!("{} pending: {}", revisions.len(), revisions.join(", ")),
    };
    Report::with(summary, &preview)
}

/// What the run's migrate steps would do now.
pub(super) struct Pending {
    /// As a script.
    pub sql: String,
    /// The revisions, in order.
    pub revisions: Vec<String>,
}

/// Renders what the run's migrate steps would do now.
pub(super) async fn pending_sql(site: &mut Site<'_>) -> Result<Pending, Failure> {
    let mut pending = Pending { sql: String::new(), revisions: Vec::new() };
    let session = pg::connect(&site.live().await?, &site.session("preview")).await?;
    for (name, target) in site.outline.migrations.clone() {
        for root in site::roots(site.config, name.as_deref())? {
            let migrations = Migrations::load(&root.directory)?;
            let options = site.migrate_options(root);
            let current = migrate::current(&session, &migrations, &options).await?;
            let steps = migrate::pending(&session, &migrations, &target, &options).await?;
            pending.sql.push_str(&migrate::preview::upgrade(
                &migrations,
                &current.revisions,
                &target,
                &options,
            )?);
            pending.revisions.extend(steps.into_iter().map(|step| step.revision));
        }
    }
    Ok(pending)
}

/// SHA-256 in hex.
pub(super) fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The commit of the project, if it is a git checkout and git is there.
async fn commit_of(site: &Site<'_>) -> Option<String> {
    let argv = ["git", "rev-parse", "--verify", "HEAD"].map(String::from).to_vec();
    let timeout = std::time::Duration::from_secs(5);
    let program = Program { argv, directory: site.config.root.clone(), env: Default::default(), timeout };
    let mut commit = None;
    process::run(&program, |line| commit = Some(line.to_string())).await.ok()?;
    commit.filter(|commit| commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()))
}
