//! Logs that are watched: a program that follows one, or a file; and how often a pattern comes in them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tail::Tail;
use super::tally::Seen;
use crate::failure::Failure;
use crate::process::{self, ProcessError, Program};
use crate::runbook::{LogSource, LogWatch, Rate};
use crate::steps::Site;
use crate::steps::command;
use crate::words::shell_line;

/// How much of a line is told.
const TOLD: usize = 200;

/// How many matches are remembered at most: a flood is one long before.
const REMEMBERED: usize = 10_000;

/// A log that is watched. Dropped, it ends its program.
pub(super) struct Log {
    name: String,
    matches: Arc<Mutex<Matches>>,
    source: Source,
}

enum Source {
    File(Option<Tail>),
    Command { program: Program, running: JoinSet<Result<(), ProcessError>> },
}

impl Log {
    /// Begins to listen: to what is written from now on.
    pub fn begin(log: &LogWatch, bound: std::time::Duration, site: &Site<'_>) -> Self {
        let matches = Arc::new(Mutex::new(Matches::new(log.texts.clone(), log.most)));
        let (name, source) = match &log.source {
            LogSource::File(path) => {
                let path = site.config.root.join(path);
                (path.display().to_string(), Source::File(Some(Tail::begin(path))))
            }
            LogSource::Command(argv) => {
                let program = Program {
                    argv: argv.clone(),
                    directory: site.config.root.clone(),
                    env: command::surroundings(site),
                    timeout: bound,
                };
                (shell_line(argv), Source::Command { program, running: JoinSet::new() })
            }
        };
        let mut log = Self { name, matches, source };
        log.listen();
        log
    }

    /// Reads what is new; gives what was seen, and how many lines matched since the beginning.
    pub async fn look(&mut self) -> (Vec<Seen>, u64) {
        let unread = self.read().await;
        let mut matches = lock(&self.matches);
        let often = matches.too_often(Instant::now());
        let seen = vec![
            Seen::new(format!("reading {}", self.name), unread),
            Seen::at_once(format!("log {}", self.name), often),
        ];
        (seen, matches.total)
    }

    /// What hindered it.
    async fn read(&mut self) -> Option<String> {
        let ended = match &mut self.source {
            Source::File(tail) => {
                let (mut reader, matches) = (tail.take()?, self.matches.clone());
                let read = tokio::task::spawn_blocking(move || {
                    let read = reader.read(|line| lock(&matches).hear(line, Instant::now()));
                    (reader, read)
                });
                let (reader, read) = read.await.ok()?;
                *tail = Some(reader);
                return read.err().map(|error| error.to_string());
            }
            Source::Command { running, .. } => running.try_join_next(),
        };
        // A program that ended well has printed what there was: it is asked again.
        let wrong = ended.and_then(Result::ok).and_then(Result::err);
        self.listen();
        wrong.map(|error| Failure::from(error).to_string())
    }

    /// Starts the program, unless it runs.
    fn listen(&mut self) {
        let Source::Command { program, running } = &mut self.source else { return };
        if !running.is_empty() {
            return;
        }
        let (program, matches) = (program.clone(), self.matches.clone());
        running.spawn(async move {
            process::run(&program, |line| lock(&matches).hear(line, Instant::now())).await
        });
    }
}

fn lock(matches: &Mutex<Matches>) -> MutexGuard<'_, Matches> {
    matches.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines that hold a text, and when they came.
struct Matches {
    texts: Vec<String>,
    most: Rate,
    times: VecDeque<Instant>,
    last: String,
    total: u64,
}

impl Matches {
    fn new(texts: Vec<String>, most: Rate) -> Self {
        Self { texts, most, times: VecDeque::new(), last: String::new(), total: 0 }
    }

    fn hear(&mut self, line: &str, at: Instant) {
        if !self.texts.iter().any(|text| line.contains(text)) {
            return;
        }
        self.total += 1;
        self.last = line.chars().take(TOLD).collect();
        self.times.push_back(at);
        if self.times.len() > REMEMBERED.max(self.most.count as usize + 1) {
            self.times.pop_front();
        }
    }

    /// What is wrong, if more came in the last span than may come.
    fn too_often(&mut self, now: Instant) -> Option<String> {
        let within = self.most.within;
        self.times.retain(|at| now.saturating_duration_since(*at) < within);
        let found = self.times.len();
        (found > self.most.count as usize).then(|| {
            let span = crate::time::show_duration(within);
            let lines = crate::words::count(found as u64, "line", "lines");
            format!("{lines} of it in {span}, more than {}; the last: {}", self.most, self.last.trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_came_within_the_span_counts() {
        let texts = vec!["ERROR".to_string(), "Traceback".to_string()];
        let mut matches = Matches::new(texts, Rate { count: 2, within: Duration::from_secs(60) });
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        for (second, line) in
            [(0, "ERROR a"), (10, "INFO fine"), (50, "Traceback (most recent"), (59, "an ERROR")]
        {
            matches.hear(line, at(second));
        }
        let wrong = matches.too_often(at(59)).unwrap();
        assert_eq!(wrong, "3 lines of it in 1 m 00 s, more than 2 a minute; the last: an ERROR");
        assert_eq!((matches.too_often(at(60)), matches.total), (None, 3));
    }

    #[test]
    fn a_flood_is_remembered_in_bounds() {
        let mut matches = Matches::new(vec!["x".into()], Rate { count: 5, within: Duration::from_secs(60) });
        let now = Instant::now();
        for _ in 0..REMEMBERED * 2 {
            matches.hear("x", now);
        }
        assert_eq!((matches.times.len(), matches.total), (REMEMBERED, 2 * REMEMBERED as u64));
        assert!(matches.too_often(now).is_some());
    }
}
