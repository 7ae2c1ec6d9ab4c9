//! A file as it may be shown: its passwords masked, its places still right.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::mask;
use crate::redact::MASK;

/// The text of a file with its secrets masked. The original is not kept.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    name: String,
    shown: String,
    /// The masked places, in bytes of the original.
    cuts: Vec<Range<usize>>,
    /// How many characters each of them had.
    cut_widths: Vec<usize>,
}

impl Source {
    /// `text` under the name that messages give it.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let cuts = mask::secrets(text);
        let cut_widths = cuts.iter().map(|cut| text[cut.clone()].chars().count()).collect();
        let mut shown = text.to_string();
        for cut in cuts.iter().rev() {
            shown.replace_range(cut.clone(), MASK);
        }
        // What is missing is shown at the end: there must be a line to show.
        if !shown.ends_with('\n') {
            shown.push('\n');
        }
        Self { name: name.to_string(), shown, cuts, cut_widths }
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text as it may be shown.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Where bytes of the original stand in what is shown; always within it, on whole characters.
    pub(crate) fn place(&self, original: &Range<usize>) -> Range<usize> {
        let start = self.offset(original.start, 0);
        let end = self.offset(original.end, MASK.len());
        start..end.max(start)
    }

    /// The end of the last line that says something: where what is missing could be added.
    pub(crate) fn end(&self) -> Range<usize> {
        let end = self.shown.trim_end().len();
        end..end
    }

    fn offset(&self, original: usize, within_mask: usize) -> usize {
        let mut removed = 0;
        let mut added = 0;
        for cut in &self.cuts {
            if original >= cut.end {
                removed += cut.len();
                added += MASK.len();
            } else if original > cut.start {
                return self.on_character(cut.start - removed + added + within_mask);
            }
        }
        self.on_character(original - removed + added)
    }

    fn on_character(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.shown.len());
        while !self.shown.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// Line and column (both from 1, in characters of the original) of a place in what is shown.
    pub(crate) fn line_and_column(&self, shown: usize) -> (usize, usize) {
        let shown = self.on_character(shown);
        let line_start = self.shown[..shown].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.shown[..line_start].matches('\n').count() + 1;
        let mut column = self.shown[line_start..shown].chars().count() + 1;
        let mut moved = 0isize;
        for (cut, width) in self.cuts.iter().zip(&self.cut_widths) {
            let mask_start = cut.start.wrapping_add_signed(moved);
            moved += MASK.len() as isize - cut.len() as isize;
            if mask_start >= line_start && mask_start + MASK.len() <= shown {
                column = column - MASK.len() + width;
            }
        }
        (line, column)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.shown.read_span(span, context_lines_before, context_lines_after)?;
        // The column that is told is the one in the file, not the one beside a shorter mask.
        let column = match context_lines_before {
            0 => self.line_and_column(contents.span().offset()).1 - 1,
            _ => contents.column(),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            column,
            contents.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_mask() {
        let text = "a = \"postgres://u:long-password-ä@h/${X}\"\nb = 1\n";
        let source = Source::new("f", text);
        assert_eq!(source.shown(), "a = \"postgres://u:***@h/${X}\"\nb = 1\n");
        let at = text.find("${X}").unwrap();
        let place = source.place(&(at..at + 4));
        assert_eq!(&source.shown()[place.clone()], "${X}");
        assert_eq!(source.line_and_column(place.start), (1, text[..at].chars().count() + 1));
        let at = text.find("b =").unwrap();
        let place = source.place(&(at..at + 1));
        assert_eq!(&source.shown()[place.clone()], "b");
        assert_eq!(source.line_and_column(place.start), (2, 1));
    }

    #[test]
    fn a_place_in_the_mask_is_the_mask() {
        let text = "password = \"hunter2-${X}\"";
        let source = Source::new("f", text);
        let at = text.find("${X}").unwrap();
        assert_eq!(&source.shown()[source.place(&(at..at + 4))], "***");
    }

    #[test]
    fn places_out_of_range_are_brought_in() {
        let source = Source::new("f", "ä");
        assert_eq!(source.place(&(1..9)), 0..3);
        assert_eq!(source.place(&(9..9)), 3..3);
    }
}
