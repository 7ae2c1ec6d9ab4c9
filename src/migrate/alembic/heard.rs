//! What Alembic says while it runs: which migration is at work, and, once it failed, why. **Pure.**

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::migrate::chain::Chain;
use crate::migrate::graph::{Direction, Step};

/// How many lines are kept for the cause: a traceback through SQLAlchemy and env.py has about a hundred.
const KEPT: usize = 400;

/// What its log's lines begin with, as every project's file has it.
const LEVELS: [&str; 4] = ["INFO", "WARN", "DEBUG", "ERROR"];

const TRACEBACK: &str = "Traceback (most recent call last)";

/// How many lines of a cause are told.
const TOLD: usize = 4;

/// Its output so far.
#[derive(Debug)]
pub struct Heard {
    lines: VecDeque<String>,
    /// The revisions that it said to be running, and when.
    running: Vec<(String, Instant)>,
    ended: Instant,
    /// A traceback has begun.
    tracing: bool,
}

impl Heard {
    /// Nothing so far.
    pub fn new() -> Self {
        Self { lines: VecDeque::new(), running: Vec::new(), ended: Instant::now(), tracing: false }
    }

    /// Takes one line; gives the step that begins with it, if one does.
    pub fn line<'s>(&mut self, line: &str, steps: &'s [Step]) -> Option<(usize, &'s Step)> {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_string());
        let said = &line[line.find("Running ")?..];
        let (at, step) = steps.iter().enumerate().find(|(_, step)| begins(said, step))?;
        self.running.push((step.revision.clone(), Instant::now()));
        Some((at, step))
    }

    /// Whether the line just taken belongs to a traceback: its end is told as the cause of a failure, and the rest
    /// is for those who look for it.
    pub fn is_tracing(&mut self) -> bool {
        let Some(line) = self.lines.back() else { return false };
        if LEVELS.iter().any(|level| line.starts_with(level)) {
            self.tracing = false;
        }
        self.tracing |= line.starts_with(TRACEBACK);
        self.tracing
    }

    /// Nothing more comes.
    pub fn end(&mut self) {
        self.ended = Instant::now();
    }

    /// How long a revision took, as far as it was said.
    pub fn took(&self, revision: &str) -> Option<Duration> {
        let at = self.running.iter().position(|(running, _)| running == revision)?;
        let next = self.running.get(at + 1).map_or(self.ended, |(_, begun)| *begun);
        Some(next.saturating_duration_since(self.running[at].1))
    }

    /// The revision that it said to be running last.
    pub fn at_work(&self) -> Option<&str> {
        self.running.last().map(|(revision, _)| revision.as_str())
    }

    /// Whether a line has one of these.
    pub fn says(&self, texts: &[&str]) -> bool {
        self.lines.iter().any(|line| texts.iter().any(|text| line.contains(text)))
    }

    /// Whether a lock was not had in time, or only by a deadlock: worth another try.
    pub fn is_contention(&self) -> bool {
        let cause = self.cause();
        let texts = ["canceling statement due to lock timeout", "LockNotAvailable", "deadlock detected"];
        cause.iter().any(|line| texts.iter().any(|text| line.contains(text)))
    }

    /// What it said beside what it logs: the answer of `current`.
    pub fn answers(&self) -> Vec<String> {
        let logged =
            |line: &str| LEVELS.iter().chain(&[TRACEBACK, " ", "FAILED"]).any(|lead| line.starts_with(lead));
        let said = self.lines.iter().filter(|line| !logged(line));
        said.filter(|line| !line.trim().is_empty()).take(TOLD).cloned().collect()
    }

    /// All that it said beside what it logs and how it failed.
    pub fn said(&self) -> Vec<String> {
        let end = self.traceback().unwrap_or(self.lines.len());
        let logged = |line: &str| LEVELS.iter().any(|level| line.starts_with(level));
        let said = self.lines.iter().take(end).map(|line| line.trim());
        said.filter(|line| !line.is_empty() && !logged(line) && !line.starts_with("FAILED:"))
            .map(String::from)
            .collect()
    }

    /// The first cause of a failure: what the last traceback ends with, or what Alembic says to have failed, or
    /// else the last that was said.
    pub fn cause(&self) -> Vec<String> {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let failed =
            lines.iter().rev().find_map(|line| Some(line.trim().strip_prefix("FAILED: ")?.to_string()));
        let told = match (self.after_traceback(), failed) {
            (Some(told), _) => told,
            (None, Some(failed)) => vec![failed],
            (None, None) => lines
                .iter()
                .rev()
                .find(|line| !line.trim().is_empty())
                .map(ToString::to_string)
                .into_iter()
                .collect(),
        };
        let idle = |line: &String| line.trim().is_empty() || line.starts_with("(Background on this error at");
        told.into_iter().filter(|line| !idle(line)).take(TOLD).collect()
    }

    fn after_traceback(&self) -> Option<Vec<String>> {
        let at = self.traceback()?;
        let mut below =
            self.lines.iter().skip(at + 1).skip_while(|line| line.starts_with(' ') || line.is_empty());
        let first = below.next()?.clone();
        // What follows belongs to it (`LINE 1: …`, `[SQL: …]`), until something else is said.
        let rest =
            below.take_while(|line| !line.starts_with("Traceback ") && !line.starts_with("During handling"));
        Some([first].into_iter().chain(rest.cloned()).collect())
    }

    fn traceback(&self) -> Option<usize> {
        self.lines.iter().rposition(|line| line.starts_with(TRACEBACK))
    }

    /// The migration in which the failure arose, with its line: the innermost frame in a file of the chain.
    pub fn place(&self, chain: &Chain, directory: &Path) -> Option<(String, u32)> {
        let frames = self.lines.iter().rev().filter_map(|line| {
            let (file, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
            let number = rest.split([',', ' ']).next()?.parse().ok()?;
            Some((file, number))
        });
        let of_chain = |(file, number): (&str, u32)| {
            let named = |revision: &String| {
                chain
                    .text(revision)
                    .is_some_and(|text| same_file(&directory.join(&text.path), Path::new(file)))
            };
            let found = chain.graph().revisions().map(|revision| &revision.id).find(|id| named(id))?;
            Some((found.clone(), number))
        };
        frames.map(of_chain).find(Option::is_some).flatten()
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self::new()
    }
}

