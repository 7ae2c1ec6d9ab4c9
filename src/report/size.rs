//! What keeps a page small: texts of others are cut to what they may take of it. **Pure.**
//!
//! Each kind of text has a room of its own, in bytes as they stand in the file, and shares it out: who needs little is
//! kept whole, and the longest are cut to one length. All rooms together, the outputs (`spoken`), the SQL, and the markup
//! of 2,000 lines stay below 2 MB. `--json` has the texts whole.

use super::escape;
use super::model::{End, Known, Line, Report, Schema};
use crate::failure::Failure;
use crate::ui::foreign::clean;

/// How many entries of one list are shown.
pub(super) const MOST_ENTRIES: usize = 300;
/// How many of the things are shown that could not be read.
pub(super) const MOST_DAMAGE: usize = 50;
/// How many findings are shown.
pub(super) const MOST_FINDINGS: usize = 100;
/// How many lines of evidence and of help are shown of each.
const MOST_EVIDENCE: usize = 10;
/// How many causes of a failure are shown.
const MOST_CAUSES: usize = 30;
/// How many notes a page shows.
const MOST_NOTES: usize = 2_000;
/// How many lines of a difference are shown; the store has both schemas.
pub(super) const MOST_CHANGES: usize = 2_000;

/// The report with its texts cut to a page's size.
pub(super) fn fit(report: &Report) -> Report {
    let mut report = report.clone();
    fit_head(&mut report);
    fit_lines(&mut report.lines);
    fit_lists(&mut report);
    report
}

fn fit_head(report: &mut Report) {
    let names = [
        &mut report.environment,
        &mut report.database,
        &mut report.runbook,
        &mut report.origin,
        &mut report.outcome.production,
    ];
    share_out(10_000, names);
    share_out(50_000, [&mut report.runbook_text]);
    let drivers = report.drivers.iter_mut().flat_map(|drive| [&mut drive.who, &mut drive.version]);
    share_out(10_000, drivers);
    share_out(20_000, report.damage.iter_mut().take(MOST_DAMAGE));
    let causes = report.first_cause.iter_mut().chain(&mut report.put_back_cause);
    share_out(30_000, causes.flat_map(|cause| texts(&mut cause.failure)));
    shorten(&mut report.next, MOST_CAUSES);
    share_out(20_000, &mut report.next);
}

fn fit_lines(lines: &mut [Line]) {
    share_out(80_000, lines.iter_mut().map(|line| &mut line.name));
    share_out(100_000, lines.iter_mut().map(|line| &mut line.summary));
    let ends = lines.iter_mut().flat_map(|line| &mut line.tries).map(|t| &mut t.end);
    let words = ends.flat_map(|end| match end {
        End::Failed(failure) => texts(failure),
        End::WithoutEffect(why) => vec![why],
        End::Open | End::Done | End::FoundDone => Vec::new(),
    });
    share_out(80_000, words);
    let talkers = lines.iter().filter(|line| !line.notes.is_empty()).count().max(1);
    for line in lines.iter_mut() {
        let most = (MOST_NOTES / talkers).max(1);
        line.notes_left_out += line.notes.len().saturating_sub(most) as u64;
        line.notes.truncate(most);
    }
    share_out(60_000, lines.iter_mut().flat_map(|line| &mut line.notes));
}

