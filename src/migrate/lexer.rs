//! PostgreSQL's lexical rules, as far as they decide where a statement ends.
//!
//! After the manual's chapter "Lexical Structure" and the server's `scan.l`: dollar quotes, nested comments,
//! `E''` and `U&''` strings and their continuation over lines, quoted identifiers. A semicolon ends a
//! statement unless it stands in parentheses (`CREATE RULE … DO (…; …)`) or in a routine's body
//! (`BEGIN ATOMIC … END`), which is how `psql` has it (`psqlscan.l`). `standard_conforming_strings` is on.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Blanks and line ends.
    Space,
    /// `-- …`, without its line end.
    LineComment,
    /// `/* … */`, nested.
    BlockComment,
    /// A keyword or an unquoted name.
    Word,
    /// A quoted name.
    Quoted,
    /// A string of any kind.
    Text,
    /// A number.
    Number,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `;`
    Semicolon,
    /// Anything else: operators, parameters, brackets, commas, dots.
    Other,
}

/// One token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub span: Range<usize>,
}

/// Why a text is no SQL. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LexError {
    /// A quote or comment without its end.
    #[error("{what} that begins here has no end")]
    Open {
        /// What is open.
        what: &'static str,
        /// Where it begins.
        line: u32,
    },
    /// A command of `psql`, not of the server.
    #[error("{command} is a command of psql; the server does not know it")]
    Meta {
        /// The command.
        command: String,
        /// Where it is.
        line: u32,
    },
}

impl LexError {
    /// The line to point at.
    pub fn line(&self) -> u32 {
        match self {
            LexError::Open { line, .. } | LexError::Meta { line, .. } => *line,
        }
    }
}

