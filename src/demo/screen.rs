//! What the demo says: before and after each release, and its last screen. **Pure.**

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::crowd::{CUSTOMERS_AT_ONCE, READERS, Tally};
use super::release::{RELEASES, Release};
use super::stage::grouped;
use crate::time::show_duration;
use crate::ui::Look;
use crate::ui::layout::{pad, pad_left, wrap};
use crate::ui::look::Ink;

/// Text is set to at most so many columns.
const WIDEST: usize = 96;
/// Columns before what is said.
const MARGIN: usize = 2;

/// What the stage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The server's version.
    pub server: String,
    /// Rows that were loaded.
    pub rows: u64,
    /// Where the shop is.
    pub shop: SocketAddr,
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// It does.
    pub held: bool,
    /// What, or what is instead.
    pub text: String,
}

impl Check {
    /// It holds.
    pub fn held(text: impl Into<String>) -> Self {
        Self { held: true, text: text.into() }
    }

    /// It does not.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { held: false, text: text.into() }
    }
}

/// What came of one release.
#[derive(Debug, Clone)]
pub struct Account {
    /// Which.
    pub release: Release,
    /// The run's exit code; none if it was killed.
    pub exit: Option<i32>,
    /// How long the run took.
    pub took: Duration,
    /// How long a visitor saw the maintenance page.
    pub maintenance: Duration,
    /// What was checked, from outside of the run.
    pub checks: Vec<Check>,
}

impl Account {
    /// All checks hold.
    pub fn held(&self) -> bool {
        self.checks.iter().all(|check| check.held)
    }
}

/// What came of the demo.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The stage.
    pub facts: Facts,
    /// The releases that were run: all, or up to the first that did not end as it must.
    pub accounts: Vec<Account>,
    /// What the crowd lived through.
    pub tally: Tally,
    /// How long all of it took.
    pub took: Duration,
}

impl Outcome {
    /// Everything held.
    pub fn held(&self) -> bool {
        self.accounts.len() == RELEASES.len() && self.accounts.iter().all(Account::held)
    }

    /// For `--json`.
    pub fn to_json(&self) -> Value {
        let releases = self.accounts.iter().map(|account| {
            json!({
                "release": account.release.number,
                "title": account.release.title,
                "exit": account.exit,
                "expected": account.release.verdict.exit_code(),
                "millis": crate::event::millis(account.took),
                "maintenance_millis": crate::event::millis(account.maintenance),
                "checks": account.checks.iter().map(|c| json!({ "held": c.held, "text": c.text })).collect::<Vec<_>>(),
            })
        });
        json!({
            "held": self.held(),
            "server": self.facts.server,
            "rows": self.facts.rows,
            "millis": crate::event::millis(self.took),
            "orders": {
                "acknowledged": self.tally.acknowledged,
                "turned_away": self.tally.turned_away,
                "unanswered": self.tally.unanswered,
            },
            "reads": self.tally.reads,
            "sessions_cut": self.tally.cut,
            "releases": releases.collect::<Vec<_>>(),
        })
    }
}

/// Said first.
pub fn opening(facts: &Facts, look: Look) -> String {
    let mut page = Page::new(look);
    page.blank();
    page.title("backstay demo: three releases of a small shop, before your eyes");
    page.blank();
    page.prose(&format!(
        "A throw-away PostgreSQL {} with {} rows, and version 1 of a shop over it: http://{}. \
         {CUSTOMERS_AT_ONCE} customers order all the time and remember what was acknowledged to them; {READERS} \
         readers connect straight to the database, again and again. One release is good, two are not.",
        facts.server,
        grouped(facts.rows),
        facts.shop
    ));
    page.text
}

/// Said before a release.
pub fn before(release: &Release, look: Look) -> String {
    let mut page = Page::new(look);
    page.blank();
    page.title(&format!("Release {} of {}: {}", release.number, RELEASES.len(), release.title));
    page.blank();
    page.prose(release.story);
    page.blank();
    page.line(&look.paint(Ink::Busy, "$ backstay run release -e production --yes"));
    page.blank();
    page.text
}

/// Said after a release: what was found from outside.
pub fn after(account: &Account, look: Look) -> String {
    let mut page = Page::new(look);
    page.blank();
    page.title("Looked at from outside:");
    page.checks(&account.checks);
    page.text
}

/// The last screen.
pub fn ending(outcome: &Outcome, look: Look) -> String {
    let mut page = Page::new(look);
    page.blank();
    page.title(headline(outcome));
    page.blank();
    page.table(&outcome.accounts);
    page.blank();
    for account in outcome.accounts.iter().filter(|account| !account.release.is_good()) {
        let title = if account.held() { "was put back" } else { "was not put back as it must be" };
        page.title(&format!("Release {} {title}:", account.release.number));
        page.checks(&account.checks);
        page.blank();
    }
    page.prose(
        "What was compared: a line of the runbook noted the whole database behind the fence, before the \
         first migration. Customers who met the maintenance page stayed away until that note was compared \
         with production after the put-back.",
    );
    page.blank();
    let tally = &outcome.tally;
    page.prose(&format!(
        "PostgreSQL {}, {} rows, {}. {} orders were acknowledged, {} met the maintenance page, {} were cut off \
         without an answer. Readers read {} times and were cut or turned away {} times. The server, its files \
         and all processes are gone.",
        outcome.facts.server,
        grouped(outcome.facts.rows),
        show_duration(outcome.took),
        grouped(tally.acknowledged),
        grouped(tally.turned_away),
        grouped(tally.unanswered),
        grouped(tally.reads),
        grouped(tally.cut),
    ));
    page.text
}

