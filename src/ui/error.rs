//! A failure of a command that has no checklist, as text for standard error or as a JSON document:
//! **pure**.

use serde_json::json;

use super::foreign::clean_failure;
use super::layout::hang;
use super::look::{Ink, Look};
use crate::failure::{Failure, Verdict};

/// The failure as a text of several lines:
///
/// ```text
/// error: could not connect to shop on 127.0.0.1:5432
///   because: password authentication failed for user "shop" (28P01)
///   now: nothing was changed
///   next: check DATABASE_URL in .env.production
/// ```
pub fn tell(failure: &Failure, look: Look) -> String {
    let failure = clean_failure(failure);
    let mut rows = entry(look.paint(Ink::Bad, "error:"), &format!("could not {}", failure.what), look);
    let because = failure.causes.iter().map(|text| ("because:", text));
    let now = failure.state.iter().map(|text| ("now:", text));
    let next = failure.next.iter().map(|text| ("next:", text));
    for (lead, text) in because.chain(now).chain(next) {
        rows.extend(entry(format!("  {}", look.paint(Ink::Strong, lead)), text, look));
    }
    look.last_pass(&rows.join("\n"))
}

/// The failure as the one JSON document of a command that failed: `error` with its parts, and the members
/// of a run's last object, so that whoever reads one of them need not know whether a run was begun.
pub fn document(failure: &Failure, verdict: Verdict) -> String {
    let error = json!({
        "kind": failure.kind,
        "what": failure.what,
        "causes": failure.causes,
        "state": failure.state,
        "next": failure.next,
    });
    super::json::document(json!({
        "cause": error,
        "error": error,
        "verdict": verdict,
        "exit": verdict.exit_code(),
        "run": null,
        "production": verdict.production(),
        "next": failure.next,
    }))
}

fn entry(lead: String, text: &str, look: Look) -> Vec<String> {
    let rows = hang(&format!("{lead} "), text, look.width);
    rows.iter().map(|row| row.trim_end().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure::refused("connect to shop on 127.0.0.1:5432")
            .because_of("password authentication failed for user \"shop\" (28P01)")
            .leaving("nothing was changed")
            .then("check DATABASE_URL in .env.production")
    }

    #[test]
    fn a_failure_reads_from_what_to_next() {
        assert_eq!(
            tell(&failure(), Look::BARE),
            "error: could not connect to shop on 127.0.0.1:5432\n\
             \x20 because: password authentication failed for user \"shop\" (28P01)\n\
             \x20 now: nothing was changed\n\
             \x20 next: check DATABASE_URL in .env.production"
        );
    }

    #[test]
    fn it_is_wrapped_and_a_caret_stays_in_its_place() {
        let failure =
            Failure::failed("run 1.sql").because_of("LINE 1: SELEC 1\n        ^").then("one two three");
        assert_eq!(
            tell(&failure, Look { width: 16, ..Look::BARE }),
            "error: could not\n       run 1.sql\n  because: LINE 1: SELEC 1\n                   ^\n  next: one two\n        three"
        );
    }

    #[test]
    fn neither_secrets_nor_sequences_leave() {
        crate::redact::register("hunter2-error");
        let failure = Failure::failed("x \u{1b}]0;t\u{7}y hunter2-error");
        assert_eq!(tell(&failure, Look::BARE), "error: could not x y ***");
        assert!(!document(&failure, Verdict::Refused).contains("hunter2-error"));
    }

    #[test]
    fn the_document_says_what_production_is() {
        let text = document(&failure(), Verdict::Refused);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&value["verdict"], &value["exit"]), (&"refused".into(), &3.into()));
        assert_eq!(value["production"], "untouched");
        assert_eq!(value["error"]["state"], "nothing was changed");
    }
}
