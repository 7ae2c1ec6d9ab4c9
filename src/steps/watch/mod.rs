//! `step = "watch"`: production is looked at for a while after the release.
//!
//! What a watch saw stands in no journal until it ends, but each breach is an object on the store as it is told: so one
//! is not forgotten when the driver dies or is stopped, and the next goes on with what is left of the time.

mod activity;
mod breach;
mod eyes;
mod lag;
mod log;
mod tail;
mod tally;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Report, Site};
use crate::config::Config;
use crate::event::{Progress, Unit, millis};
use crate::failure::Failure;
use crate::notify;
use crate::runbook::{OnBreach, WatchStep};
use crate::time::{now, show_duration};
use breach::Breaches;
use eyes::Eyes;
use tally::{Figures, Said, Seen, Tally};

/// How often the time that is left is shown.
const TICK: Duration = Duration::from_secs(1);

/// How many breaches a failure names.
const NAMED: usize = 10;

/// Looks until the time is over, or a breach ends it. The time that an earlier driver watched counts.
///
/// # Errors
/// The breaches. Nothing is put back by that: users are in.
pub(super) async fn perform(step: &WatchStep, site: &mut Site<'_>) -> Result<Report, Failure> {
    let breaches = Breaches::of(site);
    let earlier = breaches.earlier(&site.progress()).await;
    let watched = site.recall.watched.min(step.lasts);
    if !watched.is_zero() {
        let (done, left) = (show_duration(watched), show_duration(step.lasts - watched));
        site.progress().note(format!("it was watched for {done} before it was stopped: {left} are left"));
    }
    let mut watch = Watch {
        step,
        eyes: Eyes::open(step, site).await?,
        tally: Tally::new(step.in_a_row, earlier),
        figures: Figures::default(),
        breaches,
        telling: JoinSet::new(),
        progress: site.progress(),
        config: site.config,
        run: site.run,
        watched,
    };
    watch.look_until_over().await;
    watch.end().await
}

/// A watch under way. Dropped, it ends the programs that it listens to.
struct Watch<'a> {
    step: &'a WatchStep,
    eyes: Eyes,
    tally: Tally,
    figures: Figures,
    breaches: Breaches,
    /// Breaches on their way to the store and to people: no look waits for them.
    telling: JoinSet<Option<String>>,
    progress: Progress,
    config: &'a Config,
    run: &'a str,
    /// By earlier drivers.
    watched: Duration,
}

impl Watch<'_> {
    async fn look_until_over(&mut self) {
        let began = Instant::now();
        let end = began + (self.step.lasts - self.watched);
        // A watch does not end on what may be a breach or may be nothing: it looks on until that is known.
        let at_last = end + self.step.every * self.step.in_a_row;
        loop {
            let looked = Instant::now();
            self.look().await;
            let now = Instant::now();
            let known = now >= at_last || !self.tally.is_undecided();
            if self.is_to_stop() || now >= end && known {
                return;
            }
            let next = looked + self.step.every;
            let next = if now < end { next.min(end) } else { next };
            while Instant::now() < next {
                self.show(began);
                sleep_until(next.min(Instant::now() + TICK)).await;
            }
        }
    }

    /// One look at everything.
    async fn look(&mut self) {
        let (seen, figures) = self.eyes.look().await;
        self.tally.add(&figures);
        self.figures = figures;
        for seen in seen {
            self.heed(seen);
        }
        if let Some(counted) = self.eyes.rows.look() {
            self.heed_count(counted);
        }
        while let Some(told) = self.telling.try_join_next() {
            self.note(told.ok().flatten());
        }
    }

    fn show(&self, began: Instant) {
        let done = (self.watched + began.elapsed()).min(self.step.lasts);
        self.progress.at(millis(done), Some(millis(self.step.lasts)), Unit::Millis, self.figures.words());
    }

    fn heed_count(&mut self, counted: Vec<Seen>) {
        self.tally.counted_rows();
        counted.into_iter().for_each(|seen| self.heed(seen));
    }

    fn heed(&mut self, seen: Seen) {
        match self.tally.take(seen) {
            None => {}
            Some(Said::Well(text)) => self.progress.note(text),
            Some(Said::Breach(what)) => self.tell(&what),
        }
    }

    /// Tells of a breach: on the screen, on the store, and by `[notify]`.
    fn tell(&mut self, what: &str) {
        let text = format!("at {}: {what}", now().strftime("%H:%M:%S UTC"));
        self.progress.note(format!("breach {text}"));
        self.tally.keep(text.clone());
        self.telling.spawn(self.breaches.keep(text.clone()));
        let (config, run) = (self.config.clone(), self.run.to_string());
        let message =
            format!("run {run} of {}, watching production after the release, {text}", config.environment);
        self.telling.spawn(async move { notify::tell(&config, "watch_breach", &run, &message).await });
    }

    fn note(&self, wrong: Option<String>) {
        wrong.into_iter().for_each(|text| self.progress.note(text));
    }

    fn is_to_stop(&self) -> bool {
        self.step.on_breach != OnBreach::Tell && !self.tally.breaches().is_empty()
    }

    async fn end(mut self) -> Result<Report, Failure> {
        if let Some(counted) = self.eyes.rows.last(self.step.every).await {
            self.heed_count(counted);
        }
        while let Some(told) = self.telling.join_next().await {
            self.note(told.ok().flatten());
        }
        let summary = self.tally.summary();
        if self.tally.breaches().is_empty() {
            return Report::with(summary.words(), &summary);
        }
        Err(self.failure(&summary.words()))
    }

    fn failure(&self, figures: &str) -> Failure {
        let breaches = self.tally.breaches();
        let what = format!("see production well for {} after the release", show_duration(self.step.lasts));
        let mut failure = breaches.iter().take(NAMED).fold(Failure::failed(what), Failure::because_of);
        if breaches.len() > NAMED {
            failure = failure.because_of(format!("and {} more", breaches.len() - NAMED));
        }
        let failure = failure.leaving(format!("the new version serves; {figures}"));
        match self.step.on_breach {
            OnBreach::RollbackAdvice => failure.then(format!(
                "backstay rollback {} -e {} shows the ways back and what each costs, and asks; nothing is put back by \
                 itself once users are in",
                self.run, self.config.environment
            )),
            OnBreach::Tell | OnBreach::Stop => failure,
        }
    }
}
