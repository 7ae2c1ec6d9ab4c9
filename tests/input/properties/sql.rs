//! SQL is taken apart without losing a byte, and no statement ends within a string, a comment or a quoted name.

use std::ops::Range;

use backstay::migrate::lexer::{self, Comment, Kind, Lexer, Split, Token};
use backstay::migrate::statement;

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut tokens: Vec<Token> = Vec::new();
    let mut failed = None;
    for token in Lexer::new(&text) {
        assert_eq!(failed, None, "a token behind an error");
        match token {
            Ok(token) => tokens.push(token),
            Err(error) => failed = Some(error),
        }
    }
    let end = covered(&text, tokens.iter().map(|token| token.span.clone()));
    match lexer::split(&text) {
        Err(error) => {
            assert_eq!(Some(&error), failed.as_ref());
            let lines = u32::try_from(text.split('\n').count()).expect("a small input");
            assert!((1..=lines).contains(&error.line()), "{error} in line {} of {lines}", error.line());
        }
        Ok(split) => {
            assert_eq!((failed, end), (None, text.len()));
            tokens.iter().for_each(|token| lexes_alone(&text, token));
            is_whole(&text, &split, &tokens);
            split.comments.iter().for_each(|comment| is_line_comment(&text, comment));
            split.statements.iter().for_each(|found| judge(&text[found.start..found.span.end]));
        }
    }
}

/// Where spans without a gap, on whole characters, end.
fn covered(text: &str, spans: impl Iterator<Item = Range<usize>>) -> usize {
    let mut end = 0;
    for span in spans {
        assert!(span.start == end && span.start < span.end, "{span:?} behind {end}");
        assert!(text.get(span.clone()).is_some(), "{span:?} is not on whole characters");
        end = span.end;
    }
    end
}

/// A token means the same without what is around it.
fn lexes_alone(text: &str, token: &Token) {
    let alone = &text[token.span.clone()];
    let found: Vec<_> = Lexer::new(alone).collect();
    let expected = Token { kind: token.kind, span: 0..alone.len() };
    assert_eq!(found, [Ok(expected)], "{alone:?}");
}

fn is_whole(text: &str, split: &Split, tokens: &[Token]) {
    let spans = split.statements.iter().map(|found| found.span.clone());
    let end = covered(text, spans.chain((!split.rest.is_empty()).then(|| split.rest.clone())));
    assert_eq!(end, text.len());
    let means = |kind| !matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment);
    let mut last_to_come = split.statements.len();
    for found in &split.statements {
        last_to_come -= 1;
        let first = tokens.iter().find(|token| token.span.start >= found.span.start && means(token.kind));
        assert_eq!(first.map(|token| token.span.start), Some(found.start));
        assert_eq!(found.line, line_of(text, found.start));
        let last = tokens.iter().find(|token| token.span.end == found.span.end);
        let last = last.expect("a statement ends where a token ends");
        assert!(last.kind == Kind::Semicolon || last_to_come == 0, "{found:?} has no end");
        let alone = lexer::split(&text[found.start..found.span.end]).expect("a part of what was split");
        assert_eq!(alone.statements.len(), 1, "{:?} is not one", &text[found.start..found.span.end]);
    }
    assert!(!tokens.iter().any(|token| token.span.start >= split.rest.start && means(token.kind)));
}

fn is_line_comment(text: &str, comment: &Comment) {
    let said = &text[comment.span.clone()];
    assert!(said.starts_with("--") && !said.contains('\n'), "{said:?}");
    assert_eq!(comment.line, line_of(text, comment.span.start));
    assert!(comment.inside.is_none_or(|line| line <= comment.line));
}

fn line_of(text: &str, at: usize) -> u32 {
    u32::try_from(text[..at].matches('\n').count()).expect("a small input") + 1
}

/// What is known of a statement does not change with a comment before it.
fn judge(statement: &str) {
    let known = |text: &str| {
        (
            statement::nature(text),
            statement::probe_kind(text),
            statement::title(text),
            statement::names(text),
            statement::is_concurrent(text),
            statement::changes_session(text),
        )
    };
    let here = known(statement);
    assert!(here.2.split(' ').count() <= 3, "{:?} is no title", here.2);
    assert_eq!(known(&format!("/* commit */ -- vacuum\n{statement}")), here);
}
