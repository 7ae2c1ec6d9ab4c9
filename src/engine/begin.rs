//! How a run is begun, and how the next driver takes it up.

use std::sync::Arc;

use super::decide;
use super::decisions::Told;
use super::drive::Driving;
use super::footing::{
    expect_none, find_target, refuse_strangers, refuse_unfinished, same_lines, same_target, target_of,
};
use super::heart::Heart;
use super::plan::{self, Plan};
use super::record::or_lost;
use super::standing::{order_of, refuse_ended};
use super::state::State;
use super::stop::Stop;
use super::{lock, recall};
use crate::config::Config;
use crate::event::{Event, Events, millis};
use crate::failure::Failure;
use crate::id;
use crate::journal::{self, Driver, Entry, Journal, RunbookCopy, Target};
use crate::rollback::Order;
use crate::runbook::Runbook;
use crate::steps::Action;
use crate::store::{Spool, Store};
use crate::time::now;
use crate::uptime::Uptime;
use crate::window::admin::Admin;

/// What a driver works with, whichever run it drives.
pub struct Means<'a> {
    /// The environment.
    pub config: &'a Config,
    /// Its store.
    pub store: &'a Arc<dyn Store>,
    /// The same, with what stands in for it while production is put back.
    pub spool: &'a Arc<Spool>,
    /// The event stream.
    pub events: &'a Events,
    /// The person's stop.
    pub stop: Stop,
    /// What it was told.
    pub told: Told,
}

/// Begins a run: takes the lock, finds the database, refuses on traces of another, writes the first record. A rollback
/// has an `order`.
///
/// Nothing of production is changed. A crash leaves a journal of one record at most.
///
/// # Errors
/// The connection's failures; a refusal naming who holds the lock, or the run that is unfinished.
pub async fn begin<'a>(
    means: Means<'a>,
    runbook: &Runbook,
    order: Option<&Order>,
) -> Result<Driving<'a>, Failure> {
    let (config, store) = (means.config, means.store);
    // The lock first: a run that is under way is no unfinished one, and must not be resumed.
    let admin = lock::take(config, "run", lock::WAIT).await?;
    let target = match order.is_some_and(|order| order.gone) {
        true => expect_none(config, store, &admin).await?,
        false => {
            refuse_unfinished(config, &**store).await?;
            find_target(config, &admin).await?
        }
    };
    refuse_strangers(&**store, &admin.companions(&target.name).await?).await?;
    let plan = Plan::of(runbook, config, order);
    let run = id::fresh(now());
    let mut journal = Journal::begin(store.clone(), run);
    let began = journal
        .append(Entry::Began {
            environment: config.environment.clone(),
            config_hash: config.hash.clone(),
            runbook: copy_of(runbook),
            target: target.clone(),
            driver: Box::new(Driver::this_process()),
            lines: plan::cards(&plan.lines),
            rollback: order.cloned().map(Box::new),
        })
        .await?;
    let mut state = State::default();
    state.add(&began);
    set_out(means, runbook, Charge { plan, journal, state, target, admin }, None).await
}

/// Takes an interrupted run up as its next driver: reads the journal, fences the earlier driver by the
/// first record, and ends whatever of it holds the lock. A driver that is alive is left alone.
///
/// # Errors
/// A journal that can't be read; a run that has ended; another driver that is alive and holds the lock.
pub async fn resume<'a>(means: Means<'a>, runbook: &Runbook, run: &str) -> Result<Driving<'a>, Failure> {
    let (config, store) = (means.config, means.store);
    let lock = match lock::find(config, store, run, means.events).await {
        Ok(lock) => lock,
        Err(refusal) => {
            // Whoever was in the way may have ended the run meanwhile: then that is what there is to say.
            refuse_ended(run, &journal::read(&**store, run).await?.records)?;
            return Err(refusal);
        }
    };
    // Read behind the lock: while we waited for it another resume may have ended the run.
    let history = journal::read(&**store, run).await?;
    refuse_ended(run, &history.records)?;
    let mut state = State::of(&history.records);
    let target = target_of(&history.records)?;
    same_target(config, lock.session(), &target).await?;
    let plan = Plan::of(runbook, config, order_of(&history.records));
    same_lines(&plan, &history.records)?;
    let mut journal = Journal::take_over(store.clone(), run.to_string(), &history);
    state.add(&journal.append(Entry::TookOver { driver: Box::new(Driver::this_process()) }).await?);
    let claim = journal.claim();
    let earlier = journal::last_driver(&history.records);
    let driving = async {
        let admin = lock.take(config).await?;
        set_out(means, runbook, Charge { plan, journal, state, target, admin }, earlier).await
    };
    match driving.await {
        Ok(driving) => Ok(driving),
        Err(failure) => Err(or_lost(&claim, failure).await),
    }
}