/// Python may have gone another way to the file, through a link.
fn same_file(ours: &Path, theirs: &Path) -> bool {
    ours == theirs
        || (ours.file_name() == theirs.file_name()
            && ours.canonicalize().is_ok_and(|ours| theirs.canonicalize().is_ok_and(|theirs| ours == theirs)))
}

/// `Running upgrade 989ceebf408f -> c08085465bad, Add priority to questions`
fn begins(said: &str, step: &Step) -> bool {
    let (from, to) = (step.from.join(", "), step.to.join(", "));
    let line = format!("Running {} {from} -> {to}", step.direction.verb());
    said.strip_prefix(&line).is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
}

/// As Alembic says it, for a person.
pub(super) fn title(step: &Step, chain: &Chain) -> String {
    let verb = match step.direction {
        Direction::Up => "",
        Direction::Down => " (down)",
    };
    format!("{}, {}{verb}", step.revision, chain.description(&step.revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::chain::Text;
    use crate::migrate::graph::Revision;

    fn heard(text: &str) -> Heard {
        let mut heard = Heard::new();
        for line in text.lines() {
            heard.line(line, &[]);
        }
        heard
    }

    const FAILED: &str = "INFO  [alembic.runtime.migration] Running upgrade a -> b, Bad\nTraceback (most recent call last):\n\
        \x20 File \"/lib/base.py\", line 1, in _exec\n    cursor.execute()\npsycopg.errors.UndefinedTable: relation \"x\" does not exist\n\
        LINE 1: ALTER TABLE x\n\nThe above exception was the direct cause of the following exception:\n\n\
        Traceback (most recent call last):\n  File \"/bin/alembic\", line 8, in <module>\n    sys.exit(main())\n\
        \x20 File \"/srv/alembic/versions/b.py\", line 21, in upgrade\n    op.execute('x')\n    ^^^^^^^\n\
        \x20 File \"/lib/base.py\", line 1, in _exec\n    raise\n\
        sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation \"x\" does not exist\nLINE 1: ALTER TABLE x\n\
        \x20                   ^\n[SQL: ALTER TABLE x ADD y int]\n(Background on this error at: https://sqlalche.me/e/20/f405)\n";

    #[test]
    fn the_first_cause_of_a_failure() {
        let found = heard(FAILED);
        assert_eq!(
            found.cause(),
            [
                "sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation \"x\" does not exist",
                "LINE 1: ALTER TABLE x",
                "                    ^",
                "[SQL: ALTER TABLE x ADD y int]",
            ]
        );
        assert!(!found.is_contention());
        let mut told = Heard::new();
        let mut shown = |line: &str| {
            told.line(line, &[]);
            !told.is_tracing()
        };
        let shown: Vec<&str> = FAILED.lines().chain(["INFO  [x] y"]).filter(|line| shown(line)).collect();
        assert_eq!(shown, ["INFO  [alembic.runtime.migration] Running upgrade a -> b, Bad", "INFO  [x] y"]);
        let path = "alembic/versions/b.py".into();
        let chain = vec![(Revision::new("b", &[]), Text { path, ..Text::default() })];
        let chain = Chain::new(Path::new("/srv"), chain).unwrap();
        assert_eq!(found.place(&chain, Path::new("/srv")), Some(("b".to_string(), 21)));
        assert_eq!(found.place(&Chain::default(), Path::new("/srv")), None);
        assert_eq!(
            heard("x\n  FAILED: Can't locate revision identified by 'y'\n").cause(),
            ["Can't locate revision identified by 'y'"]
        );
        assert_eq!(heard("one\ntwo\n\n").cause(), ["two"]);
        assert_eq!(heard("").cause(), Vec::<String>::new());
        assert!(heard("Traceback (most recent call last):\n  File \"x\", line 1\npsycopg2.errors.LockNotAvailable: canceling statement due to lock timeout\n").is_contention());
    }

    #[test]
    fn which_migration_runs() {
        let step = |revision: &str, from: &[&str]| Step {
            revision: revision.into(),
            direction: Direction::Up,
            from: from.iter().map(ToString::to_string).collect(),
            to: vec![revision.into()],
            changes: vec![],
        };
        let steps = [step("a", &[]), step("ab", &["a"]), step("m", &["ab", "x"])];
        let mut heard = Heard::new();
        let mut at = |line: &str| heard.line(line, &steps).map(|(at, _)| at);
        assert_eq!(at("INFO  [alembic.runtime.migration] Running upgrade  -> a, First"), Some(0));
        assert_eq!(at("INFO  [alembic.runtime.migration] Running upgrade a -> ab"), Some(1));
        assert_eq!(at("INFO  [alembic.runtime.migration] Running upgrade ab, x -> m, merge"), Some(2));
        assert_eq!(at("Running late"), None);
        assert_eq!(at("Running upgrade a -> abc, No"), None);
        heard.end();
        assert_eq!(heard.at_work(), Some("m"));
        assert!(heard.took("a").is_some() && heard.took("x").is_none());
    }
}
