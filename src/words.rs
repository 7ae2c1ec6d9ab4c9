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

/// A program and its arguments, as a shell takes them.
pub(crate) fn shell_line(argv: &[String]) -> String {
    // Behind a program's name these mean nothing to a shell.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let is_plain = |word: &str| !word.is_empty() && word.chars().all(plain);
    let told = |(at, word): (usize, &String)| match at > 0 && is_plain(word) {
        true => word.clone(),
        false => shell_word(word),
    };
    argv.iter().enumerate().map(told).collect::<Vec<_>>().join(" ")
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
    fn a_program_is_told_as_it_would_be_typed() {
        let told = |argv: &[&str]| shell_line(&argv.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(told(&["sh", "-c", "sleep 6; ./restart.sh 1.5"]), "sh -c 'sleep 6; ./restart.sh 1.5'");
        assert_eq!(
            told(&["systemctl", "--user", "restart", "--signal=9", "api", ""]),
            "systemctl --user restart --signal=9 api ''"
        );
        assert_eq!(told(&["A=1", "$x"]), "'A=1' '$x'");
        assert_eq!(told(&[]), "");
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(spell_out(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(either(&["a", "b"]), "`a` or `b`");
        assert_eq!(spell_out(&["a"]), "`a`");
    }
}
