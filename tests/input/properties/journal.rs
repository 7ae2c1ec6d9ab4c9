//! A record is the same when it is written and read again; a journal of whatever objects is read or refused; and in
//! one that is whole no byte can be changed, and no record be gone, without being found.
//!
//! An input is the objects of a journal, one below the other, with a line `%%` between them.

use std::sync::Arc;

use backstay::engine::state::State;
use backstay::journal::{self, FORMAT, History, Journal, JournalError, Record};

use super::memory::{Memory, at_once, record_name};

const RUN: &str = "20260101t000000z-aaaa";

/// See the module.
pub fn hold(input: &[u8]) {
    let objects = objects(input);
    let records: Vec<Record> =
        objects.iter().filter_map(|object| serde_json::from_slice(object).ok()).collect();
    records.iter().for_each(survives);
    as_it_is(&objects);
    let sealed = sealed(records);
    if !sealed.is_empty() {
        is_read(&sealed);
        let seed =
            input.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        is_found_damaged(&sealed, seed);
    }
}

fn objects(input: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(input);
    // Of bytes that are no text, one object.
    match std::str::from_utf8(input) {
        Ok(_) => text.split("\n%%\n").map(|object| object.as_bytes().to_vec()).collect(),
        Err(_) => vec![input.to_vec()],
    }
}

fn read(objects: &[Vec<u8>]) -> Result<History, JournalError> {
    at_once(journal::read(&Memory::of_journal(RUN, objects), RUN))
}

fn survives(record: &Record) {
    let text = serde_json::to_vec_pretty(record).expect("what was read can be written");
    let again: Record = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(&again, record);
}

fn as_it_is(objects: &[Vec<u8>]) {
    match read(objects) {
        Ok(history) => {
            assert!(history.records.len() <= objects.len());
            assert!(history.records.iter().all(|record| record.run == RUN && record.format <= FORMAT));
            assert!(history.records.is_sorted_by(|one, next| one.number < next.number));
            take_over(&history);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Whatever the records say, what they add up to is known, and the next driver has an epoch of its own.
fn take_over(history: &History) {
    let _ = State::of(&history.records);
    let next = Journal::take_over(Arc::new(Memory::default()), RUN.to_string(), history);
    let newest = history.records.iter().map(|record| record.epoch).max().unwrap_or(0);
    assert!(next.epoch() > newest || newest == u32::MAX, "epoch {} after {newest}", next.epoch());
}

/// The records as one journal, numbered and chained.
fn sealed(records: Vec<Record>) -> Vec<Vec<u8>> {
    let mut previous = String::new();
    let mut sealed = Vec::new();
    for (number, record) in (1..).zip(records) {
        let record = Record { format: FORMAT, number, run: RUN.to_string(), previous, ..record };
        let text = serde_json::to_vec_pretty(&record).expect("what was read can be written");
        previous = journal::hash(&text);
        sealed.push(text);
    }
    sealed
}

fn is_read(sealed: &[Vec<u8>]) {
    let history = read(sealed).expect("a journal that is whole");
    assert_eq!(history.records.len(), sealed.len());
    take_over(&history);
}

fn is_found_damaged(sealed: &[Vec<u8>], seed: usize) {
    let at = seed % sealed.len();
    let last = at + 1 == sealed.len();
    let mut changed = sealed.to_vec();
    let byte = (seed >> 8) % changed[at].len();
    changed[at][byte] ^= 1 << (seed % 7);
    match read(&changed) {
        // Nothing comes after the last one that could tell; those before it are as they were.
        Ok(history) => {
            assert!(last, "a changed record {} of {} is not found", at + 1, sealed.len());
            let whole = read(sealed).expect("a journal that is whole");
            assert_eq!(history.records[..at], whole.records[..at]);
        }
        Err(error) => assert!(matches!(error, JournalError::Damaged { .. } | JournalError::Newer { .. })),
    }
    let mut gone = Memory::of_journal(RUN, sealed);
    gone.objects.remove(&record_name(RUN, at + 1));
    let read = at_once(journal::read(&gone, RUN));
    assert_eq!(read.is_ok(), last && at > 0, "without record {} of {}", at + 1, sealed.len());
}
