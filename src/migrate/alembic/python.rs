//! As much of Python's syntax as it takes to read a migration without running it: logical lines, their tokens, and
//! literals (Python reference, "Lexical analysis"). **Pure.**

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, a keyword or a number.
    Word(String),
    /// A string that stands for itself.
    Text(String),
    /// A string that is computed: an f-string, bytes, an escape by name.
    Computed,
    /// A letter that is none of these: `=`, `(`, `@`.
    Sign(char),
}

impl Token {
    /// Whether it is this word.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found == word)
    }
}

/// One statement's line, joined where it goes on in the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Where its first token stands, from 1.
    pub number: u32,
    /// How far it is indented.
    pub indent: usize,
    /// Its tokens, each with its line.
    pub tokens: Vec<(Token, u32)>,
}

/// The text does not end where a string or bracket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfinished {
    /// Where that began.
    pub line: u32,
}

/// Takes a file apart.
pub(super) fn lines(text: &str) -> Result<Vec<Line>, Unfinished> {
    let mut reader = Reader { rest: text, line: 1, lines: Vec::new(), current: None, open: Vec::new() };
    while reader.step()? {}
    match reader.open.first() {
        Some(&line) => Err(Unfinished { line }),
        None => {
            reader.end_line();
            Ok(reader.lines)
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
    lines: Vec<Line>,
    current: Option<Line>,
    /// Where the open brackets stand.
    open: Vec<u32>,
}

impl Reader<'_> {
    /// Reads one token, or what stands between two; false at the end.
    fn step(&mut self) -> Result<bool, Unfinished> {
        if self.current.is_none() && self.open.is_empty() {
            self.begin_line();
        }
        let Some(letter) = self.rest.chars().next() else { return Ok(false) };
        match letter {
            '\n' => {
                self.skip(1);
                if self.open.is_empty() {
                    self.end_line();
                }
            }
            '\\' if self.rest[1..].trim_start_matches('\r').starts_with('\n') => {
                let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
                self.skip(end);
            }
            '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            ';' if self.open.is_empty() => {
                self.skip(1);
                let indent = self.current.as_ref().map_or(0, |line| line.indent);
                self.end_line();
                self.current = Some(Line { number: self.line, indent, tokens: Vec::new() });
            }
            '"' | '\'' => self.string("")?,
            c if c.is_whitespace() => self.skip(c.len_utf8()),
            c if c.is_alphanumeric() || c == '_' => self.word()?,
            c => {
                match c {
                    '(' | '[' | '{' => self.open.push(self.line),
                    ')' | ']' | '}' => drop(self.open.pop()),
                    _ => {}
                }
                self.push(Token::Sign(c), self.line);
                self.skip(c.len_utf8());
            }
        }
        Ok(true)
    }

    fn begin_line(&mut self) {
        let indent = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\u{c}']).len();
        self.current = Some(Line { number: self.line, indent, tokens: Vec::new() });
        self.skip(indent);
    }

    fn end_line(&mut self) {
        self.lines.extend(self.current.take().filter(|line| !line.tokens.is_empty()));
    }

    fn skip(&mut self, bytes: usize) {
        let (read, rest) = self.rest.split_at(bytes);
        self.line += u32::try_from(read.matches('\n').count()).unwrap_or(u32::MAX);
        self.rest = rest;
    }

    fn push(&mut self, token: Token, line: u32) {
        if let Some(current) = &mut self.current {
            current.tokens.push((token, line));
        }
    }

    fn word(&mut self) -> Result<(), Unfinished> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(end);
        let prefix = word.to_ascii_lowercase();
        let is_prefix =
            ["r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"].contains(&prefix.as_str());
        if is_prefix && after.starts_with(['"', '\'']) {
            self.skip(end);
            return self.string(&prefix);
        }
        self.push(Token::Word(word.to_string()), self.line);
        self.skip(end);
        Ok(())
    }

    /// A string that begins here, behind `prefix`.
    fn string(&mut self, prefix: &str) -> Result<(), Unfinished> {
        let begun = self.line;
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let quote = if self.rest.starts_with(&triple) { triple.as_str() } else { quote };
        let body = &self.rest[quote.len()..];
        let mut at = 0;
        loop {
            let Some(letter) = body[at..].chars().next() else { return Err(Unfinished { line: begun }) };
            if body[at..].starts_with(quote) {
                break;
            }
            if letter == '\n' && quote.len() == 1 {
                return Err(Unfinished { line: begun });
            }
            at += letter.len_utf8();
            if letter == '\\' {
                at += body[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        let value = match prefix {
            "" | "u" => unescaped(&body[..at]),
            "r" => Some(body[..at].to_string()),
            _ => None,
        };
        self.push(value.map_or(Token::Computed, Token::Text), begun);
        self.skip(at + 2 * quote.len());
        Ok(())
    }
}

/// What a string's text stands for; `None` for what is not worth knowing here (`\N{…}`, octal numbers).
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next()? {
            '\n' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            c @ ('\\' | '\'' | '"') => out.push(c),
            c @ ('x' | 'u' | 'U') => {
                let digits = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let number: String = letters.by_ref().take(digits).collect();
                out.push(char::from_u32(u32::from_str_radix(&number, 16).ok()?)?);
            }
            'N' | 'a' | 'b' | 'f' | 'v' | '0'..='7' => return None,
            // As Python does: an escape that is none stays.
            other => out.extend(['\\', other]),
        }
    }
    Some(out)
}