/// Gives the tokens of a text, one after the other and without a gap; ends after an error.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// Where the run of bytes that fit ends.
    fn run(&self, from: usize, fits: impl Fn(u8) -> bool) -> usize {
        let bytes = &self.text.as_bytes()[from..];
        from + bytes.iter().position(|&b| !fits(b)).unwrap_or(bytes.len())
    }

    /// The kind of the token at `self.at`, and where it ends.
    fn lex(&self) -> Result<(Kind, usize), LexError> {
        let at = self.at;
        match (self.byte(at), self.byte(at + 1)) {
            (b, _) if is_space(b) => Ok((Kind::Space, self.run(at, is_space))),
            (b'-', b'-') => Ok((Kind::LineComment, self.run(at, |b| b != b'\n' && b != b'\r'))),
            (b'/', b'*') => Ok((Kind::BlockComment, self.block_comment()?)),
            (b'\'', _) => Ok((Kind::Text, self.quoted(at, b'\'', "a string")?)),
            (b'"', _) => Ok((Kind::Quoted, self.quoted(at, b'"', "a quoted name")?)),
            (b'e' | b'E', b'\'') => Ok((Kind::Text, self.escape_string(at + 1)?)),
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', b'\'') => {
                Ok((Kind::Text, self.quoted(at + 1, b'\'', "a string")?))
            }
            (b'u' | b'U', b'&') if self.byte(at + 2) == b'\'' => {
                Ok((Kind::Text, self.quoted(at + 2, b'\'', "a string")?))
            }
            (b'u' | b'U', b'&') if self.byte(at + 2) == b'"' => {
                Ok((Kind::Quoted, self.quoted(at + 2, b'"', "a quoted name")?))
            }
            (b'$', _) => self.dollar(),
            (b, _) if begins_name(b) => {
                Ok((Kind::Word, self.run(at, |b| begins_name(b) || is_inside_name(b))))
            }
            (b'0'..=b'9', _) => Ok((Kind::Number, self.run(at, |b| b.is_ascii_digit() || b == b'_'))),
            (b'(', _) => Ok((Kind::Open, at + 1)),
            (b')', _) => Ok((Kind::Close, at + 1)),
            (b';', _) => Ok((Kind::Semicolon, at + 1)),
            (b'\\', _) => Err(LexError::Meta {
                command: self.text[at..self.run(at, |b| !is_space(b) && b != b';')].to_string(),
                line: self.line(at),
            }),
            _ => Ok((Kind::Other, at + 1)),
        }
    }

    fn open(&self, what: &'static str, at: usize) -> LexError {
        LexError::Open { what, line: self.line(at) }
    }

    fn line(&self, at: usize) -> u32 {
        1 + count_lines(&self.text.as_bytes()[..at])
    }

    fn block_comment(&self) -> Result<usize, LexError> {
        let mut depth = 0u32;
        let mut at = self.at;
        while at < self.text.len() {
            match (self.byte(at), self.byte(at + 1)) {
                (b'/', b'*') => (depth, at) = (depth + 1, at + 2),
                (b'*', b'/') if depth == 1 => return Ok(at + 2),
                (b'*', b'/') => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        Err(self.open("a comment", self.at))
    }

    /// A quote whose only escape is itself doubled; `at` is its opening one.
    fn quoted(&self, at: usize, quote: u8, what: &'static str) -> Result<usize, LexError> {
        let mut at = at + 1;
        loop {
            at = self.run(at, |b| b != quote);
            if at >= self.text.len() {
                return Err(self.open(what, self.at));
            }
            if self.byte(at + 1) != quote {
                return Ok(at + 1);
            }
            at += 2;
        }
    }

    /// An `E''` string and its continuations, in which backslashes escape too.
    fn escape_string(&self, quote: usize) -> Result<usize, LexError> {
        let mut at = quote + 1;
        loop {
            at = self.run(at, |b| b != b'\'' && b != b'\\');
            match (self.byte(at), self.byte(at + 1)) {
                _ if at >= self.text.len() => return Err(self.open("a string", self.at)),
                (b'\\', _) => at += 1 + self.text[at + 1..].chars().next().map_or(0, char::len_utf8),
                (_, b'\'') => at += 2,
                _ => match self.continuation(at + 1) {
                    Some(next) => at = next + 1,
                    None => return Ok(at + 1),
                },
            }
        }
    }

    /// Where a string that ended before `from` goes on: at a quote after blanks with a line end among them.
    fn continuation(&self, from: usize) -> Option<usize> {
        let mut at = from;
        let mut new_line = false;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (b'\n' | b'\r', _) => (new_line, at) = (true, at + 1),
                (b, _) if is_space(b) => at += 1,
                (b'-', b'-') => at = self.run(at, |b| b != b'\n' && b != b'\r'),
                (b'\'', _) if new_line => return Some(at),
                _ => return None,
            }
        }
    }

    /// `$tag$ … $tag$`, or a lone dollar (of a parameter).
    fn dollar(&self) -> Result<(Kind, usize), LexError> {
        let first = self.byte(self.at + 1);
        let end = if begins_name(first) {
            self.run(self.at + 1, |b| begins_name(b) || b.is_ascii_digit())
        } else {
            self.at + 1
        };
        if self.byte(end) != b'$' {
            return Ok((Kind::Other, self.at + 1));
        }
        let tag = &self.text[self.at..=end];
        match self.text[end + 1..].find(tag) {
            Some(length) => Ok((Kind::Text, end + 1 + length + tag.len())),
            None => Err(self.open("a dollar-quoted string", self.at)),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Token, LexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.text.len() {
            return None;
        }
        match self.lex() {
            Ok((kind, end)) => {
                let span = self.at..end.min(self.text.len());
                self.at = span.end;
                Some(Ok(Token { kind, span }))
            }
            Err(error) => {
                self.at = self.text.len();
                Some(Err(error))
            }
        }
    }
}

/// Where one statement of a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From the end of the statement before (so with the comments above it) to its semicolon.
    pub span: Range<usize>,
    /// Its first token.
    pub start: usize,
    /// The line of its first token, from 1.
    pub line: u32,
}

/// A line comment outside of every string, and whether it stands inside a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where it is.
    pub span: Range<usize>,
    /// Its line, from 1.
    pub line: u32,
    /// The line on which the statement around it begins.
    pub inside: Option<u32>,
}

/// A text taken apart. The statements' spans and `rest`, one after the other, are the whole text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// The statements in order.
    pub statements: Vec<Statement>,
    /// Blanks and comments after the last one.
    pub rest: Range<usize>,
    /// All line comments.
    pub comments: Vec<Comment>,
}

