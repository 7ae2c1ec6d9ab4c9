//! A driver's signs of life, and its watch over its own lock.
//!
//! Two tasks beat beside the loop: one renews the lease on the store, one asks the server, in a session of its own,
//! whether the lock is still held. Who wants to take the run over watches both stand still for `[lease] expires`; so a
//! driver that could not see its lock for as long must have stopped by then, and this is what tells it. Only this
//! machine's uptime counts, which no clock that is set can move.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::{Config, LeasePolicy};
use crate::failure::Failure;
use crate::journal::lease::{self, Lease};
use crate::pg::{self, ConnInfo, Session, SessionOptions};
use crate::steps::session_options;
use crate::store::Store;
use crate::uptime::Uptime;
use crate::window::admin::{self, Admin};
use crate::window::tag::{self, Tag};

/// How long the end of a run waits for its lease to be removed.
const FAREWELL: Duration = Duration::from_secs(10);

/// Beats until it is dropped.
pub struct Heart {
    pulse: Pulse,
    store: Arc<dyn Store>,
    run: String,
    tasks: JoinSet<()>,
}

/// What was last seen of the lock.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The server process that it is about.
    pid: i32,
    /// It does not hold the lock any more.
    lost: bool,
    /// When it was last seen holding it.
    held: Uptime,
}

/// What a heart can tell of its lock; outlives a borrow of the driver.
#[derive(Debug, Clone)]
pub struct Pulse {
    policy: LeasePolicy,
    guarded: watch::Sender<i32>,
    seen: watch::Receiver<Seen>,
    taken: watch::Receiver<bool>,
}

impl Heart {
    /// Begins to beat for the driver `epoch` of `run`, whose lock `admin` holds.
    pub fn start(config: &Config, store: &Arc<dyn Store>, run: &str, epoch: u32, admin: &Admin) -> Self {
        let policy = config.lease;
        let pid = admin.session().pid();
        let (guarded, pids) = watch::channel(pid);
        let (teller, seen) = watch::channel(Seen { pid, lost: false, held: Uptime::now() });
        let tag = Tag::new(run, epoch, tag::HEARTBEAT);
        let look = Look {
            info: config.database.maintenance(),
            options: session_options(config, &tag.to_string()),
            key: admin.key(),
            session: None,
        };
        let (taker, taken) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let lease = Lease::of_this_process(run, epoch, policy.heartbeat);
        tasks.spawn(renew(store.clone(), lease, policy, taker));
        tasks.spawn(watch_lock(look, policy, pids, teller));
        Self {
            pulse: Pulse { policy, guarded, seen, taken },
            store: store.clone(),
            run: run.to_string(),
            tasks,
        }
    }

    /// Beats no more, and takes the lease off the store: the run has ended. A lease that stays says only that.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
        match timeout(FAREWELL, lease::remove(&*self.store, &self.run)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease stays"),
            Err(_) => tracing::debug!("the lease stays: the store gives no answer"),
        }
    }

    /// What is known of the lock, now and later.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }
}

impl Pulse {
    /// From now on the lock is held by the session with this server process.
    pub fn guard(&self, pid: i32) {
        self.guarded.send_replace(pid);
    }

    /// Whether the lock was seen held so lately that nobody can have taken over since.
    pub fn is_fresh(&self) -> bool {
        let seen = self.seen.borrow();
        !seen.lost && seen.held.elapsed() < self.policy.expires / 2
    }

    /// Comes back when the server said that the session with this server process does not hold the lock any more.
    pub async fn lost(&mut self, pid: i32) {
        if self.seen.wait_for(|seen| seen.lost && seen.pid == pid).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Comes back when a later driver's lease was seen.
    pub async fn taken(&mut self) {
        if self.taken.wait_for(|taken| *taken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Comes back when the lock was seen anew.
    pub async fn refreshed(&mut self) {
        let before = self.seen.borrow().held;
        let _ = self.seen.wait_for(|seen| seen.lost || seen.held > before).await;
    }

    /// Comes back when the lock was not seen for so long that another may take over from now on.
    pub async fn expired(&mut self) {
        loop {
            let deadline = self.deadline();
            deadline.reached().await;
            if self.deadline() <= deadline {
                return;
            }
        }
    }

    /// Until when the lock may be used, or tried to be had again.
    pub fn deadline(&self) -> Uptime {
        // A heartbeat earlier than anybody else can know.
        self.seen.borrow().held + self.policy.expires.saturating_sub(self.policy.heartbeat)
    }
}

/// Renews the lease until another driver's stands there. A store that is out of reach is no reason to stop: the
/// journal tells that.
async fn renew(store: Arc<dyn Store>, mut lease: Lease, policy: LeasePolicy, taker: watch::Sender<bool>) {
    loop {
        match lease::read(&*store, &lease.run).await {
            Ok(Some(other)) if other.epoch > lease.epoch => {
                taker.send_replace(true);
                return;
            }
            _ => {}
        }
        if let Err(error) = lease.renew(&*store).await {
            tracing::debug!(%error, "the lease was not renewed");
        }
        sleep(policy.heartbeat).await;
    }
}

async fn watch_lock(
    mut look: Look,
    policy: LeasePolicy,
    mut pids: watch::Receiver<i32>,
    teller: watch::Sender<Seen>,
) {
    loop {
        let pid = *pids.borrow_and_update();
        let began = Uptime::now();
        match timeout(policy.expires, look.at(pid)).await {
            Ok(Ok(true)) => teller.send_modify(|seen| *seen = Seen { pid, lost: false, held: began }),
            Ok(Ok(false)) => teller.send_modify(|seen| (seen.pid, seen.lost) = (pid, true)),
            // Nothing is known: the time since the last good look tells the rest.
            Ok(Err(_)) | Err(_) => look.session = None,
        }
        tokio::select! {
            () = sleep(policy.heartbeat) => {}
            changed = pids.changed() => if changed.is_err() { return },
        }
    }
}

/// The session that looks.
struct Look {
    info: ConnInfo,
    options: SessionOptions,
    key: i64,
    session: Option<Session>,
}

impl Look {
    async fn at(&mut self, pid: i32) -> Result<bool, Failure> {
        let session = match self.session.take() {
            Some(session) if !session.is_closed() => session,
            _ => pg::connect(&self.info, &self.options).await?,
        };
        let holder = admin::holder(&session, self.key).await;
        self.session = Some(session);
        Ok(holder?.is_some_and(|holder| holder.pid == pid))
    }
}
