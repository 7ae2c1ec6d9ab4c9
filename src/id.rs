//! Ids of runs and backups: they sort by time, and two made in one second differ.

use jiff::Timestamp;

/// A fresh id such as `20261120t230205z-m7k3f`: UTC to the second, two characters for the millisecond, three at random.
///
/// Lower case and short, because it becomes a part of database names (63 bytes at most).
pub fn fresh(at: Timestamp) -> String {
    // In the order of ASCII, so that ids sort as their times do.
    const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
    let mut random = [0u8; 3];
    if getrandom::fill(&mut random).is_err() {
        // Without the system's randomness the process still tells two runs apart.
        random.copy_from_slice(&std::process::id().to_le_bytes()[..3]);
    }
    let milli = (at.subsec_nanosecond() / 1_000_000).unsigned_abs();
    let fraction = [(milli / 32) as u8, (milli % 32) as u8];
    let suffix: String =
        fraction.iter().chain(&random).map(|b| ALPHABET[usize::from(b % 32)] as char).collect();
    format!("{}-{suffix}", at.strftime("%Y%m%dt%H%M%Sz"))
}

/// The one of `ids` that `wanted` names: itself, the only one that starts so, or the `latest`.
///
/// # Errors
/// The candidates, newest first: none (no id starts so) or several.
pub fn pick<'a>(ids: &'a [String], wanted: &str) -> Result<&'a str, Vec<&'a str>> {
    if wanted == "latest" {
        return ids.iter().max().map(String::as_str).ok_or_else(Vec::new);
    }
    let mut found: Vec<&str> = ids.iter().map(String::as_str).filter(|id| id.starts_with(wanted)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    match found.as_slice() {
        [one] => Ok(one),
        _ if found.contains(&wanted) => Ok(ids.iter().find(|id| *id == wanted).map_or("", String::as_str)),
        _ => Err(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<String> = [0, 1, 31, 32, 33, 999, 1000]
            .map(|milli| fresh(Timestamp::from_millisecond(1_000_000_000_000 + milli).unwrap()))
            .into();
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(&ids[0][..19], "20010909t014640z-22");
        assert_eq!(ids[0].len(), 22);
    }

    #[test]
    fn prefixes_pick_one() {
        let ids = ["a1".to_string(), "a2".to_string(), "b1".to_string()];
        assert_eq!(pick(&ids, "b"), Ok("b1"));
        assert_eq!(pick(&ids, "a"), Err(vec!["a2", "a1"]));
        assert_eq!(pick(&ids, "latest"), Ok("b1"));
        assert_eq!(pick(&ids, "c"), Err(vec![]));
    }
}
