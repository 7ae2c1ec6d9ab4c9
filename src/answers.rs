//! Answers to the questions of a checklist, given ahead in a file (`--answers FILE`). **Pure.**

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::nearest::nearest;

/// What each question is answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The file that they stand in.
    pub file: String,
    answers: BTreeMap<String, Answer>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Yes, or no.
    pub yes: bool,
    /// Who says so, if the file names somebody.
    pub by: Option<String>,
    /// When that was said, in the file's words.
    pub at: Option<String>,
    /// What else is to be said.
    pub note: Option<String>,
}

impl Answers {
    /// Reads a file of answers: JSON if `file` ends so, else TOML. Its keys are questions or names of lines; what they
    /// are answered with is `true`, `false`, `"yes"`, `"no"`, or a table of `answer`, `by`, `at` and `note`.
    ///
    /// # Errors
    /// The file is neither, or a value is no answer (exit 2).
    pub fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let wrong = |why: String| {
            Failure::usage(format!("read the answers in {file}"))
                .because_of(why)
                .leaving("nothing was begun")
                .then("write \"the question\" = true, or = { answer = \"yes\", by = \"who\" }")
        };
        let said: Map<String, Value> = match file.to_lowercase().ends_with(".json") {
            true => serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?,
            false => {
                table(toml::from_str(text).map_err(|error| wrong(error.to_string().trim().to_string()))?)
            }
        };
        let answers = said
            .into_iter()
            .map(|(key, value)| match answer(&value) {
                Ok(answer) => Ok((key, answer)),
                Err(why) => Err(wrong(format!("{key:?}: {why}"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { file: file.to_string(), answers })
    }

    /// The answer to `question`, which stands on the line called `name`.
    pub fn to(&self, question: &str, name: &str) -> Option<&Answer> {
        self.answers.get(question).or_else(|| self.answers.get(name))
    }

    /// Refuses answers to what nobody asks: a question that was reworded must be answered anew.
    ///
    /// `asked` are all questions of the runbook, with the names of their lines.
    ///
    /// # Errors
    /// Each of them (exit 2).
    pub fn expect_asked(&self, asked: &[(&str, &str)]) -> Result<(), Failure> {
        let is_asked = |key: &&String| asked.iter().any(|(question, name)| key == question || key == name);
        let strangers: Vec<&String> = self.answers.keys().filter(|key| !is_asked(key)).collect();
        if strangers.is_empty() {
            return Ok(());
        }
        let mut failure =
            Failure::usage(format!("use the answers in {}", self.file)).leaving("nothing was begun");
        for key in strangers {
            let meant = nearest(key, asked.iter().map(|(question, _)| *question));
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            failure = failure.because_of(format!("the runbook does not ask {key:?}{meant}"));
        }
        Err(failure.then("bring the file's questions to the words of the runbook"))
    }
}

/// A table of TOML as JSON, moments as their texts.
fn table(table: toml::Table) -> Map<String, Value> {
    table.into_iter().map(|(key, value)| (key, json(value))).collect()
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Table(inner) => Value::Object(table(inner)),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
    }
}

fn answer(value: &Value) -> Result<Answer, String> {
    let Value::Object(members) = value else {
        return Ok(Answer { yes: truth(value)?, ..Answer::default() });
    };
    const KEYS: [&str; 4] = ["answer", "by", "at", "note"];
    if let Some(key) = members.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("an answer has no {key:?}; it has {}", crate::words::spell_out(&KEYS)));
    }
    let text = |key: &str| match members.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_string())),
        Some(_) => Err(format!("`{key}` must be a string that says something")),
    };
    let yes = truth(members.get("answer").ok_or("`answer` is missing")?)?;
    Ok(Answer { yes, by: text("by")?, at: text("at")?, note: text("note")? })
}

fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(word) if word.eq_ignore_ascii_case("yes") => Ok(true),
        Value::String(word) if word.eq_ignore_ascii_case("no") => Ok(false),
        other => Err(format!("{other} is no answer; answers are true, false, \"yes\" and \"no\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "Are on-call and support told?";

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = "\"Are on-call and support told?\" = { answer = \"yes\", by = \"Anna\", at = 2026-11-21T20:00:00Z, note = \"OPS-12\" }\n\
                    status = true\nbanner = \"No\"\n";
        let json = r#"{"Are on-call and support told?": {"answer": true, "by": "Anna", "at": "2026-11-21T20:00:00Z", "note": "OPS-12"},
                       "status": "yes", "banner": false}"#;
        let of = |text, file| Answers::parse(text, file).expect("answers").answers;
        let answers = of(toml, "answers.toml");
        assert_eq!(answers, of(json, "answers.json"));
        assert_eq!((answers.len(), answers[TOLD].yes, answers["banner"].yes), (3, true, false));
        assert_eq!(answers[TOLD].by.as_deref(), Some("Anna"));
        assert_eq!(answers[TOLD].at.as_deref(), Some("2026-11-21T20:00:00Z"));
    }

    #[test]
    fn what_is_no_answer_is_refused_by_its_question() {
        let causes = |text, file| Answers::parse(text, file).expect_err("no answers").causes.join("; ");
        assert_eq!(
            causes("a = 1", "x"),
            "\"a\": 1 is no answer; answers are true, false, \"yes\" and \"no\""
        );
        assert_eq!(
            causes("a = { answer = true, who = \"b\" }", "x"),
            "\"a\": an answer has no \"who\"; it has `answer`, `by`, `at` and `note`"
        );
        assert_eq!(causes("a = { by = \"b\" }", "x"), "\"a\": `answer` is missing");
        assert_eq!(
            causes("a = { answer = true, by = \" \" }", "x"),
            "\"a\": `by` must be a string that says something"
        );
        assert!(causes("a = ", "x").contains("TOML parse error"), "{}", causes("a = ", "x"));
        assert!(causes("[1]", "x.JSON").contains("expected a map"), "{}", causes("[1]", "x.JSON"));
    }

    #[test]
    fn questions_are_found_by_their_words_or_by_their_lines() {
        let answers = Answers::parse("\"Are on-call and suport told?\" = true\nstatus = true", "a.toml")
            .expect("answers");
        assert!(answers.to("Is the status page up?", "status").is_some_and(|answer| answer.yes));
        let asked = [(TOLD, "told"), ("Is the status page up?", "status")];
        let refused = answers.expect_asked(&asked).expect_err("a stranger");
        assert_eq!(
            refused.causes,
            [
                "the runbook does not ask \"Are on-call and suport told?\"; did you mean \"Are on-call and support told?\"?"
            ]
        );
        assert_eq!(answers.to(TOLD, "told"), None);
    }
}
