//! A clock that nobody sets and that goes on while the machine sleeps: a laptop that was shut for an hour has lost an
//! hour of its lease and of its window. An [`Instant`](std::time::Instant) stands still meanwhile (clock_gettime(2)).

use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

/// How late it may be noticed that the machine slept.
const NAP: Duration = Duration::from_secs(1);

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment, in milliseconds after the machine's start; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(i64);

impl Uptime {
    /// This moment.
    pub fn now() -> Self {
        let now = clock_gettime(CLOCK);
        Self(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
    }

    /// How long ago it was; zero if it is still to come.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Waits for it; at once if it has passed.
    pub async fn reached(self) {
        loop {
            match self.since(Self::now()) {
                Duration::ZERO => return,
                left => sleep(left.min(NAP)).await,
            }
        }
    }

    fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Uptime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Uptime {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_reached_once_it_has_passed() {
        let began = Uptime::now();
        (began + Duration::from_millis(30)).reached().await;
        assert!(began.elapsed() >= Duration::from_millis(30));
        // Before the machine's start, and for ever.
        (began - Duration::from_secs(u64::MAX)).reached().await;
        let forever = began + Duration::MAX;
        assert_eq!(forever.elapsed(), Duration::ZERO);
        assert!(tokio::time::timeout(Duration::from_millis(10), forever.reached()).await.is_err());
    }
}
