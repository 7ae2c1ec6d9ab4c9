//! The release that is meant, from the journals.

use crate::engine::standing::{named, unfinished};
use crate::failure::Failure;
use crate::journal;
use crate::steps::Released;
use crate::store::Store;

/// A release that has ended.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its run.
    pub run: String,
    /// What it left.
    pub left: Released,
    /// The database that it opened, by id; or the clone of it that a later run has put back in its place.
    pub database: Option<u32>,
}

/// Finds the newest release of `environment` that production runs on, or looks at the one that is named; or tells why there
/// is none to be taken back.
///
/// # Errors
/// A name that means no run; a run that did not end with production on its new version; the store's.
pub(super) async fn find(
    store: &dyn Store,
    environment: &str,
    wanted: Option<&str>,
) -> Result<Result<Release, String>, Failure> {
    let named = match wanted {
        Some(wanted) => Some(named(store, wanted).await?),
        None => None,
    };
    let mut later = Vec::new();
    for bounds in journal::bounds(store).await?.into_iter().rev() {
        if bounds.environment(store).await?.as_deref() != Some(environment) {
            continue;
        }
        let left = Released::of(&journal::read(store, &bounds.run).await?.records);
        let run = bounds.run;
        if named.as_ref().is_some_and(|named| *named != run) {
            later.push(left);
            continue;
        }
        match (left.is_in_production(), left.is_rollback) {
            (true, false) => {
                let database = present(&left, &later);
                return Ok(Ok(Release { run, left, database }));
            }
            (true, true) => {
                return Ok(Err(format!("the last change of production is a rollback itself: run {run}")));
            }
            (false, _) if named.is_some() => return Err(not_in_production(&run, &left)),
            (false, _) => later.push(left),
        }
    }
    match named {
        Some(run) => Err(Failure::usage(format!("take run {run} back"))
            .because_of(format!("it is no run of {environment}"))
            .then(format!("backstay runs -e {environment} lists those"))),
        None => Ok(Err(format!(
            "no run of {environment} in {} has put a new version into production",
            store.url()
        ))),
    }
}

/// Which database is now what the release opened. A clone has the ids of all objects and transactions; a restored backup
/// has not. `later` are the runs of since, the newest first.
fn present(left: &Released, later: &[Released]) -> Option<u32> {
    let mut database = left.target.as_ref()?.oid;
    for run in later.iter().rev() {
        let clones = run.guard.as_ref().is_some_and(|guard| guard.backup.is_none());
        if let Some(swap) = run.put_back.as_ref().filter(|swap| clones && swap.failed == database) {
            database = swap.guard;
        }
    }
    Some(database)
}

fn not_in_production(run: &str, left: &Released) -> Failure {
    let failure = Failure::refused(format!("take run {run} back")).leaving("nothing was changed");
    match left.ended {
        None => unfinished_run(run, ""),
        Some((verdict, _)) if !left.changed => failure
            .because_of("it changed nothing in the database")
            .because_of(format!("it ended with exit {}", verdict.exit_code())),
        Some((verdict, _)) => failure.because_of(format!(
            "it did not put its version into production: it ended with exit {}",
            verdict.exit_code()
        )),
    }
}

/// A release that is not over is not taken back: its own way back is shorter.
///
/// # Errors
/// The refusal, which names the line that goes on; the store's.
pub(super) async fn refuse_unfinished(store: &dyn Store, environment: &str) -> Result<(), Failure> {
    match unfinished(store, environment).await? {
        Some(run) => Err(unfinished_run(&run, &format!(" -e {environment}"))),
        None => Ok(()),
    }
}

fn unfinished_run(run: &str, environment: &str) -> Failure {
    Failure::refused("take a release back")
        .because_of(format!("run {run} is not finished"))
        .leaving("nothing was changed by this command")
        .then(format!("backstay resume {run}{environment} goes on with it, or puts production back"))
        .then("then backstay rollback, if its version serves and must go")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Target;
    use crate::window::guard::Guard;
    use crate::window::swap::Swap;

    fn run(failed: u32, guard: u32, backup: Option<&str>) -> Released {
        let backup = backup.map(String::from);
        let (relations, sampled, copy_millis) = (0, 0, 0);
        let of = Guard { oid: guard, name: String::new(), relations, sampled, copy_millis, backup };
        let put_back = Swap { name: String::new(), failed, failed_name: String::new(), guard };
        let target = Target { system: String::new(), name: String::new(), oid: failed };
        Released { target: Some(target), guard: Some(of), put_back: Some(put_back), ..Released::default() }
    }

    #[test]
    fn a_clone_that_was_put_back_is_the_database_of_before() {
        let release = Released { put_back: None, ..run(5, 6, None) };
        assert_eq!(present(&release, &[]), Some(5));
        let (first, second, restored) = (run(5, 8, None), run(8, 9, None), run(5, 8, Some("b")));
        assert_eq!(present(&release, &[second, first.clone()]), Some(9));
        assert_eq!(present(&release, &[restored]), Some(5), "other ids, and so another database");
        assert_eq!(present(&release, &[Released { put_back: None, ..first }]), Some(5));
    }
}
