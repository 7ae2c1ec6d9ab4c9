//! Cuts SQL text into statements, as `psql` does (`psqlscan.l`), piece by piece.
//!
//! A restore runs pg_dump's text over its own connection and not through `psql`: no meta-command that a
//! hostile name could smuggle in is ever run, each failing statement is known, and no transaction has to
//! hold a lock on every table at once. The text is pg_dump's, with `standard_conforming_strings` on.

/// Takes text in pieces cut anywhere, gives whole statements.
#[derive(Debug, Default)]
pub struct Splitter {
    text: Vec<u8>,
    /// Where the present statement begins.
    start: usize,
    /// How far `text` has been looked at.
    at: usize,
    state: State,
    parentheses: u32,
    /// How deep in `BEGIN ATOMIC … END` of a function's body, whose statements end in semicolons too.
    blocks: u32,
    /// First letters of the statement's first four words, which tell `CREATE FUNCTION` and its like.
    first_words: Vec<u8>,
    /// Anything but space and comments so far?
    begun: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    Word(usize),
    Quote,
    EscapeQuote,
    DoubleQuote,
    LineComment,
    BlockComment(u32),
    Dollar(Vec<u8>),
}

/// What a look at the next bytes gave.
enum Step {
    /// So many bytes are taken.
    Taken(usize),
    /// A statement ends after so many bytes.
    Ends(usize),
    /// More bytes are needed to tell.
    Wait,
}

