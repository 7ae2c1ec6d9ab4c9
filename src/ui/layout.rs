//! Text to columns: measured as the terminal shows it, cut, padded and wrapped.

pub(crate) use console::measure_text_width as width_of;

use super::look::Look;

/// `text` in at most `width` columns, its end replaced by `…` where it had to be cut.
pub(crate) fn cut(text: &str, width: usize, look: Look) -> String {
    console::truncate_str(text, width, look.marks().cut).into_owned()
}

/// `text` with spaces after it, up to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(width_of(text))))
}

/// `text` with spaces before it, up to `width` columns.
pub(crate) fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(width_of(text))))
}

/// `text` in lines of at most `width` columns, broken at spaces. What must not be torn stays whole: a word longer than
/// that, a number with its unit, a command in backquotes, and one that begins with our name, for someone will copy it.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    fill(words(text, |words| command(words).max(quantity(words))), width)
}

/// As [`wrap`], for rows that are looked at and not copied: a word that is too long (a URL, a path) has its middle cut
/// out, for a terminal would break it anywhere, and the row with it.
pub(crate) fn wrap_cut(text: &str, width: usize, look: Look) -> Vec<String> {
    let words = words(text, quantity);
    fill(words.iter().map(|word| cut_middle(word, width, look)).collect(), width)
}

