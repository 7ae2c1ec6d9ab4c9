//! The run's lock: taken, had again after its connection was lost, or taken from a driver that stands still.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::heart::Pulse;
use crate::config::Config;
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind};
use crate::journal::Claim;
use crate::journal::lease::{self, Lease};
use crate::pg::{self, Session, SessionOptions, refused};
use crate::steps::session_options;
use crate::store::Store;
use crate::time::show_duration;
use crate::uptime::Uptime;
use crate::window::admin::{self, Admin, Holder, NoLock};
use crate::window::tag::{self, Tag};

/// How long a new run waits for the lock: another driver's server process may take a moment to be gone.
pub const WAIT: Duration = Duration::from_secs(3);

/// How often a lock that is not there is asked for again.
const POLL: Duration = Duration::from_millis(250);

/// How long the server may take to end a session that we asked it to end.
const ENDING: Duration = Duration::from_secs(30);

/// How many signs of life prove a living driver. One may be the last that the dead one gave.
const SIGNS: u32 = 2;

/// Takes the lock, waiting `patience` for one that somebody holds.
///
/// # Errors
/// As [`Admin::acquire`].
pub async fn take(config: &Config, verb: &str, patience: Duration) -> Result<Admin, NoLock> {
    let name = format!("backstay {verb} of {}", config.environment);
    let database = config.database.url.database();
    // Whoever has changed the database and not committed would keep it closed for as long as he likes.
    let limit = Some(config.database.close_timeout);
    let options = SessionOptions { lock_timeout: limit, ..session_options(config, &name) };
    Admin::acquire(config.database.maintenance(), options, database, patience).await
}

/// Keeps the lock while a line works: had again where its session was lost, into `kept`. Comes back only when the
/// driver must stop.
pub async fn keep(
    config: &Config,
    claim: &Claim,
    pulse: &mut Pulse,
    mut pid: i32,
    kept: &mut Option<Admin>,
) -> Failure {
    loop {
        let (mut expiring, mut taken) = (pulse.clone(), pulse.clone());
        let lost = tokio::select! {
            () = pulse.lost(pid) => true,
            () = expiring.expired() => false,
            () = taken.taken() => match claim.expect_ours().await {
                Err(lost) => return lost.into(),
                Ok(()) => false,
            },
        };
        if !lost && timeout(config.lease.heartbeat, is_held(config, claim, pid)).await.is_ok_and(|held| held)
        {
            // It was us who slept.
            pulse.refreshed().await;
            continue;
        }
        match regain(config, claim, pulse, pid).await {
            Ok(admin) => {
                pid = admin.session().pid();
                pulse.guard(pid);
                *kept = Some(admin);
            }
            Err(failure) => return failure,
        }
    }
}

/// Whether the lock is held by our session and the run is ours; no where that can't be seen.
async fn is_held(config: &Config, claim: &Claim, pid: i32) -> bool {
    let look = async {
        let session = pg::connect(&config.database.maintenance(), &resuming(config)).await?;
        let holder = admin::holder_of(&session, config.database.url.database()).await?;
        claim.expect_ours().await?;
        Ok::<_, Failure>(holder.is_some_and(|holder| holder.pid == pid))
    };
    look.await.unwrap_or(false)
}

/// Has the lock again on a new connection, after the one with server process `old` was lost. Only while the run is
/// still ours: what comes behind the journal's last record is looked at before and behind the lock.
///
/// # Errors
/// The journal's, if another driver owns the run; after the pulse's deadline: why the lock could not be had.
pub async fn regain(config: &Config, claim: &Claim, pulse: &Pulse, old: i32) -> Result<Admin, Failure> {
    let deadline = pulse.deadline();
    loop {
        let why = match try_regain(config, claim, old).await {
            Ok(admin) => return Ok(admin),
            Err(failure) if failure.kind == Kind::Fenced => return Err(failure),
            Err(failure) => failure,
        };
        if Uptime::now() >= deadline {
            return Err(gone(&why, config.lease.expires));
        }
        sleep(POLL).await;
    }
}

