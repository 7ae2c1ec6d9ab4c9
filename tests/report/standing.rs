//! How a run that did not end is said to stand: as `resume` would say it.

use backstay::failure::Failure;
use backstay::report::{Evidence, Kept, Report, page};

use crate::tales::{self, RUN};

fn verdict(evidence: &Evidence) -> (String, Option<u8>) {
    let outcome = Report::of(evidence).document()["outcome"].clone();
    let exit = outcome["exit"].as_u64().map(|exit| exit as u8);
    (outcome["verdict"].as_str().expect("a word").to_string(), exit)
}

#[test]
fn a_driver_that_died_is_followed_by_the_verdict_that_resume_gives() {
    // From the start of the last line on users may be back.
    assert_eq!(verdict(&tales::died_clearing()), ("interrupted".into(), Some(6)));
    let page = page(&Report::of(&tales::died_clearing()));
    assert!(page.contains("its end not known") && !page.contains("not over"), "{page}");
    // The way back has not ended before its record says so.
    assert_eq!(verdict(&tales::died_put_back()), ("interrupted_in_window".into(), Some(8)));
}

#[test]
fn a_flag_that_never_went_up_was_no_maintenance() {
    let refused = || Failure::refused("raise the flag").because_of("the folder is not writable");
    for started in [false, true] {
        let report = Report::of(&tales::not_raised(started, refused()));
        assert_eq!(report.window, None, "started: {started}");
        assert!(!page(&report).contains("Maintenance"));
    }
    // How it stands after this nobody knows: it may be up.
    let report = Report::of(&tales::not_raised(true, Failure::failed("raise the flag")));
    assert!(report.window.is_some());
    assert_eq!(Report::of(&tales::not_raised(false, Failure::failed("look"))).window, None);
}

#[test]
fn a_later_driver_found_it_done() {
    let page = page(&Report::of(&tales::found_done()));
    assert!(page.contains("its driver did not see it end; a later driver found it done"), "{page}");
}

#[test]
fn without_its_first_record_a_run_is_told_with_what_is_left() {
    let mut evidence = tales::found_done();
    evidence.records.remove(0);
    evidence.refused = true;
    evidence.damage = vec!["record 1 is missing".into()];
    evidence.environment = "the shop's own".into();
    let report = Report::of(&evidence);
    assert_eq!(report.began.expect("the id tells it").to_string(), "2026-11-21T02:00:00Z");
    assert_eq!(verdict(&evidence), ("interrupted_in_window".into(), Some(8)));
    let resume = format!(r"backstay resume {RUN} -e 'the shop'\''s own'");
    let last = report.next.last().expect("a step");
    assert!(last.starts_with("bring back the records below runs/") && last.ends_with(&resume), "{last}");
    let page = page(&report);
    assert!(!page.contains("<b>began</b>") && page.contains("<b>taken over</b>"), "{page}");
}

#[test]
fn what_could_not_be_read_is_not_told_as_not_there() {
    let mut evidence = tales::running();
    evidence.lease = Kept::Unreadable;
    assert_eq!(verdict(&evidence), ("unknown".into(), None));
    let report = Report::of(&evidence);
    assert!(!report.next.iter().any(|next| next.contains("resume")), "{:?}", report.next);
    // Its process is seen to be gone, whatever its last sign of life said.
    evidence.driver_gone = true;
    assert_eq!(verdict(&evidence), ("interrupted_in_window".into(), Some(8)));

    // Among the records that are lost may be the one that raised the flag.
    let mut evidence = tales::interrupted();
    assert_eq!(verdict(&evidence), ("interrupted".into(), Some(6)));
    // One that its writer left torn had no effect: the run can be resumed.
    evidence.damage = vec!["record 9 can't be understood".into()];
    assert_eq!(verdict(&evidence), ("interrupted".into(), Some(6)));
    evidence.refused = true;
    assert_eq!(verdict(&evidence), ("unknown".into(), None));
    assert_eq!(verdict(&Evidence::default()), ("unknown".into(), None));
}
