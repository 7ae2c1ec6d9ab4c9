//! Windows in the ordinary, where the clock is set forward and back, and what is refused.

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a time zone")
}

fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn weekly(days: &[Weekday], from: &str, to: &str) -> Weekly {
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':').expect("a time");
        hour.parse::<u16>().expect("hours") * 60 + minute.parse::<u16>().expect("minutes")
    };
    Weekly { days: days.to_vec(), from: minutes(from), to: minutes(to) }
}

fn daily(name: &str, from: &str, to: &str) -> Schedule {
    let days: Vec<Weekday> = words::DAYS.iter().map(|(_, _, day)| *day).collect();
    Schedule { zone: zone(name), windows: vec![weekly(&days, from, to)], freezes: Vec::new() }
}

/// The windows that begin between two instants, as `from until` in UTC.
fn windows(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
    let sought = Span { from: instant(from), until: instant(until) };
    let show = |at: Timestamp| at.strftime("%d %H:%M").to_string();
    schedule.spans(sought).iter().map(|span| format!("{} to {}", show(span.from), show(span.until))).collect()
}

const SECOND: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn a_window_past_midnight_belongs_to_the_day_on_which_it_begins() {
    let schedule = Schedule {
        windows: vec![weekly(&[Weekday::Tuesday, Weekday::Thursday], "22:00", "02:00")],
        ..daily("Europe/Berlin", "00:00", "24:00")
    };
    // 24 November 2026 is a Tuesday; Berlin is an hour ahead.
    let found = windows(&schedule, "2026-11-23T12:00:00Z", "2026-11-28T12:00:00Z");
    assert_eq!(found, ["24 21:00 to 25 01:00", "26 21:00 to 27 01:00"]);
    let admit = |at| schedule.admit(instant(at), SECOND(60));
    assert_eq!(admit("2026-11-25T00:30:00Z"), Ok(Some(instant("2026-11-25T01:00:00Z"))));
    assert_eq!(admit("2026-11-24T21:00:00Z"), Ok(Some(instant("2026-11-25T01:00:00Z"))), "on the dot");
    let refused = admit("2026-11-25T01:00:00Z").expect_err("over");
    assert_eq!(
        (refused.why, refused.next.map(|span| span.from)),
        (Why::Closed, Some(instant("2026-11-26T21:00:00Z")))
    );
}

