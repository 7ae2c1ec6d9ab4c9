//! Uploads: in one request, and in sessions that go on where they broke.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use hyper::{Response, StatusCode};
use serde::Deserialize;

use super::faults::Fault;
use super::requests::{Asked, flipped};
use super::{Answer, Dropped, Fake, empty, error, json};

/// The service keeps whole pieces of this size of an upload that broke.
const KEPT: usize = 256 << 10;

pub(super) type Sessions = BTreeMap<String, Session>;

/// An upload that has begun.
#[derive(Clone)]
pub(super) struct Session {
    name: String,
    generation: Option<i64>,
    about: About,
    bytes: BytesMut,
}

/// What is said of an object before its bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct About {
    crc32c: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl Fake {
    /// `multipart/related`: the resource, then the bytes.
    pub(super) async fn upload(&self, mut asked: Asked) -> Answer {
        let kind = asked.header(CONTENT_TYPE).unwrap_or_default();
        let body = match asked.request.body_mut().collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Err(Dropped),
        };
        let Some((about, bytes)) = kind.split_once("boundary=").and_then(|(_, b)| parts(&body, b)) else {
            return error(400, "Malformed multipart body.");
        };
        let bytes = if asked.fault == Some(Fault::Flip) { flipped(&bytes) } else { bytes };
        let Some(name) = asked.query.get("name") else { return error(400, "Required parameter: name") };
        if let Some(Fault::OvertakenBy(theirs)) = asked.fault {
            self.put(name, theirs);
        }
        self.store_object(name, about, bytes, asked.number("ifGenerationMatch"))
    }

    pub(super) async fn begin(&self, mut asked: Asked) -> Answer {
        let Ok(body) = asked.request.body_mut().collect().await else { return Err(Dropped) };
        let about = serde_json::from_slice(&body.to_bytes()).expect("a resource");
        let name = asked.query.get("name").expect("a name").clone();
        let generation = asked.number("ifGenerationMatch");
        let mut world = self.world();
        let there = world.objects.get(&name).map_or(0, |stored| stored.generation);
        if generation.is_some_and(|wanted| wanted != there) {
            return error(412, "At least one of the pre-conditions you specified did not hold.");
        }
        let id = format!("s3cret-session-{}", world.sessions.len());
        world.sessions.insert(id.clone(), Session { name, generation, about, bytes: BytesMut::new() });
        let mut answer = Response::new(empty());
        // Our own address, whatever `Host` says: the crate leaves the port out of it.
        let location = format!("http://{}/session/{id}", self.address).parse().expect("a header");
        answer.headers_mut().insert(LOCATION, location);
        Ok(answer)
    }

    pub(super) async fn go_on(&self, mut asked: Asked, id: &str) -> Answer {
        let Some(mut session) = self.world().sessions.get(id).cloned() else {
            return error(410, "The session is gone.");
        };
        let range = asked.header(CONTENT_RANGE).unwrap_or_default();
        if range != "bytes */*" {
            let (from, size) = place(&range).expect("a range");
            assert!(from <= session.bytes.len(), "a hole in the upload");
            session.bytes.truncate(from);
            let most = match asked.fault {
                Some(Fault::CutRequest(after)) => after,
                _ => usize::MAX,
            };
            let mut come = 0;
            while come < most {
                match asked.request.body_mut().frame().await {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap_or_default();
                        come += data.len();
                        session.bytes.extend_from_slice(&data);
                    }
                    Some(Err(_)) => return Err(Dropped),
                    None => break,
                }
            }
            if come >= most {
                session.bytes.truncate(session.bytes.len() / KEPT * KEPT);
            }
            self.world().sessions.insert(id.to_string(), session.clone());
            if come >= most {
                return Err(Dropped);
            }
            if session.bytes.len() == size {
                return self.store_object(
                    &session.name,
                    session.about,
                    session.bytes.freeze(),
                    session.generation,
                );
            }
        }
        let mut answer = Response::new(empty());
        *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
        if !session.bytes.is_empty() {
            let kept = format!("bytes=0-{}", session.bytes.len() - 1).parse().expect("a header");
            answer.headers_mut().insert(RANGE, kept);
        }
        Ok(answer)
    }

    fn store_object(&self, name: &str, about: About, bytes: Bytes, generation: Option<i64>) -> Answer {
        use base64::Engine;
        let sum = base64::prelude::BASE64_STANDARD.encode(crc32c::crc32c(&bytes).to_be_bytes());
        if let Some(said) = about.crc32c.filter(|said| *said != sum) {
            return error(
                400,
                &format!("Provided CRC32C \"{said}\" doesn't match calculated CRC32C \"{sum}\"."),
            );
        }
        match self.world().objects.put_if(name, bytes, about.metadata, generation) {
            Some(stored) => json(&stored.resource(name)),
            None => error(412, "At least one of the pre-conditions you specified did not hold."),
        }
    }
}

/// `bytes 0-99/100` or `bytes */0`: where the bytes begin, and how many there are in all.
fn place(range: &str) -> Option<(usize, usize)> {
    let (part, size) = range.strip_prefix("bytes ")?.split_once('/')?;
    let from = part.split_once('-').map_or(Some(0), |(from, _)| from.parse().ok())?;
    Some((from, size.parse().ok()?))
}

/// The two parts of a body.
fn parts(body: &Bytes, boundary: &str) -> Option<(About, Bytes)> {
    let boundary = format!("--{boundary}");
    let find = |from: usize, what: &[u8]| {
        body[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let content = |from: usize| Some(find(from, b"\r\n\r\n")? + 4);
    let about = content(0)?;
    let about_end = find(about, format!("\r\n{boundary}").as_bytes())?;
    let bytes = content(about_end)?;
    let end = body.len().checked_sub(format!("\r\n{boundary}--\r\n").len())?;
    let closed = body[end..] == *format!("\r\n{boundary}--\r\n").as_bytes();
    (closed && bytes <= end)
        .then(|| serde_json::from_slice(&body[about..about_end]).ok())?
        .map(|about| (about, body.slice(bytes..end)))
}
