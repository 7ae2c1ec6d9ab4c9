//! Env files: `KEY=value` lines, as `set -a; source .env` and python-dotenv read them.
//!
//! What such files hold in practice means the same here as there:
//!
//! - `KEY=value` and `export KEY=value`; space around `=`, a BOM, CRLF and empty values are all right.
//! - An unquoted value runs to the end of its line, or to a `#` that follows white space. It may hold
//!   spaces, quotes, `(`, `#`, `=` and `\`, all of them literal: a shell would trip over most of them.
//! - `'single quotes'` hold anything but a single quote, over several lines too.
//! - `"double quotes"` do the same, with `\"`, `\\`, `\$` and `` \` `` for themselves, `\n`, `\r` and `\t`
//!   as python-dotenv has them (private keys are written so), and a `\` at a line's end for nothing. Any
//!   other `\` is a `\`.
//! - Quoted parts that touch are one value, as in a shell: `'it'\''s'`.
//! - The last of two lines with the same name counts.
//!
//! Nothing is expanded and nothing is run: a `$` is a `$`, even in double quotes, and `` `date` `` is six
//! characters. (bash and python-dotenv expand `$NAME`; a password with a `$` in it is the commoner case,
//! and losing a part of it silently is the worse mistake.)

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::os::unix::fs::PermissionsExt;
use std::str::CharIndices;

/// What is wrong with a line of an env file. No message shows a value, nor anything that could be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct EnvFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither a comment nor `KEY=value`.
    #[error("this is not KEY=value (a value of several lines needs quotes around it)")]
    NoAssignment,
    /// What stands before `=` can't be a variable's name.
    #[error("what stands before the `=` is no name: letters, digits and `_`, not a digit first")]
    BadName,
    /// A quote without its end.
    #[error("the {quote} that opens the value of {name} is never closed")]
    Unclosed {
        /// Whose value it is.
        name: String,
        /// The quote.
        quote: char,
    },
    /// No process could be given it.
    #[error("the value of {name} holds a NUL byte")]
    Nul {
        /// Whose value it is.
        name: String,
    },
}

/// Whether others than its owner may read or write a file: one with secrets is not for them. What is no file (a pipe of
/// the shell's `<(…)`) has a mode that means nothing.
pub(crate) fn is_open_to_others(file: &std::fs::Metadata) -> bool {
    const OTHERS_READ_OR_WRITE: u32 = 0o066;
    file.is_file() && file.permissions().mode() & OTHERS_READ_OR_WRITE != 0
}

/// Reads an env file's text.
///
/// # Errors
/// Every line that can't be read; a quote that is never closed ends the reading.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Vec<EnvFileError>> {
    let mut lines = Cursor::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut variables = BTreeMap::new();
    let mut errors = Vec::new();
    while !lines.at_end() {
        let line = lines.line;
        match lines.assignment() {
            Ok(Some((name, value))) if value.contains('\0') => {
                errors.push(EnvFileError { line, problem: Problem::Nul { name } });
            }
            Ok(Some((name, value))) => drop(variables.insert(name, value)),
            Ok(None) => {}
            Err(problem) => errors.push(EnvFileError { line, problem }),
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors) }
}