fn fit_lists(report: &mut Report) {
    if let Schema::Changed { lines } = &mut report.schema {
        share_out(100_000, lines.iter_mut().take(MOST_CHANGES));
    }
    if let Some(preview) = &mut report.preview {
        share_out(10_000, preview.revisions.iter_mut().take(MOST_ENTRIES));
        share_out(1_000, [&mut preview.hash].into_iter().chain(&mut preview.commit));
    }
    let findings = report.findings.iter_mut().take(MOST_FINDINGS).flat_map(|finding| {
        shorten(&mut finding.evidence, MOST_EVIDENCE);
        shorten(&mut finding.help, MOST_EVIDENCE);
        [&mut finding.rule, &mut finding.level, &mut finding.file, &mut finding.what]
            .into_iter()
            .chain(&mut finding.evidence)
            .chain(&mut finding.help)
    });
    share_out(60_000, findings);
    let checks = report.health.iter_mut().take(MOST_ENTRIES);
    share_out(40_000, checks.flat_map(|check| [&mut check.line, &mut check.check, &mut check.answer]));
    let answers = report.answers.iter_mut().rev().take(MOST_ENTRIES);
    share_out(
        40_000,
        answers.flat_map(|answer| {
            let known = match &mut answer.known {
                Known::Plan { recorded_by, .. } => vec![recorded_by],
                Known::File { file, given_by } => vec![file, given_by],
                Known::Asked | Known::Yes | Known::Untold => Vec::new(),
            };
            known.into_iter().chain([&mut answer.to, &mut answer.said, &mut answer.who])
        }),
    );
    let happenings = report.happenings.iter_mut().rev().take(MOST_ENTRIES);
    share_out(40_000, happenings.map(|happening| &mut happening.text));
    let written = report.writes.iter_mut().filter_map(|writes| writes.ledger.as_mut());
    let written = written.flat_map(|ledger| ledger.entries.iter_mut().take(MOST_ENTRIES));
    share_out(30_000, written.flat_map(|entry| [&mut entry.name, &mut entry.what]));
    let backups = report.backups.iter_mut().take(MOST_ENTRIES);
    share_out(10_000, backups.flat_map(|backup| [&mut backup.id].into_iter().chain(&mut backup.missing)));
}

/// The texts of a failure, without causes that nobody would read.
fn texts(failure: &mut Failure) -> Vec<&mut String> {
    shorten(&mut failure.causes, MOST_CAUSES);
    let Failure { kind: _, what, causes, state, next: _ } = failure;
    [what].into_iter().chain(causes).chain(state).collect()
}

/// Keeps the first of a list, and how many more there are.
fn shorten(list: &mut Vec<String>, most: usize) {
    if list.len() > most {
        let more = list.len() - most;
        list.truncate(most);
        list.push(format!("and {more} more"));
    }
}

/// Cuts the longest of `texts` until all fit into `room` bytes of a page. They are cleaned first: a secret that was cut in
/// two would no longer be known by its value.
fn share_out<'t>(room: usize, texts: impl IntoIterator<Item = &'t mut String>) {
    let mut texts: Vec<(usize, &mut String)> = texts
        .into_iter()
        .map(|text| {
            *text = clean(text);
            (weight(text), text)
        })
        .collect();
    texts.sort_by_key(|(weight, _)| *weight);
    let (mut left, mut many) = (room, texts.len());
    for (weight, text) in texts {
        let share = left / many.max(1);
        if weight > share {
            *text = cut(std::mem::take(text), share);
        }
        (left, many) = (left - weight.min(share), many - 1);
    }
}

/// What a text takes on a page, at most: what HTML wants escaped and what is spelt out takes more.
pub(super) fn weight(text: &str) -> usize {
    text.chars().map(weight_of).sum()
}

fn weight_of(c: char) -> usize {
    match c {
        '\n' => 1,
        // Spelt out as `\u{202e}`, or four spaces for a tab.
        c if c.is_control() => 10,
        '\u{61c}' | '\u{2000}'..='\u{206f}' => 10,
        c if escape::is_special(c) => 6,
        c => c.len_utf8(),
    }
}

/// The beginning of a text that was cleaned, as far as it fits into `room` bytes of a page.
pub(super) fn cut(mut text: String, room: usize) -> String {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += weight_of(*c);
        used > room
    });
    if let Some((end, _)) = end {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_stay_whole_and_the_longest_are_cut_to_one_length() {
        let mut texts = ["ab".to_string(), "x".repeat(90), "<".repeat(90)];
        share_out(62, &mut texts);
        assert_eq!(
            texts,
            ["ab".to_string(), format!("{} …", "x".repeat(30)), format!("{} …", "<".repeat(5))]
        );
    }

    #[test]
    fn a_text_is_cut_between_characters_and_its_weight_is_never_too_small() {
        assert_eq!(cut("éé".into(), 3), "é …");
        for text in ["plain", "<&>\"'", "é表\u{1b}x\u{7}\t\u{202e}", "a\nb\r\nc"] {
            let mut page = escape::Page::default();
            page.text(text);
            assert!(page.finish().len() <= weight(text), "{text:?}");
        }
    }
}
