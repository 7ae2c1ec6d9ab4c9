//! A store in a bucket of Google Cloud Storage.
//!
//! An object is there whole or not at all, and everyone sees it as soon as the service has said so (Cloud
//! Storage's documentation, "Cloud Storage consistency"). Create-only is the precondition that the object's
//! generation is 0: the service decides, so of any number of drivers one wins.

mod home;
mod json;
mod link;
mod location;
mod patience;
mod reader;
mod refusal;
mod setback;
mod transfer;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use google_cloud_auth::credentials::Credentials;
use tokio::io::AsyncRead;
use tokio::sync::OnceCell;

use super::{Created, Entry, Store, StoreError, checked, is_name};
use home::Home;
use link::Link;
use patience::GaveUp;
use reader::Reader;
use setback::{Kind, Setback};
use transfer::Version;

pub use location::{BadLocation, Location};
pub use patience::Patience;
pub use refusal::{Refusal, Verb};

/// How the service is reached.
#[derive(Clone, Default)]
pub struct Options {
    /// The address of an emulator (`STORAGE_EMULATOR_HOST`), which takes anyone: `http://host:port`, or
    /// `host:port`.
    pub emulator: Option<String>,
    /// Who we are; if not set, the application-default credentials are looked for when they are first needed.
    pub credentials: Option<Credentials>,
    /// How long the service is tried.
    pub patience: Patience,
}

/// Objects in one bucket, below one prefix.
///
/// Nothing is connected to, and no credentials are looked for, before the first operation. What is retried
/// and for how long is [`Patience`]'s.
pub struct Gcs {
    bucket: Arc<Bucket>,
    home: Arc<Home>,
}

/// What an operation needs; it lives as long as the longest one.
struct Bucket {
    location: Location,
    options: Options,
    link: OnceCell<Link>,
}

impl Gcs {
    /// The store at `location`.
    pub fn new(location: Location, mut options: Options) -> Self {
        options.emulator = options.emulator.map(|address| with_scheme(&address));
        let bucket = Bucket { location, options, link: OnceCell::new() };
        Self { bucket: Arc::new(bucket), home: Arc::default() }
    }

    /// Does `work` where the connections live.
    async fn on_bucket<T, Work>(
        &self,
        verb: &'static str,
        name: &str,
        work: impl FnOnce(Arc<Bucket>, String) -> Work,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let work = work(self.bucket.clone(), name.to_string());
        self.home.run(work).await.map_err(|source| StoreError::io(verb, name, source))?
    }
}

#[async_trait::async_trait]
impl Store for Gcs {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        checked(name)?;
        self.on_bucket("write", name, |bucket, name| async move { bucket.create(&name, bytes).await }).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        checked(name)?;
        self.on_bucket("write", name, |bucket, name| async move { bucket.replace(&name, bytes).await }).await
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        checked(name)?;
        let (first, version) = self
            .on_bucket("read", name, |bucket, name| async move { bucket.fetch(&name, None).await })
            .await?;
        let (bucket, home) = (self.bucket.clone(), self.home.clone());
        Ok(Box::pin(Reader::new(bucket, home, name.to_string(), first, version)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        if let Some((folder, _)) = prefix.rsplit_once('/') {
            checked(folder)?;
        }
        self.on_bucket("list", prefix, |bucket, prefix| async move { bucket.list(&prefix).await }).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        checked(name)?;
        self.on_bucket("delete", name, |bucket, name| async move { bucket.delete(&name).await }).await
    }

    fn url(&self) -> String {
        match &self.bucket.options.emulator {
            Some(emulator) => format!("{} (emulated at {emulator})", self.bucket.location),
            None => self.bucket.location.to_string(),
        }
    }
}

impl Bucket {
    /// Creates the object if there is none.
    ///
    /// A reply can be lost after the object was made, and the next try then finds it there. So every call marks
    /// its object with a number of its own, and looks at the mark before it says that another was first.
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let mark = fresh_mark();
        match self.send(name, bytes, Some(&mark)).await {
            Ok(()) => Ok(Created::New),
            Err(gave_up) if gave_up.last.kind == Kind::Precondition => self.whose(name, &mark).await,
            Err(gave_up) => Err(self.refused(Verb::Create, name, gave_up)),
        }
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.send(name, bytes, None).await.map_err(|gave_up| self.refused(Verb::Replace, name, gave_up))
    }

    async fn send(&self, name: &str, bytes: Bytes, mark: Option<&str>) -> Result<(), GaveUp> {
        let (bucket, object) = (self.location.bucket(), self.location.full(name));
        let patience = &self.options.patience;
        let send = || async { self.link().await?.send(bucket, &object, bytes.clone(), mark, patience).await };
        patience.persist(bytes.len(), send).await
    }