struct Cursor<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
    line: usize,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, chars: text.char_indices().peekable(), line: 1 }
    }

    fn at_end(&mut self) -> bool {
        self.chars.peek().is_none()
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn offset(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// What is left of the line; the cursor moves past its end.
    fn rest_of_line(&mut self) -> &'t str {
        let start = self.offset();
        let length = self.text[start..].find('\n').unwrap_or(self.text.len() - start);
        while self.next().is_some_and(|c| c != '\n') {}
        self.text[start..start + length].trim_end_matches('\r')
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.next();
        }
    }

    /// One line, or several if its value is quoted; nothing for an empty line or a comment.
    fn assignment(&mut self) -> Result<Option<(String, String)>, Problem> {
        let start = self.offset();
        let line = self.text[start..].lines().next().unwrap_or_default();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            self.rest_of_line();
            return Ok(None);
        }
        let Some((left, _)) = line.split_once('=') else {
            self.rest_of_line();
            return Err(Problem::NoAssignment);
        };
        let name = match left.trim().split_once([' ', '\t']) {
            Some(("export", name)) => name.trim_start(),
            _ => left.trim(),
        };
        if !is_name(name) {
            self.rest_of_line();
            return Err(Problem::BadName);
        }
        while self.next().is_some_and(|c| c != '=') {}
        Ok(Some((name.to_string(), self.value(name)?)))
    }

    fn value(&mut self, name: &str) -> Result<String, Problem> {
        let before = self.offset();
        self.skip_blanks();
        if self.peek().is_some_and(|c| matches!(c, '"' | '\'')) {
            return self.quoted(name);
        }
        let spaced = self.offset() > before;
        let rest = self.rest_of_line();
        Ok(without_comment(rest, spaced).trim_end().to_string())
    }

    /// Quoted parts up to white space; what follows that on the line is a comment or nothing.
    fn quoted(&mut self, name: &str) -> Result<String, Problem> {
        let mut value = String::new();
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            self.next();
            match c {
                '\'' => self.single(&mut value, name)?,
                '"' => self.double(&mut value, name)?,
                '\\' => value.extend(self.next()),
                other => value.push(other),
            }
        }
        let rest = self.rest_of_line();
        let rest = rest.trim();
        // `"a" b`: a shell would run `b`, python-dotenv refuses; a forgotten quote is the likely reason.
        if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err(Problem::NoAssignment) }
    }

    fn single(&mut self, value: &mut String, name: &str) -> Result<(), Problem> {
        loop {
            match self.next() {
                None => return Err(Problem::Unclosed { name: name.to_string(), quote: '\'' }),
                Some('\'') => return Ok(()),
                Some('\r') if self.peek() == Some('\n') => {}
                Some(c) => value.push(c),
            }
        }
    }

    fn double(&mut self, value: &mut String, name: &str) -> Result<(), Problem> {
        loop {
            match self.next() {
                None => return Err(Problem::Unclosed { name: name.to_string(), quote: '"' }),
                Some('"') => return Ok(()),
                Some('\r') if self.peek() == Some('\n') => {}
                Some('\\') => self.escape(value),
                Some(c) => value.push(c),
            }
        }
    }

    fn escape(&mut self, value: &mut String) {
        let meant = match self.peek() {
            Some(c @ ('"' | '\\' | '$' | '`')) => Some(c),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('\n') => None,
            Some('\r') if self.text[self.offset()..].starts_with("\r\n") => {
                self.next();
                None
            }
            _ => return value.push('\\'),
        };
        self.next();
        value.extend(meant);
    }
}

/// An unquoted value up to a `#` after white space; `spaced` says that there was some before it.
fn without_comment(text: &str, spaced: bool) -> &str {
    let mut blank_before = spaced;
    for (at, c) in text.char_indices() {
        if c == '#' && blank_before {
            return &text[..at];
        }
        blank_before = matches!(c, ' ' | '\t');
    }
    text
}

