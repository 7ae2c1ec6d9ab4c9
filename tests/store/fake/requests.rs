//! Requests for what is there: reading, looking, listing, deleting; and the faults of every reply.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, RANGE};
use hyper::{Method, Request, Response, StatusCode};

use super::faults::{Fault, On};
use super::objects::Stored;
use super::{Answer, BUCKET, Dropped, Fake, Seen, empty, error, full, json};

/// A request, taken apart.
pub(super) struct Asked {
    pub request: Request<Incoming>,
    pub query: BTreeMap<String, String>,
    pub fault: Option<Fault>,
}

impl Asked {
    pub fn number(&self, key: &str) -> Option<i64> {
        self.query.get(key)?.parse().ok()
    }

    pub fn header(&self, name: hyper::header::HeaderName) -> Option<String> {
        Some(self.request.headers().get(name)?.to_str().ok()?.to_string())
    }
}

impl Fake {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let url = reqwest::Url::parse(&format!("http://fake{}", request.uri())).expect("an address");
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let segments: Vec<String> = url.path().trim_matches('/').split('/').map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (method, media) = (request.method().clone(), query.get("alt").is_some_and(|alt| alt == "media"));
        let on = match (&segments[..], query.get("uploadType").map(String::as_str)) {
            (["upload", ..], Some("multipart")) => On::Upload,
            (["upload", ..], Some("resumable")) => On::Begin,
            (["session", _], _) if asks_progress(&request) => On::Progress,
            (["session", _], _) => On::Continue,
            (["token"], _) => On::Token,
            (["storage", "v1", "b", _, "o"], _) => On::List,
            (["storage", "v1", "b", _, "o", _], _) if method == Method::DELETE => On::Delete,
            (["storage", "v1", "b", _, "o", _], _) if media => On::Read,
            (["storage", "v1", "b", _, "o", _], _) => On::Look,
            _ => return error(400, "no such method"),
        };
        let authorization =
            request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).map(String::from);
        assert!(request.headers().contains_key(HOST), "HTTP/1.1 wants a host");
        let fault = {
            let mut world = self.world();
            world.seen.push(Seen { on, authorization });
            world.faults.next(on)
        };
        let mut asked = Asked { request, query, fault };
        if let Some(early) = faulty(&mut asked).await {
            return early;
        }
        let bucket = segments.iter().skip_while(|segment| **segment != "b").nth(1);
        if bucket.is_some_and(|bucket| *bucket != BUCKET) {
            return error(404, "The specified bucket does not exist.");
        }
        let fault = asked.fault.clone();
        let answer = match (on, segments.last().copied().unwrap_or_default()) {
            (On::Upload, _) => self.upload(asked).await,
            (On::Begin, _) => self.begin(asked).await,
            (On::Continue | On::Progress, session) => self.go_on(asked, session).await,
            (On::Token, _) => json(&serde_json::json!({
                "access_token": "ya29.s3cret-token", "expires_in": 3600, "token_type": "Bearer"
            })),
            (On::Read, name) => self.read(&asked, name),
            (On::Look, name) => match self.object(name) {
                Some(stored) => json(&stored.resource(name)),
                None => error(404, &format!("No such object: {BUCKET}/{name}")),
            },
            (On::List, _) => {
                let prefix = asked.query.get("prefix").map_or("", String::as_str);
                let most = asked.number("maxResults").and_then(|n| usize::try_from(n).ok()).unwrap_or(1000);
                let token = asked.query.get("pageToken").map(String::as_str);
                json(&self.world().objects.list(prefix, most, token))
            }
            (On::Delete, name) => match self.world().objects.remove(name) {
                true => no_content(),
                false => error(404, &format!("No such object: {BUCKET}/{name}")),
            },
        };
        match fault {
            Some(Fault::LoseReply) => Err(Dropped),
            Some(Fault::CutReply(after)) if on != On::Read => cut(answer?, after).await,
            _ => answer,
        }
    }

    fn read(&self, asked: &Asked, name: &str) -> Answer {
        let stored = match self.object(name) {
            Some(stored) if asked.number("generation").is_none_or(|g| g == stored.generation) => stored,
            _ => {
                let mut answer = Response::new(full(format!("No such object: {BUCKET}/{name}")));
                *answer.status_mut() = StatusCode::NOT_FOUND;
                return Ok(answer);
            }
        };
        let size = stored.bytes.len();
        let range = asked.header(RANGE).and_then(|text| {
            let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
            Some((from.parse::<usize>().ok()?, to.parse::<usize>().unwrap_or(usize::MAX)))
        });
        let mut answer = match range {
            None => part(&stored.bytes, asked.fault.as_ref()),
            Some((from, _)) if from >= size => return error(416, "The requested range cannot be satisfied."),
            Some((from, to)) => {
                let end = to.saturating_add(1).min(size);
                let mut answer = part(&stored.bytes.slice(from..end), asked.fault.as_ref());
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {from}-{}/{size}", end - 1).parse().expect("a header");
                answer.headers_mut().insert(CONTENT_RANGE, range);
                answer
            }
        };
        describe(&mut answer, &stored);
        if matches!(asked.fault, Some(Fault::Unsummed { .. })) {
            answer.headers_mut().remove("x-goog-hash");
        }
        Ok(answer)
    }
}

