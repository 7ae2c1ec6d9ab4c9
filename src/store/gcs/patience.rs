//! How often and how long a request is tried again, and how long it pauses in between.

use std::time::{Duration, Instant};

use super::setback::Setback;

/// The bounds of one operation on the bucket.
///
/// The library that talks to Cloud Storage would go on for 300 s, and does not bound a single try at all.
/// Here a record of the journal may be waiting inside a maintenance window: most outages of the service are
/// over in seconds, and after a minute a person should know. What is large may take longer: a slow line is no
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The pause after the first failed try; it doubles with each one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// After this no try is begun.
    pub total: Duration,
    /// How long one try may take.
    pub attempt: Duration,
    /// Bytes a second that every line is expected to carry: large objects are given more time.
    pub slowest: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
            total: Duration::from_secs(45),
            attempt: Duration::from_secs(20),
            slowest: 256 << 10,
        }
    }
}

/// Every try failed, or one in a way that no other try would mend.
#[derive(Debug)]
pub(super) struct GaveUp {
    pub last: Setback,
    pub tries: u32,
    pub elapsed: Duration,
}

impl Patience {
    /// Tries until it succeeds, fails for good, or the time is up. Each try sends `bytes`.
    pub(super) async fn persist<T, F, Work>(&self, bytes: usize, work: F) -> Result<T, GaveUp>
    where
        F: FnMut() -> Work,
        Work: Future<Output = Result<T, Setback>>,
    {
        // A large object that broke shortly before its end must have time for another try.
        let total = self.total + 2 * self.carrying(bytes);
        self.retry(total, self.attempt_with(bytes), work).await
    }

    /// The same, where `work` bounds its tries itself and no size is known before: it reads.
    pub(super) async fn persist_reading<T, F, Work>(&self, work: F) -> Result<T, GaveUp>
    where
        F: FnMut() -> Work,
        Work: Future<Output = Result<T, Setback>>,
    {
        self.retry(self.total, Duration::MAX, work).await
    }

    /// How long one try may take that carries `bytes`.
    pub(super) fn attempt_with(&self, bytes: usize) -> Duration {
        self.attempt + self.carrying(bytes)
    }

    async fn retry<T, F, Work>(&self, total: Duration, attempt: Duration, mut work: F) -> Result<T, GaveUp>
    where
        F: FnMut() -> Work,
        Work: Future<Output = Result<T, Setback>>,
    {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let last = match tokio::time::timeout(attempt, work()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(setback)) => setback,
                Err(_) => Setback::silent(attempt),
            };
            tracing::debug!(tries, said = last.said, "a request to the bucket failed");
            let elapsed = began.elapsed();
            let pause = self.pause(tries, jitter());
            if !last.passes() || elapsed + pause >= total {
                return Err(GaveUp { last, tries, elapsed });
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn carrying(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / f64::from(self.slowest.max(1)))
    }

    /// The pause after the `tries`th failure: doubled each time, and spread by `jitter` (0 to 1) over its upper
    /// half, so that workers that failed together do not come back together.
    fn pause(&self, tries: u32, jitter: f64) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << tries.saturating_sub(1).min(20));
        doubled.min(self.longest_pause).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

fn jitter() -> f64 {
    let mut random = [0u8; 2];
    // Without randomness the pause is the shortest one.
    let _ = getrandom::fill(&mut random);
    f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::setback::Kind;
    use super::*;

    fn quick() -> Patience {
        Patience {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            total: Duration::from_millis(60),
            attempt: Duration::from_millis(20),
            slowest: 1000,
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let patience = Patience::default();
        let pauses: Vec<u128> = [1, 2, 3, 6, 7, 60].map(|n| patience.pause(n, 1.0).as_millis()).into();
        assert_eq!(pauses, [250, 500, 1000, 8000, 8000, 8000]);
        assert_eq!(patience.pause(1, 0.0).as_millis(), 125);
        assert_eq!(patience.pause(0, 1.0).as_millis(), 250);
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let tries = Cell::new(0);
        let done = quick()
            .persist(0, async || {
                tries.set(tries.get() + 1);
                if tries.get() < 4 { Err(Setback::answered(503, b"")) } else { Ok(tries.get()) }
            })
            .await;
        assert_eq!(done.unwrap(), 4);

        let gave_up =
            quick().persist(0, async || Err::<(), _>(Setback::answered(403, b""))).await.unwrap_err();
        assert_eq!((gave_up.tries, gave_up.last.kind), (1, Kind::Denied));
    }

    #[tokio::test]
    async fn it_ends_when_the_time_is_up() {
        let gave_up =
            quick().persist(0, async || Err::<(), _>(Setback::answered(503, b""))).await.unwrap_err();
        assert!(gave_up.tries > 3, "{gave_up:?}");
        assert!(gave_up.elapsed < Duration::from_millis(100), "{gave_up:?}");
    }

    #[tokio::test]
    async fn silence_is_cut_off_and_large_objects_get_more_time() {
        let began = Instant::now();
        let gave_up = quick().persist(0, std::future::pending::<Result<(), Setback>>).await.unwrap_err();
        assert!(gave_up.tries >= 2 && gave_up.last.kind == Kind::Broken, "{gave_up:?}");
        assert!(began.elapsed() < Duration::from_millis(500));

        let slow = async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        assert!(quick().persist(0, slow).await.is_err());
        assert!(quick().persist(1000, slow).await.is_ok());
    }
}
