//! The objects of the bucket.

use std::collections::BTreeMap;

use base64::Engine;
use bytes::Bytes;
use serde_json::{Value, json};

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub bytes: Bytes,
    pub generation: i64,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Default)]
pub(super) struct Objects {
    objects: BTreeMap<String, Stored>,
    last: i64,
    /// The most that a page holds; 0 for as many as are asked for.
    pub page: usize,
}

impl Stored {
    pub fn crc32c(&self) -> String {
        base64::prelude::BASE64_STANDARD.encode(crc32c::crc32c(&self.bytes).to_be_bytes())
    }

    pub(super) fn resource(&self, name: &str) -> Value {
        json!({
            "kind": "storage#object", "name": name, "bucket": super::BUCKET, "size": self.bytes.len().to_string(),
            "generation": self.generation.to_string(), "crc32c": self.crc32c(), "metadata": self.metadata,
        })
    }
}

impl Objects {
    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.objects.get(name)
    }

    /// Stores it unless `generation` says that it must be another.
    pub fn put_if(
        &mut self,
        name: &str,
        bytes: Bytes,
        metadata: BTreeMap<String, String>,
        generation: Option<i64>,
    ) -> Option<&Stored> {
        let now = self.get(name).map_or(0, |stored| stored.generation);
        if generation.is_some_and(|wanted| wanted != now) {
            return None;
        }
        Some(self.put(name, bytes, metadata))
    }

    pub fn put(&mut self, name: &str, bytes: Bytes, metadata: BTreeMap<String, String>) -> &Stored {
        self.last += 1;
        let stored = Stored { bytes, generation: 1_700_000_000_000_000 + self.last, metadata };
        self.objects.insert(name.to_string(), stored);
        &self.objects[name]
    }

    pub fn remove(&mut self, name: &str) -> bool {
        self.objects.remove(name).is_some()
    }

    /// A page: the token is the last name of the one before.
    pub fn list(&self, prefix: &str, asked: usize, token: Option<&str>) -> Value {
        let most = if self.page == 0 { asked } else { self.page.min(asked) };
        let behind = |name: &str| token.is_none_or(|token| name > token);
        let matching: Vec<(&String, &Stored)> =
            self.objects.iter().filter(|(name, _)| name.starts_with(prefix) && behind(name)).collect();
        let items: Vec<Value> =
            matching.iter().take(most).map(|(name, stored)| stored.resource(name)).collect();
        let mut page = json!({ "kind": "storage#objects" });
        // An empty page has no items at all.
        if !items.is_empty() {
            page["items"] = items.into();
        }
        if matching.len() > most {
            page["nextPageToken"] = matching[most - 1].0.as_str().into();
        }
        page
    }
}
