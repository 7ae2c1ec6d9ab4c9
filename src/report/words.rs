//! Times and durations as the page writes them. **Pure.**

use std::time::Duration;

use jiff::Timestamp;

use crate::time::show_duration;

/// `2026-11-21 03:06:06 UTC`
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `03:06:06`
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// `40 ms`, `1.6 s`, `3 m 05 s`: short work is told in the unit in which it differs.
pub(super) fn took(millis: u64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { show_duration(Duration::from_millis(millis)) }
}

/// `1,234,567`
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_told() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(number), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1_000, 61_000].map(took), ["0 ms", "999 ms", "1.0 s", "1 m 01 s"]);
    }
}