async fn try_regain(config: &Config, claim: &Claim, old: i32) -> Result<Admin, Failure> {
    claim.expect_ours().await?;
    match take(config, "run", Duration::ZERO).await {
        Ok(admin) => {
            claim.expect_ours().await?;
            let (run, epoch) = claim.driver();
            admin.sign(run, epoch).await?;
            Ok(admin)
        }
        // The server has not noticed yet that our end of the old session is gone.
        Err(NoLock::Held(Some(holder), failure)) if holder.pid == old && holder.driver().is_some() => {
            let session = pg::connect(&config.database.maintenance(), &resuming(config)).await?;
            end(&session, config, &holder).await?;
            Err(failure)
        }
        Err(no_lock) => Err(no_lock.into()),
    }
}

/// Why a driver without its lock stops.
fn gone(why: &Failure, expires: Duration) -> Failure {
    let failure = Failure::new(Kind::Fenced, "keep the run's lock").because_of(why.what.clone());
    let failure = why.causes.iter().fold(failure, |failure, cause| failure.because_of(cause.as_str()));
    failure
        .because_of(format!("it could not be seen or had again for {}", show_duration(expires)))
        .leaving("this driver stopped at once; nothing more was done")
}

/// What a living driver moves, each where it was there to be seen.
struct Signs {
    /// Epoch and beat of the lease.
    lease: Option<(u32, u64)>,
    /// When the heartbeat's session last did something, as the server writes it.
    session: Option<String>,
}

impl Signs {
    /// Whether something moved since `before`. What is gone has not: a dead driver's session goes too.
    fn moved_since(&self, before: &Signs) -> bool {
        let lease = self.lease.is_some() && self.lease != before.lease;
        lease || self.session.is_some() && self.session != before.session
    }
}

/// The lock that a resume wants.
pub enum Found {
    /// It was free.
    Free(Box<Admin>),
    /// A driver of the run holds it that is gone, or stood still for as long as the lease allows.
    Stale(Box<Stale>),
}

/// A lock that is to be taken from its holder.
pub struct Stale {
    holder: Holder,
    session: Session,
}

/// Finds the lock for a resume of `run`; waits for as long as it takes to know whether its driver lives, by a clock
/// that stands still while this machine sleeps: what it did not watch it can't judge. One that ran where we can see
/// it and is gone is known to be dead at once.
///
/// # Errors
/// The refusal that names the driver, as soon as he has shown that he lives, or whoever else holds the lock; the
/// server's and the store's.
pub async fn find(
    config: &Config,
    store: &Arc<dyn Store>,
    run: &str,
    events: &Events,
) -> Result<Found, Failure> {
    let session = pg::connect(&config.database.maintenance(), &resuming(config)).await?;
    let (mut before, mut still_since, mut moves): (Option<Signs>, _, u32) = (None, Instant::now(), 0);
    let (mut told, mut readable) = (false, true);
    loop {
        // One that can't be read says nothing, and is no reason against a journal that can be. It may hang: asked once.
        let lease = match readable {
            true => lease::read(&**store, run).await.unwrap_or_else(|_| {
                readable = false;
                None
            }),
            false => None,
        };
        let gone = readable && lease.as_ref().is_none_or(|lease| lease.driver.is_gone());
        let (holder, refusal) = match take(config, "resume", Duration::ZERO).await {
            Ok(admin) if gone || still_since.elapsed() > config.lease.heartbeat * 2 => {
                return Ok(Found::Free(Box::new(admin)));
            }
            // Nobody holds it, and whoever did may live without it: he is watched, and it is his to have again.
            Ok(admin) => (None, without_its_lock(config, admin, lease.as_ref())),
            Err(NoLock::Held(holder, refusal)) => (holder, refusal),
            Err(NoLock::Failed(failure)) => return Err(failure),
        };
        if let Some(holder) = &holder {
            if holder.driver().is_none_or(|tag| tag.run != run) {
                // Not ours to wait for: a moment, in case it just ends.
                let admin = take(config, "resume", config.lease.heartbeat).await?;
                return Ok(Found::Free(Box::new(admin)));
            }
            let same_driver = |lease: &Lease| holder.driver().is_some_and(|tag| tag.epoch == lease.epoch);
            if gone && lease.as_ref().is_some_and(same_driver) {
                return Ok(Found::Stale(Box::new(Stale { holder: holder.clone(), session })));
            }
        }
        let signs = signs(&session, run, lease.as_ref()).await?;
        if before.as_ref().is_some_and(|before| signs.moved_since(before)) {
            (still_since, moves) = (Instant::now(), moves + 1);
        }
        before = Some(signs);
        if moves >= SIGNS {
            return Err(refusal);
        }
        let still = still_since.elapsed();
        if let Some(holder) = holder {
            if still >= config.lease.expires {
                return Ok(Found::Stale(Box::new(Stale { holder, session })));
            }
            if !told && still > config.lease.heartbeat * 2 {
                told = true;
                tell(events, &holder, lease, config.lease.expires);
            }
        }
        sleep((config.lease.heartbeat / 2).min(POLL)).await;
    }
}

