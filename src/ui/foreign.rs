//! Foreign text made safe to show: the output of commands, the words of servers, names of tables.
//!
//! Whoever writes them could move the cursor, set the terminal's title, or turn the reading order
//! round so that a person approves something else than what will run. Every text that comes with an
//! event passes here once, before it is measured, wrapped or cut: a secret that was cut in two would
//! no longer be known by its value.

use crate::failure::Failure;
use crate::redact::redact;

/// `text` without escape sequences, control characters and secrets. Line ends stay (`\r` becomes one,
/// as progress meters use it), tabs become four spaces, any other control character is spelt out as
/// `\u{7}`; nothing that could be read is dropped.
pub(crate) fn clean(text: &str) -> String {
    // Masked on both sides: colours inside a secret hide it from the first pass, and a secret that
    // holds control characters is gone from the second.
    redact(&strip(&redact(text))).into_owned()
}

/// [`clean`], as one line.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split('\n').map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

/// [`clean`] on every text of a failure.
pub(super) fn clean_failure(failure: &Failure) -> Failure {
    let all = |texts: &[String]| texts.iter().map(|t| clean(t)).collect();
    Failure {
        kind: failure.kind,
        what: clean(&failure.what),
        causes: all(&failure.causes),
        state: failure.state.as_deref().map(clean),
        next: all(&failure.next),
    }
}

fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' => after_escape(after),
            '\u{9b}' => after_control_sequence(after),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => after_string(after),
            _ => {
                push_safe(&mut out, c, after);
                after
            }
        };
    }
    out
}

/// What follows an escape sequence, its `ESC` being read already (ECMA-48, 5.3 and 5.4).
fn after_escape(rest: &str) -> &str {
    let mut chars = rest.chars();
    match chars.next() {
        Some('[') => after_control_sequence(chars.as_str()),
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(chars.as_str()),
        Some(' '..='/') => {
            let rest = chars.as_str().trim_start_matches(|c| (' '..='/').contains(&c));
            rest.strip_prefix(|c: char| ('0'..='~').contains(&c)).unwrap_or(rest)
        }
        Some('0'..='~') => chars.as_str(),
        _ => rest,
    }
}

fn after_control_sequence(rest: &str) -> &str {
    let end = rest.trim_start_matches(|c| (' '..='?').contains(&c));
    // Without its final byte it is no sequence; the text that follows must not vanish with it.
    end.strip_prefix(|c: char| ('@'..='~').contains(&c)).unwrap_or(rest)
}

/// What follows a string (a title, a hyperlink). One that does not end hides nothing: it is shown.
fn after_string(rest: &str) -> &str {
    for (at, c) in rest.char_indices() {
        match c {
            '\u{7}' | '\u{9c}' => return &rest[at + c.len_utf8()..],
            '\u{1b}' if rest[at + 1..].starts_with('\\') => return &rest[at + 2..],
            '\u{1b}' | '\n' | '\r' => return rest,
            _ => {}
        }
    }
    rest
}

fn push_safe(out: &mut String, c: char, after: &str) {
    match c {
        '\r' if after.starts_with('\n') => {}
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
        '\t' => out.push_str("    "),
        c if c.is_control() || reorders(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}

/// Characters that change the reading order of what stands around them (Unicode Annex 9).
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_vanish_and_text_stays() {
        for (raw, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hgone", "gone"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{1b}Pq#0\u{1b}\\b", "ab"),
            ("a\u{9b}31mb\u{9d}0;t\u{9c}c", "abc"),
            ("a\u{1b}(Bb\u{1b}7c\u{1b}cd", "abcd"),
            ("naïve 表 ok", "naïve 表 ok"),
            ("tab\there", "tab    here"),
            ("one\r\ntwo\rthree\nfour", "one\ntwo\nthree\nfour"),
        ] {
            assert_eq!(strip(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_broken_sequence_is_spelt_out() {
        for (raw, shown) in [
            ("a\u{1b}]0;never ends", "a0;never ends"),
            ("a\u{1b}]0;one\nDROP TABLE", "a0;one\nDROP TABLE"),
            ("a\u{1b}[31", "a31"),
            ("a\u{1b}", "a"),
            ("a\u{1b}\u{1b}[1mb", "ab"),
            ("bell\u{7} del\u{7f} back\u{8}", "bell\\u{7} del\\u{7f} back\\u{8}"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(strip(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        // Every pair of interesting characters, so that no sequence can be glued together from the
        // remains of others.
        let pieces = ["\u{1b}", "[", "]", "0", ";", "m", "\\", "\u{7}", "\u{9b}", "\u{9d}", "\n", "\r", "x"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        let out = strip(&format!("{a}{b}{c}{d}"));
                        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{a:?}{b:?}{c:?}{d:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_secret_does_not_hide_behind_colours() {
        crate::redact::register("hunter2-foreign");
        assert_eq!(clean("x hunter2-\u{1b}[1mforeign\u{1b}[0m y"), "x *** y");
    }

    #[test]
    fn one_line_joins() {
        assert_eq!(one_line(" a \n\n  b\r\nc"), "a b c");
    }
}
