//! Leftovers that are told in one line: a dozen that are merely kept hide the one that asks for something. **Pure**, and
//! for people alone: programs have the list.

use std::time::Duration;

use super::{Fact, LEFTOVER};
use crate::time::{show_bytes, show_duration};
use crate::words::shell_word;

/// How many databases are named.
const NAMED: usize = 3;

/// A leftover that is told with others of its sort.
#[derive(Debug)]
pub(super) struct Alike {
    pub database: String,
    pub run: String,
    pub bytes: Option<u64>,
    pub sort: Sort,
}

#[derive(Debug)]
pub(super) enum Sort {
    /// Nothing is wrong with it: it is kept for so much longer.
    Kept(Duration),
    /// Of a run that this store does not know.
    Unknown {
        /// The store's URL.
        store: String,
    },
}

/// What a person is told.
pub(super) struct Line {
    pub name: &'static str,
    pub text: String,
    pub mends: Option<String>,
    /// Whether it is worth a word where there is little room.
    pub is_remark: bool,
}

/// The facts as lines, first what makes all others doubtful: a store that does not know the runs.
pub(super) fn lines(environment: &str, facts: &[Fact]) -> Vec<Line> {
    let alike = facts.iter().filter_map(|fact| fact.alike.as_ref());
    let unknown: Vec<&Alike> = alike.filter(|one| matches!(one.sort, Sort::Unknown { .. })).collect();
    let is_kept = |fact: &&Fact| fact.alike.as_ref().is_some_and(|one| matches!(one.sort, Sort::Kept(_)));
    let kept: Vec<&Fact> = facts.iter().filter(is_kept).collect();
    let mut lines: Vec<Line> = tell_unknown(environment, &unknown).into_iter().collect();
    let mut kept_line = tell_kept(environment, &kept);
    for fact in facts {
        match fact.alike.as_ref().map(|one| &one.sort) {
            None => lines.push(Line {
                name: fact.name,
                text: fact.text.clone(),
                mends: fact.mends.clone(),
                is_remark: fact.mends.is_some() || fact.value.get("error").is_some(),
            }),
            // In the place of the first of them.
            Some(Sort::Kept(_)) => lines.extend(kept_line.take()),
            Some(Sort::Unknown { .. }) => {}
        }
    }
    lines
}

fn tell_kept(environment: &str, kept: &[&Fact]) -> Option<Line> {
    let alike: Vec<&Alike> = kept.iter().filter_map(|fact| fact.alike.as_ref()).collect();
    let left = |one: &&Alike| match one.sort {
        Sort::Kept(left) => Some(left),
        Sort::Unknown { .. } => None,
    };
    let first = show_duration(alike.iter().filter_map(left).min()?);
    let now = format!("backstay cleanup -e {} --older-than 0s", shell_word(environment));
    let text = match kept {
        [only] => format!("{}; {now} drops it now", only.text),
        several => format!(
            "{} databases of ended runs are kept{}: {}; the first is due in {first}; {now} drops them now",
            several.len(),
            size(&alike),
            names(&alike)
        ),
    };
    Some(Line { name: LEFTOVER, text, mends: None, is_remark: false })
}

fn tell_unknown(environment: &str, unknown: &[&Alike]) -> Option<Line> {
    let one = unknown.first()?;
    let Sort::Unknown { store } = &one.sort else { return None };
    let (names, size, environment) = (names(unknown), size(unknown), shell_word(environment));
    let text = match unknown.len() {
        1 => format!(
            "{store} does not know the run that left {names} here{size}: use the store that knows it ([store] url); only if \
             that is gone for good: backstay cleanup --run {} -e {environment} drops it",
            one.run
        ),
        many => format!(
            "{store} does not know the runs that left {many} databases here{size} ({names}): use the store that knows \
             them ([store] url); only if that is gone for good: backstay cleanup --run RUN -e {environment} drops what a \
             run left"
        ),
    };
    Some(Line { name: "store", text, mends: None, is_remark: true })
}

fn names(alike: &[&Alike]) -> String {
    let mut names: Vec<&str> = alike.iter().map(|one| one.database.as_str()).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// `, 75 MB`; nothing where the server did not say.
fn size(alike: &[&Alike]) -> String {
    let bytes: Option<u64> = alike.iter().map(|one| one.bytes).sum();
    bytes.map(|bytes| format!(", {}", show_bytes(bytes))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::ui::Look;

    fn kept(number: u64) -> Fact {
        let left = Duration::from_secs(86_400 - 60 * number);
        alike(number, Sort::Kept(left))
    }

    fn unknown(number: u64) -> Fact {
        alike(number, Sort::Unknown { store: "file:///mnt/other".into() })
            .mended_by("backstay cleanup --run 20261121t19230 -e production")
    }

    fn alike(number: u64, sort: Sort) -> Fact {
        let run = format!("20261121t19230{number}z-enw6d");
        let database = format!("shop__g_{run}_1");
        let text = format!("{database}: a guard");
        Fact::new(LEFTOVER, text, Value::Null).told_with(Alike {
            database,
            run,
            bytes: Some(15_000_000),
            sort,
        })
    }

    fn told(facts: &[Fact]) -> String {
        super::super::text("production", facts, Look { width: 100, ..Look::BARE })
    }

    #[test]
    fn what_is_merely_kept_is_one_line_without_an_arrow() {
        let flag = || Fact::new("flag", "down", Value::Null);
        let due = Fact::new(LEFTOVER, "shop__f_1: a failed database", Value::Null)
            .mended_by("backstay cleanup -e production");
        let several: Vec<Fact> = [flag(), kept(1), due].into_iter().chain((2..6).map(kept)).collect();
        insta::assert_snapshot!([told(&[flag(), kept(1)]), told(&several)].join("\n\n"));
    }

    #[test]
    fn a_store_that_does_not_know_the_runs_is_said_first_and_nothing_is_to_be_dropped() {
        let flag = || Fact::new("flag", "down", Value::Null);
        let several: Vec<Fact> = std::iter::once(flag()).chain((1..6).map(unknown)).collect();
        let told = [told(&[flag(), unknown(1)]), told(&several)].join("\n\n");
        assert!(!told.contains("->"), "{told}");
        insta::assert_snapshot!(told);
    }
}
