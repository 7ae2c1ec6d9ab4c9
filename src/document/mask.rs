//! Which bytes of a file that a person wrote must not be shown back.
//!
//! This looks at the text, not at what was parsed from it: an excerpt shows comments and lines that
//! are no TOML too. Where it is unsure it masks more.

use std::ops::Range;

use crate::redact::MASK;

use super::secret::{is_telling, url_password};

/// `text` with its secret parts masked.
pub(crate) fn masked(text: &str) -> String {
    let mut out = text.to_string();
    for place in secrets(text).into_iter().rev() {
        out.replace_range(place, MASK);
    }
    out
}

/// The secret parts of `text`, in order, apart from each other, none spanning lines.
pub(crate) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = values_of_telling_keys(text);
    found.extend(passwords_of_urls(text));
    found.extend(passwords_before_hosts(text));
    found.retain(|place| !is_reference(&text[place.clone()]));
    let mut lines: Vec<Range<usize>> = found.into_iter().flat_map(|place| split_lines(text, place)).collect();
    lines.sort_by_key(|place| (place.start, place.end));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for place in lines {
        match apart.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => apart.push(place),
        }
    }
    apart
}

/// `${NAME}` says where a secret is, not what it is.
fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn split_lines(text: &str, place: Range<usize>) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = place.start;
    for line in text[place].split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if !content.is_empty() {
            lines.push(start..start + content.len());
        }
        start += line.len();
    }
    lines
}

fn passwords_of_urls(text: &str) -> Vec<Range<usize>> {
    text.match_indices("://")
        .filter_map(|(at, _)| {
            let scheme =
                text[..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+.-".contains(c));
            let start = scheme.len();
            let end = match scheme.chars().next_back() {
                // Quoted: only its own quote ends it. A password may hold the other one, or a space.
                Some(quote @ ('"' | '\'')) => at + end_of_quoted(&text[at..], quote),
                _ => at + text[at..].find([' ', '\t', '\r', '\n', '"', '\'']).unwrap_or(text.len() - at),
            };
            let password = url_password(&text[start..end])?;
            Some(start + password.start..start + password.end)
        })
        .collect()
}

/// What stands between `user:` and `@host` where the rest of the URL is mistyped.
fn passwords_before_hosts(text: &str) -> Vec<Range<usize>> {
    text.match_indices('@')
        .filter_map(|(at, _)| {
            let apart = |c: char| c.is_whitespace() || "\"'`,=([{".contains(c);
            let start = text[..at].rfind(apart).map_or(0, |before| before + 1);
            let start = text[start..at].find("//").map_or(start, |slashes| start + slashes + 2);
            let start = start + text.get(start..at)?.find(':')? + 1;
            (start < at).then_some(start..at)
        })
        .collect()
}

/// The values of all `key = value` whose key tells a secret, wherever they stand.
pub(crate) fn values_of_telling_keys(text: &str) -> Vec<Range<usize>> {
    text.match_indices('=')
        .filter_map(|(at, _)| {
            let left = text[..at].trim_end_matches([' ', '\t']).trim_end_matches(['"', '\'']);
            let start =
                left.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_-./".contains(c)).len();
            if !is_telling(&left[start..]) {
                return None;
            }
            let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
            let leads = text[line..start].chars().all(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '#'));
            let rest = text[at + 1..].trim_start_matches([' ', '\t']);
            let value = text.len() - rest.len();
            let length = length_of_value(rest, leads);
            let value = if rest.starts_with(['"', '\'']) {
                value + opening(rest)..value + length
            } else {
                value..value + length
            };
            (!value.is_empty()).then_some(value)
        })
        .collect()
}

/// How long the quotes are that open `rest`.
fn opening(rest: &str) -> usize {
    if rest.starts_with("\"\"\"") || rest.starts_with("'''") { 3 } else { 1 }
}

/// Up to where a value runs: without its closing quote; to the line's end if it `leads` the line.
fn length_of_value(rest: &str, leads: bool) -> usize {
    let line = rest.find('\n').unwrap_or(rest.len());
    match rest.chars().next() {
        Some(quote @ ('"' | '\'')) if opening(rest) == 3 => {
            let closing = String::from(quote).repeat(3);
            rest[3..].find(&closing).map_or(rest.len(), |end| end + 3)
        }
        Some(quote @ ('"' | '\'')) => 1 + end_of_quoted(&rest[1..], quote),
        Some('{') => 0,
        _ if leads || rest.starts_with('[') => line,
        _ => rest[..line].find([' ', '\t', '\r', '"']).unwrap_or(line),
    }
}

/// Where the first unescaped `quote` stands, or the line ends.
fn end_of_quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return at,
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return at,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_secrets_are_found() {
        for (text, shown) in [
            (r#"url = "postgres://u:hunter2@h/d""#, r#"url = "postgres://u:***@h/d""#),
            (r#"url = "postgres://u:hun'ter 2@h/d""#, r#"url = "postgres://u:***@h/d""#),
            (r#"url = "postgres://u:a\"b@h/d" # x"#, r#"url = "postgres://u:***@h/d" # x"#),
            ("# url = postgres://u:hunter2@h/d", "# url = postgres://u:***@h/d"),
            (r#"url = "host=h password=hunter2 user=u""#, r#"url = "host=h password=*** user=u""#),
            (r#"url = "host=h password='hun ter' user=u""#, r#"url = "host=h password='***' user=u""#),
            (r#"password = "hunter2""#, r#"password = "***""#),
            ("password = hunter 2", "password = ***"),
            (r#"h = { Authorization = "Bearer x", A = "b" }"#, r#"h = { Authorization = "***", A = "b" }"#),
            (r#""X-Api-Key" = 'k'"#, r#""X-Api-Key" = '***'"#),
            ("token = \"\"\"\nab\ncd\"\"\"\nx = 1", "token = \"\"\"\n***\n***\"\"\"\nx = 1"),
            ("api_token = [\"a\", \"b\"]", "api_token = ***"),
            ("url = \"postgres://u:open@h", "url = \"postgres://u:***@h"),
            ("url = \"postgres//u:hunter2@h\"", "url = \"postgres//u:***@h\""),
            ("url = \"postgres:/u:hunter2@h\"", "url = \"postgres:***@h\""),
            ("url = \"postgres://u:hunter2\"", "url = \"postgres://u:***\""),
            ("url = u:hunter2@h", "url = u:***@h"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            r#"url = "postgres://u:${PASSWORD}@h/d""#,
            r#"password = "${PASSWORD}""#,
            r#"url = "http://127.0.0.1:8000/health""#,
            "foreign_keys = 5",
            r#"undo = ["systemctl", "restart", "api@previous"]"#,
            r#"to = "ai@head""#,
            "",
            "=",
            "\"=\"",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_default_password_is_a_password() {
        assert_eq!(masked(r#""postgres://u:${P:-hunter2}@h""#), r#""postgres://u:***@h""#);
    }
}
