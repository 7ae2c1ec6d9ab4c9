//! What a run tells and asks of the schedule between its beginning and its window.

use super::Site;
use crate::failure::Failure;
use crate::time::now;

/// What is ahead, for whoever approves: how long the window is likely to take, and how long it may be open.
pub(super) fn outlook(site: &Site<'_>) -> Vec<String> {
    let open = site.config.schedule.as_ref().filter(|_| site.bound).and_then(|schedule| {
        let until = schedule.admit(now(), site.forecast.window.high);
        until.ok().map(|until| format!("the schedule: {}", schedule.show_open(until, now())))
    });
    [site.forecast.window_words(), open].into_iter().flatten().collect()
}

/// Before the flag goes up: an approval may have come late, a backup may have taken longer than ever.
///
/// # Errors
/// No window is open any more, or it closes before this one is likely to be over. Nothing was changed.
pub(super) fn expect_open(site: &Site<'_>) -> Result<(), Failure> {
    let Some(schedule) =
        site.config.schedule.as_ref().filter(|_| site.bound && !site.recall.outside_schedule)
    else {
        return Ok(());
    };
    let (now, needs) = (now(), site.forecast.window.high);
    let Err(refusal) = schedule.admit(now, needs) else { return Ok(()) };
    Err(Failure::refused("open the window")
        .because_of(schedule.show_why(&refusal, now, needs))
        .leaving("nothing was changed")
        .then(schedule.show_next(refusal.next, now))
        .then("run it again then, with --wait; or with --outside-schedule and the reason"))
}