/// A shell's names, and those with `.` and `-` that other readers of env files allow.
fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line (or more), and what its variable `A` must hold.
    const TORTURE: &[(&str, &str)] = &[
        ("A=plain", "plain"),
        ("A=", ""),
        ("A=   ", ""),
        ("A=\"\"", ""),
        ("A=''", ""),
        ("export A=x", "x"),
        ("  export\tA=x", "x"),
        ("A = x", "x"),
        ("A=x y z", "x y z"),
        ("A=x  ", "x"),
        ("A=x # comment", "x"),
        ("A=x\t# comment", "x"),
        ("A=x#no-comment", "x#no-comment"),
        ("A=#x", "#x"),
        ("A= # comment", ""),
        ("A=a=b==", "a=b=="),
        ("A=p(a)$$w$HOME`id`$(id)${X}", "p(a)$$w$HOME`id`$(id)${X}"),
        ("A=it's \"so\"", "it's \"so\""),
        ("A=back\\slash\\n", "back\\slash\\n"),
        ("A=&;|<>*?!~[]{}%^", "&;|<>*?!~[]{}%^"),
        ("A='single'", "single"),
        ("A='$x # \"y\" \\n (z)'", "$x # \"y\" \\n (z)"),
        ("A='x' # comment", "x"),
        ("A='it'\\''s'", "it's"),
        ("A=\"it's\"", "it's"),
        ("A=\"a \\\"b\\\" c\"", "a \"b\" c"),
        ("A=\"a\\\\b\"", "a\\b"),
        ("A=\"a\\nb\\tc\"", "a\nb\tc"),
        ("A=\"\\$x \\`y\\`\"", "$x `y`"),
        ("A=\"$x ${y} $(z)\"", "$x ${y} $(z)"),
        ("A=\"\\d\\w\"", "\\d\\w"),
        ("A=\"x # y\" # z", "x # y"),
        ("A=\"x\"'y'z", "xyz"),
        ("A=\"two\nlines\"", "two\nlines"),
        ("A='two\r\nlines'\r\n", "two\nlines"),
        ("A=\"joined \\\nline\"", "joined line"),
        ("A=\"joined \\\r\nline\"", "joined line"),
        ("A=x\r\n", "x"),
        ("A=\"x\"\r\n", "x"),
        ("\u{feff}A=x", "x"),
        ("# A=y\n\n  # B\nA=x\n", "x"),
        ("A=y\nA=x", "x"),
        ("A=pässwörd 🔑", "pässwörd 🔑"),
        ("A=postgres://u:p%40ss@h:5432/d?sslmode=require", "postgres://u:p%40ss@h:5432/d?sslmode=require"),
        ("A='unclosed in comment' # it's", "unclosed in comment"),
    ];

    #[test]
    fn every_value_survives() {
        for (text, value) in TORTURE {
            let parsed = parse(text).unwrap_or_else(|e| panic!("{text:?}: {e:?}"));
            assert_eq!(parsed.get("A").map(String::as_str), Some(*value), "{text:?}");
            // Whatever a value holds, the next line is still its own.
            let followed = format!("{}\nLAST=1\n", text.trim_end_matches(['\r', '\n']));
            assert_eq!(parse(&followed).unwrap()["LAST"], "1", "{followed:?}");
        }
    }

    #[test]
    fn errors_name_the_line_and_never_the_value() {
        for (text, line, problem) in [
            ("A=1\nhunter2", 2, Problem::NoAssignment),
            ("export A", 1, Problem::NoAssignment),
            ("\n\n1A=hunter2", 3, Problem::BadName),
            ("A B=hunter2", 1, Problem::BadName),
            ("=hunter2", 1, Problem::BadName),
            ("A=\"x\ny\"\nB='hunter2\nC=3", 3, Problem::Unclosed { name: "B".into(), quote: '\'' }),
            ("A=\"hunter2\\\"", 1, Problem::Unclosed { name: "A".into(), quote: '"' }),
            ("A=\"x\" hunter2", 1, Problem::NoAssignment),
            ("A=hunter2\0", 1, Problem::Nul { name: "A".into() }),
        ] {
            let errors = parse(text).unwrap_err();
            assert_eq!(errors, [EnvFileError { line, problem }], "{text:?}");
            assert!(!errors[0].to_string().contains("hunter2"), "{text:?}");
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_read_or_refused() {
        let whole: String = TORTURE.iter().map(|(text, _)| format!("{text}\n")).collect();
        for (at, _) in whole.char_indices() {
            match parse(&whole[..at]) {
                Ok(variables) => assert!(variables.keys().all(|name| name == "A")),
                Err(errors) => assert!(errors.iter().all(|error| error.line <= whole.lines().count())),
            }
        }
    }

    #[test]
    fn all_bad_lines_are_told() {
        let errors = parse("x\nA=1\n2B=\ny\n").unwrap_err();
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 3, 4]);
    }

    /// What bash makes of the lines that it can read is what we make of them.
    #[test]
    fn bash_agrees_where_it_can_read_the_line() {
        // Unquoted: a shell splits, expands or runs these. Quoted: `\n` is python-dotenv's, and `$` expands.
        let differs = |text: &str| {
            let unquoted = text.trim_start_matches("A=");
            text.contains(" = ")
                || text.contains('\u{feff}')
                || text.contains("\r")
                || text.contains("\\n")
                || text.contains("$x $")
                || (!unquoted.starts_with(['"', '\'']) && text.contains(['$', '(', ';', '&', '\\', '\'']))
                || (text.contains(' ') && !text.contains(['#', '\'', '"']) && !text.contains("export"))
        };
        let mut compared = 0;
        for (text, value) in TORTURE.iter().filter(|(text, _)| !differs(text)) {
            let script = format!("set -a\n{text}\nprintf %s \"$A\"");
            let Ok(output) = std::process::Command::new("bash").arg("-c").arg(script).output() else {
                return;
            };
            assert_eq!(String::from_utf8_lossy(&output.stdout), *value, "{text:?}");
            compared += 1;
        }
        assert!(compared > 15, "only {compared} lines compared");
    }
}
