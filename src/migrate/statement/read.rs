//! Reading a statement token by token.

use super::super::lexer::{Kind, Lexer};

/// The tokens of one statement that mean something: no blanks, no comments. Ends where the text is no SQL.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    next: Option<Piece<'a>>,
    end: usize,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub start: usize,
}

impl Piece<'_> {
    /// Whether it is this keyword, or may be.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The name that it is, as the server would look it up. `U&""` escapes are not read.
    pub fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_lowercase()),
            Kind::Quoted => {
                let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
                Some(inner.replace("\"\"", "\""))
            }
            _ => None,
        }
    }
}

/// A name with or without its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub schema: Option<String>,
    pub name: String,
    /// As it is written.
    pub text: String,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut reader = Self { text, lexer: Lexer::new(text), next: None, end: 0 };
        reader.advance();
        reader
    }

    fn advance(&mut self) {
        let silent = |kind| matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment);
        let token = self.lexer.by_ref().map_while(Result::ok).find(|token| !silent(token.kind));
        self.next = token.map(|token| Piece {
            kind: token.kind,
            start: token.span.start,
            text: self.text.get(token.span).unwrap_or_default(),
        });
    }

    /// The token to come.
    pub fn peek(&self) -> Option<Piece<'a>> {
        self.next
    }

    /// Where the last token that was taken ends, in bytes.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Takes the keyword, if it is what comes.
    pub fn keyword(&mut self, word: &str) -> bool {
        let there = self.next.is_some_and(|piece| piece.is(word));
        if there {
            self.next();
        }
        there
    }

    /// Takes the keywords one after the other, as many of them as come; whether all came.
    pub fn keywords(&mut self, words: &[&str]) -> bool {
        words.iter().all(|word| self.keyword(word))
    }

    /// Takes a token with this text, if it is what comes.
    pub fn symbol(&mut self, text: &str) -> bool {
        let there = self.next.is_some_and(|piece| piece.text == text);
        if there {
            self.next();
        }
        there
    }

    /// Takes a name, with its schema if one stands before it.
    pub fn named(&mut self) -> Option<Named> {
        let piece = self.next()?;
        let first = piece.name()?;
        let (schema, name) = match self.symbol(".") {
            false => (None, first),
            true => (Some(first), self.next()?.name()?),
        };
        Some(Named { schema, name, text: self.text.get(piece.start..self.end)?.to_string() })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let piece = self.next?;
        self.end = piece.start + piece.text.len();
        self.advance();
        Some(piece)
    }
}
