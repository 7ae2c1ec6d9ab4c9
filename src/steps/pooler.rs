//! The pooler before the database: its clients wait while the database is closed, and meet no error.
//!
//! The pause is a kindness, the fence is what holds. So the first driver, on its way there, takes the commands at
//! their word; later drivers and the way back do not know what the pooler was told before. PgBouncer refuses to pause
//! what is paused, and to resume what is not. There a failure is noted, and the proof that production serves, which goes
//! through the pooler, has the last word.

use super::Site;
use super::command::surroundings;
use crate::config::Pooler;
use crate::event::Phase;
use crate::failure::Failure;
use crate::process::{self, Program};
use crate::time::show_duration;

/// Holds the pooler's clients back. Gives what belongs behind the line's summary.
///
/// # Errors
/// The command's, where nothing can have paused it before; its clients may be waiting then, until [`resume`].
pub(super) async fn pause(site: &Site<'_>) -> Result<&'static str, Failure> {
    let Some(pooler) = &site.config.database.pooler else { return Ok("") };
    tell("pause", &pooler.pause, pooler, site)
        .await
        .map(|told| if told { "; the pooler is paused" } else { "" })
}

/// Lets the pooler's clients go on. Gives what belongs behind the line's summary.
///
/// # Errors
/// The command's, where nothing but we can have resumed it before.
pub(super) async fn resume(site: &Site<'_>) -> Result<&'static str, Failure> {
    let Some(pooler) = &site.config.database.pooler else { return Ok("") };
    tell("resume", &pooler.resume, pooler, site)
        .await
        .map(|told| if told { "; the pooler goes on" } else { "" })
}

/// Lets the pooler's clients go on if they may still be held back from before: its command failed, or nobody knows how
/// it ended. Gives whether it was told.
///
/// # Errors
/// None but a defect: what is told again is noted when it fails.
pub(super) async fn resume_again(site: &Site<'_>) -> Result<bool, Failure> {
    match &site.config.database.pooler {
        Some(pooler) if may_be_told_already(site) => tell("resume", &pooler.resume, pooler, site).await,
        _ => Ok(false),
    }
}

/// Whether another driver, or a line on the way there, may have told the pooler the same before.
fn may_be_told_already(site: &Site<'_>) -> bool {
    site.epoch > 1 || site.phase == Phase::PutBack
}

/// Whether the command did it.
async fn tell(verb: &str, argv: &[String], pooler: &Pooler, site: &Site<'_>) -> Result<bool, Failure> {
    let program = Program {
        argv: argv.to_vec(),
        directory: site.config.root.clone(),
        env: surroundings(site),
        timeout: pooler.timeout,
    };
    let progress = site.progress();
    let Err(error) = process::run(&program, |line| progress.output(line)).await else { return Ok(true) };
    let failure = Failure::from(error);
    if may_be_told_already(site) {
        progress
            .note(format!("the pooler did not {verb}, which it may have done before{}", failure.because()));
        return Ok(false);
    }
    let told =
        failure.causes.into_iter().fold(Failure::failed(format!("{verb} the pooler")), Failure::because_of);
    Err(told.then(format!(
        "try [database.pooler] {verb} by hand; it has {} ([database.pooler] timeout)",
        show_duration(pooler.timeout)
    )))
}