fn fill(words: Vec<String>, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words {
        if !line.is_empty() && width_of(&line) + 1 + width_of(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// `text` in at most `width` columns: its beginning and its end, which tell most of a URL.
pub(crate) fn cut_middle(text: &str, width: usize, look: Look) -> String {
    if width_of(text) <= width {
        return text.to_string();
    }
    let room = width.saturating_sub(width_of(look.marks().cut));
    let (mut tail, mut taken) = (text.len(), 0);
    for (at, c) in text.char_indices().rev() {
        taken += width_of(c.encode_utf8(&mut [0; 4]));
        if taken > room / 2 {
            break;
        }
        tail = at;
    }
    let head = console::truncate_str(text, width.saturating_sub(width_of(&text[tail..])), look.marks().cut);
    format!("{head}{}", &text[tail..])
}

/// A text in lines of at most `width` columns. Prose is wrapped; of a text that has lines of its own, those that are
/// indented or have a caret under them stay as they are, for the caret must stay where it points; a line of another
/// program's stays whole, for it will be copied.
pub(crate) fn fold(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end();
    if text.contains('\n') {
        let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
        let below = |at: usize| lines.get(at + 1).is_some_and(|line| line.trim() == "^");
        let stays = |at: usize, line: &str| line.starts_with(' ') || below(at) || width_of(line) <= width;
        let folded = lines.iter().enumerate().flat_map(|(at, line)| match stays(at, line) {
            true => vec![(*line).to_string()],
            false => wrap(line, width),
        });
        folded.collect()
    } else if TYPED.iter().any(|program| text.starts_with(program)) {
        vec![text.to_string()]
    } else {
        wrap(text, width)
    }
}

/// `lead`, and beside and below it `text`, folded into lines of at most `width` columns.
pub(crate) fn hang(lead: &str, text: &str, width: usize) -> Vec<String> {
    let indent = width_of(lead);
    let below = " ".repeat(indent);
    let rows = fold(text, width.saturating_sub(indent));
    let leads = std::iter::once(lead).chain(std::iter::repeat(below.as_str()));
    leads.zip(&rows).map(|(lead, row)| format!("{lead}{row}")).collect()
}

/// How a text begins that is a line for a shell, and nothing else.
const TYPED: [&str; 6] = ["psql ", "rm ", "chmod ", "echo ", "createdb ", "dropdb "];

/// Programs whose lines stand in sentences.
const NAMED: [&str; 2] = ["backstay", "pg_isready"];

/// What a number is told in.
const UNITS: [&str; 10] = ["B", "kB", "MB", "GB", "TB", "ms", "s", "m", "h", "d"];

/// The words of a text, where `together` says how many of the first belong together.
fn words(text: &str, together: impl Fn(&[&str]) -> usize) -> Vec<String> {
    let apart = apart(text);
    let mut rest = apart.as_slice();
    let mut words = Vec::new();
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(together(rest).clamp(1, rest.len()));
        words.push(word.join(" "));
        rest = behind;
    }
    words
}

fn apart(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        // A backquote that never closes is no quote.
        if c == '`' {
            quoted = !quoted && text[at + 1..].contains('`');
        }
        match (c.is_whitespace() && !quoted, start) {
            (true, Some(from)) => {
                words.push(&text[from..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| &text[from..]));
    words
}

/// How many words are a command's: up to the last option and its value before the sentence goes on. One without options
/// is known by being short.
fn command(words: &[&str]) -> usize {
    const SHORT: usize = 4;
    if !NAMED.contains(&words[0]) {
        return 1;
    }
    let ends =
        words.iter().position(|word| word.ends_with([',', ';', ':', ')'])).map_or(words.len(), |at| at + 1);
    let next = words[1..].iter().position(|word| NAMED.contains(word)).map_or(words.len(), |at| at + 1);
    let words = &words[..ends.min(next)];
    let mut many = match words.iter().rposition(|word| word.len() > 1 && word.starts_with('-')) {
        Some(option) => (option + 2).min(words.len()),
        None if words.len() <= SHORT => words.len(),
        None => 2,
    };
    let is_open = |many: usize| {
        words[..many].iter().flat_map(|word| word.chars()).filter(|c| *c == '"').count() % 2 == 1
    };
    while many < words.len() && (words[many].contains(|c: char| c.is_ascii_digit()) || is_open(many)) {
        many += 1;
    }
    many
}

/// How many words are a number's: `14.9 MB`, `3 m 05 s`.
fn quantity(words: &[&str]) -> usize {
    let is_number = |word: &str| {
        let word = word.trim_start_matches('(');
        word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let is_unit = |word: &str| UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']));
    match words {
        [number, "h" | "m", part, unit, ..] if is_number(number) && is_number(part) && is_unit(unit) => 4,
        [number, unit, ..] if is_number(number) && is_unit(unit) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_breaks_at_spaces_and_keeps_commands_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("run `backstay resume latest` now", 12), ["run", "`backstay resume latest`", "now"]);
        assert_eq!(wrap("an open ` stays a b", 9), ["an open `", "stays a b"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("a b", usize::MAX), ["a b"]);
    }

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(wrap("4 tables, 295.3 kB stored", 15), ["4 tables,", "295.3 kB stored"]);
        assert_eq!(wrap("14.9 MB, 7 m 50 s old", 12), ["14.9 MB,", "7 m 50 s old"]);
        assert_eq!(
            wrap("about 3.3 s (1.4 s to 3.4 s), by 7", 11),
            ["about 3.3 s", "(1.4 s to", "3.4 s), by", "7"]
        );
        assert_eq!(wrap_cut("is 12 s old", 5, Look { width: 5, ..Look::BARE }), ["is", "12 s", "old"]);
        assert_eq!(wrap("12 sessions", 5), ["12", "sessions"]);
    }

    #[test]
    fn a_command_stays_whole_and_what_is_said_of_it_is_folded() {
        let told = "backstay status -e production shows database, flag and fence as they are";
        assert_eq!(
            wrap(told, 30),
            ["backstay status -e production", "shows database, flag and fence", "as they are"]
        );
        let told = "mend the cause, then backstay resume 2026z-a1 -e production";
        assert_eq!(wrap(told, 20), ["mend the cause, then", "backstay resume 2026z-a1 -e production"]);
        let told = "backstay migrate merge -m \"merge heads\" a1 b2 joins them";
        assert_eq!(wrap(told, 20), ["backstay migrate merge -m \"merge heads\" a1 b2", "joins them"]);
        let told = "make room: backstay cleanup drops old guards and failed databases";
        assert_eq!(
            wrap(told, 30),
            ["make room: backstay cleanup", "drops old guards and failed", "databases"]
        );
        let told = "is the port right: pg_isready -h db -p 5441";
        assert_eq!(wrap(told, 20), ["is the port right:", "pg_isready -h db -p 5441"]);
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(pad("表", 4), "表  ");
        let look = Look { colour: false, unicode: true, width: 80 };
        assert_eq!(cut("表表表", 5, look), "表表…");
        assert_eq!(wrap("表表 表表", 8), ["表表", "表表"]);
    }

    #[test]
    fn a_word_that_is_too_long_loses_its_middle() {
        let look = Look { colour: false, unicode: true, width: 20 };
        assert_eq!(cut_middle("file:///var/backups/preview.sql", 20, look), "file:///va…eview.sql");
        assert_eq!(cut_middle("表表表表", 5, look), "表…表");
        assert_eq!(cut_middle("short", 5, look), "short");
        assert_eq!(cut_middle("anything", 1, look), "…");
        assert_eq!(cut_middle("abcdefghij", 7, Look { unicode: false, ..look }), "ab...ij");
        let rows = wrap_cut("see https://example.com/a/very/long/address now", 20, look);
        assert_eq!(rows, ["see", "https://ex…g/address", "now"]);
        assert!(rows.iter().all(|row| width_of(row) <= 20));
        assert_eq!(wrap_cut("a b", usize::MAX, look), ["a b"]);
    }

    #[test]
    fn what_hangs_stands_below_its_first_line() {
        assert_eq!(hang("表: ", "one two three", 11), ["表: one two", "    three"]);
        assert_eq!(hang("x ", "", 2), ["x "]);
    }

    #[test]
    fn own_lines_and_commands_are_kept() {
        assert_eq!(fold("backstay resume latest", 5), ["backstay resume latest"]);
        assert_eq!(fold("psql -c 'SELECT 1'", 5), ["psql -c 'SELECT 1'"]);
        assert_eq!(fold("LINE 1: drop\n        ^\n", 5), ["LINE 1: drop", "        ^"]);
        assert_eq!(fold("one two\n  three four\nfive", 5), ["one", "two", "  three four", "five"]);
    }
}