fn describe<B>(answer: &mut Response<B>, stored: &Stored) {
    for (name, value) in [
        ("x-goog-generation", stored.generation.to_string()),
        ("x-goog-metageneration", "1".to_string()),
        ("x-goog-stored-content-length", stored.bytes.len().to_string()),
        ("x-goog-stored-content-encoding", "identity".to_string()),
        ("x-goog-hash", format!("crc32c={}", stored.crc32c())),
    ] {
        answer.headers_mut().insert(name, value.parse().expect("a header"));
    }
}

/// The faults that end a request before it does anything.
async fn faulty(asked: &mut Asked) -> Option<Answer> {
    match &asked.fault {
        Some(Fault::Answer(status, message)) => Some(error(*status, message)),
        Some(Fault::Page(status, page)) => {
            let mut answer = Response::new(full(*page));
            *answer.status_mut() = StatusCode::from_u16(*status).expect("a status");
            Some(Ok(answer))
        }
        Some(Fault::Late(pause)) => {
            tokio::time::sleep(*pause).await;
            None
        }
        // Of a session, what came stays.
        Some(Fault::CutRequest(after)) if !asked.request.uri().path().starts_with("/session/") => {
            let after = *after;
            let mut come = 0;
            while come < after {
                match asked.request.body_mut().frame().await {
                    Some(Ok(frame)) => come += frame.into_data().map_or(0, |data| data.len()),
                    _ => break,
                }
            }
            Some(Err(Dropped))
        }
        _ => None,
    }
}

/// The same reply, whose body ends early.
async fn cut(answer: Response<super::Body>, after: usize) -> Answer {
    let bytes = answer.into_body().collect().await.expect("a body of ours").to_bytes();
    Ok(part(&bytes, Some(&Fault::CutReply(after))))
}

/// The body of a reply, with what goes wrong with it.
fn part(bytes: &Bytes, fault: Option<&Fault>) -> Response<super::Body> {
    let streamed = |pieces: Vec<io::Result<Bytes>>, pause| {
        let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            piece.map(Frame::data)
        });
        StreamBody::new(pieces).boxed_unsync()
    };
    let size = bytes.len();
    let (body, length) = match fault {
        Some(Fault::CutReply(after)) => {
            let cut = Err(io::Error::other("cut"));
            (streamed(vec![Ok(bytes.slice(..size.min(*after))), cut], std::time::Duration::ZERO), size)
        }
        Some(Fault::Drip(piece, pause)) => {
            let pieces = (0..size).step_by(*piece).map(|at| Ok(bytes.slice(at..size.min(at + piece))));
            (streamed(pieces.collect(), *pause), size)
        }
        Some(Fault::Flip | Fault::Unsummed { flip: true }) => (full(flipped(bytes)), size),
        Some(Fault::Short(by)) => (full(bytes.slice(..size - by)), size - by),
        _ => (full(bytes.clone()), size),
    };
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer
}

/// With one bit in the middle changed.
pub(super) fn flipped(bytes: &Bytes) -> Bytes {
    let mut changed = bytes.to_vec();
    let middle = changed.len() / 2;
    if let Some(byte) = changed.get_mut(middle) {
        *byte ^= 0x10;
    }
    changed.into()
}

fn no_content() -> Answer {
    let mut answer = Response::new(empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

fn asks_progress(request: &Request<Incoming>) -> bool {
    request.headers().get(CONTENT_RANGE).is_some_and(|range| range == "bytes */*")
}

fn decoded(segment: &str) -> String {
    let mut query = String::from("x=");
    query.push_str(&segment.replace('+', "%2B"));
    let url = reqwest::Url::parse(&format!("http://fake/?{query}")).expect("an address");
    url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
