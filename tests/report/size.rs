//! A page stays small whatever was printed, found or written, and says what it left out.

use backstay::event::Phase;
use backstay::report::{Report, page};
use serde_json::Value;

use crate::tales::{self, Tale, cards, line};

const MOST: usize = 2_000_000;

#[test]
fn two_thousand_steps_stay_below_two_megabytes() {
    let text = page(&Report::of(&tales::long()));
    assert!(text.len() < MOST, "{} bytes", text.len());
    assert!(
        text.contains("load part 1999 of the catalogue") && text.contains("stand in the run's log alone")
    );
}

#[test]
fn nothing_that_others_write_makes_a_page_large() {
    let text = page(&Report::of(&tales::boundless()));
    assert!(text.len() < MOST, "{} bytes", text.len());
    for there in ["part 1999", "further bytes are in preview.sql", "further lines: the two schemas"] {
        assert!(text.contains(there), "no {there:?}");
    }
}

fn previewed(sql: String) -> usize {
    let mut evidence = tales::good();
    evidence.preview = Some(sql);
    page(&Report::of(&evidence)).len()
}

#[test]
fn sql_of_numbers_does_not_become_ten_times_as_long() {
    let values: String = (0..80_000).map(|n| format!("{},", n % 10)).collect();
    let one_row = previewed(format!("INSERT INTO t VALUES ({values}1);\n"));
    assert!(one_row < 200_000, "{one_row} bytes");
    let rows = previewed("INSERT INTO t VALUES (1,2,3,'it''s <here> & \"there\"');\n".repeat(5_000));
    assert!(rows < 900_000, "{rows} bytes");
}

#[test]
fn the_line_in_which_a_driver_died_is_drawn_among_many() {
    let names: Vec<String> = (0..80).map(|n| format!("part {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tale = Tale::begin(cards(Phase::Before, &names, 1));
    tale.done(line(1), names[0], 90, "done", Value::Null).start(line(2), names[1]).wait(400);
    tale.take_over().done(line(2), names[1], 9, "done", Value::Null).start(line(3), names[2]).wait(700);
    tale.evidence.driver_gone = true;
    let text = page(&Report::of(&tale.told()));
    assert!(text.contains("<path class=\"bar none\" d=\"M"), "{text}");
}

#[test]
fn what_was_left_out_of_an_output_is_no_row_of_it() {
    let document = Report::of(&tales::long()).document();
    let lines = document["lines"].as_array().expect("lines");
    let cut = lines.iter().find(|line| line["output_left_out"] != 0).expect("one that was cut");
    let rows = cut["output"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row.as_str().expect("a text").starts_with("COPY ")), "{rows:#?}");
    let gap = cut["output_gap_at"].as_u64().expect("where they are missing") as usize;
    assert!(
        gap <= rows.len() && rows.len() as u64 + cut["output_left_out"].as_u64().expect("a number") == 30
    );
    let whole = Report::of(&tales::good()).document();
    assert!(whole["lines"].as_array().expect("lines").iter().all(|line| line["output_gap_at"].is_null()));
}
