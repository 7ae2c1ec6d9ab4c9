//! Health pages as they are on a bad day: each check ends within its bound, and says what it met.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A server that does `behave` with the n-th connection, counted from 0.
fn serve(behave: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (behave, next) = (Arc::new(behave), AtomicUsize::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (behave, number) = (behave.clone(), next.fetch_add(1, Ordering::Relaxed));
            std::thread::spawn(move || behave(number, stream));
        }
    });
    format!("http://{address}/health")
}

/// Reads the request, then writes `answer`.
fn answer(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(answer);
}

fn check_of(url: &str) -> HttpCheck {
    HttpCheck {
        url: url.into(),
        headers: Vec::new(),
        status: 200,
        contains: None,
        json: Vec::new(),
        latency: None,
        successes: 1,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(300),
        deadline: Duration::from_secs(1),
    }
}

/// Checks until it is good or its deadline has passed, which it keeps; gives what is said.
async fn checked(check: &HttpCheck) -> Result<String, String> {
    let client = client(is_secure(check)).unwrap();
    let began = Instant::now();
    let seen = until_good(&client, check, &Progress::none()).await;
    assert!(began.elapsed() < check.deadline + Duration::from_secs(2), "{:?}", began.elapsed());
    seen.map(|seen| seen.said).map_err(|failure| failure.to_string())
}

async fn refused(url: &str, words: &[&str]) {
    let said = checked(&check_of(url)).await.expect_err(url);
    for word in [url].iter().chain(words) {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert!(said.contains(" tries in 1.0 s"), "{said}");
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const BAD: &[u8] = b"HTTP/1.1 503 X\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwait";

#[tokio::test]
async fn a_page_that_flaps_is_never_good_enough() {
    let flapping = serve(|number, stream| answer(stream, if number % 3 == 2 { BAD } else { GOOD }));
    let check = HttpCheck { successes: 3, ..check_of(&flapping) };
    let said = checked(&check).await.unwrap_err();
    assert!(said.contains("answered 503") || said.contains("good answers in a row of 3"), "{said}");
    let calming = serve(|number, stream| answer(stream, if number < 4 { BAD } else { GOOD }));
    let check = HttpCheck { successes: 3, ..check_of(&calming) };
    assert!(checked(&check).await.unwrap().contains("3 in a row"));
}

#[tokio::test]
async fn a_page_that_says_nothing_or_a_byte_now_and_then() {
    let silent = serve(|_, stream| {
        std::thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    refused(&silent, &["no whole answer within 0.3 s"]).await;
    let dripping = serve(|_, mut stream| {
        answer(stream.try_clone().unwrap(), b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    refused(&dripping, &["no whole answer within 0.3 s"]).await;
}

#[tokio::test]
async fn a_deadline_shorter_than_one_try_holds() {
    let silent = serve(|_, stream| {
        std::thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let check = HttpCheck { timeout: Duration::from_secs(600), ..check_of(&silent) };
    assert!(checked(&check).await.unwrap_err().contains("no whole answer within 1.0 s"));
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    refused(&serve(|_, stream| answer(stream, b"\xff\xfe\0garbage\r\n\r\n")), &["invalid HTTP"]).await;
    refused(&serve(|_, stream| answer(stream, b"")), &["closed"]).await;
    let resetting = serve(|_, stream| {
        // Closed with a request unread, the system resets the connection.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    refused(&resetting, &["reset"]).await;
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    refused(&format!("http://{free}/health"), &["refused"]).await;
}

#[tokio::test]
async fn a_page_that_redirects_for_ever_is_not_followed() {
    let looping = serve(|_, stream| {
        answer(
            stream,
            b"HTTP/1.1 302 X\r\nLocation: /health\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    });
    refused(&looping, &["answered 302, not 200"]).await;
}

#[tokio::test]
async fn a_body_without_end_is_read_to_its_bound() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let endless = serve(|_, mut stream| {
        answer(stream.try_clone().unwrap(), b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {
            SENT.fetch_add(65536, Ordering::Relaxed);
        }
    });
    assert!(checked(&check_of(&endless)).await.unwrap().contains("answered 200"));
    assert!(SENT.load(Ordering::Relaxed) < 64 << 20, "{SENT:?}");
    let check = HttpCheck { contains: Some("needle".into()), ..check_of(&endless) };
    let said = checked(&check).await.unwrap_err();
    assert!(said.contains("does not contain") && said.len() < 1000, "{said}");
}

#[tokio::test]
async fn tls_that_is_none_or_not_to_be_trusted() {
    let plain = serve(|_, stream| answer(stream, GOOD)).replace("http:", "https:");
    refused(&plain, &["corrupt message"]).await;
    let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let untrusted = serve(move |_, mut stream| {
        let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let _ = connection.complete_io(&mut stream);
    });
    refused(&untrusted.replace("http:", "https:"), &["certificate"]).await;
}
