//! How a screen may look: colours, characters and width, decided by the command line before a screen
//! begins. Nothing below reads the environment.

use console::Style;

use crate::redact::redact;

/// What the terminal (or whatever stands in its place) can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours and weights may be used: a terminal, and no `NO_COLOR`.
    pub colour: bool,
    /// The locale is UTF-8; without it ticks, bars and dashes are ASCII.
    pub unicode: bool,
    /// Columns. `usize::MAX` for a file or a pipe, where nothing is wrapped or cut.
    pub width: usize,
}

/// What a stretch of text is, and so how it is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Strong,
    Faint,
    Good,
    Bad,
    Warn,
    Busy,
}

/// The characters that a screen draws with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub done: &'static str,
    pub failed: &'static str,
    pub waiting: &'static str,
    pub skipped: &'static str,
    pub unfinished: &'static str,
    pub note: &'static str,
    pub ask: &'static str,
    pub output: &'static str,
    pub dot: &'static str,
    pub arrow: &'static str,
    pub cut: &'static str,
    pub gauge: [&'static str; 2],
    pub spinner: &'static [&'static str],
}

static UNICODE: Marks = Marks {
    done: "✓",
    failed: "✗",
    waiting: "☐",
    skipped: "–",
    unfinished: "?",
    note: "!",
    ask: "?",
    output: "│",
    dot: "·",
    arrow: "→",
    cut: "…",
    gauge: ["━", "─"],
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};

static ASCII: Marks = Marks {
    done: "[x]",
    failed: "[!]",
    waiting: "[ ]",
    skipped: "[-]",
    unfinished: "[?]",
    note: "!",
    ask: "?",
    output: "|",
    dot: "-",
    arrow: "->",
    cut: "...",
    gauge: ["#", "."],
    spinner: &["[|]", "[/]", "[-]", "[\\]"],
};

impl Look {
    /// A look for text that is kept, not looked at: no colour, ASCII marks, nothing wrapped or cut.
    pub const BARE: Look = Look { colour: false, unicode: false, width: usize::MAX };

    pub(crate) fn marks(self) -> &'static Marks {
        if self.unicode { &UNICODE } else { &ASCII }
    }

    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_string();
        }
        // Forced: `console` would ask the environment once more, and the look is decided already.
        let style = Style::new().force_styling(true);
        let style = match ink {
            Ink::Strong => style.bold(),
            Ink::Faint => style.dim(),
            Ink::Good => style.green(),
            Ink::Bad => style.red().bold(),
            Ink::Warn => style.yellow(),
            Ink::Busy => style.cyan(),
        };
        style.apply_to(text).to_string()
    }

    /// The last pass over a text that leaves for a screen: secrets masked, and no byte that a
    /// terminal without UTF-8 would take for a control character.
    pub(crate) fn last_pass(self, text: &str) -> String {
        let text = redact(text);
        if self.unicode || text.is_ascii() {
            return text.into_owned();
        }
        text.chars().map(|c| if c.is_ascii() { c } else { plainer(c) }).collect()
    }
}

/// The nearest ASCII of a character that cannot be shown.
fn plainer(c: char) -> char {
    match c {
        '‘' | '’' => '\'',
        '“' | '”' | '«' | '»' => '"',
        '–' | '—' | '‐' | '−' => '-',
        '\u{a0}' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_unicode_nothing_but_ascii_leaves() {
        let look = Look { colour: false, unicode: false, width: 80 };
        assert_eq!(look.last_pass("table “naïve” – 表"), "table \"na?ve\" - ?");
        assert_eq!(Look { unicode: true, ..look }.last_pass("naïve – 表"), "naïve – 表");
    }

    #[test]
    fn colour_only_where_the_look_says_so() {
        let look = Look { colour: false, unicode: true, width: 80 };
        assert_eq!(look.paint(Ink::Bad, "x"), "x");
        assert_eq!(Look { colour: true, ..look }.paint(Ink::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
