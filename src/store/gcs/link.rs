//! The way to the service: its address, the credentials, and the two clients that use them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use google_cloud_auth::credentials::{self, CacheableResource, Credentials, anonymous};
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage;
use google_cloud_storage::read_resume_policy::NeverResume;
use hyper::http::Extensions;
use reqwest::header::HeaderMap;

use super::Options;
use super::setback::{Kind, Setback, innermost};

/// Where the service is for everyone.
const SERVICE: &str = "https://storage.googleapis.com";

/// From this size on an object is sent in a session that goes on where it broke.
///
/// What a backup writes is cut at some MiB and is in memory: sending it again whole costs less than the extra
/// round trip of a session costs every small object, and one request has two outcomes where a session has
/// many. Larger is only what can't be cut: a row of hundreds of megabytes, a schema of that size.
pub(super) const IN_SESSION: usize = 16 << 20;

/// Both clients. The crate's `Storage` carries objects; names are listed and deleted on the JSON API, since
/// the crate's own way to them (`StorageControl`) is gRPC, which no emulator speaks on its HTTP port.
#[derive(Clone)]
pub(super) struct Link {
    pub storage: Storage,
    pub http: reqwest::Client,
    pub endpoint: String,
    credentials: Credentials,
    /// Whether the credentials were ever had.
    known: Arc<AtomicBool>,
}

impl Link {
    /// Finds the credentials and makes the clients. Must run where they are to live: a task that renews the
    /// credentials is started. No connection is made yet, but for what the credentials need.
    pub async fn make(options: &Options) -> Result<Self, Setback> {
        install_ring();
        let credentials = match (&options.credentials, &options.emulator) {
            (Some(credentials), _) => credentials.clone(),
            (None, Some(_)) => anonymous::Builder::new().build(),
            (None, None) => credentials::Builder::default()
                .build()
                .map_err(|error| Setback::new(Kind::NoCredentials { passes: false }, error.to_string()))?,
        };
        let endpoint = options.emulator.clone().unwrap_or_else(|| SERVICE.to_string());
        let refused = |error: &(dyn std::error::Error + 'static)| {
            Setback::new(Kind::Refused, format!("could not make a client: {}", innermost(error)))
        };
        let storage = Storage::builder()
            .with_endpoint(&endpoint)
            .with_credentials(credentials.clone())
            // One bound for all, and it is `Patience`: the crate's retries know no limit for a single try.
            .with_retry_policy(NeverRetry)
            .with_read_resume_policy(NeverResume)
            .with_resumable_upload_threshold(IN_SESSION)
            .with_grpc_subchannel_count(1)
            .build()
            .await
            .map_err(|error| refused(&error))?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("backstay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| refused(&error))?;
        Ok(Self { storage, http, endpoint, credentials, known: Arc::default() })
    }

    /// What proves to the service who we are; kept until shortly before it expires. Never to be shown.
    ///
    /// Credentials that were never had are not waited for: on a machine without any, that would only keep its
    /// user from hearing so. Later, a renewal that fails may pass.
    pub async fn headers(&self) -> Result<HeaderMap, Setback> {
        match self.credentials.headers(Extensions::new()).await {
            Ok(CacheableResource::New { data, .. }) => {
                self.known.store(true, Relaxed);
                Ok(data)
            }
            // Only ever said to those who name the headers that they have.
            Ok(CacheableResource::NotModified) => Ok(HeaderMap::new()),
            Err(error) => {
                let mut setback = Setback::from(&error);
                if !self.known.load(Relaxed) {
                    setback.kind = Kind::NoCredentials { passes: false };
                }
                Err(setback)
            }
        }
    }
}

/// The clients of the crate take the process's TLS provider. If another is installed already, it serves too.
fn install_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
