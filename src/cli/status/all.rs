//! `backstay status --all`: every environment of the project in one table.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::together::{self, Line};
use super::{Fact, document, facts};
use crate::cli::runs::spoken;
use crate::cli::{Shell, Trouble, tunnel};
use crate::config::{Config, environments};
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::store::Store;
use crate::time::{between, now, show_age};
use crate::tunnel::NoTunnel;
use crate::ui::Look;
use crate::ui::layout::hang;
use crate::ui::table::{Column, render};

/// How long one environment is waited for: what is out of reach must not hold up the others.
const PATIENCE: Duration = Duration::from_secs(45);

/// One environment, as far as it could be seen.
struct Row {
    environment: String,
    seen: Result<Seen, Failure>,
}

struct Seen {
    facts: Vec<Fact>,
    good: Result<Option<Good>, Failure>,
    config: Config,
}

/// A run that ended well.
struct Good {
    run: String,
    runbook: Option<String>,
    at: Timestamp,
}

pub(super) async fn run(shell: &Shell) -> Result<Verdict, Trouble> {
    let names = environments(shell.root());
    if names.is_empty() {
        return Err(Failure::usage("tell of every environment")
            .because_of(format!("{} has none", shell.root().join("config").display()))
            .into());
    }
    let groups = apart(shell, names).into_iter().map(|names| look_at_all(shell, names));
    let mut rows = join_all(groups).await.into_iter().flatten().collect::<Vec<_>>();
    rows.sort_by(|a, b| a.environment.cmp(&b.environment));
    shell.tell(&text(shell, &rows), json!({ "environments": rows.iter().map(told).collect::<Vec<_>>() }));
    Ok(Verdict::Done)
}

/// Looks at environments one after another, since their tunnels take the same port.
async fn look_at_all(shell: &Shell, names: Vec<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in names {
        rows.push(look(shell, name).await);
    }
    rows
}

/// The environments, with those together that can't be looked at at once.
fn apart(shell: &Shell, names: Vec<String>) -> Vec<Vec<String>> {
    let mut by_port: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut groups = Vec::new();
    for name in names {
        match shell.config_of(&name).ok().and_then(|config| config.tunnel) {
            Some(tunnel) => by_port.entry(tunnel.port).or_default().push(name),
            None => groups.push(vec![name]),
        }
    }
    groups.extend(by_port.into_values());
    groups
}

async fn look(shell: &Shell, environment: String) -> Row {
    let seen = match shell.config_of(&environment) {
        Ok(config) => match tokio::time::timeout(PATIENCE, see(shell, config)).await {
            Ok(seen) => seen,
            Err(_) => Err(Failure::failed(format!("look at {environment}"))
                .because_of(format!("it gave no answer for {} s", PATIENCE.as_secs()))
                .then(format!("backstay status -e {environment}"))),
        },
        Err(error) => Err(Failure::from(error)),
    };
    Row { environment, seen }
}

async fn see(shell: &Shell, config: Config) -> Result<Seen, Failure> {
    let store = shell.store(&config);
    let (tunnel, closed) = match tunnel::open(&config).await {
        Ok(tunnel) => (tunnel, None),
        Err(NoTunnel::Closed(failure)) => (None, Some(Fact::unknown("tunnel", &failure))),
        Err(NoTunnel::Taken(failure)) => return Err(failure),
    };
    let (facts, good) = tokio::join!(facts(shell, &config), last_good(&config.environment, &*store));
    if let Some(tunnel) = tunnel {
        tunnel.close().await;
    }
    Ok(Seen { facts: closed.into_iter().chain(facts).collect(), good, config })
}

/// The newest run that ended with everything as wished.
async fn last_good(environment: &str, store: &dyn Store) -> Result<Option<Good>, Failure> {
    for bounds in journal::bounds(store).await?.into_iter().rev() {
        let Some((Verdict::Done, at)) = bounds.ended(store).await? else { continue };
        if bounds.environment(store).await?.as_deref() == Some(environment) {
            let runbook = bounds.runbook(store).await?;
            return Ok(Some(Good { run: bounds.run, runbook, at }));
        }
    }
    Ok(None)
}

