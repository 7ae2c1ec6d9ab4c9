//! `[schedule]`: when a window may be open.

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::document::{Finding, Moment, Read, Table, Value, spell_out};
use crate::nearest::nearest;
use crate::schedule::{DAY, DAYS, Freeze, Schedule, Weekly};

const TIMES: &str = "write times = \"22:00-02:00\", or a list of such";

/// `[schedule]`; nothing, if it says nothing.
pub(super) fn schedule(value: Value<'_>) -> Read<Option<Schedule>> {
    value.table(|table| {
        let zone = table.take("time_zone", time_zone);
        let own = weekly(table);
        let also = table.each("also", |value| value.table(weekly));
        let freezes = table.each("freezes", freeze);
        let mut windows = own?;
        windows.extend(also?.into_iter().flatten());
        let (zone, freezes) = (zone?, freezes?);
        match zone {
            None if windows.is_empty() && freezes.is_empty() => Ok(None),
            None => {
                let finding = Finding::new("`time_zone` is missing in `schedule`").label("by whose clock?");
                Err(table.wrong(finding.help("write time_zone = \"Europe/Berlin\", or \"UTC\"")))
            }
            Some(zone) => Ok(Some(Schedule { zone, windows, freezes })),
        }
    })
}

/// The windows that `days` and `times` make; none, if neither is said.
fn weekly(table: &mut Table<'_>) -> Read<Vec<Weekly>> {
    let days = table.take("days", |value| one_or_more(value, "a list of days", days));
    let times = table.take("times", |value| one_or_more(value, "a list of times", times));
    let (days, times) = (days?, times?);
    if days.is_none() && times.is_none() {
        return Ok(Vec::new());
    }
    let every_day = || DAYS.iter().map(|(_, _, day)| *day).collect();
    let days: Vec<Weekday> = days.map_or_else(every_day, |days| days.into_iter().flatten().collect());
    let times = times.unwrap_or_else(|| vec![(0, DAY)]);
    Ok(times.into_iter().map(|(from, to)| Weekly { days: days.clone(), from, to }).collect())
}

fn one_or_more<'a, T>(value: Value<'a>, of: &str, read: impl Fn(Value<'a>) -> Read<T>) -> Read<Vec<T>> {
    if value.node().as_text().is_some() {
        return read(value).map(|one| vec![one]);
    }
    let many = value.clone().list(of, read)?;
    if many.is_empty() {
        let finding = Finding::new(format!("`{}` is empty: no window would ever open", value.key()));
        return Err(value.wrong(finding.label("nothing here").help("leave the key out for all of them")));
    }
    Ok(many)
}

/// The system's time zone of that name, or ours where the system has none.
fn time_zone(value: Value<'_>) -> Read<TimeZone> {
    let name = value.clone().line()?;
    let bundled = TimeZoneDatabase::bundled();
    jiff::tz::db().get(&name).or_else(|_| bundled.get(&name)).map_err(|_| {
        let names: Vec<String> = bundled.available().map(|name| name.to_string()).collect();
        let label = match nearest(&name, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => "none is called so".into(),
        };
        let finding = Finding::new(format!("there is no time zone `{name}`")).label(label);
        value.wrong(
            finding.help("write it as the IANA has it: \"Europe/Berlin\", \"America/New_York\", \"UTC\""),
        )
    })
}

/// A day, or a range of them: `mon`, `tue-thu`, `fri-mon`.
fn days(value: Value<'_>) -> Read<Vec<Weekday>> {
    let text = value.clone().line()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let place = |word: &str| {
        let word = word.trim().to_lowercase();
        DAYS.iter().position(|(short, long, _)| word == *short || word == *long)
    };
    let (Some(first), Some(last)) = (place(first), place(last)) else {
        let finding = Finding::new(format!("`{text}` is no day")).label("this one");
        let names = DAYS.map(|(short, _, _)| short);
        return Err(
            value.wrong(finding.help(format!("days are {}, and ranges: \"mon-thu\"", spell_out(&names))))
        );
    };
    let count = (last + DAYS.len() - first) % DAYS.len() + 1;
    Ok(DAYS.iter().cycle().skip(first).take(count).map(|(_, _, day)| *day).collect())
}

/// `22:00-02:00`, in minutes after midnight.
fn times(value: Value<'_>) -> Read<(u16, u16)> {
    let text = value.clone().line()?;
    let wrong = |label: &str| {
        value.wrong(
            Finding::new(format!("`{text}` is no time to be open")).label(label.to_string()).help(TIMES),
        )
    };
    let (from, to) = text.split_once('-').ok_or_else(|| wrong("from when to when?"))?;
    match (clock(from.trim()), clock(to.trim())) {
        (Some(from), Some(to)) if from == to => {
            Err(wrong("this is no time at all; a whole day is 00:00-24:00"))
        }
        (Some(DAY), _) => Err(wrong("a day begins at 00:00")),
        (Some(from), Some(to)) => Ok((from, to)),
        _ => Err(wrong("hours and minutes, as 22:00")),
    }
}

fn clock(text: &str) -> Option<u16> {
    let (hour, minute) =
        text.split_once(':').filter(|(hour, minute)| hour.len() <= 2 && minute.len() == 2)?;
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?;
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute).filter(|minutes| *minutes <= DAY)
}

/// One of `freezes`. A day is meant whole, as the last one too.
fn freeze(value: Value<'_>) -> Read<Freeze> {
    value.table(|table| {
        let from = table.require("from", "from = 2026-12-18", Value::moment);
        let to = table.take("to", Value::moment);
        let why = table.take("why", Value::line);
        let (from, to, why) = (from?, to?, why?);
        let begins = match from {
            Moment::Day(day) => day.to_datetime(Time::midnight()),
            Moment::Time(time) => time,
        };
        let ends = match to.unwrap_or(from) {
            Moment::Day(day) => day.tomorrow().unwrap_or(day).to_datetime(Time::midnight()),
            Moment::Time(time) => time,
        };
        if ends <= begins {
            let finding = Finding::new("this freeze ends before it begins").label("here");
            return Err(
                table.wrong(finding.help("write from and to; a `to` that is a day is meant to its end"))
            );
        }
        Ok(Freeze { from: begins, to: ends, why })
    })
}
