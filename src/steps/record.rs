//! `step = "record"`: the release noted in the project's own files.

use std::io::{self, Write};
use std::path::Path;

use super::schema::{self, Moment};
use super::{Report, Site};
use crate::backup::schema::schema_of;
use crate::failure::Failure;
use crate::time::now;

pub(super) async fn perform(
    changelog: Option<&Path>,
    schema_file: Option<&Path>,
    site: &mut Site<'_>,
) -> Result<Report, Failure> {
    let mut said = Vec::new();
    if let Some(path) = changelog {
        let path = site.config.root.join(path);
        let line = line(site);
        let added = add_line(&path, site.run, &line).map_err(|error| unwritable(&path, &error))?;
        let what = if added { "a line in" } else { "a line stands already in" };
        said.push(format!("{what} {}", path.display()));
    }
    if let Some(path) = schema_file {
        let path = site.config.root.join(path);
        let text = schema_of(&site.live().await?, &site.session("record")).await?;
        schema::keep(Moment::After, &text, site).await;
        replace(&path, &text).map_err(|error| unwritable(&path, &error))?;
        said.push(format!("the schema in {}", path.display()));
    } else if site.recall.preview.as_ref().is_some_and(|preview| !preview.revisions.is_empty()) {
        schema::take(Moment::After, site).await;
    }
    Ok(Report::saying(if said.is_empty() { "in the journal".to_string() } else { said.join(", ") }))
}

fn line(site: &Site<'_>) -> String {
    let applied = match site.recall.applied.as_slice() {
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

/// Writes a file whole: beside it, then renamed over it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".backstay-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
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
