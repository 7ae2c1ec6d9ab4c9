//! What can be read of a journal, whatever became of the rest: for whoever tells of a run and does not drive it.

use futures_util::{StreamExt, stream};

use super::{FORMAT, JournalError, Record, format_of, hash};
use crate::store::{Store, StoreError};

/// How many records are read side by side: a bucket takes its time for each.
const READS: usize = 16;

/// The readable records of a journal, and what is wrong with the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Salvage {
    /// The records that could be read, in order.
    pub records: Vec<Record>,
    /// What is missing, torn or changed, a sentence each.
    pub damage: Vec<String>,
    /// [`super::read`] refuses it. A record that its writer left torn is no reason: it never took effect.
    pub refused: bool,
}

/// Reads what there is of a run's journal. Where [`super::read`] refuses a damaged one, this says what is damaged and
/// gives the rest; nothing may be decided by it.
///
/// # Errors
/// [`JournalError::NoRun`]; the store's, if it can't list.
pub async fn salvage(store: &dyn Store, run: &str) -> Result<Salvage, JournalError> {
    let prefix = format!("runs/{run}/journal/");
    let names: Vec<String> = store.list(&prefix).await?.into_iter().map(|entry| entry.name).collect();
    if names.is_empty() {
        return Err(JournalError::NoRun { run: run.to_string() });
    }
    let reads = names.into_iter().map(async |name| (number_of(&name, &prefix), store.read(&name).await));
    let objects: Vec<_> = stream::iter(reads).buffered(READS).collect().await;
    Ok(sort_out(run, objects))
}

fn number_of(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.strip_suffix(".json")?.parse().ok()
}

type Object = (Option<u32>, Result<Vec<u8>, StoreError>);

const TORN: &str = "can't be understood (torn, or written by another version)";

/// **Pure.**
fn sort_out(run: &str, objects: Vec<Object>) -> Salvage {
    let mut salvage = Salvage::default();
    let mut expected = 1;
    let mut before = Some(String::new());
    for (number, bytes) in objects {
        let Some(number) = number else { continue };
        let mut damaged = |number: u32, what: &str| {
            salvage.damage.push(format!("record {number} {what}"));
            salvage.refused |= what != TORN;
        };
        (expected..number).for_each(|gone| damaged(gone, "is missing"));
        if number > expected {
            before = None;
        }
        expected = number.saturating_add(1);
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                damaged(number, &format!("can't be read: {error}"));
                before = None;
                continue;
            }
        };
        match serde_json::from_slice::<Record>(&bytes) {
            Err(_) => match format_of(&bytes).filter(|format| *format > FORMAT) {
                Some(format) => damaged(number, &format!("is of the newer format {format}")),
                None => damaged(number, TORN),
            },
            Ok(record) if record.run != run || record.number != number => {
                damaged(number, "belongs elsewhere")
            }
            Ok(record) => {
                if before.as_ref().is_some_and(|hash| *hash != record.previous) {
                    damaged(number.saturating_sub(1), "was changed after it was written");
                }
                salvage.records.push(record);
            }
        }
        before = Some(hash(&bytes));
    }
    salvage
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::{Entry, Journal};
    use crate::store::Directory;

    #[tokio::test]
    async fn what_is_left_of_a_damaged_journal_is_read_and_the_damage_named() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Directory::new(folder.path()));
        let mut journal = Journal::begin(store.clone(), "r".into());
        for who in ["a", "b", "c", "d", "e", "f"] {
            journal.append(Entry::KeepNew { who: who.into() }).await.unwrap();
        }
        let whole = salvage(&*store, "r").await.unwrap();
        assert_eq!((whole.records.len(), whole.damage.len(), whole.refused), (6, 0, false));

        let path = |number: u32| folder.path().join(format!("runs/r/journal/{number:06}.json"));
        std::fs::write(path(7), "to").unwrap();
        let torn = salvage(&*store, "r").await.unwrap();
        assert_eq!((torn.records.len(), torn.damage.len(), torn.refused), (6, 1, false));
        assert_eq!(super::super::read(&*store, "r").await.unwrap().records.len(), 6);
        std::fs::remove_file(path(7)).unwrap();
        std::fs::remove_file(path(2)).unwrap();
        std::fs::write(path(4), "torn").unwrap();
        let text = std::fs::read_to_string(path(5)).unwrap();
        std::fs::write(path(5), text.replace("\"e\"", "\"x\"")).unwrap();
        let left = salvage(&*store, "r").await.unwrap();
        assert_eq!(left.records.iter().map(|r| r.number).collect::<Vec<_>>(), [1, 3, 5, 6]);
        assert_eq!(
            left.damage,
            [
                "record 2 is missing",
                "record 4 can't be understood (torn, or written by another version)",
                "record 4 was changed after it was written",
                "record 5 was changed after it was written",
            ]
        );
        assert!(left.refused && super::super::read(&*store, "r").await.is_err());
        assert!(matches!(salvage(&*store, "none").await, Err(JournalError::NoRun { .. })));
    }
}
