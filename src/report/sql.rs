//! SQL with its words, strings and comments told apart, by the lexer that splits migrations. **Pure.**

use super::escape::Page;
use crate::migrate::lexer::{Kind, Lexer};
use crate::ui::foreign::clean;

/// How much of a text is shown; the store has the rest.
const MOST: usize = 250_000;

/// As the preview writes the lint's findings.
const LINT: &str = "-- lint: ";

/// Words that say what a statement does: the usual ones of definitions, and those of queries and of transactions.
const KEYWORDS: &str = "add all alter and array as asc begin between by cascade case cast check coalesce collate column \
    comment commit concurrently conflict constraint copy create cross current_date current_timestamp \
    database default deferrable delete desc distinct do domain drop each else end enum except execute \
    exists explain extension false first for foreign from full function generated grant group having if \
    identity in index inherits initially inner insert intersect interval into is join key language last \
    lateral left like limit local lock materialized not null nulls of offset on only or order outer over \
    owner partition policy primary privileges procedure references rename replace reset restrict \
    returning returns revoke right role rollback row savepoint schema security select sequence set \
    stored table temporary then to transaction trigger true truncate type union unique update using \
    valid validate values view volatile when where with";

/// Writes `sql` into `page`.
pub(super) fn highlight(sql: &str, page: &mut Page) {
    let sql = clean(sql);
    let shown = cut(&sql);
    let mut at = 0;
    for token in Lexer::new(shown) {
        // What is no SQL is shown as it is.
        let Ok(token) = token else { break };
        let text = &shown[token.span.clone()];
        at = token.span.end;
        match open(token.kind, text) {
            Some(open) => page.raw(open).cleaned(text).raw("</span>"),
            None => page.cleaned(text),
        };
    }
    page.cleaned(&shown[at..]);
    if shown.len() < sql.len() {
        page.raw("\n<span class=\"c\">-- … ").count((sql.len() - shown.len()) as u64);
        page.raw(" further bytes are in preview.sql on the store</span>");
    }
}

fn open(kind: Kind, text: &str) -> Option<&'static str> {
    match kind {
        Kind::LineComment if text.starts_with("-- lint: error") => Some("<span class=\"lint error\">"),
        Kind::LineComment if text.starts_with(LINT) => Some("<span class=\"lint\">"),
        Kind::LineComment | Kind::BlockComment => Some("<span class=\"c\">"),
        Kind::Text => Some("<span class=\"s\">"),
        Kind::Number => Some("<span class=\"n\">"),
        Kind::Quoted => Some("<span class=\"q\">"),
        Kind::Word if is_keyword(text) => Some("<span class=\"k\">"),
        _ => None,
    }
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.split(' ').any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// The beginning of the text, to the end of a line.
fn cut(sql: &str) -> &str {
    if sql.len() <= MOST {
        return sql;
    }
    let end = sql.as_bytes()[..MOST].iter().rposition(|b| *b == b'\n').unwrap_or(0);
    &sql[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> String {
        let mut page = Page::default();
        highlight(sql, &mut page);
        page.finish()
    }

    #[test]
    fn words_strings_and_comments_are_told_apart() {
        assert_eq!(
            shown("-- lint: error x\nAlter TABLE \"a<b\" ADD n int DEFAULT 1; -- why"),
            "<span class=\"lint error\">-- lint: error x</span>\n<span class=\"k\">Alter</span> \
             <span class=\"k\">TABLE</span> <span class=\"q\">&quot;a&lt;b&quot;</span> <span class=\"k\">ADD</span> n int \
             <span class=\"k\">DEFAULT</span> <span class=\"n\">1</span>; <span class=\"c\">-- why</span>"
        );
    }

    #[test]
    fn what_is_no_sql_loses_nothing() {
        assert_eq!(shown("é \\copy x"), "é \\copy x");
        assert_eq!(shown("select 'never ends <"), "<span class=\"k\">select</span> &#39;never ends &lt;");
    }

    #[test]
    fn a_long_text_is_cut_at_a_line() {
        let text = shown(&"select 1;\n".repeat(30_000));
        assert!(text.contains("further bytes are in preview.sql"), "{}", &text[text.len() - 200..]);
    }
}
