//! `backstay man DIR`: the manual pages, one a command. Hidden: packages are made with it.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::generate_to;
use serde_json::json;

use super::{Shell, Trouble};
use crate::failure::{Failure, Verdict};

/// Write the manual pages into a folder, one a command
#[derive(Debug, Args)]
pub struct Man {
    /// The folder; made if it is not there. Pages of the same name are replaced
    folder: PathBuf,
}

pub(super) fn run(shell: &Shell, command: &Man) -> Result<Verdict, Trouble> {
    let folder = command.folder.display();
    let failed = |error: std::io::Error| {
        Failure::refused(format!("write the manual pages to {folder}")).caused_by(&error)
    };
    std::fs::create_dir_all(&command.folder).map_err(failed)?;
    generate_to(super::command(), &command.folder).map_err(failed)?;
    let text = format!("the manual pages are in {folder}: man {folder}/backstay.1");
    shell.tell(&text, json!({ "folder": command.folder }));
    Ok(Verdict::Done)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let folder = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(super::super::command(), folder.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert!(page("backstay.1").contains("Exit codes"));
        for (name, example) in [
            ("backstay-run.1", "  backstay run release \\-e production"),
            ("backstay-migrate-upgrade.1", "  backstay migrate upgrade head"),
            ("backstay-backup-verify.1", "  backstay backup verify latest"),
        ] {
            assert!(page(name).contains(example), "{name}: {}", page(name));
        }
        assert!(page("backstay-demo-app.1").is_empty() && page("backstay-man.1").is_empty());
    }
}
