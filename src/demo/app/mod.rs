//! The demo's application: a small shop over HTTP, a process of its own.
//!
//! | request        | answer                                                                          |
//! | -------------- | ------------------------------------------------------------------------------- |
//! | `GET /`        | the shop window                                                                 |
//! | `GET /health`  | 200 or 503 and JSON, always the truth, in maintenance too                       |
//! | `GET /orders/N`| one order as JSON                                                               |
//! | `POST /orders` | `{"customer": 7, "product": 3, "quantity": 1}`; 201 and the order's id once it is committed |
//!
//! While the flag is up everything but `/health` is a maintenance page (503).
//!
//! Between `open` and the flag's end the database takes writes, and ours must not be among them: the
//! put-back would drop them, so backstay would stop and ask. They cannot be: an order is written on a
//! connection that was there *before* the flag was looked at. A connection from before the window was ended
//! by `close`; one from within it saw the flag up.

mod edition;
pub mod pages;
mod pool;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::pg::ConnInfo;
use edition::Edition;
use pages::Shop;
use pool::Pool;

/// Printed on standard output when requests are answered.
pub const READY: &str = "ready";

/// How long requests that are under way have when the application is asked to end.
const GRACE: Duration = Duration::from_secs(1);

/// How often the application looks whether the demo still lives.
const PARENT: Duration = Duration::from_millis(100);

/// What the application is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which version of the code: 1 to 4.
    pub version: u32,
    /// The database.
    pub database: ConnInfo,
    /// The maintenance flag.
    pub flag: PathBuf,
    /// The process that started us: we end when it is gone.
    pub parent: u32,
}

/// Answers requests on `listener` until SIGTERM, or until the process that started us is gone.
///
/// # Errors
/// If the listener or the signal handler can't be used.
pub async fn serve(listener: std::net::TcpListener, settings: Settings) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut term = signal(SignalKind::terminate())?;
    let shop = Arc::new(Shop {
        edition: Edition::of(settings.version),
        pool: Pool::new(settings.database, &format!("shop {}", settings.version)),
        flag: settings.flag,
    });
    let mut orphaned = std::pin::pin!(orphaned(settings.parent));
    let mut requests = JoinSet::new();
    println!("{READY}");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shop = shop.clone();
                requests.spawn(async move {
                    let answer = service_fn(|request| {
                        let shop = shop.clone();
                        async move { Ok::<_, Infallible>(shop.answer(request).await) }
                    });
                    // A client that goes away is its own affair.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
            Some(_) = requests.join_next() => {}
            _ = term.recv() => break,
            () = &mut orphaned => return Ok(()),
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while requests.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Ends when the process `parent`, which started us, has ended: then another one is our parent.
async fn orphaned(parent: u32) {
    let is_parent = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().unsigned_abs() == parent;
    while rustix::process::getppid().is_some_and(is_parent) {
        tokio::time::sleep(PARENT).await;
    }
}
