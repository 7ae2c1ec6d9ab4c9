//! Health checks: does the application serve, as a user would see it?

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{Report, Site};
use crate::config::{HttpCheck, SqlCheck};
use crate::event::{Progress, Unit, millis};
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, SessionOptions};
use crate::redact::redact;
use crate::time::show_duration;
use crate::web;

/// A health page has no reason to be longer; the rest is not read.
const LONGEST_BODY: usize = 1 << 20;

/// How long the answer to a statement that the server has ended may be on its way.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn perform(
    http: &[HttpCheck],
    sql: &[SqlCheck],
    site: &mut Site<'_>,
) -> Result<Report, Failure> {
    let own = !http.is_empty() || !sql.is_empty();
    let configured = &site.config.health;
    let (http, sql) = if own { (http, sql) } else { (&configured.http[..], &configured.sql[..]) };
    let seen = check(http, sql, site).await?;
    Report::with(seen.said(), &seen)
}

/// What checks saw: journaled for whoever reads of the run.
#[derive(Debug, Default, Serialize)]
pub struct Healthy {
    /// Check by check.
    pub checks: Vec<Seen>,
}

/// What one check saw in the end.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// What was asked, secrets masked: an address, or a query.
    pub check: String,
    /// What was answered.
    pub answer: String,
    /// How long the last answer took, in milliseconds.
    pub latency_millis: u64,
    /// How often it was asked.
    pub tries: u64,
    /// How long it took until it was good, in milliseconds.
    pub good_after_millis: u64,
    #[serde(skip)]
    said: String,
}