/// A run in a driver's hands.
struct Charge {
    plan: Plan,
    journal: Journal,
    state: State,
    target: Target,
    admin: Admin,
}

/// The first record of this driver stands: from here it shows that it lives. What `earlier`, who drove before, did
/// without a record is found first: no decision may pass it over.
async fn set_out<'a>(
    means: Means<'a>,
    runbook: &Runbook,
    charge: Charge,
    earlier: Option<Driver>,
) -> Result<Driving<'a>, Failure> {
    let Means { config, store, spool, events, stop, told } = means;
    let Charge { plan, journal, state, target, admin } = charge;
    admin.sign(journal.run(), journal.epoch()).await?;
    let heart = Heart::start(config, spool.store(), journal.run(), journal.epoch(), &admin);
    let outline = recall::outline(&plan, &runbook.name);
    let mut driving = Driving {
        config,
        store,
        spool,
        events,
        stop,
        plan,
        outline,
        journal,
        state,
        target,
        admin,
        heart,
        told,
        window: None,
        killed_at: None,
        at_work: Uptime::now(),
    };
    let found = match earlier {
        Some(earlier) => driving.find_put_back(earlier).await?,
        None => None,
    };
    driving.announce(runbook);
    if let Some(text) = found {
        events.emit(Event::Note { line: None, text });
    }
    Ok(driving)
}

impl Driving<'_> {
    /// Tells the screens of the run and its lines, those that are done already included.
    fn announce(&self, runbook: &Runbook) {
        let mut lines = plan::cards(&self.plan.lines);
        for card in &mut lines {
            card.done = self.state.line(card.id).summary;
        }
        let url = &self.config.database.url;
        self.events.emit(Event::RunBegan {
            at: now(),
            run: self.journal.run().to_string(),
            epoch: self.journal.epoch(),
            environment: self.config.environment.clone(),
            database: format!("{} on {}:{}", self.target.name, url.host(), url.port()),
            runbook: runbook.name.clone(),
            description: runbook.description.clone(),
            lines,
        });
        self.tell_window();
        if self.state.putting_back {
            let mut lines = plan::cards(&decide::way_back(&self.plan, &self.state));
            for card in &mut lines {
                card.done = self.state.line(card.id).summary;
            }
            self.events.emit(Event::PutBackBegan { at: now(), lines });
        }
    }

    /// Since when users see the maintenance page, where an earlier driver raised the flag. How long they saw it is not
    /// known where production was put back without a record.
    fn tell_window(&self) {
        if !decide::in_window(&self.plan, &self.state) || self.state.put_back_found.is_some() {
            return;
        }
        for line in &self.plan.lines {
            if let (Action::RaiseFlag { max, .. }, Some(at)) = (&line.action, self.state.line(line.id).began)
            {
                self.events.emit(Event::WindowBegan { at, max_millis: Some(millis(*max)) });
            }
        }
    }
}

/// The runbook as the journal keeps it.
fn copy_of(runbook: &Runbook) -> RunbookCopy {
    RunbookCopy {
        name: runbook.name.clone(),
        origin: runbook.origin.clone(),
        text: runbook.text.clone(),
        hash: journal::hash(runbook.text.as_bytes()),
    }
}
