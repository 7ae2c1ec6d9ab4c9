//! `step = "record"`: the release noted: on the store, in the project's own files, as a git tag.
//!
//! What is live is live: each part is tried, and what failed of it is told at the end.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::command::surroundings;
use super::schema::{self, Moment};
use super::{Report, Site};
use crate::backup::time_of_id;
use crate::failure::Failure;
use crate::git::git;
use crate::process::ProcessError;
use crate::rollback::Order;
use crate::runbook::RecordStep;
use crate::store::Created;
use crate::time::now;
use crate::whole;
use crate::words::short;

/// The row of one release, `releases/<environment>/<run>.json`: created once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The version of this format.
    pub format: u32,
    /// The run.
    pub run: String,
    /// Its environment.
    pub environment: String,
    /// Its runbook.
    pub runbook: String,
    /// The database.
    pub database: String,
    /// When the run began.
    pub began: Option<Timestamp>,
    /// When this was written.
    pub recorded: Timestamp,
    /// The program's version.
    pub version: String,
    /// The revisions that it applied, in order.
    pub applied: Vec<String>,
    /// Its backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The commit that was previewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The git tag that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Notes the release wherever the step says, and on the store. A crash leaves some of it; done again, it adds the rest.
///
/// # Errors
/// What could not be noted, all of it.
pub(super) async fn perform(step: &RecordStep, site: &mut Site<'_>) -> Result<Report, Failure> {
    let mut parts = Vec::new();
    if let Some(path) = &step.changelog {
        parts.push(note_line(path, site));
    }
    if let Some(path) = &step.schema {
        parts.push(write_schema(path, site).await);
    } else if changes_schema(site) {
        schema::take(Moment::After, site).await;
    }
    let mut tagged = None;
    if let Some(pattern) = &step.tag {
        let name = tag_name(pattern, site.run, &site.config.environment);
        let tagging = set_tag(&name, site).await;
        tagged = tagging.is_ok().then_some(name);
        parts.push(tagging);
    }
    parts.push(write_row(tagged, site).await);
    summed_up(parts)
}

/// What was done, or everything that was not.
fn summed_up(parts: Vec<Result<String, Failure>>) -> Result<Report, Failure> {
    let (mut said, mut failed) = (Vec::new(), None::<Failure>);
    for part in parts {
        match part {
            Ok(text) => said.push(text),
            Err(failure) => {
                failed = Some(match failed {
                    None => failure,
                    Some(first) => {
                        let next = failure.next.clone();
                        next.into_iter().fold(first.because_of(failure.to_string()), Failure::then)
                    }
                });
            }
        }
    }
    match failed {
        None => Ok(Report::saying(said.join(", "))),
        Some(failure) if said.is_empty() => Err(failure),
        Some(failure) => Err(failure.leaving(format!("noted: {}", said.join(", ")))),
    }
}

fn note_line(path: &Path, site: &Site<'_>) -> Result<String, Failure> {
    let path = site.config.root.join(path);
    let added = add_line(&path, site.run, &line(site)).map_err(|error| unwritable(&path, &error))?;
    let what = if added { "a line in" } else { "a line stands already in" };
    Ok(format!("{what} {}", path.display()))
}

/// Whether migrations were pending: only then was the schema before them kept.
fn changes_schema(site: &Site<'_>) -> bool {
    site.recall.preview.as_ref().is_some_and(|preview| !preview.revisions.is_empty())
}

async fn write_schema(path: &Path, site: &Site<'_>) -> Result<String, Failure> {
    let path = site.config.root.join(path);
    let text = schema::of_live(site).await?;
    if changes_schema(site) {
        schema::keep(Moment::After, &text, site).await;
    }
    whole::replace(&path, text.as_bytes(), 0o644).map_err(|error| unwritable(&path, &error))?;
    Ok(format!("the schema in {}", path.display()))
}

