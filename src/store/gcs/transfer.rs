//! Bytes to and from the bucket through Google's crate: one try each, checked by CRC32C.

use bytes::{Bytes, BytesMut};
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::retry_policy::RetryPolicyExt;
use google_cloud_storage::model_ext::{ObjectHighlights, ReadRange};
use google_cloud_storage::retry_policy::RetryableErrors;
use tokio::time::timeout;

use super::link::{IN_SESSION, Link};
use super::patience::Patience;
use super::setback::{Kind, Setback};

/// An object is read in pieces of at most this size, each held in memory: all that a backup writes, but for
/// what can't be cut, is one.
pub(super) const PIECE: usize = 16 << 20;

/// The key of the custom metadata that says which call of `create` an object is from.
pub(super) const MARK: &str = "backstay-write";

/// How often a session that broke goes on, within one try.
const RESUMPTIONS: u32 = 5;

/// Which object an answer was about, as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub generation: i64,
    pub size: u64,
    pub crc32c: u32,
}

impl Link {
    /// Sends the object whole. With a `mark` it is only created, never replaced.
    ///
    /// Length and CRC32C go ahead of the bytes, so that the service keeps nothing that was cut or changed.
    pub async fn send(
        &self,
        bucket: &str,
        object: &str,
        bytes: Bytes,
        mark: Option<&str>,
        patience: &Patience,
    ) -> Result<(), Setback> {
        let size = bytes.len();
        let crc32c = crc32c::crc32c(&bytes);
        let mut request = self
            .storage
            .write_object(resource(bucket), object, bytes)
            .set_content_type("application/octet-stream")
            .with_known_crc32c(crc32c);
        if let Some(mark) = mark {
            request = request.set_if_generation_match(0).set_metadata([(MARK, mark)]);
        }
        if size >= IN_SESSION {
            request = request
                .with_retry_policy(RetryableErrors.with_attempt_limit(RESUMPTIONS))
                .with_backoff_policy(session_backoff(patience));
        }
        let stored = request.send_unbuffered().await?;
        let sums = stored.checksums.and_then(|sums| sums.crc32c);
        if usize::try_from(stored.size) != Ok(size) || sums.is_some_and(|sum| sum != crc32c) {
            return Err(Setback::new(Kind::Refused, "the service says that it stored other bytes"));
        }
        Ok(())
    }

    /// Reads the object's first bytes, or, of the version that was seen before, those that begin at `from`.
    ///
    /// Gives [`PIECE`] bytes, or fewer where the object ends. The answer must begin within the time of one try,
    /// and then come at the slowest line's pace. An object that is one piece is checked here; of others the
    /// caller checks the sum at the end.
    pub async fn fetch(
        &self,
        bucket: &str,
        object: &str,
        seen: Option<(u64, Version)>,
        patience: &Patience,
    ) -> Result<(Bytes, Version), Setback> {
        let request = self.storage.read_object(resource(bucket), object).compute_crc32c(false);
        let request = match seen {
            // Not a range: of an empty object the service has none to give.
            None => request,
            Some((from, version)) => request
                .set_generation(version.generation)
                .set_read_range(ReadRange::segment(from, PIECE as u64)),
        };
        let silent = |_| Setback::silent(patience.attempt);
        let mut answer = timeout(patience.attempt, request.send()).await.map_err(silent)??;
        let about = answer.object();
        let version =
            timeout(patience.attempt, self.version(bucket, object, &about)).await.map_err(silent)??;
        let from = seen.map_or(0, |(from, _)| from);
        let wanted = usize::try_from(version.size.saturating_sub(from)).unwrap_or(PIECE).min(PIECE);
        let mut bytes = BytesMut::with_capacity(wanted);
        let bound = patience.attempt_with(wanted);
        let filled = timeout(bound, async {
            while bytes.len() < wanted {
                match timeout(patience.attempt, answer.next()).await.map_err(silent)? {
                    Some(part) => bytes.extend_from_slice(&part?),
                    None => break,
                }
            }
            Ok::<_, Setback>(())
        });
        filled.await.map_err(|_| Setback::slow(bound))??;
        bytes.truncate(wanted);
        if bytes.len() < wanted {
            let missing = wanted - bytes.len();
            return Err(Setback::new(Kind::Garbled, format!("the answer ended {missing} bytes early")));
        }
        if version.size == wanted as u64 && crc32c::crc32c(&bytes) != version.crc32c {
            return Err(changed());
        }
        Ok((bytes.freeze(), version))
    }

    /// What the answer says of the object; its sum, where the answer's header has none, from the object itself.
    async fn version(
        &self,
        bucket: &str,
        object: &str,
        about: &ObjectHighlights,
    ) -> Result<Version, Setback> {
        let size = u64::try_from(about.size)
            .map_err(|_| Setback::new(Kind::Refused, "the service gave no size to check the bytes by"))?;
        let crc32c = match about.checksums.as_ref().and_then(|sums| sums.crc32c) {
            Some(sum) => sum,
            None => self.crc32c(bucket, object, about.generation).await?,
        };
        Ok(Version { generation: about.generation, size, crc32c })
    }
}

/// The bytes are not those that were stored.
pub(super) fn changed() -> Setback {
    Setback::new(Kind::Garbled, "the bytes that came have another CRC32C than those that were stored")
}

fn resource(bucket: &str) -> String {
    format!("projects/_/buckets/{bucket}")
}

fn session_backoff(patience: &Patience) -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(patience.first_pause)
        .with_maximum_delay(patience.longest_pause)
        .clamp()
}
