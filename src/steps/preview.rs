//! `step = "preview"`: the pending migrations as SQL, on the store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::lint::{Judgement, Scope};
use super::schema::{self, Moment};
use super::site::Preview;
use super::{Report, Site, migrator, roots};
use crate::config::Config;
use crate::failure::Failure;
use crate::git;
use crate::journal;
use crate::migrate::lint::tally;
use crate::pg::{self, Session};

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let pending = Pending::of(site).await?;
    if !pending.revisions.is_empty() {
        assure(site).await?;
        schema::take(Moment::Before, site).await;
    }
    let commit = git::head(&site.config.root).await;
    if commit.is_some() {
        tell_uncommitted(&pending.paths, site).await;
    }
    let object = format!("runs/{}/preview.sql", site.run);
    let mut hasher = Sha256::new();
    for part in [commit.as_deref().unwrap_or_default(), &pending.fixed, &site.outline.digest] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let (text, lint) = annotated(site, &pending.sql).await;
    let text = crate::redact::redact(&text).into_owned();
    site.store.replace(&object, text.into()).await?;
    let preview = Preview {
        hash: hex::encode(hasher.finalize()),
        sql_hash: journal::hash(pending.fixed.as_bytes()),
        revisions: pending.revisions,
        files: pending.files,
        object,
        commit,
    };
    let summary = match preview.revisions.as_slice() {
        [] => "nothing is pending".to_string(),
        revisions => format!("{} pending: {}{lint}", revisions.len(), revisions.join(", ")),
    };
    Report::with(summary, &preview)
}

/// What is released is noted by its commit, which lacks what was not committed.
async fn tell_uncommitted(paths: &[PathBuf], site: &Site<'_>) {
    let changed = git::changed(&site.config.root, paths).await;
    if let Some(first) = changed.first() {
        let more = match changed.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        site.progress().note(format!("not committed, and released all the same: {first}{more}"));
    }
}

/// The SQL with the lint's findings beside its statements. They stand in what is shown and not in what is hashed:
/// sizes and queries change between the approval and the window, what was approved does not. How many there are is told
/// too: whoever approves must not have to look for them.
async fn annotated(site: &Site<'_>, sql: &str) -> (String, String) {
    let judged = async {
        let session = pg::connect(&site.live().await?, &site.session("lint")).await?;
        let targets = &site.outline.migrations;
        Judgement::of_plan(site.config, targets, Scope::Pending, Some(&session)).await
    };
    match judged.await {
        Ok(judgement) if judgement.findings.is_empty() => (judgement.annotate(sql), String::new()),
        Ok(judgement) => (judgement.annotate(sql), format!("; lint: {}", tally(&judgement.findings))),
        // A preview is worth having without it; a `lint` step says what is in its way.
        Err(failure) => {
            let why = failure.to_string().replace('\n', " ");
            (format!("-- lint: {why}\n{sql}"), "; the lint could not look at it".to_string())
        }
    }
}

/// What a migrate step would refuse behind the flag is refused before it.
async fn assure(site: &Site<'_>) -> Result<(), Failure> {
    let (database, progress) = (site.migrated().await?, site.progress());
    for (name, _) in &site.outline.migrations {
        for root in roots(site.config, name.as_deref())? {
            migrator(root, Some(site.run))?.assure(&database, &progress).await?;
        }
    }
    Ok(())
}

/// What migrate steps would do now.
#[derive(Debug, Default)]
pub struct Pending {
    /// As a script.
    pub sql: String,
    /// What an approval of it holds for.
    pub fixed: String,
    /// The revisions, in order.
    pub revisions: Vec<String>,
    /// Their files.
    pub paths: Vec<PathBuf>,
    /// Where each root is now.
    pub from: BTreeMap<String, Vec<String>>,
    /// What each of them is made of ([`crate::migrate::Migrator::fingerprint`]).
    pub files: Vec<String>,
}

impl Pending {
    /// What the migrate steps of this run would do now.
    ///
    /// # Errors
    /// As [`Pending::read`]; if the live database can't be reached.
    pub(super) async fn of(site: &Site<'_>) -> Result<Self, Failure> {
        let session = pg::connect(&site.live().await?, &site.session("preview")).await?;
        Self::read(site.config, &site.outline.migrations, Some(site.run), &session).await
    }

    /// As [`Pending::of`], without the script: what an approval is held against.
    ///
    /// # Errors
    /// As [`Pending::of`].
    pub(super) async fn unwritten(site: &Site<'_>) -> Result<Self, Failure> {
        let session = pg::connect(&site.live().await?, &site.session("preview")).await?;
        let targets = &site.outline.migrations;
        Self::gather(site.config, targets, Some(site.run), &session, false).await
    }

    /// As [`Pending::unwritten`], of no run yet: what a plan file is held against.
    ///
    /// # Errors
    /// As [`Pending::of`].
    pub(super) async fn planned(site: &Site<'_>) -> Result<Self, Failure> {
        let session = pg::connect(&site.live().await?, &site.session("approve")).await?;
        Self::gather(site.config, &site.outline.migrations, None, &session, false).await
    }

    /// What steps that lead to these targets (root, or all of them, and target) would do now. Reads only.
    ///
    /// # Errors
    /// If the files are no chain, the database is not at one of their revisions, or the SQL can't be written.
    pub async fn read(
        config: &Config,
        targets: &[(Option<String>, String)],
        run: Option<&str>,
        session: &Session,
    ) -> Result<Self, Failure> {
        Self::gather(config, targets, run, session, true).await
    }

    async fn gather(
        config: &Config,
        targets: &[(Option<String>, String)],
        run: Option<&str>,
        session: &Session,
        written: bool,
    ) -> Result<Self, Failure> {
        let mut pending = Self::default();
        for (name, target) in targets {
            for root in roots(config, name.as_deref())? {
                let migrator = migrator(root, run)?;
                let current = migrator.current(session).await?;
                let steps = migrator.plan(&current, target)?;
                if written {
                    pending.sql.push_str(&migrator.preview(&current.revisions, target).await?);
                }
                pending.fixed.push_str(&migrator.fixed(&current.revisions, target).await?);
                pending.files.extend(steps.iter().map(|step| migrator.fingerprint(&step.revision)));
                let chain = migrator.chain();
                let texts = steps.iter().filter_map(|step| chain.text(&step.revision));
                pending.paths.extend(texts.map(|text| chain.folder().join(&text.path)));
                pending.revisions.extend(steps.into_iter().map(|step| step.revision));
                pending.from.insert(root.name.clone(), current.revisions.into_iter().collect());
            }
        }
        Ok(pending)
    }
}