#[test]
fn the_clock_is_set_forward() {
    // Berlin, 29 March 2026: 02:00 CET (01:00Z) is 03:00 CEST.
    let of =
        |from, to| windows(&daily("Europe/Berlin", from, to), "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(of("22:00", "06:00"), ["28 21:00 to 29 04:00"], "an hour shorter");
    assert_eq!(of("02:30", "04:00"), ["29 01:00 to 29 02:00"], "from when the clock goes past 02:30");
    assert_eq!(of("01:00", "02:30"), ["29 00:00 to 29 01:00"], "to when the clock goes past 02:30");
    assert_eq!(of("02:15", "02:45"), [""; 0], "a time that does not come");
    assert_eq!(of("03:00", "04:00"), ["29 01:00 to 29 02:00"]);
}

#[test]
fn the_clock_is_set_back() {
    // Berlin, 25 October 2026: 03:00 CEST (01:00Z) is 02:00 CET.
    let of =
        |from, to| windows(&daily("Europe/Berlin", from, to), "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
    assert_eq!(of("22:00", "06:00"), ["24 20:00 to 25 05:00"], "an hour longer");
    assert_eq!(of("02:30", "03:30"), ["25 01:30 to 25 02:30"], "from the second 02:30");
    assert_eq!(of("01:00", "02:30"), ["24 23:00 to 25 00:30"], "to the first 02:30");
    assert_eq!(of("02:15", "02:45"), ["25 01:15 to 25 01:45"], "both the second");
    assert_eq!(of("03:00", "04:00"), ["25 02:00 to 25 03:00"]);
}

#[test]
fn no_window_is_longer_than_it_is_written_but_over_the_whole_fold() {
    // Every quarter of an hour, every length up to two hours, in a week in which the clock changes.
    for (from, until) in
        [("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z"), ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z")]
    {
        for start in (0..DAY).step_by(15) {
            for length in (15..=120).step_by(15) {
                let days: Vec<Weekday> = words::DAYS.iter().map(|(_, _, day)| *day).collect();
                let to = (start + length) % DAY;
                let window = Weekly { days, from: start, to: if to == 0 { DAY } else { to } };
                let schedule = Schedule { windows: vec![window], ..daily("Europe/Berlin", "00:00", "24:00") };
                for span in schedule.spans(Span { from: instant(from), until: instant(until) }) {
                    let lasts = between(span.from, span.until).as_secs() / 60;
                    let folded = u64::from(length) + 60;
                    assert!(lasts <= u64::from(length) || lasts == folded, "{start} {length} {lasts}");
                    assert!(span.from < span.until);
                }
            }
        }
    }
}

#[test]
fn a_day_that_a_country_leaves_out_has_no_window() {
    // Samoa went from 29 to 31 December 2011.
    let schedule = daily("Pacific/Apia", "10:00", "12:00");
    let found = windows(&schedule, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(found, ["29 20:00 to 29 22:00", "30 20:00 to 30 22:00", "31 20:00 to 31 22:00"]);
}

#[test]
fn a_freeze_is_cut_out_and_named() {
    let date = |text: &str| text.parse::<DateTime>().expect("a date");
    let freeze =
        Freeze { from: date("2026-12-18"), to: date("2027-01-07"), why: Some("Christmas trade".into()) };
    let schedule = Schedule { freezes: vec![freeze], ..daily("Europe/Berlin", "22:00", "02:00") };
    // The window of the 17th is cut off at midnight.
    let found = windows(&schedule, "2026-12-17T12:00:00Z", "2027-01-08T00:00:00Z");
    assert_eq!(found, ["17 21:00 to 17 23:00", "06 23:00 to 07 01:00", "07 21:00 to 08 01:00"]);
    let refused = schedule.admit(instant("2026-12-24T21:30:00Z"), SECOND(60)).expect_err("frozen");
    let said = schedule.show_why(&refused, instant("2026-12-24T21:30:00Z"), SECOND(60));
    assert_eq!(said, "nothing is released until Thu 7 Jan 2027 00:00 (Christmas trade)");
    assert_eq!(refused.next.map(|span| span.from), Some(instant("2027-01-06T23:00:00Z")));
    let always = Schedule { windows: Vec::new(), ..schedule };
    assert_eq!(
        always.admit(instant("2026-12-17T21:30:00Z"), SECOND(60)),
        Ok(Some(instant("2026-12-17T23:00:00Z")))
    );
    assert_eq!(always.admit(instant("2027-02-01T00:00:00Z"), SECOND(60)), Ok(None), "no end in sight");
}

#[test]
fn what_does_not_fit_waits_for_a_window_that_is_long_enough() {
    let mut schedule = daily("UTC", "22:00", "22:30");
    schedule.windows.push(weekly(&[Weekday::Sunday], "06:00", "12:00"));
    let now = instant("2026-11-24T22:20:00Z");
    let refused = schedule.admit(now, SECOND(20 * 60)).expect_err("too short");
    assert_eq!(refused.why, Why::TooShort { until: instant("2026-11-24T22:30:00Z") });
    assert_eq!(refused.next.map(|span| span.from), Some(instant("2026-11-25T22:00:00Z")));
    assert_eq!(
        schedule.show_why(&refused, now, SECOND(20 * 60)),
        "the window closes Tue 24 Nov 2026 22:30 UTC, in 10 m 00 s, and this may take 20 m 00 s"
    );
    let long = schedule.admit(now, SECOND(3600)).expect_err("too short");
    assert_eq!(long.next.map(|span| span.from), Some(instant("2026-11-29T06:00:00Z")));
    let longest = schedule.admit(now, SECOND(8 * 3600)).expect_err("too short");
    assert_eq!(longest.next, None);
    assert_eq!(schedule.show_next(longest.next, now), "no window of the next 400 days is long enough");
    assert_eq!(schedule.admit(now, SECOND(600)), Ok(Some(instant("2026-11-24T22:30:00Z"))), "it just fits");
}

#[test]
fn windows_that_meet_are_one() {
    let schedule = daily("Europe/Berlin", "00:00", "24:00");
    assert_eq!(schedule.admit(instant("2026-11-24T22:20:00Z"), SECOND(7 * 86_400)), Ok(None));
    assert_eq!(schedule.to_string(), "daily 00:00-24:00 (Europe/Berlin)");
    let mut some = daily("UTC", "22:00", "02:00");
    some.windows[0].days = vec![Weekday::Sunday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday];
    assert_eq!(some.to_string(), "tue-thu sun 22:00-02:00 (UTC)");
}
