//! Durations as people write them, and the clock as the journal writes it.

use std::time::Duration;

/// Reads a duration such as `500ms`, `30s`, `15m`, `1h30m` or `2d`.
///
/// # Errors
/// What is wrong with the text and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let wrong = || format!("{text:?} is no duration; write it like 500ms, 30s, 15m, 1h30m or 2d");
    let mut rest = text.trim();
    let mut millis = 0u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?.1;
        millis = number.checked_mul(unit).and_then(|n| millis.checked_add(n)).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    Ok(Duration::from_millis(millis))
}

/// A duration for a person: `0.4 s`, `12 s`, `3 m 05 s`, `2 h 10 m`. To the nearest second, so that what took a bound's
/// time is not told as less than the bound.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.saturating_add(Duration::from_millis(500)).as_secs();
    match seconds {
        _ if duration < Duration::from_millis(9_950) => format!("{:.1} s", duration.as_secs_f64()),
        ..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// An age for a person, to whole units: `12 s`, `3 m`, `7 h`, `12 d`.
pub fn show_age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Now, in UTC, to the millisecond (what the journal can hold).
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// How long it is from `from` to `to`; zero if the clock went backwards.
pub fn between(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::from_millis((to.as_millisecond() - from.as_millisecond()).max(0) as u64)
}

/// Bytes for a person: `812 B`, `1.4 GB` (powers of 1000, as disks are sold and `pg_size_pretty` is not).
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        let told = |seconds| show_age(Duration::from_secs(seconds));
        let ages = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(told);
        assert_eq!(ages, ["0 s", "59 s", "1 m", "59 m", "1 h", "47 h", "2 d"]);
    }

    #[test]
    fn durations_are_read() {
        for (text, millis) in
            [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused() {
        for text in ["", "15", "m", "15 m", "-1s", "1y", "99999999999999999999s", "1.5h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown() {
        for (millis, text) in [
            (40, "0.0 s"),
            (9_400, "9.4 s"),
            (9_960, "10 s"),
            (59_400, "59 s"),
            (59_970, "1 m 00 s"),
            (185_000, "3 m 05 s"),
            (7_800_000, "2 h 10 m"),
        ] {
            assert_eq!(show_duration(Duration::from_millis(millis)), text);
        }
    }
}
