//! What `--to` means, and where a downgrade leads.

use std::collections::{BTreeMap, BTreeSet};

use crate::backup;
use crate::backup::list::Listing;
use crate::config::Config;
use crate::failure::Failure;
use crate::id;
use crate::journal;
use crate::migrate::Chain;
use crate::rollback::By;
use crate::steps::migrator;
use crate::store::Store;

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The release, by its run's id, a prefix of one, or `latest`.
    pub run: Option<String>,
    /// The way.
    pub by: Option<By>,
    /// Where to.
    pub to: Option<String>,
}

/// The same, with `--to` understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Understood {
    pub run: Option<String>,
    pub by: Option<By>,
    pub backup: Option<String>,
    pub revision: Option<String>,
}

impl Wanted {
    /// Tells whether `--to` is a run, a backup or a revision: in this order, unless `--by` says which it must be.
    ///
    /// # Errors
    /// If it is none of what it can be; the store's.
    pub(super) async fn understand(&self, config: &Config, store: &dyn Store) -> Result<Understood, Failure> {
        let Self { run, by, to } = self.clone();
        let mut found = Understood { run, by, ..Understood::default() };
        let Some(to) = to else { return Ok(found) };
        let may_be_run = found.run.is_none() && by != Some(By::Downgrade) && to != "latest";
        if may_be_run && id::pick(&journal::runs(store).await?, &to).is_ok() {
            found.run = Some(to);
            return Ok(found);
        }
        if matches!(by, None | Some(By::Backup)) {
            let backups: Listing = backup::list(store, &config.environment).await.map_err(Failure::from)?;
            let ids: Vec<String> = backups.backups.into_iter().map(|entry| entry.id).collect();
            if let Ok(id) = id::pick(&ids, &to) {
                return Ok(Understood { by: Some(By::Backup), backup: Some(id.to_string()), ..found });
            }
        }
        if matches!(by, None | Some(By::Downgrade)) {
            return Ok(Understood { by: Some(By::Downgrade), revision: Some(to), ..found });
        }
        Err(Failure::usage(format!("roll back to {to}"))
            .because_of(match by {
                Some(By::Backup) => "neither a run nor a backup has an id that begins so",
                _ => "no run has an id that begins so",
            })
            .leaving("nothing was changed")
            .then("backstay runs and backstay backup list name what there is"))
    }
}

/// Where each root is taken back to: to the named revision, or to what stood below what the release applied.
///
/// # Errors
/// Why there is no such place.
pub(super) fn targets(
    config: &Config,
    applied: &[String],
    revision: Option<&str>,
) -> Result<BTreeMap<String, String>, String> {
    let mut targets = BTreeMap::new();
    for root in &config.migrations {
        let migrator = migrator(root, None).map_err(|failure| failure.to_string())?;
        let target = match revision {
            Some(named) => (config.migrations.len() == 1 || migrator.chain().graph().find(named).is_ok())
                .then(|| named.to_string()),
            None => below(migrator.chain(), applied)?,
        };
        targets.extend(target.map(|target| (root.name.clone(), target)));
    }
    match (targets.is_empty(), revision) {
        (false, _) => Ok(targets),
        (true, Some(named)) => Err(format!("no migrations have a revision {named}")),
        (true, None) if applied.is_empty() => Err("the release applied no migrations".to_string()),
        (true, None) => Err(format!("no file has the revisions that it applied: {}", applied.join(", "))),
    }
}

/// What stands below the revisions of `applied` that this chain has; nothing, if it has none.
fn below(chain: &Chain, applied: &[String]) -> Result<Option<String>, String> {
    let ours: BTreeSet<&str> =
        applied.iter().map(String::as_str).filter(|id| chain.graph().revision(id).is_some()).collect();
    let downs: Vec<&[String]> =
        ours.iter().filter_map(|id| chain.graph().revision(id)).map(|one| one.down.as_slice()).collect();
    let mut floors: Vec<&[String]> =
        downs.into_iter().filter(|down| !down.iter().any(|id| ours.contains(id.as_str()))).collect();
    match (floors.pop(), floors.is_empty()) {
        (None, _) => Ok(None),
        (Some([]), true) => Ok(Some("base".to_string())),
        (Some([one]), true) => Ok(Some(one.clone())),
        _ => Err("what it applied stands on several branches: name the revision, --to REVISION".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::migrate::Text;
    use crate::migrate::graph::Revision;

    fn chain(revisions: &[(&str, &[&str])]) -> Chain {
        let text = |id: &str| Text { path: Path::new(id).into(), ..Text::default() };
        let files = revisions.iter().map(|(id, down)| (Revision::new(id, down), text(id))).collect();
        Chain::new(Path::new("migrations"), files).unwrap()
    }

    fn below_of(chain: &Chain, applied: &[&str]) -> Result<Option<String>, String> {
        below(chain, &applied.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_downgrade_leads_to_what_stood_below_the_release() {
        let line = chain(&[("a1", &[]), ("b2", &["a1"]), ("c3", &["b2"])]);
        assert_eq!(below_of(&line, &["b2", "c3"]), Ok(Some("a1".into())));
        assert_eq!(below_of(&line, &["c3"]), Ok(Some("b2".into())));
        assert_eq!(below_of(&line, &["a1", "b2"]), Ok(Some("base".into())));
        assert_eq!(below_of(&line, &["another"]), Ok(None));
        let fork = chain(&[("a1", &[]), ("b2", &["a1"]), ("c3", &["a1"]), ("d4", &["b2", "c3"])]);
        assert!(below_of(&fork, &["b2", "c3"]).is_err());
        assert!(below_of(&fork, &["d4"]).is_err());
    }
}
