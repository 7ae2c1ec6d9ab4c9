//! What a session hears beside its answers: the server's notices, and its last words.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More notices than this are not kept; a migration may raise one a row.
const NOTICES_KEPT: usize = 1000;

/// What a session's driver heard.
#[derive(Default)]
pub(super) struct Record(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    notices: VecDeque<String>,
    dropped: usize,
    end: Option<String>,
}

impl Record {
    fn locked(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_notice(&self, text: String) {
        let mut heard = self.locked();
        if heard.notices.len() == NOTICES_KEPT {
            heard.notices.pop_front();
            heard.dropped += 1;
        }
        heard.notices.push_back(text);
    }

    pub(super) fn take_notices(&self) -> Vec<String> {
        let mut heard = self.locked();
        let dropped = std::mem::take(&mut heard.dropped);
        let first = (dropped > 0).then(|| format!("({dropped} earlier notices were not kept)"));
        first.into_iter().chain(heard.notices.drain(..)).collect()
    }

    pub(super) fn set_end(&self, text: String) {
        self.locked().end = Some(text);
    }

    pub(super) fn end(&self) -> Option<String> {
        self.locked().end.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_notices_push_out_earlier_ones() {
        let record = Record::default();
        for n in 0..NOTICES_KEPT + 2 {
            record.add_notice(n.to_string());
        }
        let notices = record.take_notices();
        assert_eq!(notices.len(), NOTICES_KEPT + 1);
        assert_eq!(notices[0], "(2 earlier notices were not kept)");
        assert_eq!(notices[1], "2");
        assert!(record.take_notices().is_empty());
    }
}
