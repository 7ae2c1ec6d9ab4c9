//! What `status` says of the flag: how long it has been up, for whom, and what takes it down.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::scene::{Run, Scene};
use super::{Fact, mend};
use crate::cli::maintenance::BY_HAND;
use crate::config::{Config, Flag};
use crate::failure::Failure;
use crate::time::{between, now, show_duration};
use crate::window::flag::{self, Standing};

const NAME: &str = "flag";

pub(super) async fn look(scene: &Scene<'_>) -> Fact {
    let config = scene.config;
    let Some(flag) = &config.flag else { return Fact::new(NAME, "not configured", Value::Null) };
    let holder = match flag::look(flag, config).await {
        Ok(Standing::Down) => return Fact::new(NAME, "down", json!({ "up": false })),
        Ok(Standing::Up(holder)) => holder,
        Err(failure) => return Fact::unknown(NAME, &failure),
    };
    match bearer(scene, holder.as_deref()).await {
        Ok(bearer) => raised(scene, flag, holder, &bearer),
        Err(failure) => {
            let failure = Failure { what: format!("look for the run that holds it: {failure}"), ..failure };
            raised(scene, flag, holder, &Bearer::Unknowable(failure))
        }
    }
}

/// For whom the flag is up.
enum Bearer<'r> {
    /// A run that has not ended.
    Unfinished(Seen<'r>),
    /// A run that has ended.
    Ended(Seen<'r>),
    /// A run of another store, at work.
    Elsewhere(String),
    /// A run that the store does not know.
    Stranger(String),
    /// A person.
    Hand,
    /// Nobody that we know.
    Nobody,
    /// The store is out of reach.
    Unknowable(Failure),
}

/// A run that was looked at already, or just now.
enum Seen<'r> {
    Before(&'r Run),
    Now(Box<Run>),
}

impl std::ops::Deref for Seen<'_> {
    type Target = Run;

    fn deref(&self) -> &Run {
        match self {
            Seen::Before(run) => run,
            Seen::Now(run) => run,
        }
    }
}

async fn bearer<'r>(scene: &'r Scene<'_>, holder: Option<&str>) -> Result<Bearer<'r>, Failure> {
    let of = |run: Seen<'r>| if run.ended { Bearer::Ended(run) } else { Bearer::Unfinished(run) };
    let Some(holder) = holder else {
        // Commands don't say whose it is: of the run that is under way, if there is one.
        if let Err(failure) = &scene.last {
            return Ok(Bearer::Unknowable(failure.clone()));
        }
        let run = scene.unfinished().filter(|run| run.raised().is_some());
        return Ok(run.map_or(Bearer::Nobody, |run| of(Seen::Before(run))));
    };
    if holder == BY_HAND {
        return Ok(Bearer::Hand);
    }
    if let Some(run) = scene.last.as_ref().ok().and_then(Option::as_ref).filter(|run| run.id == holder) {
        return Ok(of(Seen::Before(run)));
    }
    Ok(match scene.find(holder).await? {
        Some(run) => of(Seen::Now(Box::new(run))),
        None if scene.driver_of(holder).is_some() => Bearer::Elsewhere(holder.to_string()),
        None => Bearer::Stranger(holder.to_string()),
    })
}

fn raised(scene: &Scene<'_>, flag: &Flag, holder: Option<String>, bearer: &Bearer<'_>) -> Fact {
    let since = since(flag, bearer);
    let age = since.map(|since| between(since, now()));
    let over = match bearer {
        Bearer::Unfinished(run) => {
            run.max(scene.shell, scene.config).filter(|max| age.is_some_and(|age| age > *max))
        }
        _ => None,
    };
    let text = format!(
        "UP{}, {}{}: users see the maintenance page",
        age.map(|age| format!(" for {}", show_duration(age))).unwrap_or_default(),
        whose(bearer),
        over.map(|max| format!(", longer than the {} of its window", show_duration(max))).unwrap_or_default()
    );
    let value = json!({
        "up": true, "holder": holder, "since": since, "age_millis": age.map(crate::event::millis),
        "over": over.is_some(),
    });
    let fact = Fact::new(NAME, text, value);
    match mends(scene.config, bearer, over) {
        Some(command) => fact.mended_by(command),
        None => fact,
    }
}

fn whose(bearer: &Bearer<'_>) -> String {
    match bearer {
        Bearer::Unfinished(run) if run.is_driven() => format!("held by run {}, which is under way", run.id),
        Bearer::Unfinished(run) => format!("held by run {}, which is not finished", run.id),
        Bearer::Ended(run) => format!("held by run {}, which has ended", run.id),
        Bearer::Elsewhere(run) => format!("held by run {run} of another store, which is under way"),
        Bearer::Stranger(run) => format!("held by run {run}, which this store does not know"),
        Bearer::Hand => "raised by hand".into(),
        Bearer::Nobody => "for no run that we know".into(),
        Bearer::Unknowable(failure) => format!("for whom is unknown: {failure}"),
    }
}

/// The journal knows when a run first raised it; a file holds when it was last written.
fn since(flag: &Flag, bearer: &Bearer<'_>) -> Option<Timestamp> {
    let journaled = match bearer {
        Bearer::Unfinished(run) | Bearer::Ended(run) => run.raised(),
        _ => None,
    };
    journaled.or_else(|| flag::since(flag))
}

fn mends(config: &Config, bearer: &Bearer<'_>, over: Option<Duration>) -> Option<String> {
    match bearer {
        Bearer::Unfinished(run) if run.is_driven() => {
            let driver = run.driving.as_ref().and_then(|driving| driving.driver.as_ref())?;
            over.map(|_| {
                format!(
                    "kill -INT {}   (on {}: its driver ends it, or asks)",
                    driver.pid, driver.machine.host
                )
            })
        }
        Bearer::Unfinished(run) => Some(mend::resume(config, &run.id)),
        Bearer::Ended(_) | Bearer::Stranger(_) | Bearer::Hand | Bearer::Nobody => {
            Some(mend::lower_flag(config))
        }
        Bearer::Elsewhere(_) => None,
        Bearer::Unknowable(failure) => failure.next.first().cloned(),
    }
}
