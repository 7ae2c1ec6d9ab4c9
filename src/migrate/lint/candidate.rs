//! What a rule has to say, before it is known whether it is worth a word.

use super::catalogue::{self, Reach, Rule};
use super::sql::{Effect, Name};
use super::subject::{Statement, Subject};
use super::world::World;

/// One thing that a rule noticed.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub rule: &'static Rule,
    /// The statement, from 0; `None`: the file as a whole.
    pub statement: Option<usize>,
    /// The line, where it is not that of the statement.
    pub line: Option<u32>,
    pub what: String,
    pub evidence: Vec<String>,
    pub help: Vec<String>,
    /// The relations whose newness and size decide whether it is told.
    pub about: Vec<Name>,
}

impl Candidate {
    /// Says `what` by the rule called `rule`; nothing, if the catalogue has none: a test holds that it has all.
    pub fn new(rule: &str, what: impl Into<String>) -> Option<Self> {
        let rule = catalogue::find(rule)?;
        let (evidence, help, about) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { rule, statement: None, line: None, what: what.into(), evidence, help, about })
    }

    #[must_use]
    pub fn about(mut self, name: &Name) -> Self {
        if !self.about.contains(name) {
            self.about.push(name.clone());
        }
        self
    }

    #[must_use]
    pub fn shown_by(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Whether what it is about is too new or too small for it.
    pub fn is_silent(&self, world: &World<'_>, policy: &super::Policy) -> bool {
        let is_new = |name: &Name| matches!(world.standing(name), super::world::Standing::New);
        !self.about.is_empty()
            && match self.rule.reach {
                Reach::Always => false,
                Reach::New => self.about.iter().all(is_new),
                Reach::NewOrSmall => self.about.iter().all(|name| world.is_slight(name, policy)),
            }
    }
}

/// A statement at its turn.
pub(super) struct Turn<'a> {
    pub world: &'a World<'a>,
    pub subject: &'a Subject,
    pub statement: &'a Statement,
    pub effects: &'a [Effect],
}
