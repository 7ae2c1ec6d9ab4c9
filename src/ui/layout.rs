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

/// `text` in lines of at most `width` columns, broken at spaces. A word longer than that, or a command
/// in backquotes, stays whole: someone will copy it.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        if !line.is_empty() && width_of(&line) + 1 + width_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A text in lines of at most `width` columns. Prose is wrapped; a text that has lines of its own
/// keeps them as they are, for a caret under a statement must stay under it; a command to type stays
/// whole, for it will be copied.
pub(crate) fn fold(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end();
    if text.contains('\n') {
        text.split('\n').map(|line| line.trim_end().to_string()).collect()
    } else if text.starts_with("backstay ") {
        vec![text.to_string()]
    } else {
        wrap(text, width)
    }
}

fn words(text: &str) -> Vec<&str> {
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
    fn wide_characters_count_twice() {
        assert_eq!(pad("表", 4), "表  ");
        let look = Look { colour: false, unicode: true, width: 80 };
        assert_eq!(cut("表表表", 5, look), "表表…");
        assert_eq!(wrap("表表 表表", 8), ["表表", "表表"]);
    }

    #[test]
    fn own_lines_and_commands_are_kept() {
        assert_eq!(fold("backstay resume latest", 5), ["backstay resume latest"]);
        assert_eq!(fold("LINE 1: drop\n        ^\n", 5), ["LINE 1: drop", "        ^"]);
    }
}
