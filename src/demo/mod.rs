//! `backstay demo`: a throw-away PostgreSQL, a small shop over it, and three releases before the eyes.
//!
//! One good release, one whose third migration breaks half-way outside a transaction, one whose migrations
//! pass and whose health check fails. They are real runs: this program starts itself with
//! `run release -e production --yes` in a project of its own, made of the shipped runbook, environment and
//! migrations ([`project`]).
//!
//! All the while customers order through the application and readers connect to the database again and
//! again ([`crowd`]). For the bad releases the put-back is proven ([`notary`]): a line of the runbook notes
//! the state behind the fence before the first migration; customers who met the maintenance page stay away
//! until that note was compared with the state after the put-back. Nothing is left out of the comparison.
//!
//! | part           | its job                                                     |
//! | -------------- | ----------------------------------------------------------- |
//! | [`cluster`]    | a throw-away PostgreSQL, for tests too                      |
//! | [`shop`]       | the role, the database, its rows                            |
//! | [`app`]        | the application over it, a process of its own               |
//! | [`supervisor`] | starts and stops versions of the application                |
//! | [`crowd`]      | who uses the shop, and what was acknowledged to them        |
//! | [`release`]    | what the three releases bring and how they must end: data   |
//! | [`stage`]      | everything set up, and one release run and checked          |
//! | [`screen`]     | what is said: **pure**                                      |

pub mod app;
pub mod cluster;
pub mod crowd;
mod folder;
mod http;
pub mod notary;
pub mod project;
pub mod release;
pub mod screen;
pub mod shop;
pub mod stage;
pub mod supervisor;

use std::io::{self, Write};
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Kind};
use crate::ui::Look;
use release::RELEASES;
use screen::Outcome;
use stage::Stage;

/// Runs the demo; gives what was seen. All that it made is gone when this returns, and when it is dropped.
///
/// What is said on the way, and the screens of the runs, go to standard error, which looks like `look`. After a
/// SIGKILL watchdogs remove what was made.
///
/// # Errors
/// If there is no PostgreSQL, or the stage can't be set; interrupted ([`Kind::Interrupted`]).
pub async fn run(look: Look) -> Result<Outcome, Failure> {
    let mut interrupt = Interrupt::listen()?;
    // Not raced with the signals: a server that is being made can only be removed once it is there.
    let cluster = stage::cluster().await;
    let mut stage = interrupt.or(Stage::set(cluster?)).await?;
    let outcome = interrupt.or(play(&mut stage, look)).await;
    stage.strike().await;
    outcome
}

async fn play(stage: &mut Stage, look: Look) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let mut accounts = Vec::new();
    say(&screen::opening(&stage.facts(), look));
    for release in &RELEASES {
        say(&screen::before(release, look));
        let account = stage.perform(release).await?;
        say(&screen::after(&account, look));
        let held = account.held();
        accounts.push(account);
        if !held {
            break;
        }
    }
    Ok(Outcome { facts: stage.facts(), accounts, tally: stage.tally(), took: began.elapsed() })
}

/// A terminal that is gone is no reason to stop before everything is removed.
fn say(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

struct Interrupt([Signal; 3]);

impl Interrupt {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed("listen for signals").caused_by(&error));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Does the work, unless a signal comes first; then the work is dropped.
    async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.came() => Err(interrupted()),
            done = work => done,
        }
    }

    async fn came(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "finish the demo")
        .because_of("it was interrupted")
        .leaving("its server, processes and files are removed")
}
