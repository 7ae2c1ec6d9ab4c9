//! What a rollback was told: which way back, and to what. A leaf; journaled, so that every driver goes the same way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The ways back from a release that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The migrations are taken back by their own downgrades: what was written since stays.
    Downgrade,
    /// The release's guard takes production's place: what was written since goes to the ledger.
    Guard,
    /// A backup is restored beside production and takes its place: likewise.
    Backup,
}

impl By {
    /// Every way, with the word that people type.
    pub const ALL: [(&str, By); 3] =
        [("downgrade", By::Downgrade), ("guard", By::Guard), ("backup", By::Backup)];

    /// The word that people type.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(word, _)| *word == text);
        found.map(|(_, by)| *by).ok_or_else(|| format!("{text:?} is none of downgrade, guard, backup"))
    }
}

/// What one rollback does. Chosen before its run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The way.
    pub by: By,
    /// The release that is taken back; none where only a backup was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The backup that is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Where each migration root is taken back to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, String>,
    /// Production is still the database that the release opened, or a clone of it: the release's mark tells what was written
    /// since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marked: bool,
    /// There is no database of production's name: the backup becomes it, and there is nothing to go back to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl Order {
    /// Whether another database takes production's place. Production itself is not touched then: it is what a failed
    /// rollback goes back to, and no guard is taken.
    pub fn exchanges(&self) -> bool {
        self.by != By::Downgrade
    }

    /// What is done, in a few words.
    pub fn words(&self) -> String {
        let of = self.release.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
        match (self.by, &self.backup) {
            (By::Downgrade, _) => format!("rollback{of} by downgrade"),
            (By::Backup, Some(backup)) => format!("rollback{of} by backup {backup}"),
            (by, _) => format!("rollback{of} by the {by}"),
        }
    }
}
