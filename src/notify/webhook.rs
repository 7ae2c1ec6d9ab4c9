//! A webhook: one POST, tried again for as long as there is time.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{BOUND, Notice};
use crate::config::{Config, Webhook, WebhookFormat};
use crate::time::now;
use crate::web;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(3);
/// The pause before the second try; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// Posts `notice`; gives what went wrong, without the address. Takes [`BOUND`] at most.
pub(super) async fn post(hook: &Webhook, config: &Config, notice: Notice<'_>) -> Option<String> {
    let body = body(hook.format, &config.environment, notice).to_string();
    let client = match web::client(web::is_secure(&hook.url)).map(reqwest::ClientBuilder::build) {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Some(format!("a webhook: {}", explain(error))),
        Err(failure) => return Some(failure.to_string()),
    };
    let deadline = Instant::now() + BOUND;
    let mut pause = PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wrong = match timeout(TRY.min(left), attempt(&client, &hook.url, body.clone())).await {
            Ok(Ok(())) => return None,
            Ok(Err(Wrong { why, for_good: true })) => return Some(format!("a webhook: {why}")),
            Ok(Err(Wrong { why, .. })) => why,
            Err(_) => "it gave no answer".to_string(),
        };
        if Instant::now() + pause + PAUSE > deadline {
            return Some(format!("a webhook, tried for {} s: {wrong}", BOUND.as_secs()));
        }
        sleep(pause).await;
        pause *= 2;
    }
}

struct Wrong {
    why: String,
    /// Another try would be told the same.
    for_good: bool,
}

async fn attempt(client: &reqwest::Client, url: &str, body: String) -> Result<(), Wrong> {
    let request = client.post(url).header("Content-Type", "application/json").body(body);
    let answer =
        request.send().await.map_err(|error| Wrong { for_good: error.is_builder(), why: explain(error) })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    Err(Wrong { why: format!("it answered {status}"), for_good: !status.is_server_error() && !busy })
}

/// An error with what is below it, and without the address, which is a secret.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut told = error.to_string();
    let mut below = std::error::Error::source(&error);
    while let Some(error) = below {
        told.push_str(&format!(": {error}"));
        below = error.source();
    }
    told
}

/// What is posted. The message carries no secret.
fn body(format: WebhookFormat, environment: &str, notice: Notice<'_>) -> Value {
    let Notice { event, run, message, verdict } = notice;
    match format {
        // Slack takes these three for markup.
        WebhookFormat::Slack => {
            let text = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json!({ "text": format!("{}{text}", mark(event, verdict)) })
        }
        WebhookFormat::Generic => json!({
            "event": event,
            "environment": environment,
            "run": run,
            "message": message,
            "at": now(),
            "verdict": verdict,
            "exit": verdict.map(crate::failure::Verdict::exit_code),
            "backstay": env!("CARGO_PKG_VERSION"),
        }),
    }
}

/// What is seen before it is read.
fn mark(event: &str, verdict: Option<crate::failure::Verdict>) -> &'static str {
    match (event, verdict.map(crate::failure::Verdict::exit_code)) {
        (_, Some(0)) => ":white_check_mark: ",
        (crate::event::RUN_BEGAN, _) => ":arrow_forward: ",
        ("needs_a_person", _) => ":rotating_light: ",
        _ => ":warning: ",
    }
}
