//! Where text leaves the program, outside of a run's screens. A broken pipe is no error.

use std::collections::BTreeMap;
use std::io::Write;

use crate::redact::redact;
use crate::ui::Look;

/// How text looks on this terminal, or without one.
pub fn look(variables: &BTreeMap<String, String>, terminal: bool) -> Look {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let unicode = locale.is_some_and(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    });
    if !terminal {
        return Look { unicode, ..Look::BARE };
    }
    let width = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
    Look { colour: set("NO_COLOR").is_none(), unicode, width }
}

/// Prints a result on standard output, secrets masked, with a line end.
pub fn print(text: &str) {
    write(&mut std::io::stdout().lock(), text);
}

/// Writes to standard output what was masked while it was made: a page in which a secret that happens to be a word of
/// its markup must not break it.
pub fn pass(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Prints a message on standard error, secrets masked, with a line end.
pub fn complain(text: &str) {
    write(&mut std::io::stderr().lock(), text);
}

fn write(stream: &mut impl Write, text: &str) {
    let text = redact(text);
    let _ = writeln!(stream, "{}", text.trim_end_matches('\n'));
    let _ = stream.flush();
}