async fn write_row(tag: Option<String>, site: &Site<'_>) -> Result<String, Failure> {
    let recall = &site.recall;
    let release = Release {
        format: 1,
        run: site.run.to_string(),
        environment: site.config.environment.clone(),
        runbook: site.outline.runbook.clone(),
        database: site.target.name.clone(),
        began: time_of_id(site.run),
        recorded: now(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        applied: recall.applied.clone(),
        backup: recall.backup.as_ref().map(|facts| facts.backup.clone()),
        commit: recall.preview.as_ref().and_then(|preview| preview.commit.clone()),
        tag,
    };
    let name = format!("releases/{}/{}.json", release.environment, release.run);
    let bytes = serde_json::to_vec_pretty(&release)
        .map_err(|error| Failure::internal("write the release as JSON").caused_by(&error))?;
    Ok(match site.store.create(&name, bytes.into()).await? {
        Created::New => format!("{name} on the store"),
        Created::Exists => format!("{name} stands already on the store"),
    })
}

/// The tag's name; the same for every driver of the run.
fn tag_name(pattern: &str, run: &str, environment: &str) -> String {
    let began = time_of_id(run).unwrap_or_else(now).to_zoned(TimeZone::UTC);
    pattern
        .replace("{date}", &began.strftime("%Y-%m-%d").to_string())
        .replace("{time}", &began.strftime("%H%M").to_string())
        .replace("{run}", run)
        .replace("{environment}", environment)
}

/// Tags the commit that was previewed, else `HEAD`. A tag that is there on that commit is as good.
async fn set_tag(name: &str, site: &Site<'_>) -> Result<String, Failure> {
    let failed = |error: ProcessError| {
        let why = Failure::from(error);
        Failure { what: format!("set the git tag {name}"), ..why }
    };
    let ask = async |arguments: &[&str]| git(&site.config.root, surroundings(site), arguments).await;
    let previewed = site.recall.preview.as_ref().and_then(|preview| preview.commit.clone());
    let commit = match previewed {
        Some(commit) => commit,
        None => ask(&["rev-parse", "--verify", "HEAD^{commit}"]).await.map_err(failed)?,
    };
    let tag = format!("refs/tags/{name}^{{commit}}");
    match ask(&["rev-parse", "--verify", "--quiet", &tag]).await {
        Ok(there) if there == commit => return Ok(format!("the tag {name} is there")),
        Ok(there) => {
            return Err(Failure::refused(format!("set the git tag {name}"))
                .because_of(format!("it is there, on commit {}", short(&there)))
                .then(format!("git tag NAME {commit} with another name; {{time}} and {{run}} tell releases of a day apart")));
        }
        Err(_) => {}
    }
    ask(&["tag", "--no-sign", name, &commit]).await.map_err(failed)?;
    Ok(format!("the tag {name}"))
}

fn line(site: &Site<'_>) -> String {
    let applied = match site.recall.applied.as_slice() {
        [] if site.outline.rollback.is_some() => {
            site.outline.rollback.as_ref().map(Order::words).unwrap_or_default()
        }
        [] => "no migrations".to_string(),
        revisions => format!("migrations {}", revisions.join(", ")),
    };
    let backup = site.recall.backup.as_ref().map(|b| format!(", backup {}", b.backup)).unwrap_or_default();
    let commit = site.recall.preview.as_ref().and_then(|p| p.commit.as_deref());
    let commit = commit.and_then(|c| c.get(..12)).map(|c| format!(", commit {c}")).unwrap_or_default();
    let (at, run) = (now().strftime("%Y-%m-%d %H:%M UTC"), site.run);
    format!(
        "- {at} {} to {}: {applied}{backup}{commit}, run {run}",
        site.outline.runbook, site.config.environment
    )
}

/// Adds the line unless one of this run stands there already; gives whether it did.
fn add_line(path: &Path, run: &str, line: &str) -> io::Result<bool> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    if text.contains(&format!("run {run}")) {
        return Ok(false);
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{gap}{line}\n").as_bytes())?;
    file.sync_all()?;
    Ok(true)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("write {}", path.display()))
        .caused_by(error)
        .then("make it writable for this user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_after_the_run_s_beginning() {
        let named = |pattern| tag_name(pattern, "20261121t030606z-izuuh", "production");
        assert_eq!(named("release-{date}"), "release-2026-11-21");
        assert_eq!(named("{environment}/{date}-{time}"), "production/2026-11-21-0306");
        assert_eq!(named("r-{run}"), "r-20261121t030606z-izuuh");
    }

    #[test]
    fn everything_that_was_not_noted_is_told() {
        let (done, refused) =
            (Ok("a line".to_string()), Failure::refused("set the tag").then("another name"));
        assert_eq!(summed_up(vec![done.clone()]).unwrap().summary, "a line");
        let full = Failure::failed("write the row").because_of("no room").then("make room");
        let failure = summed_up(vec![done, Err(refused), Err(full)]).unwrap_err();
        assert_eq!(failure.to_string(), "could not set the tag: could not write the row: no room");
        assert_eq!(failure.state.as_deref(), Some("noted: a line"));
        assert_eq!(failure.next, ["another name", "make room"]);
    }

    #[test]
    fn the_documented_row_is_one() {
        let document = include_str!("../../docs/formats.md");
        let example = document.split("```json release\n").nth(1).and_then(|rest| rest.split("```").next());
        let release: Release = serde_json::from_str(example.unwrap()).unwrap();
        assert_eq!((release.format, release.database.as_str()), (1, "shop"));
        assert_eq!(release.began, time_of_id(&release.run));
    }

    #[test]
    fn a_line_is_added_once_and_after_a_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("CHANGELOG.md");
        std::fs::write(&path, "# Changes").unwrap();
        assert!(add_line(&path, "r1", "- run r1").unwrap());
        assert!(!add_line(&path, "r1", "- run r1").unwrap());
        assert!(add_line(&path, "r2", "- run r2").unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# Changes\n- run r1\n- run r2\n");
    }
}
