//! Words as a sentence has them: lists, numbers of things, the beginning of a hash.

/// `n` things: `1 row`, `2 rows`. `one` and `many` are the word's two forms.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The beginning of a hash, for people.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// `words` as a sentence lists them: "`a`, `b` and `c`".
pub(crate) fn spell_out<S: AsRef<str>>(words: &[S]) -> String {
    list(words, "and")
}

/// `words` to choose from: "`a`, `b` or `c`".
pub(crate) fn either<S: AsRef<str>>(words: &[S]) -> String {
    list(words, "or")
}

fn list<S: AsRef<str>>(words: &[S], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{}`", w.as_ref())).collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}

/// `path` as a shell takes it for one word.
pub(crate) fn shell_path(path: &std::path::Path) -> String {
    shell_word(&path.display().to_string())
}

/// `word` as a shell takes it for one word.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A program and its arguments as a line for a shell.
pub(crate) fn command_line(argv: &[String]) -> String {
    let word = |(at, word): (usize, &String)| match word.strip_prefix('-') {
        // An option needs no quotes for its dash.
        Some(option) if at > 0 && shell_word(option) == *option => word.clone(),
        _ => shell_word(word),
    };
    argv.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        let quoted = |path: &str| shell_path(std::path::Path::new(path));
        assert_eq!(quoted("/opt/app/flag"), "/opt/app/flag");
        assert_eq!(quoted("/opt/my app/$(id)'s"), r"'/opt/my app/$(id)'\''s'");
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(spell_out(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(either(&["a", "b"]), "`a` or `b`");
        assert_eq!(spell_out(&["a"]), "`a`");
    }
}
