//! The password file `~/.pgpass` (PostgreSQL manual 34.16). Pure.

/// The password of the first line of `text` that fits; fields are `host:port:database:user:password`.
pub(super) fn find(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let port = port.to_string();
    let wanted = [host, port.as_str(), database, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut rest = line;
        for want in wanted {
            let (field, after) = split_field(rest)?;
            if field != ["*".to_string()] && field.concat() != want {
                return None;
            }
            rest = after;
        }
        // The password runs to the end of the line or to the next bare colon, unescaped.
        let (password, _) = split_field(&format!("{rest}:")).map(|(field, _)| (field.concat(), ()))?;
        (!password.is_empty()).then_some(password)
    })
}

/// The field before the next bare `:` and what stands after it.
///
/// A field that is one bare star comes as exactly `["*"]`; an escaped star comes as two pieces, so that
/// the two are not mistaken for each other.
fn split_field(text: &str) -> Option<(Vec<String>, &str)> {
    let mut pieces = vec![String::new()];
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => {
                pieces.push(letter.to_string());
                pieces.push(String::new());
                escaped = false;
            }
            '\\' => escaped = true,
            ':' => return Some((pieces, &text[at + 1..])),
            other => {
                if let Some(last) = pieces.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_wins() {
        let text = "# comment\nlocalhost:5432:shop:app:one\n*:*:*:app:two\n*:*:*:*:three\n";
        assert_eq!(find(text, "localhost", 5432, "shop", "app").as_deref(), Some("one"));
        assert_eq!(find(text, "localhost", 5433, "shop", "app").as_deref(), Some("two"));
        assert_eq!(find(text, "db", 5432, "x", "y").as_deref(), Some("three"));
        assert_eq!(find("a:1:b:c:d", "z", 1, "b", "c"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let text = r"\:\:1:5432:a\\b:u:p\:w\\x";
        assert_eq!(find(text, "::1", 5432, r"a\b", "u").as_deref(), Some(r"p:w\x"));
    }

    #[test]
    fn an_escaped_star_is_only_itself() {
        assert_eq!(find(r"\*:1:d:u:p", "h", 1, "d", "u"), None);
        assert_eq!(find(r"\*:1:d:u:p", "*", 1, "d", "u").as_deref(), Some("p"));
    }

    #[test]
    fn short_and_empty_lines_are_passed_over() {
        assert_eq!(find("\n:\nh:1:d\nh:1:d:u:\nh:1:d:u:p\r\n", "h", 1, "d", "u").as_deref(), Some("p"));
    }
}
