//! `step = "checklist"`: a person says that something which only a person can see to is done.

use serde_json::json;

use super::{Report, Site};
use crate::answers::Answer;
use crate::failure::Failure;
use crate::journal::Driver;

/// What must be typed for a yes.
const YES: &str = "yes";

/// Who answered, and how.
struct Given {
    answer: Answer,
    /// The file of answers; none, if it was typed.
    file: Option<String>,
    driver: Driver,
}

/// Has the one question of this line answered: by the answers that were given ahead, or by whoever is there. When that
/// was is the record's own time.
pub(super) async fn perform(asks: &[String], site: &mut Site<'_>) -> Result<Report, Failure> {
    let Some(ask) = asks.first() else { return Ok(Report::saying("nothing is asked")) };
    let name = site.outline.questions.get(&site.line).map(String::as_str).unwrap_or_default();
    let driver = Driver::this_process();
    let given = match site.answers.to(ask, name) {
        Some(answer) => Given { answer: answer.clone(), file: Some(site.answers.file.clone()), driver },
        None => {
            let yes = site.events.ask(site.line, ask.clone(), YES).await.ok_or_else(|| unanswered(ask))?;
            Given { answer: Answer { yes, ..Answer::default() }, file: None, driver }
        }
    };
    if !given.answer.yes {
        return Err(refused(ask, &given));
    }
    let Given { answer, file, driver } = &given;
    let facts = json!({
        "ask": ask, "answer": YES, "by": given.who(), "host": driver.machine.host, "driver": driver.user, "file": file,
        "at": answer.at, "note": answer.note,
    });
    Report::with(format!("{YES}, {}", given.words()), &facts)
}

impl Given {
    fn who(&self) -> &str {
        self.answer.by.as_deref().unwrap_or(&self.driver.user)
    }

    /// `by Anna (answers.toml): OPS-12`
    fn words(&self) -> String {
        let place = self.file.as_ref().map(|file| format!(" ({file})")).unwrap_or_default();
        let at = self.answer.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        let note = self.answer.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        format!("by {}{at}{place}{note}", self.who())
    }
}

fn refused(ask: &str, given: &Given) -> Failure {
    Failure::refused(format!("get a yes to: {ask}"))
        .because_of(format!("the answer was no, {}", given.words()))
}

fn unanswered(ask: &str) -> Failure {
    Failure::refused(format!("get a yes to: {ask}"))
        .because_of("nobody answered")
        .then("run it again in a terminal, or give the answer by --answers FILE")
}
