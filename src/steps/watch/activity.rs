//! What the sessions of the database do: long statements, waits for locks, idle transactions.

use std::time::Duration;

use tokio_postgres::Row;

use super::tally::{Figures, Seen};
use crate::failure::Failure;
use crate::pg::{Session, refused};
use crate::runbook::ActivityLimits;
use crate::time::show_duration;

/// Sessions of the database that are not ours. A role that may not look sees no state.
const SESSIONS: &str = "SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(state, ''), \
     coalesce(wait_event_type = 'Lock', false), \
     (1000 * greatest(extract(epoch FROM pg_catalog.clock_timestamp() - \
         CASE WHEN state LIKE 'idle in transaction%' THEN state_change ELSE query_start END), 0))::bigint, \
     CASE WHEN wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(pid) ELSE '{}' END \
     FROM pg_catalog.pg_stat_activity WHERE datid = $1 AND pid <> pg_catalog.pg_backend_pid() \
     AND backend_type = 'client backend' AND coalesce(application_name, '') NOT LIKE 'backstay %'";

/// One session of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Other {
    pid: i32,
    role: String,
    application: String,
    state: String,
    blocked: bool,
    millis: u64,
    blockers: Vec<i32>,
}

impl Other {
    fn read(row: &Row) -> Self {
        Self {
            pid: row.get(0),
            role: row.get(1),
            application: row.get(2),
            state: row.get(3),
            blocked: row.get(4),
            millis: row.get::<_, Option<i64>>(5).unwrap_or_default().unsigned_abs(),
            blockers: row.get::<_, Option<Vec<i32>>>(6).unwrap_or_default(),
        }
    }

    fn lasts(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// Who it is, without its statement: that may hold anything.
    fn words(&self) -> String {
        let application = match self.application.as_str() {
            "" => String::new(),
            name => format!(", {name}"),
        };
        format!("pid {} ({}{application})", self.pid, self.role)
    }
}

/// Looks at the sessions of the database `oid`.
///
/// # Errors
/// The query's.
pub(super) async fn look(
    session: &Session,
    oid: u32,
    limits: &ActivityLimits,
    figures: &mut Figures,
) -> Result<Vec<Seen>, Failure> {
    let rows = session.query(SESSIONS, &[&oid]).await;
    let rows = rows.map_err(|error| refused("see what the sessions do", &error))?;
    let others: Vec<Other> = rows.iter().map(Other::read).collect();
    Ok(judge(&others, limits, figures))
}

/// Holds the sessions against the limits. **Pure.**
fn judge(others: &[Other], limits: &ActivityLimits, figures: &mut Figures) -> Vec<Seen> {
    let longest = |wanted: fn(&&Other) -> bool| others.iter().filter(wanted).max_by_key(|other| other.millis);
    let active = longest(|other| other.state == "active");
    let idle = longest(|other| other.state.starts_with("idle in transaction"));
    let blocked: Vec<&Other> = others.iter().filter(|other| other.blocked).collect();
    figures.longest_query = Some(active.map_or(Duration::ZERO, Other::lasts));
    figures.idle = Some(idle.map_or(Duration::ZERO, Other::lasts));
    figures.blocked = Some(blocked.len() as u64);
    figures.unseen = Some(others.iter().filter(|other| other.state.is_empty()).count() as u64);

    let over = |other: Option<&Other>, limit: Duration, does: &str| {
        let other = other.filter(|other| other.lasts() > limit)?;
        let (lasts, limit) = (show_duration(other.lasts()), show_duration(limit));
        Some(format!("{} {does} for {lasts}, more than {limit}", other.words()))
    };
    vec![
        Seen::at_once("queries", over(active, limits.longest_query, "has run a statement")),
        Seen::new("blocked sessions", too_many(&blocked, limits.blocked)),
        Seen::at_once(
            "transactions",
            over(idle, limits.idle_in_transaction, "has been idle in a transaction"),
        ),
    ]
}

fn too_many(blocked: &[&Other], most: u64) -> Option<String> {
    if blocked.len() as u64 <= most {
        return None;
    }
    let mut blockers: Vec<i32> = blocked.iter().flat_map(|other| other.blockers.iter().copied()).collect();
    // Who waits himself is not the one to look for.
    blockers.retain(|pid| !blocked.iter().any(|other| other.pid == *pid));
    blockers.sort_unstable();
    blockers.dedup();
    let by: Vec<String> = blockers.iter().take(5).map(i32::to_string).collect();
    let by = if by.is_empty() { String::new() } else { format!(", for pid {}", by.join(", ")) };
    Some(format!("{} wait for a lock, more than {most}{by}", blocked.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(pid: i32, state: &str, millis: u64) -> Other {
        let (role, application) = ("app".to_string(), String::new());
        Other { pid, role, application, state: state.into(), blocked: false, millis, blockers: vec![] }
    }

    const LIMITS: ActivityLimits = ActivityLimits {
        longest_query: Duration::from_secs(60),
        blocked: 1,
        idle_in_transaction: Duration::from_secs(30),
    };

    #[test]
    fn each_limit_is_held_against_the_worst() {
        let blocked =
            |pid, blocker| Other { blocked: true, blockers: vec![blocker], ..other(pid, "active", 10) };
        let others = [
            other(1, "idle", 9_000_000),
            other(7, "", 0),
            other(2, "active", 61_000),
            Other { application: "api".into(), ..other(3, "idle in transaction", 31_000) },
            other(4, "idle in transaction (aborted)", 5),
            blocked(5, 3),
            blocked(6, 5),
        ];
        let mut figures = Figures::default();
        let said = |seen: Vec<Seen>| {
            seen.into_iter().map(|seen| seen.wrong.unwrap_or_else(|| "well".into())).collect::<Vec<_>>()
        };
        insta::assert_snapshot!(said(judge(&others, &LIMITS, &mut figures)).join("\n"), @r"
        pid 2 (app) has run a statement for 1 m 01 s, more than 1 m 00 s
        2 wait for a lock, more than 1, for pid 3
        pid 3 (app, api) has been idle in a transaction for 31 s, more than 30 s
        ");
        assert_eq!(figures.unseen, Some(1), "a role that may not look sees no state");
        assert_eq!(figures.words(), "longest query 1 m 01 s, 2 blocked");
        assert_eq!(said(judge(&[], &LIMITS, &mut figures)), ["well"; 3]);
    }
}
