//! A store that holds what an input says.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::pin::Pin;

use backstay::store::{Created, Entry, Store, StoreError};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::AsyncRead;

/// Objects by name. Nothing can be written to it.
#[derive(Debug, Default)]
pub struct Memory {
    pub objects: BTreeMap<String, Vec<u8>>,
    /// What a listing says of an object's size, where that is not its bytes'.
    pub sizes: BTreeMap<String, u64>,
}

impl Memory {
    /// The n-th object of a run's journal, from 1, for each of `records`.
    pub fn of_journal(run: &str, records: &[Vec<u8>]) -> Self {
        let named = (1..).zip(records).map(|(number, record)| (record_name(run, number), record.clone()));
        Self { objects: named.collect(), sizes: BTreeMap::new() }
    }
}

/// The name of one record's object.
pub fn record_name(run: &str, number: usize) -> String {
    format!("runs/{run}/journal/{number:06}.json")
}

/// What a future gives that waits for nothing.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing to wait for in memory")
}

#[async_trait::async_trait]
impl Store for Memory {
    async fn create(&self, _: &str, _: Bytes) -> Result<Created, StoreError> {
        Ok(Created::Exists)
    }

    async fn replace(&self, name: &str, _: Bytes) -> Result<(), StoreError> {
        Err(StoreError::BadName { name: name.to_string() })
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        match self.objects.get(name) {
            Some(bytes) => Ok(Box::pin(Cursor::new(bytes.clone()))),
            None => Err(StoreError::Missing { name: name.to_string() }),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let found = self.objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let size =
            |name: &String, bytes: &Vec<u8>| self.sizes.get(name).copied().unwrap_or(bytes.len() as u64);
        Ok(found.map(|(name, bytes)| Entry { name: name.clone(), bytes: size(name, bytes) }).collect())
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn url(&self) -> String {
        "memory".to_string()
    }
}
