//! What the program and the webhooks are told, by a real program and a real server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::event::{NOTICES, ORDINARY};

const DATABASE: &str = "[database]\nurl = \"postgres://app@db.example.com/shop\"\n";

fn config(root: &Path, notify: &str) -> Config {
    Config::parse(&format!("{notify}\n{DATABASE}"), root, "production", &BTreeMap::new()).unwrap()
}

/// A server that gives these answers, one a request, the last one again and again; what it was sent can be received.
fn server(answers: &'static [u16]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/services/T0000/hunter2-webhook", listener.local_addr().unwrap());
    let (sent, received) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = stream;
            let (mut request, mut piece) = (Vec::new(), [0u8; 4096]);
            while !is_whole(&request) {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&piece[..read]),
                }
            }
            let _ = sent.send(String::from_utf8_lossy(&request).into_owned());
            let status = answers[number.min(answers.len() - 1)];
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (url, received)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ").map(String::from));
    length.and_then(|length| length.parse().ok()).is_none_or(|length: usize| body.len() >= length)
}

fn body_of(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

#[tokio::test]
async fn the_program_is_told_without_secrets() {
    crate::redact::register("hunter2-notify");
    let folder = tempfile::tempdir().unwrap();
    let script = "echo $BACKSTAY_EVENT $BACKSTAY_ENV $BACKSTAY_RUN $BACKSTAY_MESSAGE > told";
    let config = config(folder.path(), &format!("[notify]\nrun = [\"sh\", \"-c\", \"{script}\"]\n"));
    let noted = tell(&config, "window_overrun", "r-1", "it says hunter2-notify\0").await;
    assert_eq!(noted, None);
    let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
    assert_eq!(told, "window_overrun production r-1 it says ***\n");
}

#[tokio::test]
async fn what_goes_wrong_is_a_note() {
    let root = Path::new("/");
    assert_eq!(tell(&config(root, ""), "needs_a_person", "r-1", "x").await, None);
    let missing = config(root, "[notify]\nrun = [\"no-such-program\"]\n");
    let noted = tell(&missing, "needs_a_person", "r-1", "x").await.unwrap();
    assert!(
        noted.contains("could not notify of needs_a_person") && noted.contains("no-such-program"),
        "{noted}"
    );
    let failing = config(root, "[notify]\nrun = [\"sh\", \"-c\", \"echo no route; exit 1\"]\n");
    let noted = tell(&failing, "needs_a_person", "r-1", "x").await.unwrap();
    assert!(noted.contains("no route"), "{noted}");
}

#[tokio::test]
async fn the_program_is_told_of_ordinary_things_only_if_it_asks() {
    let folder = tempfile::tempdir().unwrap();
    let run = "run = [\"sh\", \"-c\", \"echo $BACKSTAY_EVENT >> told\"]\n";
    for events in ["", "events = [\"run_ended\"]\n"] {
        let config = config(folder.path(), &format!("[notify]\n{run}{events}"));
        for event in NOTICES {
            assert_eq!(
                is_wanted(&config, event),
                events.contains(event) || (events.is_empty() && !ORDINARY.contains(&event))
            );
            assert_eq!(tell(&config, event, "r-1", "x").await, None);
        }
    }
    let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
    let urgent: Vec<&str> = NOTICES.into_iter().filter(|event| !ORDINARY.contains(event)).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), [urgent, vec!["run_ended"]].concat());
}

#[tokio::test]
async fn a_webhook_that_fails_first_is_tried_again() {
    let (url, received) = server(&[503, 429, 200]);
    let hook = format!("[[notify.webhook]]\nurl = \"{url}\"\nformat = \"slack\"\n");
    let config = config(Path::new("/"), &hook);
    let verdict = Some(Verdict::NotPutBack);
    let notice = Notice { event: "needs_a_person", run: "r-1", message: "run <r-1> & more", verdict };
    assert_eq!(tell_of(&config, notice).await, None);
    let requests: Vec<String> = received.try_iter().collect();
    assert_eq!(requests.len(), 3);
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with("POST /services/T0000/hunter2-webhook HTTP/1.1\r\n"))
    );
    let body = body_of(&requests[2]);
    assert_eq!(body, serde_json::json!({ "text": ":rotating_light: run &lt;r-1&gt; &amp; more" }));
}

#[tokio::test]
async fn the_generic_body_has_a_member_for_each_thing() {
    let (url, received) = server(&[204]);
    let config = config(Path::new("/"), &format!("[[notify.webhook]]\nurl = \"{url}\"\n"));
    let notice = Notice { event: "run_ended", run: "r-1", message: "done", verdict: Some(Verdict::Done) };
    assert_eq!(tell_of(&config, notice).await, None);
    let mut body = body_of(&received.recv().unwrap());
    let at = body["at"].take();
    assert!(at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(
        body,
        serde_json::json!({
            "event": "run_ended", "environment": "production", "run": "r-1", "message": "done", "at": null,
            "verdict": "done", "exit": 0, "backstay": env!("CARGO_PKG_VERSION"),
        })
    );
}

#[tokio::test]
async fn a_webhook_is_given_up_and_its_address_is_not_told() {
    let began = Instant::now();
    let (refusing, received) = server(&[404]);
    let (failing, tries) = server(&[500]);
    let two = format!("[[notify.webhook]]\nurl = \"{refusing}\"\n[[notify.webhook]]\nurl = \"{failing}\"\n");
    let noted = tell(&config(Path::new("/"), &two), "run_ended", "r-1", "x").await.unwrap();
    assert!(began.elapsed() < BOUND + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(noted.contains("404") && noted.contains("500"), "{noted}");
    assert!(!noted.contains("hunter2") && !noted.contains("T0000"), "{noted}");
    assert_eq!(received.try_iter().count(), 1, "a 404 is no reason to try again");
    assert!(tries.try_iter().count() >= 4);
}

#[tokio::test]
async fn a_webhook_that_nobody_serves_is_a_note_without_its_address() {
    // No port that others might be given meanwhile.
    let hook = "[[notify.webhook]]\nurl = \"http://127.0.0.1:1/hunter2-path\"\n";
    let noted = tell(&config(Path::new("/"), hook), "run_ended", "r-1", "x").await.unwrap();
    assert!(noted.contains("refused") && !noted.contains("hunter2"), "{noted}");
}

#[test]
fn an_address_is_masked_whatever_is_said_of_it() {
    let hook = "[[notify.webhook]]\nurl = \"https://hooks.example.com/services/T1/secret-part\"\n";
    let config = config(Path::new("/"), hook);
    let told = crate::redact::redact(
        "POST https://hooks.example.com/services/T1/secret-part and /services/T1/secret-part",
    )
    .into_owned();
    assert_eq!(told, "POST *** and ***");
    assert!(!format!("{config:?}").contains("secret-part"));
}