/// A value that can be known without running anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// `None`
    None,
    /// `"…"`
    Text(String),
    /// `("…", …)` or `["…", …]`
    List(Vec<String>),
}

/// Reads the tokens behind a `=`; `None` if they are no literal.
pub(super) fn literal(tokens: &[(Token, u32)]) -> Option<Literal> {
    let mut values = Values { tokens };
    let first = values.one()?;
    if values.tokens.is_empty() {
        return Some(first);
    }
    // A tuple needs no brackets.
    let Literal::Text(first) = first else { return None };
    let mut list = vec![first];
    while values.sign(',') && !values.tokens.is_empty() {
        let Literal::Text(next) = values.one()? else { return None };
        list.push(next);
    }
    values.tokens.is_empty().then_some(Literal::List(list))
}

struct Values<'t> {
    tokens: &'t [(Token, u32)],
}

impl Values<'_> {
    fn sign(&mut self, sign: char) -> bool {
        match self.tokens.split_first() {
            Some(((Token::Sign(found), _), rest)) if *found == sign => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn one(&mut self) -> Option<Literal> {
        let ((first, _), rest) = self.tokens.split_first()?;
        match first {
            Token::Word(word) if word == "None" => {
                self.tokens = rest;
                Some(Literal::None)
            }
            Token::Text(_) => self.text().map(Literal::Text),
            Token::Sign(open @ ('(' | '[' | '{')) => {
                self.tokens = rest;
                self.several(*open)
            }
            _ => None,
        }
    }

    /// Strings beside each other are one.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(((Token::Text(part), _), rest)) = self.tokens.split_first() {
            text.push_str(part);
            self.tokens = rest;
        }
        let computed = matches!(self.tokens.first(), Some((Token::Computed, _)));
        (!computed).then_some(text)
    }

    fn several(&mut self, open: char) -> Option<Literal> {
        let close = match open {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        let mut list = Vec::new();
        let mut commas = 0;
        loop {
            if self.sign(close) {
                break;
            }
            match self.one()? {
                Literal::Text(text) => list.push(text),
                // Brackets around one value, as a formatter sets them.
                other if open == '(' && list.is_empty() && self.sign(close) => return Some(other),
                _ => return None,
            }
            if self.sign(',') {
                commas += 1;
            } else if self.sign(close) {
                break;
            } else {
                return None;
            }
        }
        match (open, list.len(), commas) {
            ('(', 1, 0) => list.pop().map(Literal::Text),
            _ => Some(Literal::List(list)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Literal> {
        let lines = lines(&format!("x = {text}\n")).unwrap();
        assert_eq!(lines.len(), 1, "{text}");
        literal(&lines[0].tokens[2..])
    }

    #[test]
    fn literals_of_every_form() {
        let text = |t: &str| Some(Literal::Text(t.into()));
        let list = |l: &[&str]| Some(Literal::List(l.iter().map(ToString::to_string).collect()));
        for (written, meant) in [
            ("None", Some(Literal::None)),
            ("( None )", Some(Literal::None)),
            ("'a'  # 'b'", text("a")),
            ("\"a\" 'b' r'\\n'", text("ab\\n")),
            ("\"\"\"a\nb\"\"\"", text("a\nb")),
            ("u'\\x61\\u00e9\\''", text("aé'")),
            ("('a')", text("a")),
            ("('a',)", list(&["a"])),
            ("'a', 'b',", list(&["a", "b"])),
            ("(\n  'a',  # one\n  'b'\n)", list(&["a", "b"])),
            ("['a', \"b\"]", list(&["a", "b"])),
            ("()", list(&[])),
            ("'a' \\\n 'b'", text("ab")),
            ("f'a'", None),
            ("'a' + b", None),
            ("'a' f'b'", None),
            ("b'a'", None),
            ("name", None),
            ("get('a')", None),
            ("('a', None)", None),
            ("'\\N{BULLET}'", None),
        ] {
            assert_eq!(value(written), meant, "{written}");
        }
    }

    #[test]
    fn lines_are_joined_and_indented_as_python_has_them() {
        let text = "def f(\n  a=1,\n):\n    pass; x = '''\n# no comment\n'''\n\n# comment\nif y: \\\n  z\n";
        let found = lines(text).unwrap();
        let shape: Vec<(u32, usize, usize)> =
            found.iter().map(|l| (l.number, l.indent, l.tokens.len())).collect();
        assert_eq!(shape, [(1, 0, 9), (4, 4, 1), (4, 4, 3), (9, 0, 4)]);
        assert_eq!(lines("x = (\n'a'\n"), Err(Unfinished { line: 1 }));
        assert_eq!(lines("\nx = 'a\n'"), Err(Unfinished { line: 2 }));
        assert_eq!(lines("x = '''a\n"), Err(Unfinished { line: 1 }));
    }

    #[test]
    fn no_text_is_too_strange() {
        for text in [
            "\\",
            "é'",
            "'\\",
            "\"\"\"\"",
            "\u{feff}x",
            "(]})",
            ";;;",
            "x = '\\",
            "\r\n\r",
            "f'''{a!r:\n}'''",
        ] {
            let _ = lines(text);
        }
    }
}
