//! The page as it is written: markup of ours, and text of others, which can't be taken for each other.
//!
//! Markup is `'static`: it stands in this program's source. Whatever was read from anywhere is a [`Page::text`] and leaves
//! here without secrets, control characters and meaning to HTML.

use std::borrow::Cow;
use std::fmt::Write;

use crate::ui::foreign::clean;

/// A page on its way.
#[derive(Debug, Default)]
pub(super) struct Page {
    out: String,
}

impl Page {
    /// Markup.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Text of others: masked, cleaned and escaped. Right within an element, and within a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.cleaned(&clean(text))
    }

    /// Text that went through [`clean`] as a whole before it was cut into pieces: escaped only.
    pub fn cleaned(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&escape(text));
        self
    }

    /// A count.
    pub fn count(&mut self, n: u64) -> &mut Self {
        self.out.push_str(&super::words::number(n));
        self
    }

    /// A number in an attribute, to two digits.
    pub fn figure(&mut self, n: f64) -> &mut Self {
        // Writing to a String can't fail.
        let _ = if n.fract().abs() < 0.005 { write!(self.out, "{n:.0}") } else { write!(self.out, "{n:.2}") };
        self
    }

    /// `<tag class="…">text</tag>`; `open` holds the tag's beginning.
    pub fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.out
    }
}

/// Whether a character means something to HTML.
pub(super) fn is_special(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '"' | '\'')
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        let mut page = Page::default();
        page.raw("<p title=\"").text("\" onclick='x()' \u{1b}[31m").raw("\">");
        page.text("</p><script>alert(1)</script>&amp;\u{0}\u{202e}").raw("</p>");
        assert_eq!(
            page.finish(),
            "<p title=\"&quot; onclick=&#39;x()&#39; \">&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;\\u{0}\\u{202e}</p>"
        );
    }

    #[test]
    fn secrets_are_masked_and_figures_are_short() {
        crate::redact::register("hunter2-on-a-page");
        let mut page = Page::default();
        page.text("x hunter2-on-a-page y").figure(12.0).raw(" ").figure(0.3333);
        assert_eq!(page.finish(), "x *** y12 0.33");
    }
}