fn text(shell: &Shell, rows: &[Row]) -> String {
    const COLUMNS: [Column; 7] = [
        Column::id("environment"),
        Column::text("last run"),
        Column::id("flag"),
        Column::text("revision"),
        Column::text("last backup"),
        Column::text("last proof"),
        Column::text("last good run"),
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut text = render(&COLUMNS, &cells, shell.look);
    for row in rows {
        let lines = remarks(row, shell.look);
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n{}\n", row.environment, lines.join("\n")));
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let Ok(seen) = &row.seen else {
        return [row.environment.as_str(), "unknown"].map(String::from).to_vec();
    };
    let of = |name: &str| seen.facts.iter().find(|fact| fact.name == name);
    vec![
        row.environment.clone(),
        short_of(of("run"), |value| word(&value["verdict"]).map(|word| spoken(&word)), "none yet"),
        short_of(of("flag"), |value| Some(if value["up"] == true { "UP" } else { "down" }.into()), "none"),
        short_of(of("revision"), revision, "not to be seen"),
        short_of(of("last backup"), backup, "NONE"),
        short_of(of("last proof"), proof, "NONE"),
        good(&seen.good),
    ]
}

/// A fact in a word or two; `nothing` where there is none of it.
fn short_of(fact: Option<&Fact>, told: impl Fn(&Value) -> Option<String>, nothing: &str) -> String {
    match fact.map(|fact| &fact.value) {
        None => "unknown".into(),
        Some(value) if value.get("error").is_some() => "unknown".into(),
        Some(Value::Null) => nothing.into(),
        Some(value) => told(value).unwrap_or_else(|| "unknown".into()),
    }
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}

fn revision(value: &Value) -> Option<String> {
    let roots: Vec<String> = value
        .as_array()?
        .iter()
        .map(|root| {
            let at: Vec<&str> =
                root["revisions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let at = if at.is_empty() { "base".to_string() } else { at.join(", ") };
            match root["pending"].as_array().map_or(0, Vec::len) {
                0 => at,
                pending => format!("{at} +{pending} pending"),
            }
        })
        .collect();
    Some(roots.join("; "))
}

fn backup(value: &Value) -> Option<String> {
    let age = show_age(Duration::from_millis(value["age_millis"].as_u64()?));
    let standing =
        if value["damaged"] == true { "DAMAGED" } else { value["verified"].as_str().unwrap_or("unproven") };
    Some(format!("{age} old, {standing}"))
}

fn proof(value: &Value) -> Option<String> {
    let age = show_age(Duration::from_millis(value["age_millis"].as_u64()?));
    Some(format!("{}, {age} ago", word(&value["level"])?))
}

fn good(run: &Result<Option<Good>, Failure>) -> String {
    match run {
        Ok(Some(run)) => {
            let age = show_age(between(run.at, now()));
            run.runbook.as_ref().map_or(format!("{age} ago"), |name| format!("{name}, {age} ago"))
        }
        Ok(None) => "none yet".into(),
        Err(_) => "unknown".into(),
    }
}

/// What can't stand in a row: why something is unknown, and what should be mended.
fn remarks(row: &Row, look: Look) -> Vec<String> {
    let hung = |lead: &str, text: &str| hang(lead, text, look.width);
    match &row.seen {
        Err(failure) => {
            let next = failure.next.iter().flat_map(|next| hung("  -> ", next));
            hung("  ", &failure.to_string()).into_iter().chain(next).collect()
        }
        Ok(seen) => {
            let told = |line: Line| {
                let mends = line.mends.iter().flat_map(|mends| hung("  -> ", mends));
                let text = hung("  ", &format!("{}: {}", line.name, line.text));
                text.into_iter().chain(mends).collect::<Vec<_>>()
            };
            let lines = together::lines(&row.environment, &seen.facts).into_iter();
            lines.filter(|line| line.is_remark).flat_map(told).collect()
        }
    }
}

/// For programs: what `status` says of each, with the last release; or why nothing is known.
fn told(row: &Row) -> Value {
    match &row.seen {
        Err(failure) => json!({ "environment": row.environment, "error": failure }),
        Ok(seen) => {
            let mut told = document(&seen.config, &seen.facts);
            told["error"] = Value::Null;
            told["last_good_run"] = match &seen.good {
                Ok(Some(good)) => json!({ "run": good.run, "runbook": good.runbook, "at": good.at }),
                Ok(None) => Value::Null,
                Err(failure) => json!({ "error": failure }),
            };
            told
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_folded_and_commands_stay_whole() {
        let failure = Failure::refused("connect to bookings on 127.0.0.1:5440 as bookings")
            .because_of("FATAL: password authentication failed for user \"bookings\"; SQLSTATE 28P01")
            .then("Check the password of role \"bookings\" and that special characters are percent-encoded.")
            .then("backstay backup verify 20261121t194150z-dcdb3 --level restore -e production");
        let row = Row { environment: "production".into(), seen: Err(failure) };
        let told = remarks(&row, Look { width: 60, ..Look::BARE });
        let (commands, prose): (Vec<_>, Vec<_>) = told.iter().partition(|line| line.contains("-> backstay"));
        assert!(prose.len() > 3 && prose.iter().all(|line| line.len() <= 60), "{told:#?}");
        assert!(commands.len() == 1 && commands[0].ends_with("--level restore -e production"), "{told:#?}");
    }
}
