//! How far replicas are behind, by our own clock: how long ago the server was where a replica is now.
//!
//! A replica's `pg_last_xact_replay_timestamp` grows while nobody writes, and `replay_lag` stands still while a replay is
//! paused. Positions in the log do neither.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::tally::{Figures, Seen};
use crate::config::Replica;
use crate::failure::Failure;
use crate::pg::{self, Session, SessionOptions, refused};
use crate::time::show_duration;

/// How many positions are remembered.
const REMEMBERED: usize = 10_000;

const POSITION: &str = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::bigint";

const REPLAYED: &str =
    "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')::bigint";

/// Who follows, and how far; what only copies the log has no sessions. A role that may not look sees no position.
const FOLLOWERS: &str = "SELECT r.application_name, pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::bigint \
     FROM pg_catalog.pg_stat_replication r WHERE coalesce(r.state, '') <> 'backup' \
     AND r.application_name NOT IN ('pg_basebackup', 'pg_receivewal') AND NOT EXISTS \
     (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')";

/// The replicas: those that are declared, and those that were seen at any look.
pub(super) struct Replicas {
    declared: Vec<Replica>,
    /// By name, how many at most: several may follow under one name.
    seen: BTreeMap<String, usize>,
    history: History,
}

impl Replicas {
    /// `declared` are asked themselves, each in the database that its URL names.
    pub fn new(declared: Vec<Replica>) -> Self {
        Self { declared, seen: BTreeMap::new(), history: History::default() }
    }

    /// Looks how far each is behind the server of `session`.
    ///
    /// # Errors
    /// The server's refusal. A replica that can't be asked is one that was seen bad.
    pub async fn look(
        &mut self,
        session: &Session,
        options: &SessionOptions,
        limit: Duration,
        figures: &mut Figures,
    ) -> Result<Vec<Seen>, Failure> {
        let failed = |error: tokio_postgres::Error| refused("see how far the replicas are", &error);
        // The server first: a replica that is there by now is not behind.
        let position: i64 = session.query_one(POSITION, &[]).await.map_err(failed)?.get(0);
        self.history.add(Instant::now(), position);
        let followers = session.query(FOLLOWERS, &[]).await.map_err(failed)?;
        let asked = join_all(self.declared.iter().map(|replica| ask(replica, options))).await;

        let now = Instant::now();
        let mut all = Vec::new();
        let names = self.declared.iter().map(|replica| replica.name.clone());
        for (name, replayed) in names.zip(asked) {
            all.push(self.judge(&name, replayed, now, limit));
        }
        let mut here: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
        for row in &followers {
            let (name, replayed): (String, Option<i64>) = (row.get(0), row.get(1));
            if !self.declared.iter().any(|replica| replica.name == name) {
                here.entry(name).or_default().push(replayed);
            }
        }
        for (name, positions) in &here {
            let most = self.seen.entry(name.clone()).or_default();
            *most = (*most).max(positions.len());
        }
        for (name, most) in &self.seen {
            let positions = here.get(name).map_or(&[][..], Vec::as_slice);
            // Of several under one name the last counts, for nobody knows which is which.
            let last = positions.iter().flatten().min();
            match most - positions.len() {
                0 => all.extend(last.map(|replayed| self.judge(name, Ok(*replayed), now, limit))),
                missing => all.push((Seen::new(subject(name), Some(gone(missing, *most))), None)),
            }
        }
        figures.lag = all.iter().filter_map(|(_, lag)| *lag).max();
        Ok(all.into_iter().map(|(seen, _)| seen).collect())
    }

    fn judge(
        &self,
        name: &str,
        replayed: Result<i64, String>,
        now: Instant,
        limit: Duration,
    ) -> (Seen, Option<Duration>) {
        let (wrong, lag) = match replayed {
            Err(why) => (Some(why), None),
            Ok(replayed) => {
                let lag = self.history.behind(replayed, now);
                let words =
                    || format!("it is {} behind, more than {}", show_duration(lag), show_duration(limit));
                ((lag > limit).then(words), Some(lag))
            }
        };
        (Seen::new(subject(name), wrong), lag)
    }
}

fn gone(missing: usize, most: usize) -> String {
    match most {
        1 => "it is not connected any more".into(),
        _ => format!("{missing} of {most} of that name are not connected any more"),
    }
}

fn subject(name: &str) -> String {
    format!("replica {name}")
}

async fn ask(replica: &Replica, options: &SessionOptions) -> Result<i64, String> {
    let session =
        pg::connect(&replica.url, options).await.map_err(|error| Failure::from(error).to_string())?;
    let row = session.query_one(REPLAYED, &[]).await.map_err(|error| pg::describe_error(&error))?;
    session.close().await;
    row.get::<_, Option<i64>>(0).ok_or_else(|| "it follows nobody".to_string())
}

/// Where the server was in its log, and when.
#[derive(Default)]
struct History(VecDeque<(Instant, i64)>);

impl History {
    fn add(&mut self, at: Instant, position: i64) {
        self.0.push_back((at, position));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// How long ago the server went beyond `replayed`, as far as looks tell; zero if it has not.
    fn behind(&self, replayed: i64, now: Instant) -> Duration {
        let beyond = self.0.iter().find(|(_, position)| *position > replayed);
        beyond.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_as_far_behind_as_the_server_was_beyond_it() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut history = History::default();
        for (second, position) in [(0, 100), (15, 100), (30, 180), (45, 200)] {
            history.add(at(second), position);
        }
        let behind = |replayed| history.behind(replayed, at(50)).as_secs();
        // Nobody wrote: it is not behind, however long ago its last transaction was.
        assert_eq!((behind(200), behind(199), behind(150), behind(99)), (0, 5, 20, 50));
    }
}