impl Healthy {
    /// In one line.
    pub fn said(&self) -> String {
        match self.checks.as_slice() {
            [] => "no checks are configured".into(),
            checks => checks.iter().map(|seen| seen.said.as_str()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Runs checks, one after another; each until it is good or its deadline passes. Gives what they saw.
///
/// # Errors
/// The first check that did not become good, with what was seen last.
pub async fn check(http: &[HttpCheck], sql: &[SqlCheck], site: &mut Site<'_>) -> Result<Healthy, Failure> {
    let progress = site.progress();
    let mut checks = Vec::new();
    if !http.is_empty() {
        let client = client_for(http)?;
        for check in http {
            checks.push(until_good(&client, check, &progress).await?);
        }
    }
    if !sql.is_empty() {
        let info = site.config.database.url.with_database(&site.present_name().await?);
        for check in sql {
            checks.push(ask(&info, &site.front_session("health"), check).await?);
        }
    }
    Ok(Healthy { checks })
}

/// One look at every check, for preflight: is the application healthy now?
///
/// # Errors
/// The first that is not.
pub async fn look_once(check: &HttpCheck) -> Result<(), String> {
    let client = client(is_secure(check)).map_err(|failure| failure.to_string())?;
    attempt(&client, check, check.timeout).await.map(|_| ())
}

/// A client for these checks.
///
/// # Errors
/// TLS can't be set up.
pub(super) fn client_for(http: &[HttpCheck]) -> Result<reqwest::Client, Failure> {
    client(http.iter().any(is_secure))
}

/// The HTTP client: no redirects (the page asked for must answer itself), no proxy between.
fn client(secure: bool) -> Result<reqwest::Client, Failure> {
    let client = web::client(secure)?.no_proxy().build();
    client.map_err(|error| Failure::failed("make an HTTP client").caused_by(&error))
}

fn is_secure(check: &HttpCheck) -> bool {
    web::is_secure(&check.url)
}

async fn until_good(
    client: &reqwest::Client,
    check: &HttpCheck,
    progress: &Progress,
) -> Result<Seen, Failure> {
    let began = Instant::now();
    let mut good = 0;
    let mut tries = 0u64;
    let mut before = (None, 0);
    loop {
        tries += 1;
        let left = check.deadline.saturating_sub(began.elapsed());
        let seen = match attempt(client, check, check.timeout.min(left)).await {
            Ok(latency) => {
                good += 1;
                if good >= check.successes {
                    return Ok(answered(check, latency, tries, began.elapsed()));
                }
                None
            }
            Err(why) => {
                good = 0;
                Some(why)
            }
        };
        let elapsed = began.elapsed();
        let note = seen.clone().unwrap_or_else(|| format!("{good} of {} good in a row", check.successes));
        let total = Some(millis(check.deadline));
        progress.at(millis(elapsed), total, Unit::Millis, format!("{}: {note}", check.url));
        if elapsed + check.interval >= check.deadline {
            // A try that the deadline cut short says less than those before it.
            let cut_short = tries > 1 && elapsed >= check.deadline;
            let (last, good) = if cut_short { before } else { (seen, good) };
            let last =
                last.unwrap_or_else(|| format!("only {good} good answers in a row of {}", check.successes));
            return Err(unhealthy(check, tries, &last));
        }
        before = (seen, good);
        tokio::time::sleep(check.interval).await;
    }
}

/// One try within `bound`; how long the answer took, or what is wrong with it.
pub(super) async fn attempt(
    client: &reqwest::Client,
    check: &HttpCheck,
    bound: Duration,
) -> Result<Duration, String> {
    let began = Instant::now();
    let answer = tokio::time::timeout(bound, fetch(client, check)).await;
    let latency = began.elapsed();
    let (status, body) = match answer {
        Err(_) => return Err(format!("no whole answer within {}", show_duration(bound))),
        Ok(Err(error)) => return Err(innermost(&error)),
        Ok(Ok(answer)) => answer,
    };
    if status != check.status {
        return Err(format!("answered {status}, not {}{}", check.status, beginning(&body)));
    }
    if let Some(bound) = check.latency.filter(|bound| latency > *bound) {
        return Err(format!("answered after {} ms, over {} ms", latency.as_millis(), bound.as_millis()));
    }
    if let Some(text) = check.contains.as_deref().filter(|text| !body.contains(*text)) {
        return Err(format!("the body does not contain {text:?}{}", beginning(&body)));
    }
    if check.json.is_empty() {
        return Ok(latency);
    }
    let json: serde_json::Value =
        serde_json::from_str(&body).map_err(|_| format!("the body is no JSON{}", beginning(&body)))?;
    for (pointer, expected) in &check.json {
        match json.pointer(pointer) {
            Some(found) if found == expected => {}
            Some(found) => return Err(format!("{pointer} is {found}, not {expected}")),
            None => return Err(format!("there is no {pointer} in the body{}", beginning(&body))),
        }
    }
    Ok(latency)
}

async fn fetch(client: &reqwest::Client, check: &HttpCheck) -> Result<(u16, String), reqwest::Error> {
    let request = check.headers.iter().fold(client.get(&check.url), |r, (name, value)| r.header(name, value));
    let mut answer = request.send().await?;
    let mut body = Vec::new();
    while body.len() < LONGEST_BODY {
        match answer.chunk().await? {
            Some(piece) => body.extend_from_slice(&piece),
            None => break,
        }
    }
    body.truncate(LONGEST_BODY);
    Ok((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

/// Asks whether an SQL check is true, once, on a session of its own.
///
/// # Errors
/// It is not, or nobody knows; the connection's.
pub(super) async fn ask(
    info: &ConnInfo,
    options: &SessionOptions,
    check: &SqlCheck,
) -> Result<Seen, Failure> {
    let options = SessionOptions { statement_timeout: Some(check.timeout), ..options.clone() };
    let session = pg::connect(info, &options).await?;
    let began = Instant::now();
    let failed = || Failure::failed(format!("find true: {}", check.expect));
    // The server bounds the statement; but a network that is gone tells nobody, and a pooler's session has no limit.
    // Nothing is prepared: a pooler may give each transaction another of the server's sessions.
    let rows = tokio::time::timeout(check.timeout + ANSWER, session.query_typed(&check.expect, &[]))
        .await
        .map_err(|_| {
            failed().because_of(format!("no answer within {}", show_duration(check.timeout + ANSWER)))
        })?
        .map_err(|error| failed().because_of(pg::describe_error(&error)))?;
    let value = match rows.as_slice() {
        [row] if row.len() == 1 => row.try_get::<_, Option<bool>>(0).ok().flatten(),
        _ => None,
    };
    match value {
        Some(true) => Ok(Seen {
            check: redact(&check.expect).into_owned(),
            answer: "true".into(),
            latency_millis: millis(began.elapsed()),
            tries: 1,
            good_after_millis: millis(began.elapsed()),
            said: "SQL check true".into(),
        }),
        Some(false) => Err(failed().because_of("it is false")),
        None => Err(failed().because_of("it did not give one row with one true or false")),
    }
}

fn answered(check: &HttpCheck, latency: Duration, tries: u64, good_after: Duration) -> Seen {
    Seen {
        check: redact(&check.url).into_owned(),
        answer: check.status.to_string(),
        latency_millis: millis(latency),
        tries,
        good_after_millis: millis(good_after),
        said: summary(check, latency),
    }
}

fn summary(check: &HttpCheck, latency: Duration) -> String {
    let times = if check.successes > 1 { format!(", {} in a row", check.successes) } else { String::new() };
    format!("{} answered {} in {} ms{times}", check.url, check.status, latency.as_millis())
}

fn unhealthy(check: &HttpCheck, tries: u64, last: &str) -> Failure {
    Failure::failed(format!("see {} healthy", check.url))
        .because_of(last)
        .because_of(format!("{tries} tries in {}", show_duration(check.deadline)))
        .then("look at the application's own log")
}

/// The innermost cause says it best: `Connection refused`, not `error sending request`.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

fn beginning(body: &str) -> String {
    let line: String = body.trim().lines().next().unwrap_or_default().chars().take(120).collect();
    if line.is_empty() { String::new() } else { format!(" ({line})") }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
