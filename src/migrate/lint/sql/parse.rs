//! Text to squawk's syntax trees, within bounds: the parser recurses, and what it is given is not all ours.

use squawk_syntax::ast::{self, AstNode, Stmt};
use squawk_syntax::{Parse, SourceFile, SyntaxNode};

use crate::migrate::lexer::{Kind, Lexer};

/// How deep brackets may nest, and how many operators a text may have: far more than people write, far less than
/// what [`on_a_deep_stack`] holds. The parser recurses into both, and chains of operators cost it quadratic time.
const DEEPEST: u32 = 500;
const MOST_OPERATORS: usize = 20_000;
const LONGEST: usize = 16 << 20;
const STACK: usize = 256 << 20;

/// What came of reading a text.
pub(in crate::migrate::lint) enum Outcome {
    /// One statement.
    Statement(Stmt),
    /// Nothing that can be judged; why.
    Unread(String),
}

/// Reads one statement.
pub(in crate::migrate::lint) fn parse(text: &str) -> Outcome {
    let Some(tree) = squawk_tree(text) else {
        return Outcome::Unread("it is too large or too deep to be read".into());
    };
    if let Some(error) = tree.errors().first() {
        return Outcome::Unread(error.to_string());
    }
    match tree.tree().stmts().find(|stmt| !matches!(stmt, Stmt::EmptyStmt(_))) {
        Some(stmt) => Outcome::Statement(stmt),
        None => Outcome::Unread("there is no statement in it".into()),
    }
}

/// The tree of a whole text, with whatever errors; `None` beyond the bounds.
pub(in crate::migrate::lint) fn squawk_tree(text: &str) -> Option<Parse<SourceFile>> {
    fits(text).then(|| SourceFile::parse(text))
}

/// The tree of a PL/pgSQL body; parts that are no PL/pgSQL to the parser are `ERROR` nodes in it.
pub(in crate::migrate::lint) fn plpgsql(body: &str) -> Option<SyntaxNode> {
    if !fits(body) {
        return None;
    }
    // The parser takes a body only from a statement around it; the tag must not stand in the body.
    let tag = (0..).map(|n| format!("$body{n}$")).find(|tag| !body.contains(tag.as_str()))?;
    let tree = SourceFile::parse(&format!("DO {tag}{body}{tag}"));
    let found = tree.syntax_node().descendants().find_map(ast::Do::cast)?;
    Some(found.plpgsql()?.syntax())
}

/// Runs `work` where deep trees can be built and dropped.
///
/// # Errors
/// If it panicked (a defect of the parser): what it said goes to standard error.
pub(in crate::migrate::lint) fn on_a_deep_stack<T: Send>(
    work: impl FnOnce() -> T + Send,
) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("lint".into()).stack_size(STACK);
        let ended = thread.spawn_scoped(scope, work)?.join();
        ended.map_err(|_| std::io::Error::other("the SQL parser panicked"))
    })
}

fn fits(text: &str) -> bool {
    let (mut depth, mut operators) = (0u32, 0);
    if text.len() > LONGEST {
        return false;
    }
    for token in Lexer::new(text) {
        let Ok(token) = token else { continue };
        let word = &text[token.span];
        let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Other if word == "[" => depth += 1,
            Kind::Word if is(&["case", "begin", "loop", "if"]) => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Other if word == "]" => depth = depth.saturating_sub(1),
            // A statement's end closes what it left open: `END LOOP` opens nothing.
            Kind::Semicolon => depth = depth.saturating_sub(2),
            Kind::Word if is(&["end"]) => depth = depth.saturating_sub(1),
            Kind::Word if is(&["not", "and", "or", "union", "join"]) => operators += 1,
            Kind::Other if !matches!(word, "," | ".") => operators += 1,
            _ => {}
        }
        if depth > DEEPEST || operators > MOST_OPERATORS {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_read_and_nonsense_is_told() {
        assert!(matches!(parse("ALTER TABLE t ADD c int;"), Outcome::Statement(Stmt::AlterTable(_))));
        assert!(matches!(parse("ALTER TABEL t"), Outcome::Unread(_)));
        assert!(matches!(parse("-- nothing"), Outcome::Unread(_)));
    }

    #[test]
    fn what_would_break_the_stack_is_not_read() {
        let deep = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
        let read = |text: String| matches!(parse(&text), Outcome::Statement(_));
        let cases =
            [(deep(400), true), (deep(100_000), false), (format!("SELECT 1{}", "+1".repeat(90_000)), false)];
        for (text, expected) in cases {
            let length = text.len();
            assert_eq!(on_a_deep_stack(move || read(text)).unwrap(), expected, "{length} bytes");
        }
        let many = format!("INSERT INTO t VALUES {}(1, 'x')", "(1, 'x'), ".repeat(20_000));
        assert!(on_a_deep_stack(move || read(many)).unwrap());
        let chain = format!("SELECT 1{}", " OR NOT 1 = 1".repeat(3_000));
        assert!(on_a_deep_stack(move || read(chain)).unwrap());
    }

    #[test]
    fn a_body_is_read_whatever_its_quotes() {
        let body = "begin perform $body0$ x $body0$; return new; end";
        assert!(plpgsql(body).is_some_and(|tree| tree.text() == body));
        assert!(on_a_deep_stack(|| panic!("as a parser may")).is_err());
    }
}
