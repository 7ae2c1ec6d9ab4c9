//! What a statement does while it runs: for whom it waits, and how far the server says it is. Asked from a session
//! of its own, which is opened only when a statement takes long.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::super::blockers::{self, Blocker};
use crate::event::{Progress, Unit};
use crate::pg::{self, ConnInfo, Session, SessionOptions};
use crate::time::show_duration;

/// How often a person is told how long a statement runs, and how far it is.
const TELL: Duration = Duration::from_secs(1);
/// Looking may not hold up what it looks at.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Watches one session.
pub(super) struct Watch<'a> {
    target: Option<&'a ConnInfo>,
    watched: Watched,
    every: Duration,
    session: Option<Session>,
}

/// The session that is watched.
pub(super) struct Watched {
    pub pid: i32,
    /// Its `application_name`: the watcher's begins so too, because who knows the one as his must know the other.
    pub application: String,
}

/// What is watched, for a person.
pub(super) struct Place<'a> {
    /// `0003, Index the orders: statement 2 of 4`
    pub name: &'a str,
    /// How many migrations are done, of how many.
    pub of: (u64, u64),
}

impl<'a> Watch<'a> {
    /// Watches a session; nothing is opened yet.
    pub fn new(target: Option<&'a ConnInfo>, watched: Watched, lock_timeout: Duration) -> Self {
        let every = match lock_timeout {
            Duration::ZERO => TELL,
            short => (short / 2).clamp(Duration::from_millis(20), TELL),
        };
        Self { target, watched, every, session: None }
    }

    /// Runs `work` and gives, beside its result, those for whom it was last seen waiting.
    pub async fn over<T>(
        &mut self,
        work: impl Future<Output = T>,
        place: &Place<'_>,
        progress: &Progress,
    ) -> (T, Vec<Blocker>) {
        tokio::pin!(work);
        let (begun, mut told) = (Instant::now(), Instant::now());
        let mut seen: Vec<Blocker> = Vec::new();
        loop {
            tokio::select! {
                done = &mut work => return (done, seen),
                () = tokio::time::sleep(self.every) => {}
            }
            let tells = told.elapsed() >= TELL;
            // The work goes on in the server while we look.
            let look = tokio::time::timeout(LONGEST_LOOK, self.look(tells));
            let (found, measure) = look.await.unwrap_or_default();
            if let Some(first) = found.first()
                && seen.first().map(|b| b.pid) != Some(first.pid)
            {
                progress.note(format!("waiting for {first}"));
            }
            if !found.is_empty() {
                seen = found;
            }
            if tells {
                told = Instant::now();
                tell(place, begun.elapsed(), measure, progress);
            }
        }
    }

    async fn look(&mut self, measures: bool) -> (Vec<Blocker>, Option<Measure>) {
        let Some(target) = self.target else { return Default::default() };
        if self.session.as_ref().is_none_or(|s| s.is_closed()) {
            let application_name = format!("{} watch", self.watched.application);
            let options = SessionOptions { application_name, ..Default::default() };
            self.session = pg::connect(target, &options).await.ok();
        }
        let Some(session) = &self.session else { return Default::default() };
        let pid = self.watched.pid;
        let measure = if measures { measure(session, session.server_version(), pid).await } else { None };
        (blockers::of(session, pid).await, measure)
    }
}

fn tell(place: &Place<'_>, ran: Duration, measure: Option<Measure>, progress: &Progress) {
    let (name, ran) = (place.name, show_duration(ran));
    match measure {
        Some(Measure { phase, done, total, unit }) if total > 0 => {
            progress.at(done, Some(total), unit, format!("{name}: {phase}, {ran}"));
        }
        Some(Measure { phase, .. }) => {
            progress.at(place.of.0, Some(place.of.1), Unit::Items, format!("{name}: {phase}, {ran}"));
        }
        None => progress.at(place.of.0, Some(place.of.1), Unit::Items, format!("{name}, {ran}")),
    }
}

/// How far the server says a long command is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Measure {
    phase: String,
    done: u64,
    total: u64,
    unit: Unit,
}

/// From the server's progress views (manual 28.4, "Progress Reporting"), as far as its version has them.
async fn measure(client: &Client, version: u32, pid: i32) -> Option<Measure> {
    let block = "pg_catalog.current_setting('block_size')::pg_catalog.int8";
    // Building an index counts blocks while it scans, and tuples while it loads.
    let mut views = vec![
        format!(
            "SELECT command || ', ' || phase, CASE WHEN blocks_total > 0 THEN blocks_done * {block} \
             ELSE tuples_done END, CASE WHEN blocks_total > 0 THEN blocks_total * {block} ELSE tuples_total END, \
             blocks_total > 0 FROM pg_catalog.pg_stat_progress_create_index WHERE pid = $1"
        ),
        format!(
            "SELECT 'VACUUM, ' || phase, heap_blks_scanned * {block}, heap_blks_total * {block}, true \
             FROM pg_catalog.pg_stat_progress_vacuum WHERE pid = $1"
        ),
        format!(
            "SELECT command || ', ' || phase, heap_blks_scanned * {block}, heap_blks_total * {block}, true \
             FROM pg_catalog.pg_stat_progress_cluster WHERE pid = $1"
        ),
    ];
    if version >= 130_000 {
        views.push(format!(
            "SELECT 'ANALYZE, ' || phase, sample_blks_scanned * {block}, sample_blks_total * {block}, true \
             FROM pg_catalog.pg_stat_progress_analyze WHERE pid = $1"
        ));
    }
    if version >= 140_000 {
        views.push(
            "SELECT command || ', ' || tuples_processed || ' rows', bytes_processed, bytes_total, true \
             FROM pg_catalog.pg_stat_progress_copy WHERE pid = $1"
                .to_string(),
        );
    }
    let row = client.query_opt(&format!("{} LIMIT 1", views.join(" UNION ALL ")), &[&pid]).await.ok()??;
    let count = |i: usize| u64::try_from(row.get::<_, Option<i64>>(i).unwrap_or(0)).unwrap_or(0);
    Some(Measure {
        phase: row.get::<_, Option<String>>(0)?,
        done: count(1),
        total: count(2),
        unit: if row.get::<_, Option<bool>>(3).unwrap_or(false) { Unit::Bytes } else { Unit::Items },
    })
}