/// Splits a text into statements; linear in its length.
///
/// # Errors
/// [`LexError`]: something quoted or commented never ends, or a `psql` command stands there.
pub fn split(text: &str) -> Result<Split, LexError> {
    let mut split = Split::default();
    let mut open = Nesting::default();
    let mut begun: Option<(usize, u32)> = None;
    let mut from = 0;
    let mut line = 1;
    for token in Lexer::new(text) {
        let Token { kind, span } = token?;
        let token_text = &text[span.clone()];
        match kind {
            Kind::Space | Kind::BlockComment => {}
            Kind::LineComment => {
                split.comments.push(Comment { span: span.clone(), line, inside: begun.map(|(_, line)| line) })
            }
            _ => {
                let (start, first_line) = *begun.get_or_insert((span.start, line));
                if open.ends_statement(kind, token_text) {
                    let statement = Statement { span: from..span.end, start, line: first_line };
                    split.statements.push(statement);
                    from = span.end;
                    begun = None;
                    open = Nesting::default();
                }
            }
        }
        line += count_lines(token_text.as_bytes());
    }
    if let Some((start, line)) = begun {
        split.statements.push(Statement { span: from..text.len(), start, line });
        from = text.len();
    }
    split.rest = from..text.len();
    Ok(split)
}

/// What is open within a statement.
#[derive(Debug, Default)]
struct Nesting {
    parentheses: u32,
    /// `BEGIN ATOMIC` and the `CASE`s in it, that an `END` each must close.
    blocks: u32,
    /// The token before this one.
    last: Last,
    /// How many words the statement has so far, and whether it makes a routine.
    words: u32,
    creates: bool,
    routine: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Begin,
    /// After `AS` or a dot any word is a name.
    Naming,
}

impl Nesting {
    fn ends_statement(&mut self, kind: Kind, text: &str) -> bool {
        let last = std::mem::take(&mut self.last);
        match kind {
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Semicolon => return self.parentheses == 0 && self.blocks == 0,
            Kind::Other if text == "." => self.last = Last::Naming,
            Kind::Word => self.word(text, last),
            _ => {}
        }
        false
    }