    async fn whose(&self, name: &str, mark: &str) -> Result<Created, StoreError> {
        let (bucket, object) = (self.location.bucket(), self.location.full(name));
        let look = || async { self.link().await?.metadata(bucket, &object, transfer::MARK).await };
        match self.options.patience.persist(0, look).await {
            Ok(found) if found.as_deref() == Some(mark) => Ok(Created::New),
            Ok(_) => Ok(Created::Exists),
            // It was there a moment ago, and was not ours to keep.
            Err(gave_up) if gave_up.last.kind == Kind::NoObject => Ok(Created::Exists),
            Err(gave_up) => Err(self.refused(Verb::Read, name, gave_up)),
        }
    }

    async fn fetch(&self, name: &str, seen: Option<(u64, Version)>) -> Result<(Bytes, Version), StoreError> {
        let (bucket, object) = (self.location.bucket(), self.location.full(name));
        let patience = &self.options.patience;
        let fetch = || async { self.link().await?.fetch(bucket, &object, seen, patience).await };
        match patience.persist_reading(fetch).await {
            Ok(fetched) => Ok(fetched),
            Err(gave_up) if gave_up.last.kind == Kind::NoObject => self.missing(name).await,
            Err(gave_up) => Err(self.refused(Verb::Read, name, gave_up)),
        }
    }

    /// 404 can mean object or bucket, and the body need not say which: a listing does.
    async fn missing<T>(&self, name: &str) -> Result<T, StoreError> {
        match self.page(name, None).await {
            Err(gave_up) if matches!(gave_up.last.kind, Kind::NoObject | Kind::NoBucket) => {
                Err(self.refused(Verb::Read, name, no_bucket(gave_up)))
            }
            _ => Err(StoreError::Missing { name: name.to_string() }),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .page(prefix, token.as_deref())
                .await
                .map_err(|gave_up| self.refused(Verb::List, prefix, no_bucket(gave_up)))?;
            token = page.next_page_token.clone();
            found.extend(page.entries().filter_map(|entry| {
                // What others put there under names that no store has, folder marks too, is none of ours.
                let name = self.location.own(&entry.name).filter(|name| is_name(name))?.to_string();
                Some(Entry { name, ..entry })
            }));
            if token.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn page(&self, prefix: &str, token: Option<&str>) -> Result<json::Page, GaveUp> {
        let (bucket, prefix) = (self.location.bucket(), self.location.full(prefix));
        let page = || async { self.link().await?.page(bucket, &prefix, token).await };
        self.options.patience.persist(0, page).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (bucket, object) = (self.location.bucket(), self.location.full(name));
        let delete = || async { self.link().await?.delete(bucket, &object).await };
        match self.options.patience.persist(0, delete).await {
            Err(gave_up) if gave_up.last.kind != Kind::NoObject => {
                Err(self.refused(Verb::Delete, name, gave_up))
            }
            _ => Ok(()),
        }
    }

    /// The way to the service, once there are credentials for it.
    async fn link(&self) -> Result<&Link, Setback> {
        let link = self.link.get_or_try_init(|| Link::make(&self.options)).await?;
        link.headers().await?;
        Ok(link)
    }

    fn refused(&self, verb: Verb, name: &str, gave_up: GaveUp) -> StoreError {
        let gave_up = if matches!(verb, Verb::Create | Verb::Replace) { no_bucket(gave_up) } else { gave_up };
        let (bucket, object) = (self.location.bucket(), self.location.full(name));
        let emulator = self.options.emulator.as_deref();
        StoreError::Bucket(Box::new(Refusal::new(verb, bucket, object, emulator, gave_up)))
    }

    /// A refusal that no other try would mend.
    fn refusal(&self, verb: Verb, name: &str, last: Setback) -> StoreError {
        self.refused(verb, name, GaveUp { last, tries: 1, elapsed: std::time::Duration::ZERO })
    }
}

/// A 404 where no object was asked for.
fn no_bucket(mut gave_up: GaveUp) -> GaveUp {
    if gave_up.last.kind == Kind::NoObject {
        gave_up.last.kind = Kind::NoBucket;
    }
    gave_up
}

fn fresh_mark() -> String {
    let mut random = [0u8; 16];
    match getrandom::fill(&mut random) {
        Ok(()) => hex::encode(random),
        // Different from every other of this machine's, which is what it is for.
        Err(_) => format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond()),
    }
}

/// Google's own libraries take the emulator's address with or without a scheme.
fn with_scheme(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if address.contains("://") { address.to_string() } else { format!("http://{address}") }
}

impl fmt::Debug for Gcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gcs").field(&self.url()).finish()
    }
}
