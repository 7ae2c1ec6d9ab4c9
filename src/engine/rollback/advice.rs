//! Which way back is recommended, and why. **Pure.**

use serde::Serialize;

use super::survey::{Survey, Way, Written};
use crate::rollback::By;

/// A recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The way.
    pub by: By,
    /// Why this one.
    pub why: String,
}

impl Advice {
    /// The best way that there is: what was written since is worth more than a few seconds, and a proven guard more than
    /// a downgrade that nobody may have tried.
    pub fn of(survey: &Survey) -> Option<Self> {
        let open = |by| survey.way(by).is_some_and(|way: &Way| way.order.is_ok());
        let advise = |by, why: &str| Some(Advice { by, why: why.to_string() });
        if survey.gone {
            let why = "the database is gone: the store is all that is left of it";
            return open(By::Backup).then(|| advise(By::Backup, why)).flatten();
        }
        // Without a release nobody can say what a backup would be better than: a person has to.
        survey.release.as_ref().ok()?;
        let untouched = matches!(&survey.written, Written::Nothing);
        match (open(By::Guard), open(By::Downgrade), open(By::Backup)) {
            (true, _, _) if untouched => advise(
                By::Guard,
                "nothing was written since, and the guard is proven to be what production was",
            ),
            (_, true, _) => advise(By::Downgrade, "it alone keeps what was written since in production"),
            (true, false, _) => {
                advise(By::Guard, "it takes seconds, and what was written since is kept in the ledger")
            }
            (false, false, true) => advise(By::Backup, "there is no other way left"),
            (false, false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rollback::Release;
    use crate::rollback::Order;
    use crate::steps::Released;

    fn survey(open: &[By], written: Written, gone: bool) -> Survey {
        let order =
            |by| Order { by, release: None, backup: None, targets: Default::default(), marked: false, gone };
        let way = |by| Way {
            by,
            order: if open.contains(&by) { Ok(order(by)) } else { Err("not".into()) },
            cost: String::new(),
            millis: None,
        };
        let ways = By::ALL.map(|(_, by)| way(by)).into();
        let release = Release { run: "r".into(), left: Released::default(), database: None };
        Survey { release: Ok(release), gone, written, ways }
    }

    #[test]
    fn what_was_written_is_worth_more_than_a_proof() {
        let some =
            || Written::Some { since: jiff::Timestamp::UNIX_EPOCH, rows: 1, deleted: 0, words: vec![] };
        let unknown = || Written::Unknown("why".into());
        let advised = |open: &[By], written, gone| Advice::of(&survey(open, written, gone)).map(|a| a.by);
        let all = [By::Downgrade, By::Guard, By::Backup];
        assert_eq!(advised(&all, Written::Nothing, false), Some(By::Guard));
        assert_eq!(advised(&all, some(), false), Some(By::Downgrade));
        assert_eq!(advised(&all, unknown(), false), Some(By::Downgrade));
        assert_eq!(advised(&all[1..], some(), false), Some(By::Guard));
        assert_eq!(advised(&all[2..], some(), false), Some(By::Backup));
        assert_eq!(advised(&[], some(), false), None);
        assert_eq!(advised(&all, unknown(), true), Some(By::Backup));
        assert_eq!(advised(&all[..2], unknown(), true), None);
        let unreleased = Survey { release: Err("none".into()), ..survey(&all, unknown(), false) };
        assert_eq!(Advice::of(&unreleased), None);
    }
}
