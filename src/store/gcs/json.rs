//! Names on the JSON API: listing, deleting, and whose an object is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, Url};
use serde::Deserialize;

use super::link::Link;
use super::setback::{Kind, Setback};
use crate::store::Entry;

/// The most that the service gives in one page.
const PAGE: &str = "1000";

/// One page of a listing, and what to ask for the next one with.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Page {
    items: Vec<Item>,
    pub next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    /// 64-bit numbers are strings in Google's JSON.
    size: String,
}

impl Page {
    /// The page's objects.
    pub fn entries(self) -> impl Iterator<Item = Entry> {
        self.items.into_iter().map(|item| Entry { bytes: item.size.parse().unwrap_or(0), name: item.name })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    metadata: std::collections::BTreeMap<String, String>,
    crc32c: String,
}

impl Link {
    /// One page of the objects whose names begin with `prefix`.
    pub async fn page(&self, bucket: &str, prefix: &str, token: Option<&str>) -> Result<Page, Setback> {
        let mut url = self.address(bucket, None)?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("prefix", prefix).append_pair("maxResults", PAGE);
            query.append_pair("fields", "items(name,size),nextPageToken");
            if let Some(token) = token {
                query.append_pair("pageToken", token);
            }
        }
        understand(&self.ask(Method::GET, url).await?)
    }

    /// Removes the object.
    pub async fn delete(&self, bucket: &str, object: &str) -> Result<(), Setback> {
        self.ask(Method::DELETE, self.address(bucket, Some(object))?).await.map(drop)
    }

    /// What the object's custom metadata says under `key`.
    pub async fn metadata(&self, bucket: &str, object: &str, key: &str) -> Result<Option<String>, Setback> {
        let url = self.address(bucket, Some(object))?;
        let mut resource: Resource = understand(&self.ask(Method::GET, url).await?)?;
        Ok(resource.metadata.remove(key))
    }

    /// The CRC32C of one generation of the object.
    pub async fn crc32c(&self, bucket: &str, object: &str, generation: i64) -> Result<u32, Setback> {
        let mut url = self.address(bucket, Some(object))?;
        url.query_pairs_mut().append_pair("generation", &generation.to_string());
        let resource: Resource = understand(&self.ask(Method::GET, url).await?)?;
        // Four bytes in base64, the highest first.
        let bytes = BASE64_STANDARD.decode(resource.crc32c).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(u32::from_be_bytes)
            .ok_or_else(|| Setback::new(Kind::Refused, "the service gave no CRC32C to check the bytes by"))
    }

    fn address(&self, bucket: &str, object: Option<&str>) -> Result<Url, Setback> {
        let bad = |what: &dyn std::fmt::Display| {
            Setback::new(Kind::Refused, format!("{} is no address: {what}", self.endpoint))
        };
        let mut url = Url::parse(&self.endpoint).map_err(|error| bad(&error))?;
        {
            let mut path = url.path_segments_mut().map_err(|()| bad(&"it has no path"))?;
            path.pop_if_empty().extend(["storage", "v1", "b", bucket, "o"]);
            // One segment: the slashes of the name are escaped.
            path.extend(object);
        }
        Ok(url)
    }

    async fn ask(&self, method: Method, url: Url) -> Result<Vec<u8>, Setback> {
        let request = self.http.request(method, url).headers(self.headers().await?);
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() { Ok(body.into()) } else { Err(Setback::answered(status.as_u16(), &body)) }
    }
}

fn understand<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Setback> {
    serde_json::from_slice(body)
        .map_err(|error| Setback::new(Kind::Refused, format!("the answer was not understood: {error}")))
}
