//! The page as text, and the document.

use backstay::report::{Evidence, Kept, Report, page};

use crate::common::schema::Validator;
use crate::tales;

fn told(evidence: &Evidence) -> String {
    page(&Report::of(evidence))
}

/// The page without its style sheet, which is held by looks and by the browser.
fn body(evidence: &Evidence) -> String {
    let page = told(evidence);
    let (head, rest) = page.split_once("<style>").expect("a style sheet");
    let (_, body) = rest.split_once("</style>").expect("its end");
    format!("{head}<style>…</style>{body}").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn a_release_that_went_well() {
    insta::assert_snapshot!(body(&tales::good()));
}

#[test]
fn one_that_failed_and_was_put_back() {
    insta::assert_snapshot!(body(&tales::put_back()));
}

#[test]
fn one_that_failed_and_was_not_put_back_shows_both_causes() {
    let report = Report::of(&tales::not_put_back());
    let first = report.first_cause.as_ref().expect("a first cause");
    assert_eq!(first.line, Some(("13".into(), "health".into())));
    assert!(report.put_back_cause.as_ref().is_some_and(|c| c.failure.what.starts_with("end all sessions")));
    assert_eq!(report.next[0], "as a superuser: SELECT pg_terminate_backend(8812);");
    insta::assert_snapshot!(body(&tales::not_put_back()));
}

#[test]
fn one_that_goes_on_and_one_that_stopped() {
    let running = Report::of(&tales::running());
    assert_eq!((running.outcome.verdict.word(), running.outcome.exit), ("running", None));
    assert!(running.outcome.production.starts_with("Production is in maintenance"));
    // Its driver was not heard for long: then nobody drives it, as far as the page can tell.
    let mut silent = tales::running();
    silent.at += jiff::SignedDuration::from_mins(5);
    let silent = Report::of(&silent).outcome;
    assert_eq!((silent.verdict.word(), silent.exit), ("interrupted_in_window", Some(8)));
    let before = Report::of(&tales::interrupted());
    assert_eq!((before.outcome.verdict.word(), before.outcome.exit), ("interrupted", Some(6)));
    assert!(before.next.iter().any(|next| next.starts_with("backstay resume")));
    let stopped = Report::of(&tales::stopped());
    assert_eq!(stopped.outcome.headline, "Stopped, and production was put back.");
    assert_eq!(stopped.first_cause.expect("what stopped it").failure.kind, tales::STOPPED);
}

#[test]
fn what_is_left_of_a_damaged_run_is_told() {
    let page = body(&tales::damaged());
    for text in
        ["Not all of this run could be read", "record 2 is missing", "clone the guard", "c08085465bad"]
    {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    let nothing =
        Evidence { run: "x".into(), damage: vec!["record 1 is torn".into()], ..Evidence::default() };
    assert!(body(&nothing).contains("Nobody can say how this run stands."));
}

#[test]
fn no_text_of_others_becomes_markup() {
    let page = body(&tales::hostile());
    assert_eq!(page.matches("<script").count() + page.matches("<img").count(), 0, "{page}");
    assert!(!page.contains(" onerror=\"") && !page.contains("onload='"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'), "{page}");
    // It was there, in every place.
    assert!(page.matches("&lt;script&gt;window.hacked=1&lt;/script&gt;").count() > 25, "{page}");
    // Every quote of ours is closed by one of ours: an attribute holds no angle bracket.
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().expect("its end");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
}

#[test]
fn no_secret_is_shown() {
    const SECRET: &str = "hunter2-of-the-report";
    backstay::redact::register(SECRET);
    let mut evidence = tales::good();
    evidence.preview = Some(format!("ALTER ROLE shop PASSWORD '{SECRET}'; -- {SECRET}"));
    evidence.schema_after = Kept::There(format!("CREATE TABLE x;\n-- {SECRET}"));
    evidence.damage = vec![format!("{SECRET} can't be read")];
    let log = evidence.log.get_or_insert_default();
    log.push_str(&format!("2026-11-21T02:00:01.000Z 12 | token {SECRET}\n"));
    let report = Report::of(&evidence);
    let text = page(&report);
    assert!(!text.contains(SECRET), "{text}");
    // Each place where it stood is there, without it.
    for place in
        ["PASSWORD <span class=\"s\">&#39;***&#39;", "-- ***</span>", "token ***", "*** can&#39;t be read"]
    {
        assert!(text.contains(place), "no {place:?} in\n{text}");
    }
    assert!(!backstay::ui::json::document(report.document()).contains(SECRET));
}

#[test]
fn programs_get_the_same() {
    let document = Report::of(&tales::put_back()).document();
    assert_eq!(document["outcome"]["verdict"], "put_back");
    assert_eq!(document["first_cause"]["line"][1], "health");
    assert_eq!(document["lines"][1]["tries"][0]["end"], "done");
    assert_eq!(document["backups"][0]["restore_millis"], 72_140);
    assert_eq!(document["schema"]["schema"], "unknown");
    let names: Vec<&String> = document.as_object().expect("an object").keys().collect();
    insta::assert_debug_snapshot!(names);
}

#[test]
fn every_document_is_as_its_schema_says() {
    let schema = Validator::of_command("report");
    for evidence in [
        tales::good(),
        tales::put_back(),
        tales::not_put_back(),
        tales::rolled_back(),
        tales::running(),
        tales::stopped(),
        tales::found_done(),
        tales::damaged(),
        tales::hostile(),
        tales::long(),
    ] {
        schema.holds(&Report::of(&evidence).document());
    }
}
