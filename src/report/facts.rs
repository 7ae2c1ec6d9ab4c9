//! What a finished line left for later ones, as far as it is worth telling. **Pure.**

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fold::Folded;
use super::model::{Answer, Finding, Health, Known, Preview, Since, Writes};
use crate::event::LineId;
use crate::steps::{Approval, Exchanged, How, Left};
use crate::window::ledger::Ledger;

/// A line that finished.
pub(super) struct Finished<'r> {
    pub at: jiff::Timestamp,
    pub line: LineId,
    pub name: &'r str,
    pub summary: &'r str,
    pub facts: &'r Value,
}

impl Finished<'_> {
    /// Puts what it left where it belongs; `sql` is the preview that the store has.
    pub fn tell(&self, sql: Option<&String>, folded: &mut Folded) {
        if let Some(preview) = self.preview(sql) {
            folded.preview = Some(preview);
        }
        folded.findings.extend(self.read::<Vec<Finding>>("findings").into_iter().flatten());
        let checks = self.read::<Vec<Health>>("checks").into_iter().flatten();
        folded.health.extend(checks.map(|check| Health { line: self.name.to_string(), ..check }));
        folded.answers.extend(self.answer());
        folded.guarded |= self.facts["guard"].is_object();
        self.tell_writes(folded);
    }

    fn preview(&self, sql: Option<&String>) -> Option<Preview> {
        let (hash, _) = (self.text("hash")?, self.text("sql_hash")?);
        Some(Preview {
            sql: sql.cloned(),
            revisions: self.read("revisions").unwrap_or_default(),
            hash,
            commit: self.text("commit"),
        })
    }

    /// What others wrote: as a look at it found, and where what another database's taking production's place left out is.
    fn tell_writes(&self, folded: &mut Folded) {
        if let Some(ledger) = self.read::<Ledger>("ledger").filter(|ledger| !ledger.is_empty()) {
            folded.writes = Some(Writes { since: Since::Opening, ledger: Some(ledger), kept: None });
        }
        let since = match self.line {
            LineId::Back(_) => {
                let left = whole::<Left>(self.facts).filter(|left| *left != Left::default());
                folded.swapped = left.unwrap_or_else(|| std::mem::take(&mut folded.swapped));
                Since::Opening
            }
            LineId::Line(_) => {
                let Some(exchanged) = whole::<Exchanged>(self.facts) else { return };
                folded.exchanged = Some(exchanged);
                Since::Release
            }
        };
        let Some(kept) = self.text("ledger") else { return };
        let ledger = folded.writes.take().and_then(|writes| writes.ledger);
        folded.writes = Some(Writes { since, ledger, kept: Some(kept) });
    }

    fn answer(&self) -> Option<Answer> {
        let (by, known) = (self.text("by")?, self.known());
        // Who agreed in a file is not where the run is.
        let here = self.facts["plan"]["approval"].is_null() && self.facts["file"].is_null();
        let host = self.text("host").filter(|_| here);
        let who = host.map(|host| format!("{by} on {host}")).unwrap_or(by);
        // A manual line's question says more than its name.
        let to = self.text("ask").unwrap_or_else(|| self.name.to_string());
        Some(Answer { at: self.at, to, said: self.summary.to_string(), who, known })
    }

    fn known(&self) -> Known {
        let approval = &self.facts["plan"]["approval"];
        if !approval.is_null() {
            // One that another version wrote in another shape says nothing.
            let plan =
                |Approval { how, recorded_by, .. }| Known::Plan { typed: how == How::Typed, recorded_by };
            return whole(approval).map_or(Known::Untold, plan);
        }
        if let Some(file) = self.text("file") {
            let given_by = [self.text("driver"), self.text("host")].into_iter().flatten().collect::<Vec<_>>();
            return Known::File { file, given_by: given_by.join(" on ") };
        }
        match self.facts["asked"].as_bool() {
            Some(true) => Known::Asked,
            Some(false) => Known::Yes,
            // A question of a checklist that no file answered was asked.
            None if self.facts["ask"].is_string() => Known::Asked,
            None => Known::Untold,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.facts[key].as_str().map(String::from)
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        whole(&self.facts[key])
    }
}

fn whole<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}
