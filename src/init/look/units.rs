//! The systemd units of an application, among those of its machine.

use std::path::PathBuf;

use super::{Places, entries, read};
use crate::init::unit::{self, Unit};

/// Those in the project, those that name its folder, and the one that has its name.
pub(super) fn find(places: &Places<'_>, folders: &[PathBuf]) -> Vec<Unit> {
    let root = places.root.display().to_string();
    let stem = places.root.file_name().unwrap_or_default().to_string_lossy();
    let mut found: Vec<Unit> = Vec::new();
    let own = folders.iter().map(|folder| (folder, true));
    for (folder, ours) in own.chain(places.units.iter().map(|folder| (folder, false))) {
        for path in entries(folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // A template has no name to restart.
            let named = name.ends_with(".service") && !name.contains('@');
            let Some(text) = named.then(|| read(&path)).flatten() else { continue };
            let unit = unit::read(&name, &text);
            let about_us = ours || names_folder(&text, &root) || unit.name == *stem;
            if about_us && found.iter().all(|known| known.name != unit.name) {
                found.push(unit);
            }
        }
    }
    found
}

/// Whether `text` has the path `folder` in it, or one below it: `/opt/shop` is not in `/opt/shop-admin`, nor in
/// `/srv/opt/shop`.
fn names_folder(text: &str, folder: &str) -> bool {
    let of_a_name = |c: char| c.is_alphanumeric() || "-_.\\@%".contains(c);
    text.match_indices(folder).any(|(at, folder)| {
        let (before, after) = (&text[..at], &text[at + folder.len()..]);
        !before.ends_with(of_a_name) && !after.starts_with(of_a_name)
    })
}
