//! pg_dump's text is cut into the same statements however the pieces fall in which it comes, nothing of a statement is
//! lost, and where the migrations' lexer can read the text, it sees the same statements.

use backstay::backup::split::Splitter;
use backstay::migrate::lexer::{self, Kind, Lexer};

/// See the module.
pub fn hold(input: &[u8]) {
    let whole = cut([input].into_iter());
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(cut(input.chunks(size)), whole, "in pieces of {size}");
    }
    is_all_there(input, &whole);
    if let Ok(text) = std::str::from_utf8(input) {
        the_lexer_agrees(text, &whole);
    }
}

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::default();
    let mut found = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(statement) = splitter.next_statement() {
            found.push(statement);
        }
    }
    found.extend(splitter.finish());
    found
}

/// Each statement stands in the text behind the one before it, with semicolons, blanks and comments between them.
fn is_all_there(input: &[u8], statements: &[Vec<u8>]) {
    let mut rest = input;
    for statement in statements {
        assert!(rest.starts_with(statement), "{:?} is not next", String::from_utf8_lossy(statement));
        rest = &rest[statement.len()..];
        match rest.split_first() {
            Some((b';', after)) => rest = after,
            Some(_) => panic!("{:?} ends without a semicolon", String::from_utf8_lossy(statement)),
            None => {}
        }
    }
}

/// Where both know the text: of a function's body and of an `E''` string over several lines psql's rules, which the
/// splitter follows, and the server's, which the lexer follows, are not the same.
fn the_lexer_agrees(text: &str, statements: &[Vec<u8>]) {
    let Ok(split) = lexer::split(text) else { return };
    let tokens = |text: &str| -> Vec<(Kind, String)> {
        let tokens = Lexer::new(text).filter_map(Result::ok);
        let means =
            |kind| !matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment | Kind::Semicolon);
        tokens.filter(|token| means(token.kind)).map(|t| (t.kind, text[t.span].to_string())).collect()
    };
    let all = tokens(text);
    let escapes = |text: &str| text.starts_with(['e', 'E']) && text.contains(['\n', '\r']);
    let continued = all.iter().any(|(kind, text)| *kind == Kind::Text && escapes(text));
    if continued || all.iter().any(|(_, text)| text.eq_ignore_ascii_case("create")) {
        return;
    }
    let ours = statements.iter().map(|statement| tokens(&String::from_utf8_lossy(statement)));
    let theirs = split.statements.iter().map(|found| tokens(&text[found.span.clone()]));
    let said = |statement: &Vec<(Kind, String)>| !statement.is_empty();
    assert_eq!(ours.filter(said).collect::<Vec<_>>(), theirs.filter(said).collect::<Vec<_>>());
}