/// Why a run is not taken from a driver that lives and has lost its lock.
fn without_its_lock(config: &Config, admin: Admin, lease: Option<&Lease>) -> Failure {
    drop(admin);
    let who = lease.map(|lease| lease.driver.to_string()).unwrap_or_default();
    Failure::refused(format!("take the run over from {who}"))
        .because_of("that driver shows that it lives, though it has lost its lock")
        .leaving("nothing was changed by this resume")
        .then(format!(
            "it has the lock again in a moment, or stops within {}: then resume again",
            show_duration(config.lease.expires)
        ))
}

impl Found {
    /// A session on the maintenance database.
    pub fn session(&self) -> &Session {
        match self {
            Found::Free(admin) => admin.session(),
            Found::Stale(stale) => &stale.session,
        }
    }

    /// The lock, had. The record that fences the holder must stand before: he may only be asleep.
    ///
    /// # Errors
    /// If his session does not end, or somebody else was quicker.
    pub async fn take(self, config: &Config) -> Result<Admin, Failure> {
        match self {
            Found::Free(admin) => Ok(*admin),
            Found::Stale(stale) => {
                end(&stale.session, config, &stale.holder).await?;
                Ok(take(config, "resume", ENDING).await?)
            }
        }
    }
}

fn tell(events: &Events, holder: &Holder, lease: Option<Lease>, expires: Duration) {
    let who = lease.map(|lease| format!(", {}", lease.driver)).unwrap_or_default();
    let text = format!(
        "the lock is held by {holder}{who}, which gives no sign of life; if it stands still for {} this run is taken \
         over from it",
        show_duration(expires)
    );
    events.emit(Event::Note { line: None, text });
}

async fn signs(session: &Session, run: &str, lease: Option<&Lease>) -> Result<Signs, Failure> {
    let query = "SELECT pg_catalog.max(state_change)::text FROM pg_catalog.pg_stat_activity \
                 WHERE application_name LIKE $1";
    let row = session.query_one(query, &[&Tag::of_any_driver(run, tag::HEARTBEAT)]).await;
    let row = row.map_err(|error| refused("look whether the run's driver lives", &error))?;
    Ok(Signs { lease: lease.map(|lease| (lease.epoch, lease.beat)), session: row.get(0) })
}

fn resuming(config: &Config) -> SessionOptions {
    session_options(config, "backstay resume")
}

/// Ends the session of `holder`, if its server process is still the same.
async fn end(session: &Session, config: &Config, holder: &Holder) -> Result<(), Failure> {
    let now = admin::holder_of(session, config.database.url.database()).await?;
    let same = |now: &Holder| now.pid == holder.pid && now.application == holder.application;
    if !now.as_ref().is_some_and(same) {
        return Ok(());
    }
    let ended = session.query("SELECT pg_catalog.pg_terminate_backend($1)", &[&holder.pid]).await;
    ended.map(drop).map_err(|error| refused("end the session that holds the lock", &error))
}
