//! `-- backstay: allow RULE because …`: what an author has thought about.

use super::candidate::Candidate;
use super::catalogue;
use super::subject::{Remark, Subject};

/// One allowed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allow {
    pub rule: &'static str,
    /// The line of the comment.
    pub line: u32,
    /// The statement that it stands above, from 0; `None`: the whole file.
    pub statement: Option<usize>,
}

impl Allow {
    /// Whether it is about what the candidate says.
    pub fn covers(&self, candidate: &Candidate) -> bool {
        candidate.rule.name == self.rule && self.statement.is_none_or(|own| candidate.statement == Some(own))
    }
}

/// A comment of ours that says nothing that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub line: u32,
    pub statement: Option<usize>,
    pub what: String,
}

/// What the comments of a migration say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comments {
    pub allows: Vec<Allow>,
    pub malformed: Vec<Malformed>,
    /// The line on which it says that it can't be taken back.
    pub irreversible: Option<u32>,
}

const RIGHT: &str = "write -- backstay: allow RULE because …";

impl Comments {
    pub fn of(subject: &Subject) -> Self {
        let mut comments = Self::default();
        subject.remarks.iter().for_each(|remark| comments.take(remark, None));
        for (number, statement) in subject.statements.iter().enumerate() {
            statement.remarks.iter().for_each(|remark| comments.take(remark, Some(number)));
        }
        comments
    }

    fn take(&mut self, remark: &Remark, statement: Option<usize>) {
        let Some(order) = remark.text.strip_prefix("backstay:") else { return };
        let line = remark.line;
        let mut wrong = |what: String| self.malformed.push(Malformed { line, statement, what });
        let mut words = order.split_whitespace();
        let verb = words.next().unwrap_or_default();
        if !["allow", "irreversible"].contains(&verb) {
            return wrong(format!("{verb:?} is nothing that a comment can say; {RIGHT}"));
        }
        let rest: Vec<&str> = words.collect();
        let because = rest.iter().position(|word| *word == "because").unwrap_or(rest.len());
        if rest.len() < because + 2 {
            return wrong(match verb {
                "allow" => format!("this allows something without a reason; {RIGHT}"),
                _ => "this says no reason; write -- backstay: irreversible because …".into(),
            });
        }
        if verb == "irreversible" {
            self.irreversible = Some(line);
            return;
        }
        let listed = rest[..because].join(" ");
        let rules: Vec<&str> = listed.split([',', ' ']).filter(|rule| !rule.is_empty()).collect();
        if rules.is_empty() {
            return wrong(format!("this allows no rule; {RIGHT}"));
        }
        for name in rules {
            match catalogue::find(name) {
                Some(rule) => self.allows.push(Allow { rule: rule.name, line, statement }),
                None => {
                    let meant = catalogue::meant(name).map(|meant| format!("; did you mean {meant}?"));
                    let what = format!("no rule is called {name:?}{}", meant.unwrap_or_default());
                    self.malformed.push(Malformed { line, statement, what });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn comments(head: &str, above: &str) -> Comments {
        let text = format!("-- revision: a\n-- Text\n{head}\n-- upgrade\n{above}\nSELECT 1;\n");
        Comments::of(&Subject::of(&text, Path::new("a.sql")).unwrap())
    }

    #[test]
    fn an_allow_needs_its_reason_and_a_rule_that_is() {
        let good = comments("", "-- backstay: allow ban-drop-column, vacuum-full because nobody reads it");
        let rules: Vec<&str> = good.allows.iter().map(|allow| allow.rule).collect();
        assert_eq!(
            (rules.as_slice(), good.malformed.len()),
            (["ban-drop-column", "vacuum-full"].as_slice(), 0)
        );
        assert_eq!((good.allows[0].statement, good.allows[0].line), (Some(0), 5));
        for (comment, what) in [
            ("-- backstay: allow ban-drop-column", "without a reason"),
            ("-- backstay: allow ban-drop-column because", "without a reason"),
            ("-- backstay: allow because I say so", "no rule"),
            ("-- backstay: allow ban-drop-colum because x", "did you mean ban-drop-column?"),
            ("-- backstay: alow ban-drop-column because x", "\"alow\" is nothing"),
            ("-- backstay: irreversible", "no reason"),
        ] {
            let wrong = comments("", comment).malformed;
            assert!(wrong.len() == 1 && wrong[0].what.contains(what), "{comment}: {wrong:?}");
        }
    }

    #[test]
    fn the_head_speaks_for_the_whole_file() {
        let good = comments("-- backstay: allow vacuum-full because x", "");
        assert_eq!(good.allows, [Allow { rule: "vacuum-full", line: 3, statement: None }]);
        assert_eq!(comments("-- backstay: irreversible because x", "").irreversible, Some(3));
    }
}