fn headline(outcome: &Outcome) -> &'static str {
    if outcome.held() {
        "Three releases, two of them bad: production was put back both times, and no order was lost."
    } else {
        "The demo did not go as it must. This is a defect of backstay; please report the screen above."
    }
}

/// Lines under way.
struct Page {
    look: Look,
    text: String,
}

impl Page {
    fn new(look: Look) -> Self {
        Self { look, text: String::new() }
    }

    fn width(&self) -> usize {
        self.look.width.min(WIDEST).saturating_sub(MARGIN)
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn line(&mut self, text: &str) {
        let text = format!("{}{text}", " ".repeat(MARGIN));
        self.text.push_str(self.look.last_pass(text.trim_end()).as_str());
        self.text.push('\n');
    }

    fn title(&mut self, text: &str) {
        for line in wrap(text, self.width()) {
            self.line(&self.look.paint(Ink::Strong, &line));
        }
    }

    fn prose(&mut self, text: &str) {
        for line in wrap(text, self.width()) {
            self.line(&line);
        }
    }

    fn checks(&mut self, checks: &[Check]) {
        let marks = self.look.marks();
        for check in checks {
            let (mark, ink) = if check.held { (marks.done, Ink::Good) } else { (marks.failed, Ink::Bad) };
            let room = self.width().saturating_sub(mark.chars().count() + 1);
            for (i, line) in wrap(&check.text, room).iter().enumerate() {
                let lead = if i == 0 { self.look.paint(ink, mark) } else { " ".repeat(mark.chars().count()) };
                self.line(&format!("{lead} {line}"));
            }
        }
    }

    fn table(&mut self, accounts: &[Account]) {
        const TITLE: usize = 36;
        let heading = format!(
            "{}{}{}{}{}",
            pad("release", TITLE + 3),
            pad_left("exit", 6),
            pad_left("wanted", 8),
            pad_left("run", 8),
            pad_left("maintenance", 13)
        );
        self.line(&self.look.paint(Ink::Faint, &heading));
        for account in accounts {
            let right = account.exit == Some(i32::from(account.release.verdict.exit_code()));
            let exit = account.exit.map_or("killed".into(), |code| code.to_string());
            let row = format!(
                "{}  {}{}{}{}{}",
                account.release.number,
                pad(account.release.title, TITLE),
                self.look.paint(if right { Ink::Good } else { Ink::Bad }, &pad_left(&exit, 6)),
                pad_left(&account.release.verdict.exit_code().to_string(), 8),
                pad_left(&show_duration(account.took), 8),
                pad_left(&show_duration(account.maintenance), 13)
            );
            self.line(&row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let account = |release: Release, maintenance| Account {
            release,
            exit: Some(i32::from(release.verdict.exit_code())),
            took: Duration::from_millis(3_400),
            maintenance: Duration::from_millis(maintenance),
            checks: vec![
                Check::held("exit 4: production is the old one, serving, verified"),
                Check::held("the schema dump equals the one at the guard, all 312 lines"),
                Check::held(
                    "the content equals that at the guard: 6 tables with 79 934 rows by fingerprint, 3 sequences",
                ),
            ],
        };
        let accounts = RELEASES.iter().zip([900, 1_200, 4_100]).map(|(r, m)| account(*r, m)).collect();
        Outcome {
            facts: Facts { server: "15.18".into(), rows: 77_412, shop: "127.0.0.1:40123".parse().unwrap() },
            accounts,
            tally: Tally { acknowledged: 3_812, turned_away: 120, unanswered: 4, reads: 20_500, cut: 310 },
            took: Duration::from_millis(17_400),
        }
    }

    const PLAIN: Look = Look { colour: false, unicode: true, width: 120 };

    #[test]
    fn the_last_screen() {
        insta::assert_snapshot!(ending(&outcome(), PLAIN));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let facts = outcome().facts;
        for width in [80, 200] {
            let look = Look { width, unicode: false, ..PLAIN };
            let text = opening(&facts, look) + &before(&RELEASES[1], look) + &ending(&outcome(), look);
            for line in text.lines() {
                assert!(line.chars().count() <= width.min(WIDEST), "{line}");
                assert!(line.is_ascii(), "{line}");
            }
        }
    }

    #[test]
    fn one_check_that_fails_is_enough() {
        assert!(outcome().held());
        let mut failed = outcome();
        failed.accounts[1].checks.push(Check::failed("2 of 900 acknowledged orders are gone, like 20_117"));
        assert!(!failed.held());
        assert!(ending(&failed, PLAIN).contains("✗ 2 of 900"));
        let mut short = outcome();
        short.accounts.pop();
        assert!(!short.held());
    }
}
