//! Why does the server say nothing? The kernel notices a peer that is gone. It does not notice one that takes
//! every byte and answers none: a proxy, a tunnel or a firewall that lost its other half. A statement may well
//! take hours, so silence alone says nothing; another session asks what the silent one's process does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::connect::connect;
use super::conninfo::ConnInfo;
use super::options::SessionOptions;
use super::record::Record;
use super::socket::{Activity, Stillness};
use crate::time::show_duration;

/// A session that is looked after.
pub(super) struct Watched {
    /// Its server process.
    pub pid: i32,
    /// What goes through its socket.
    pub activity: Arc<Activity>,
    /// Where it is noted why it ended.
    pub record: Arc<Record>,
    /// Ends it.
    pub driver: AbortHandle,
}

/// How much later than anything that came or went a process must have come to rest, for an answer to be missing.
const TRAVEL: Duration = Duration::from_secs(1);

/// What the server says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Process {
    /// No answer at all: as good as gone.
    Unreachable(String),
    /// The server answers, and does not tell.
    Untold,
    /// There is no such process.
    Gone,
    /// There it is.
    Seen(Seen),
}

/// What the server shows of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    state: String,
    waits_for: String,
    /// How long it has been in that state.
    lasts: Duration,
    /// What moves while a commit waits for a standby that lives: which transaction it is, and how far synchronous
    /// standbys are. One whose progress our role may not see is taken to move.
    progress: String,
}

/// The server's clock and ours, at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    /// Seconds, by whatever the server takes for the time.
    server: f64,
    ours: Instant,
}

impl Clocks {
    /// Whether both went on alike since `earlier`. A clock that was set says nothing of durations.
    fn agree_since(&self, earlier: &Clocks) -> bool {
        let ours = self.ours.saturating_duration_since(earlier.ours).as_secs_f64();
        (self.server - earlier.server - ours).abs() < TRAVEL.as_secs_f64()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It works, or may.
    Alive,
    /// Neither side wants anything of the other.
    Resting,
    /// It is done, and may not say so: a commit that waits for a synchronous standby, with its progress. The server
    /// waits for ever.
    HeldBack(String),
    /// No answer can come any more, and why.
    Dead(String),
}

/// Watches until the session ends, or ends it. Boxed, because the session that asks is made as the watched one is.
pub(super) fn watching(
    watched: Watched,
    place: ConnInfo,
    options: SessionOptions,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if let Some(why) = until_dead(&watched, &place, &options).await {
            tracing::debug!(pid = watched.pid, why, "a session is given up");
            watched.record.set_end(why);
            watched.driver.abort();
        }
    })
}

async fn until_dead(watched: &Watched, place: &ConnInfo, options: &SessionOptions) -> Option<String> {
    let silence = place.silence();
    let mut rested_at = None;
    let mut held_back = None;
    let mut clocks: Option<Clocks> = None;
    loop {
        let before = watched.activity.now();
        if before.quiet < silence || rested_at == Some(before.moves) {
            // An idle session is looked at once and then left alone.
            sleep(silence.saturating_sub(before.quiet).max(silence / 4)).await;
            continue;
        }
        let (mut process, told) = ask(watched.pid, place, options).await;
        let now = watched.activity.now();
        if now.moves != before.moves {
            continue;
        }
        let earlier = clocks.take();
        clocks = told;
        let agree = earlier.zip(told).is_some_and(|(earlier, told)| told.agree_since(&earlier));
        if let (Process::Seen(seen), false) = (&mut process, agree) {
            seen.lasts = Duration::MAX;
        }
        // What the server said of time is compared with what was so before it was asked.
        match judge(&process, Stillness { quiet: before.quiet, ..now }) {
            Verdict::Resting if earlier.is_some() => rested_at = Some(now.moves),
            // Whether an answer is missing is known by the second look.
            Verdict::Resting => sleep(silence / 4).await,
            Verdict::HeldBack(progress) if held_back.as_ref() == Some(&progress) => {
                return Some(given_up(place, now, HELD_BACK));
            }
            Verdict::HeldBack(progress) => {
                held_back = Some(progress);
                sleep(silence).await;
            }
            Verdict::Alive => {
                held_back = None;
                sleep(silence).await;
            }
            Verdict::Dead(why) => return Some(given_up(place, now, &why)),
        }
    }
}

/// What is said once the same commit was seen waiting twice, and no standby went on.
const HELD_BACK: &str = "its commit waits for a synchronous standby that is gone or stands still (the server would wait for ever: \
     start the standby, or set synchronous_standby_names to '' and reload)";

fn given_up(place: &ConnInfo, now: Stillness, why: &str) -> String {
    format!("{}: nothing heard for {}, and {why}", place.describe(), show_duration(now.quiet))
}

const LOOK: &str = "SELECT coalesce(a.state, ''), coalesce(a.wait_event, ''), \
     coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change), 'Infinity')::float8, \
     pg_catalog.concat_ws(' ', a.backend_xid, (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.pid, \
     coalesce(r.flush_lsn::text, pg_catalog.clock_timestamp()::text), r.replay_lsn), ',' ORDER BY r.pid) \
     FROM pg_catalog.pg_stat_replication r WHERE coalesce(r.sync_state, '') <> 'async')), \
     extract(epoch FROM pg_catalog.clock_timestamp())::float8 \
     FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1";

