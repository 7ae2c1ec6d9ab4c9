//! Work that several workers share.

use std::sync::{Mutex, PoisonError};

/// What is still to be done. The last goes first: sort it by size, and the biggest does.
#[derive(Debug)]
pub(super) struct Queue<T>(Mutex<Vec<T>>);

impl<T> Queue<T> {
    /// Everything that is to be done.
    pub fn new(work: Vec<T>) -> Self {
        Self(Mutex::new(work))
    }

    /// The next; `None` when all is taken.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Puts one in.
    pub fn push(&self, work: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }

    /// All that is left, at once.
    pub fn rest(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
