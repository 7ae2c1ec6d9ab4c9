//! The `\restrict` lines of newer dumps.

/// A plain dump without its `\restrict KEY` and `\unrestrict KEY` lines.
///
/// `pg_dump` prints them since 13.22, 14.19, 15.14, 16.10 and 17.6 (CVE-2025-8714), with a key that is new each
/// time: two dumps of one database differ by it, and an older `psql` refuses the commands. Only the pair that
/// opens and closes the dump goes; the same words in a function's body or in `COPY` data stay.
pub fn strip_restrict(dump: &str) -> String {
    let Some(key) = opening_key(dump) else { return dump.to_string() };
    let (opening, closing) = (format!("\\restrict {key}"), format!("\\unrestrict {key}"));
    let mut opened = false;
    let mut out = String::with_capacity(dump.len());
    for line in dump.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\n', '\r']);
        if bare == closing || (!opened && bare == opening) {
            opened = true;
        } else {
            out.push_str(line);
        }
    }
    out
}

/// The key of a `\restrict` that comes before everything but comments.
fn opening_key(dump: &str) -> Option<&str> {
    let first = dump.lines().find(|line| !line.trim().is_empty() && !line.starts_with("--"))?;
    first.strip_prefix("\\restrict ").map(str::trim_end).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_goes_and_nothing_else() {
        let dump = "--\n-- PostgreSQL database dump\n--\n\n\\restrict Abc123\n\nCREATE TABLE t ();\n\
                    COPY t FROM stdin;\n\\restrict Abc123\n\\unrestrict other\n\\.\n\n\\unrestrict Abc123\n\n";
        let expected = "--\n-- PostgreSQL database dump\n--\n\n\nCREATE TABLE t ();\n\
                        COPY t FROM stdin;\n\\restrict Abc123\n\\unrestrict other\n\\.\n\n\n";
        assert_eq!(strip_restrict(dump), expected);
    }

    #[test]
    fn dumps_of_older_programs_stay_as_they_are() {
        let dump = "-- x\n\nSELECT 1;\n\\restrict Abc123\n";
        assert_eq!(strip_restrict(dump), dump);
        assert_eq!(strip_restrict(""), "");
    }
}