/// By another session, at the same place.
async fn ask(pid: i32, place: &ConnInfo, options: &SessionOptions) -> (Process, Option<Clocks>) {
    let limit = options.connect_timeout.min(place.silence()).max(Duration::from_secs(1));
    // Lent: it sets nothing, is not watched itself, and is over at once.
    let options =
        SessionOptions { connect_timeout: limit, patience: Duration::ZERO, lent: true, ..options.clone() };
    let unreachable = || Process::Unreachable(format!("no answer within {}", show_duration(limit)));
    let session = match timeout(limit, connect(place, &options)).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) if error.is_no_answer() => {
            return (Process::Unreachable(error.reason.to_string()), None);
        }
        Ok(Err(_)) => return (Process::Untold, None),
        Err(_) => return (unreachable(), None),
    };
    let process = match timeout(limit, session.query_opt(LOOK, &[&pid])).await {
        Ok(Ok(Some(row))) => {
            let lasts = Duration::try_from_secs_f64(row.get(2)).unwrap_or(Duration::MAX);
            let seen = Seen { state: row.get(0), waits_for: row.get(1), lasts, progress: row.get(3) };
            return (Process::Seen(seen), Some(Clocks { server: row.get(4), ours: Instant::now() }));
        }
        Ok(Ok(None)) => Process::Gone,
        Ok(Err(_)) => Process::Untold,
        Err(_) => unreachable(),
    };
    (process, None)
}

/// Whether an answer can still come.
fn judge(process: &Process, now: Stillness) -> Verdict {
    let seen = match process {
        Process::Unreachable(why) => return Verdict::Dead(format!("the server can't be reached: {why}")),
        Process::Untold => return Verdict::Alive,
        Process::Gone => return Verdict::Dead("its server process is gone".into()),
        Process::Seen(seen) => seen,
    };
    // Done after the last that came: then that was the answer to something else, sent before (a `Close`). Unless we
    // do not read: then it may be here, and wait for us.
    let missing = now.ours_was_last || now.reading && seen.lasts.saturating_add(TRAVEL) < now.quiet;
    match (seen.state.as_str(), seen.waits_for.as_str()) {
        (state, _) if state.starts_with("idle") && missing => {
            Verdict::Dead("its server process is done: the answer was lost".into())
        }
        (state, _) if state.starts_with("idle") => Verdict::Resting,
        (_, "ClientWrite") if now.reading => {
            Verdict::Dead("what its server process sends does not come through".into())
        }
        (_, "ClientRead") if now.stuck => {
            Verdict::Dead("its server process waits for what we send, and it does not go through".into())
        }
        (_, "SyncRep") => Verdict::HeldBack(seen.progress.clone()),
        _ => Verdict::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &str, waits_for: &str) -> Process {
        lasting(state, waits_for, Duration::from_secs(30))
    }

    fn lasting(state: &str, waits_for: &str, lasts: Duration) -> Process {
        let (state, waits_for, progress) = (state.into(), waits_for.into(), "733 0/3000148".into());
        Process::Seen(Seen { state, waits_for, lasts, progress })
    }

    fn still(ours_was_last: bool, reading: bool, stuck: bool) -> Stillness {
        Stillness { quiet: Duration::from_secs(30), ours_was_last, reading, stuck, moves: 7 }
    }

    #[test]
    fn a_statement_that_takes_its_time_is_left_alone() {
        for waits_for in ["", "DataFileRead", "relation", "PgSleep"] {
            assert_eq!(judge(&seen("active", waits_for), still(true, true, false)), Verdict::Alive);
        }
        // A role that may not look, or a server that is full: it answers, so it lives.
        assert_eq!(judge(&Process::Untold, still(true, true, false)), Verdict::Alive);
    }

    #[test]
    fn a_commit_that_waits_for_a_standby_is_known_by_its_progress() {
        let progress = "733 0/3000148".to_string();
        assert_eq!(judge(&seen("active", "SyncRep"), still(true, true, false)), Verdict::HeldBack(progress));
    }

    #[test]
    fn a_slow_reader_or_writer_of_ours_is_no_dead_server() {
        assert_eq!(judge(&seen("active", "ClientWrite"), still(false, false, false)), Verdict::Alive);
        assert_eq!(judge(&seen("active", "ClientRead"), still(true, true, false)), Verdict::Alive);
    }

    #[test]
    fn an_idle_session_rests_unless_we_wait_for_its_answer() {
        assert_eq!(judge(&seen("idle", "ClientRead"), still(false, true, false)), Verdict::Resting);
        assert_eq!(
            judge(&seen("idle in transaction", "ClientRead"), still(false, true, false)),
            Verdict::Resting
        );
        assert!(matches!(judge(&seen("idle", "ClientRead"), still(true, true, false)), Verdict::Dead(_)));
    }

    #[test]
    fn an_answer_that_the_server_gave_after_all_that_came_was_lost() {
        let idle = |seconds| lasting("idle", "ClientRead", Duration::from_secs(seconds));
        assert!(matches!(judge(&idle(20), still(false, true, false)), Verdict::Dead(_)));
        assert_eq!(judge(&idle(3600), still(false, true, false)), Verdict::Resting);
        assert_eq!(judge(&idle(20), still(false, false, false)), Verdict::Resting, "it is for us to read it");
    }

    #[test]
    fn a_clock_that_was_set_says_nothing() {
        let began = Clocks { server: 1_000.0, ours: Instant::now() };
        let after = |server| Clocks { server, ours: began.ours + Duration::from_secs(30) };
        assert!(after(1_030.4).agree_since(&began));
        assert!(!after(1_027.0).agree_since(&began) && !after(4_630.0).agree_since(&began));
    }

    #[test]
    fn what_does_not_come_through_never_will() {
        for (process, still) in [
            (Process::Gone, still(false, true, false)),
            (Process::Unreachable("no answer within 10s".into()), still(true, true, false)),
            (seen("active", "ClientWrite"), still(false, true, false)),
            (seen("active", "ClientRead"), still(true, true, true)),
        ] {
            assert!(matches!(judge(&process, still), Verdict::Dead(_)), "{process:?}");
        }
    }
}
