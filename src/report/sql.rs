//! SQL with its words, strings and comments told apart, by the lexer that splits migrations. **Pure.**

use super::escape::Page;
use super::size::{cut, weight};
use crate::migrate::lexer::{Kind, Lexer};
use crate::ui::foreign::clean;

/// How much of a text is shown, in bytes of the page; the store has the rest.
const MOST: usize = 150_000;
/// How much of it gets its colours: of a list of numbers the markup takes ten times the place of the text.
const MOST_COLOURED: usize = 60_000;
/// How much markup the colours may take.
const MOST_MARKUP: usize = 100_000;
/// A longer row is cut, in bytes of the page.
const LONGEST_ROW: usize = 4_000;

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
    let mut script = Script { page, row: 0, shown: 0, markup: 0 };
    let mut at = 0;
    for token in Lexer::new(&sql) {
        // What is no SQL is shown as it is; what is not shown needs no lexer.
        let Ok(token) = token else { break };
        let text = &sql[token.span.clone()];
        let put = script.put(text, open(token.kind, text));
        at = token.span.start + put;
        if put < text.len() {
            break;
        }
    }
    while !script.is_full() && at < sql.len() {
        let end = sql[at..].find('\n').map_or(sql.len(), |n| at + n + 1);
        at += script.put(&sql[at..end], None);
    }
    if at < sql.len() {
        page.raw("\n<span class=\"c\">-- … ").count((sql.len() - at) as u64);
        page.raw(" further bytes are in preview.sql on the store</span>");
    }
}

/// A text on its way to the page, and how much of it is there.
struct Script<'p> {
    page: &'p mut Page,
    /// Of the row that is being written.
    row: usize,
    shown: usize,
    markup: usize,
}

impl Script<'_> {
    fn is_full(&self) -> bool {
        self.shown >= MOST
    }

    /// Writes a part of the text, in its colour while there is room for colours, until the page has enough. Gives how
    /// many bytes of it were written, or left out at a row's end.
    fn put(&mut self, text: &str, colour: Option<&'static str>) -> usize {
        let seen = self.row < LONGEST_ROW || text.contains('\n');
        let room = seen && self.shown < MOST_COLOURED && self.markup < MOST_MARKUP;
        let colour = colour.filter(|_| room);
        if let Some(open) = colour {
            self.markup += open.len() + "</span>".len();
            self.page.raw(open);
        }
        let mut put = 0;
        for piece in text.split_inclusive('\n') {
            if self.is_full() {
                break;
            }
            self.put_piece(piece);
            put += piece.len();
        }
        if colour.is_some() {
            self.page.raw("</span>");
        }
        put
    }

    /// Writes what of a row still has its place.
    fn put_piece(&mut self, piece: &str) {
        let (text, end) = piece.strip_suffix('\n').map_or((piece, ""), |text| (text, "\n"));
        let before = self.row;
        self.row += weight(text);
        if self.row <= LONGEST_ROW {
            self.page.cleaned(text);
        } else if before <= LONGEST_ROW {
            self.page.cleaned(&cut(text.to_string(), LONGEST_ROW - before));
        }
        self.shown += self.row.min(LONGEST_ROW) - before.min(LONGEST_ROW);
        if !end.is_empty() {
            self.page.raw("\n");
            (self.row, self.shown) = (0, self.shown + 1);
        }
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
    fn a_long_text_is_cut_and_says_so() {
        let text = shown(&"select 1;\n".repeat(30_000));
        assert!(text.contains("further bytes are in preview.sql"), "{}", &text[text.len() - 200..]);
        assert!(text.len() < MOST + MOST_MARKUP + 1_000, "{}", text.len());
    }

    #[test]
    fn a_long_row_loses_its_end_and_the_next_one_is_whole() {
        let text = shown(&format!("insert into t values ({}1);\nselect 'é'", "1,".repeat(90_000)));
        let (first, second) = text.split_once('\n').expect("two rows");
        assert!(first.trim_end_matches("</span>").ends_with(" …") && first.len() < 60_000, "{}", first.len());
        assert_eq!(second, "<span class=\"k\">select</span> <span class=\"s\">&#39;é&#39;</span>");
    }
}