    fn word(&mut self, text: &str, last: Last) {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        self.words += 1;
        match self.words {
            1 => self.creates = is("create"),
            // CREATE [OR REPLACE] FUNCTION | PROCEDURE
            2..=4 if self.creates && (is("function") || is("procedure")) => self.routine = true,
            _ => {}
        }
        if !self.routine || self.parentheses > 0 || last == Last::Naming {
            return;
        }
        let opens_body = is("atomic") && last == Last::Begin;
        if opens_body || (is("case") && self.blocks > 0) {
            self.blocks += 1;
        } else if is("end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
        if is("begin") {
            self.last = Last::Begin;
        } else if is("as") {
            self.last = Last::Naming;
        }
    }
}

fn count_lines(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().filter(|&&b| b == b'\n').count()).unwrap_or(u32::MAX)
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn begins_name(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn is_inside_name(b: u8) -> bool {
    b.is_ascii_digit() || b == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Vec<&str> {
        let split = split(text).unwrap();
        split.statements.iter().map(|s| &text[s.start..s.span.end]).collect()
    }

    #[test]
    fn semicolons_end_statements() {
        assert_eq!(statements("a; b ;\n c"), ["a;", "b ;", "c"]);
        assert_eq!(statements(" \n-- nothing\n/* ; */"), [""; 0]);
        assert_eq!(statements(";;"), [";", ";"]);
    }

    #[test]
    fn quoted_semicolons_do_not() {
        for text in [
            "select ';';",
            "select 'it''s; so';",
            r"select 'back\';",
            r"select E'it\'s; so';",
            r"select e'\\';",
            "select E'a'\n 'b\\';c';",
            "select E'a' -- note\n 'b\\';c';",
            "select U&'\\0041;', U&\"x;y\";",
            "select \"a;\"\"b\";",
            "select $$;$$;",
            "select $a$ $b$; $$ $a$;",
            "select $é$;$é$;",
            "select 1 /* ; /* ; */ ; */ + 1;",
            "select 1 -- ;\n + 1;",
            "select B'1', x'1f', n';';",
            "select a[1:2], $1, b$c$d;",
            "select 1+--;\n1;",
        ] {
            assert_eq!(statements(text), [text], "{text}");
        }
    }

    #[test]
    fn a_backslash_is_no_escape_in_a_plain_string() {
        assert_eq!(statements(r"select 'a\'; select 'b'"), [r"select 'a\';", "select 'b'"]);
        assert_eq!(statements("select E'a' 'b\\'; x"), ["select E'a' 'b\\';", "x"]);
    }

    #[test]
    fn bodies_hold_their_semicolons() {
        let rule = "CREATE RULE r AS ON INSERT TO t DO (INSERT INTO a VALUES (1); DELETE FROM b;);";
        let body = "CREATE OR REPLACE FUNCTION f(begin int) RETURNS int LANGUAGE sql\nBEGIN ATOMIC\n \
                    SELECT CASE WHEN begin > 1 THEN 1 ELSE 2 END;\n SELECT 1 AS end; SELECT t.end FROM t;\nEND;";
        let procedure =
            "create procedure p() begin atomic insert into t values (case when true then 1 end); end;";
        let text = format!("{rule}\n{body}\n{procedure} SELECT 1;");
        assert_eq!(statements(&text), [rule, body, procedure, "SELECT 1;"]);
        // A transaction's BEGIN is no body.
        assert_eq!(statements("BEGIN; SELECT 1; END;").len(), 3);
    }

    #[test]
    fn lines_are_those_of_the_first_token() {
        let split = split("\n-- why\nselect 1;\n\n/* a\nb */ select\n2;").unwrap();
        assert_eq!(split.statements.iter().map(|s| s.line).collect::<Vec<_>>(), [3, 6]);
        assert_eq!(split.comments[0].line, 2);
        assert_eq!(split.comments[0].inside, None);
    }

    #[test]
    fn what_never_ends_is_named_with_its_line() {
        for (text, what) in [
            ("\nselect 'a", "a string"),
            ("\nselect E'a\\'", "a string"),
            ("\nselect E'a\\", "a string"),
            ("\nselect \"a", "a quoted name"),
            ("\nselect $x$ $y$ $$", "a dollar-quoted string"),
            ("\n/* /* */", "a comment"),
        ] {
            let error = split(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{what} that begins here has no end"));
            assert_eq!(error.line(), 2, "{text}");
        }
    }

    #[test]
    fn psql_commands_are_named() {
        let error = split("select 1;\n\\copy t from 'f'").unwrap_err();
        assert_eq!(error.to_string(), "\\copy is a command of psql; the server does not know it");
        assert_eq!(error.line(), 2);
        assert!(split("select '\\d'").is_ok());
    }

    /// Pieces that open, close or hide one another, in every order that chance brings.
    #[test]
    fn no_text_makes_it_panic_or_lose_a_byte() {
        const PIECES: [&str; 34] = [
            "'", "\"", "$", "$$", "$a$", "$é$", "E'", "e'", "U&'", "U&\"", "\\", ";", "--", "/*", "*/", "\n",
            "\r\n", "(", ")", "begin", "atomic", "end", "case", "create", "function", " ", "é", "1", "x",
            "🦀", "&", ".", "as", "\u{0}",
        ];
        let mut seed = 42u64;
        let mut whole = 0;
        for _ in 0..20_000 {
            let mut text = String::new();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bits = seed;
            for _ in 0..12 {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                text.push_str(PIECES[(bits >> 33) as usize % PIECES.len()]);
            }
            let Ok(split) = split(&text) else { continue };
            whole += 1;
            let mut rebuilt = String::new();
            for statement in &split.statements {
                assert!(statement.span.contains(&statement.start));
                rebuilt.push_str(&text[statement.span.clone()]);
            }
            rebuilt.push_str(&text[split.rest.clone()]);
            assert_eq!(rebuilt, text);
        }
        assert!(whole > 1_000, "only {whole} texts were split at all");
    }
}
