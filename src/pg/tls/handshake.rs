//! The TLS side of one connection attempt: there or not, and whether the server took it up.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::pg::socket::Socket;

type Rustls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

/// A TCP stream under TLS.
pub(in crate::pg) type TlsSocket = <Rustls as TlsConnect<Socket>>::Stream;

/// What tokio-postgres is given for TLS.
pub(in crate::pg) struct Handshake {
    rustls: Option<Rustls>,
    begun: Arc<AtomicBool>,
}

impl Handshake {
    /// No TLS.
    pub(in crate::pg) fn none() -> Self {
        Self { rustls: None, begun: Arc::default() }
    }

    /// TLS with a server called `host`.
    pub(in crate::pg) fn with(connector: &MakeRustlsConnect, host: &str) -> Self {
        let mut connector = connector.clone();
        let made = MakeTlsConnect::<Socket>::make_tls_connect(&mut connector, host);
        let rustls = match made {
            Ok(rustls) => Some(rustls),
            Err(impossible) => match impossible {},
        };
        Self { rustls, begun: Arc::default() }
    }

    /// Tells, also after the attempt, whether the server agreed to TLS.
    pub(in crate::pg) fn begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.begun)
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = TlsSocket;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TlsSocket>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        Box::pin(async move {
            match self.rustls {
                Some(rustls) => rustls.connect(stream).await,
                None => Err(io::Error::other("TLS was not set up")),
            }
        })
    }
}
