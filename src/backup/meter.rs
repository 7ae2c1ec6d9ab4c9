//! Progress of several workers as one: bytes done of bytes known.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::manifest::TableName;
use crate::event::{Progress, Unit};

/// No more than one report in this many milliseconds.
const EVERY: u64 = 100;

/// Counts for all workers, and reports now and then.
pub(super) struct Meter {
    progress: Progress,
    total: u64,
    done: AtomicU64,
    since: Instant,
    reported: AtomicU64,
    at_work: Mutex<String>,
}

impl Meter {
    /// A meter up to `total` bytes.
    pub fn new(progress: &Progress, total: u64) -> Self {
        let meter = Self {
            progress: progress.clone(),
            total,
            done: AtomicU64::new(0),
            since: Instant::now(),
            reported: AtomicU64::new(0),
            at_work: Mutex::default(),
        };
        meter.report();
        meter
    }

    /// This table is at work now.
    pub fn name(&self, table: &TableName) {
        self.say(format!("{}.{}", table.schema, table.name));
    }

    /// This is at work now.
    pub fn say(&self, what: impl Into<String>) {
        *self.at_work.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
        self.report();
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Relaxed);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.reported.load(Relaxed);
        if now >= last + EVERY && self.reported.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            self.report();
        }
    }

    fn report(&self) {
        let note = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // An estimate can be short; a bar past its end helps nobody.
        let done = self.done.load(Relaxed).min(self.total);
        self.progress.at(done, Some(self.total), Unit::Bytes, note);
    }

    /// The share of one job whose size is only estimated: never above its estimate, all of it at its end.
    pub fn share(&self, estimate: u64) -> Share<'_> {
        Share { meter: self, left: estimate, untold: 0 }
    }
}

/// See [`Meter::share`].
pub(super) struct Share<'m> {
    meter: &'m Meter,
    left: u64,
    untold: u64,
}

impl Share<'_> {
    /// So many bytes more went through. Told in steps: a look at the clock for every row is not for nothing.
    pub fn add(&mut self, bytes: u64) {
        const STEP: u64 = 64 << 10;
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.untold += bytes;
        if self.untold >= STEP {
            self.meter.add(std::mem::take(&mut self.untold));
        }
    }

    /// The job is done.
    pub fn finish(self) {
        self.meter.add(self.left + self.untold);
    }
}
