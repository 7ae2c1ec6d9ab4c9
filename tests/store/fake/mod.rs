//! A small Cloud Storage on loopback: the part of the JSON API that the store uses, with generations,
//! preconditions, CRC32C, paging and upload sessions, and with faults that a test orders.
//!
//! On `hyper` alone, because a fault must be able to drop a connection without a reply.

mod faults;
mod objects;
mod requests;
mod uploads;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstay::store::{Gcs, GcsOptions, Location, Patience};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;

pub use faults::{Fault, On};
pub use objects::Stored;

/// The one bucket that there is.
pub const BUCKET: &str = "acme-backups";

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a handler gives; an error drops the connection.
type Answer = Result<Response<Body>, Dropped>;

/// The connection ends here, without a reply.
#[derive(Debug, thiserror::Error)]
#[error("dropped")]
struct Dropped;

/// The service. It ends with the test's runtime.
#[derive(Clone)]
pub struct Fake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
}

/// What it knows.
#[derive(Default)]
struct World {
    objects: objects::Objects,
    sessions: uploads::Sessions,
    faults: faults::Faults,
    seen: Vec<Seen>,
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub on: On,
    pub authorization: Option<String>,
}

/// Retries as in earnest with short pauses; long enough for a machine that is busy with other tests.
pub fn quick() -> Patience {
    Patience {
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(20),
        total: Duration::from_secs(10),
        ..Patience::default()
    }
}

/// For faults that stay: ends soon, and notices silence soon.
pub fn brief() -> Patience {
    Patience {
        total: Duration::from_millis(400),
        attempt: Duration::from_millis(1500),
        slowest: 64 << 20,
        ..quick()
    }
}

impl Fake {
    /// Starts the service with an empty bucket.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let fake = Self { address: listener.local_addr().expect("an address"), world: Arc::default() };
        let served = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = served.clone();
                let answer = service_fn(move |request| {
                    let fake = fake.clone();
                    async move { fake.answer(request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
                );
            }
        });
        fake
    }

    /// What `STORAGE_EMULATOR_HOST` would be.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How the store reaches it.
    pub fn options(&self) -> GcsOptions {
        GcsOptions { emulator: Some(self.address()), patience: quick(), ..GcsOptions::default() }
    }

    /// A store below a prefix of the bucket.
    pub fn store(&self) -> Gcs {
        self.store_with(quick())
    }

    /// The same, that gives up soon.
    pub fn brief_store(&self) -> Gcs {
        self.store_with(brief())
    }

    fn store_with(&self, patience: Patience) -> Gcs {
        let location = Location::parse(&format!("gs://{BUCKET}/shop")).expect("a location");
        Gcs::new(location, GcsOptions { patience, ..self.options() })
    }

    /// Orders a fault for the next request of this kind.
    pub fn once(&self, on: On, fault: Fault) {
        self.times(1, on, fault);
    }

    /// Orders a fault for the next `times` requests of this kind.
    pub fn times(&self, times: usize, on: On, fault: Fault) {
        self.world().faults.order(times, on, fault);
    }

    /// Orders a fault for every request of this kind from now on.
    pub fn always(&self, on: On, fault: Fault) {
        self.times(usize::MAX, on, fault);
    }

    /// No faults from now on.
    pub fn heal(&self) {
        self.world().faults = faults::Faults::default();
    }

    /// How many requests of this kind came in.
    pub fn count(&self, on: On) -> usize {
        self.seen().iter().filter(|seen| seen.on == on).count()
    }

    /// The requests that came in.
    pub fn seen(&self) -> Vec<Seen> {
        self.world().seen.clone()
    }

    /// No page of a listing holds more than this from now on.
    pub fn page(&self, most: usize) {
        self.world().objects.page = most;
    }

    /// The object of this full name.
    pub fn object(&self, name: &str) -> Option<Stored> {
        self.world().objects.get(name).cloned()
    }

    /// Puts an object there, as somebody else would.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.world().objects.put(name, Bytes::copy_from_slice(bytes), Default::default());
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().expect("no test panics with it")
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn json(document: &serde_json::Value) -> Answer {
    Ok(Response::new(full(document.to_string())))
}

/// An error in the JSON API's form.
fn error(status: u16, message: &str) -> Answer {
    let document = serde_json::json!({ "error": { "code": status, "message": message, "errors": [] } });
    let mut answer = Response::new(full(document.to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(answer)
}
