//! `[notify]`: a program and webhooks that tell people what a run can't wait to say.
//!
//! None is waited for long, and what goes wrong with them is noted and changes nothing.

mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::process::{self, Program};
use crate::redact::redact;

/// How long a program or a webhook may take, with all its tries: a run goes on beside it, but its end waits.
const BOUND: Duration = Duration::from_secs(10);

/// What is to be told.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// One of [`crate::event::NOTICES`]: a word that programs know it by.
    pub event: &'a str,
    /// The run.
    pub run: &'a str,
    /// What happened, in a sentence.
    pub message: &'a str,
    /// How the run ended, if it did.
    pub verdict: Option<Verdict>,
}

/// Tells `message` about `run` to whoever the environment names; `event` is a word that programs can know it by. Gives
/// what went wrong, for a note; nothing if all went well or nobody is to be told.
///
/// The program runs in the project's root, without a shell, with `BACKSTAY_MESSAGE`, `BACKSTAY_RUN`, `BACKSTAY_ENV` and
/// `BACKSTAY_EVENT` beside our own environment and that of the env file. The message carries no secret. A crash leaves
/// the program to itself, or untold.
pub async fn tell(config: &Config, event: &str, run: &str, message: &str) -> Option<String> {
    tell_of(config, Notice { event, run, message, verdict: None }).await
}

/// As [`tell`], with all that is known.
pub async fn tell_of(config: &Config, notice: Notice<'_>) -> Option<String> {
    // No process takes a NUL byte.
    let message = redact(notice.message).replace('\0', "");
    let notice = Notice { message: &message, ..notice };
    let listening = config.notify.webhooks.iter().filter(|hook| hook.events.contains(&notice.event));
    let posts = join_all(listening.map(|hook| webhook::post(hook, config, notice)));
    let (program, posts) = tokio::join!(run(config, notice), posts);
    let wrong: Vec<String> = program.into_iter().chain(posts.into_iter().flatten()).collect();
    (!wrong.is_empty()).then(|| format!("could not notify of {}: {}", notice.event, wrong.join("; ")))
}

/// Whether anybody wants to know of `event`.
pub fn is_wanted(config: &Config, event: &str) -> bool {
    let notify = &config.notify;
    (notify.run.is_some() && notify.events.contains(&event))
        || notify.webhooks.iter().any(|hook| hook.events.contains(&event))
}

async fn run(config: &Config, notice: Notice<'_>) -> Option<String> {
    let argv = config.notify.run.clone().filter(|_| config.notify.events.contains(&notice.event))?;
    let program =
        Program { argv, directory: config.root.clone(), env: environment(config, notice), timeout: BOUND };
    let ended = process::run(&program, |line| tracing::debug!(line = %redact(line), "notify")).await;
    Some(Failure::from(ended.err()?).to_string())
}

fn environment(config: &Config, notice: Notice<'_>) -> BTreeMap<String, String> {
    let Notice { event, run, message, .. } = notice;
    let own = [("MESSAGE", message), ("RUN", run), ("ENV", &config.environment), ("EVENT", event)];
    let own = own.map(|(name, value)| (format!("BACKSTAY_{name}"), value.to_string()));
    config.variables.clone().into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests;
