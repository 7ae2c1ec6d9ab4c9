//! A command line that is none: what clap says of it, with what it can't know.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::output;
use crate::failure::{Failure, Verdict};
use crate::runbook::runbooks;
use crate::words::spell_out;

/// How the name of a runbook stands in a usage.
const RUNBOOK: &str = "<RUNBOOK>";

/// Adds which runbooks there are, where one was to be named.
pub(super) fn name_runbooks(mut error: Error, words: &[OsString]) -> Error {
    let is_missing = matches!(
        error.get(ContextKind::InvalidArg),
        Some(ContextValue::Strings(names)) if names.iter().any(|name| name == RUNBOOK)
    );
    if error.kind() == ErrorKind::MissingRequiredArgument && is_missing {
        let tip = tip(&project(words));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn tip(root: &Path) -> String {
    format!("there is {}; or give the path of a file. A release is `release`", spell_out(&runbooks(root)))
}

/// The project's root as far as the words tell, for they are wrong.
fn project(words: &[OsString]) -> PathBuf {
    let matches = super::command().ignore_errors(true).try_get_matches_from(words).ok();
    let below = matches.as_ref().and_then(|matches| matches.subcommand());
    let named = below.and_then(|(_, below)| below.try_get_one::<PathBuf>("directory").ok().flatten());
    named.cloned().unwrap_or_else(|| PathBuf::from("."))
}

/// A program that types commands is told in its own way too.
pub(super) fn tell(error: &Error) {
    output::print(&crate::ui::error::document(&failure(&error.render().to_string()), Verdict::Usage));
}

fn failure(text: &str) -> Failure {
    let why: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let why = why.join(" ");
    let why = why.trim_start_matches("error: ");
    let failure = Failure::usage("read the command line").because_of(why).leaving("nothing was changed");
    text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).fold(failure, Failure::then)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistyped(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let error = super::super::command().try_get_matches_from(&words).unwrap_err();
        name_runbooks(error, &words).render().to_string()
    }

    #[test]
    fn who_names_no_runbook_is_told_which_there_are() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("runbooks")).unwrap();
        std::fs::write(root.path().join("runbooks/reindex.toml"), "").unwrap();
        let folder = root.path().to_str().unwrap();
        for verb in ["run", "plan"] {
            let told = mistyped(&["backstay", verb, "-C", folder]);
            assert!(
                told.contains("`maintenance-window`, `reindex` and `release`; or give the path"),
                "{told}"
            );
        }
        let told = mistyped(&["backstay", "approve"]);
        assert!(!told.contains("reindex") && !told.contains("tip"), "{told}");
    }

    #[test]
    fn a_program_is_told_the_same() {
        let failure = failure(&mistyped(&["backstay", "run"]));
        assert_eq!(failure.causes, ["the following required arguments were not provided: <RUNBOOK>"]);
        assert!(failure.next[0].starts_with("there is `emergency-rollback`"), "{:?}", failure.next);
    }
}