impl Splitter {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        // Only here, and not after each statement: a text of many statements is not moved for each.
        self.text.drain(..self.start);
        self.at -= self.start;
        if let State::Word(at) = &mut self.state {
            *at -= self.start;
        }
        self.start = 0;
        self.text.extend_from_slice(piece);
    }

    /// The next whole statement, without its semicolon; `None` until more comes.
    pub fn next_statement(&mut self) -> Option<Vec<u8>> {
        self.scan(false)
    }

    /// What is left at the end of the text: a last statement without a semicolon, if there is one.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        let whole = self.scan(true);
        whole.or_else(|| self.begun.then(|| self.text.split_off(self.start)))
    }

    fn scan(&mut self, last: bool) -> Option<Vec<u8>> {
        while self.at < self.text.len() {
            match self.step(last) {
                Step::Taken(bytes) => self.at += bytes,
                Step::Ends(bytes) => return Some(self.cut(bytes)),
                Step::Wait => return None,
            }
        }
        None
    }

    fn cut(&mut self, bytes: usize) -> Vec<u8> {
        let statement = self.text[self.start..self.at].to_vec();
        let next = self.at + bytes;
        *self = Self { text: std::mem::take(&mut self.text), start: next, at: next, ..Self::default() };
        statement
    }

    fn step(&mut self, last: bool) -> Step {
        let rest = &self.text[self.at..];
        let byte = rest[0];
        match &mut self.state {
            State::Plain => return self.plain(last),
            State::Word(start) => {
                if is_word(byte) {
                    return Step::Taken(1);
                }
                let word = self.text[*start..self.at].to_ascii_lowercase();
                self.state = State::Plain;
                self.word(&word);
                return Step::Taken(0);
            }
            State::Quote if byte == b'\'' => self.state = State::Plain,
            State::DoubleQuote if byte == b'"' => self.state = State::Plain,
            State::EscapeQuote if byte == b'\'' => match rest {
                // A doubled quote: the string goes on, and its backslashes still escape.
                [_, b'\'', ..] => return Step::Taken(2),
                [_] if !last => return Step::Wait,
                _ => self.state = State::Plain,
            },
            State::EscapeQuote if byte == b'\\' => {
                return if rest.len() >= 2 || last { Step::Taken(rest.len().min(2)) } else { Step::Wait };
            }
            State::LineComment if matches!(byte, b'\n' | b'\r') => self.state = State::Plain,
            State::BlockComment(depth) => match rest {
                [b'*', b'/', ..] => {
                    *depth -= 1;
                    if *depth == 0 {
                        self.state = State::Plain;
                    }
                    return Step::Taken(2);
                }
                [b'/', b'*', ..] => {
                    *depth += 1;
                    return Step::Taken(2);
                }
                [b'*' | b'/'] if !last => return Step::Wait,
                _ => {}
            },
            State::Dollar(tag) if byte == b'$' => {
                if rest.starts_with(tag) {
                    let length = tag.len();
                    self.state = State::Plain;
                    return Step::Taken(length);
                }
                if !last && tag.starts_with(rest) {
                    return Step::Wait;
                }
            }
            _ => {}
        }
        Step::Taken(1)
    }

    fn plain(&mut self, last: bool) -> Step {
        let rest = &self.text[self.at..];
        match rest {
            [b'-', b'-', ..] => self.state = State::LineComment,
            [b'/', b'*', ..] => {
                self.state = State::BlockComment(1);
                return Step::Taken(2);
            }
            [b'-' | b'/'] if !last => return Step::Wait,
            // E'…' is the one prefix that changes how a string ends.
            [b'e' | b'E', b'\'', ..] => {
                self.begun = true;
                self.state = State::EscapeQuote;
                return Step::Taken(2);
            }
            [b'e' | b'E'] if !last => return Step::Wait,
            [b'$', ..] => return self.dollar(last),
            [b';', ..] if self.parentheses == 0 && self.blocks == 0 => {
                if self.begun {
                    return Step::Ends(1);
                }
            }
            [byte, ..] if byte.is_ascii_whitespace() => return Step::Taken(1),
            // No word: a dollar quote may begin right behind it.
            [b'0'..=b'9', ..] => {
                self.begun = true;
                let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'_';
                return match rest.iter().position(|byte| !number(byte)) {
                    Some(length) => Step::Taken(length),
                    None if last => Step::Taken(rest.len()),
                    None => Step::Wait,
                };
            }
            [byte, ..] => {
                self.begun = true;
                match byte {
                    b'\'' => self.state = State::Quote,
                    b'"' => self.state = State::DoubleQuote,
                    b'(' => self.parentheses += 1,
                    b')' => self.parentheses = self.parentheses.saturating_sub(1),
                    byte if is_word(*byte) => self.state = State::Word(self.at),
                    _ => {}
                }
            }
            [] => {}
        }
        Step::Taken(1)
    }

    /// `$tag$`, or a lone dollar.
    fn dollar(&mut self, last: bool) -> Step {
        let rest = &self.text[self.at..];
        self.begun = true;
        match rest[1..].iter().position(|byte| !is_word(*byte) || *byte == b'$') {
            Some(length) if rest[1 + length] == b'$' && !rest[1].is_ascii_digit() => {
                let tag = rest[..length + 2].to_vec();
                self.state = State::Dollar(tag);
                Step::Taken(length + 2)
            }
            None if !last => Step::Wait,
            _ => Step::Taken(1),
        }
    }

    /// A whole word outside quotes; counts the blocks of SQL-standard function bodies.
    fn word(&mut self, word: &[u8]) {
        if self.first_words.len() < 4 {
            let known: [&[u8]; 5] = [b"create", b"function", b"procedure", b"or", b"replace"];
            self.first_words.push(if known.contains(&word) { word[0] } else { b'-' });
        }
        let function =
            matches!(self.first_words[..], [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']);
        if function && self.parentheses == 0 {
            match word {
                b"begin" => self.blocks += 1,
                b"case" if self.blocks > 0 => self.blocks += 1,
                b"end" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// Part of a word: letters, digits, `_`, `$` inside, and every byte of a character outside ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            splitter.push(piece);
            while let Some(statement) = splitter.next_statement() {
                found.push(statement);
            }
        }
        // At the end of the text, whole statements may still stand before the rest.
        found.extend(splitter.finish());
        found.into_iter().map(|s| String::from_utf8(s).unwrap().trim().to_string()).collect()
    }

    fn check(text: &str, statements: &[&str]) {
        for piece in [1, 2, 3, 7, text.len()] {
            assert_eq!(split(text, piece), statements, "in pieces of {piece}");
        }
    }

    #[test]
    fn plain_statements() {
        check("SELECT 1; SELECT 2;\n", &["SELECT 1", "SELECT 2"]);
        check("SELECT 1;;; ;\n-- end\n", &["SELECT 1"]);
        check("SELECT 1", &["SELECT 1"]);
        check("-- a; b\nSELECT 1 /* ; /* ; */ ; */ - 2;", &["-- a; b\nSELECT 1 /* ; /* ; */ ; */ - 2"]);
        check("-- only this", &[]);
    }

    #[test]
    fn quotes_hide_semicolons() {
        check("SELECT 'a;''b\\';SELECT E'a\\';''b';", &["SELECT 'a;''b\\'", "SELECT E'a\\';''b'"]);
        check("SELECT E'a''\\';b';c;", &["SELECT E'a''\\';b'", "c"]);
        check("SELECT type'a\\';SELECT \"a;\"\"b\";", &["SELECT type'a\\'", "SELECT \"a;\"\"b\""]);
        check("DO $$ a; $x$ b; $$;DO $é_1$ $$;$ $é_1$;", &["DO $$ a; $x$ b; $$", "DO $é_1$ $$;$ $é_1$"]);
        check("SELECT 1$a$;$a$;SELECT -- '\r;", &["SELECT 1$a$;$a$", "SELECT -- '"]);
        check("SELECT a$b$ c;SELECT $1;", &["SELECT a$b$ c", "SELECT $1"]);
    }

    #[test]
    fn rules_and_bodies_are_whole() {
        check(
            "CREATE RULE r AS ON INSERT TO t DO (a; b);x;",
            &["CREATE RULE r AS ON INSERT TO t DO (a; b)", "x"],
        );
        let body =
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
        check(&format!("{body};BEGIN;COMMIT;"), &[body, "BEGIN", "COMMIT"]);
        let body = "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END";
        check(&format!("{body};y;"), &[body, "y"]);
    }
}
