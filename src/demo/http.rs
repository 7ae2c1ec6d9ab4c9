//! One request to the demo's application, as a customer makes it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A customer's patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks once, on a connection of its own; gives status and body.
///
/// # Errors
/// If no whole answer came: nothing is known then of what the application did.
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: String,
) -> io::Result<(StatusCode, Bytes)> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "shop.example.com")
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            Ok::<_, hyper::Error>((status, answer.into_body().collect().await?.to_bytes()))
        };
        // The connection moves the bytes of the answer: both at once.
        let (answer, _) = tokio::join!(answer, connection);
        answer.map_err(io::Error::other)
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
