//! The byte stream under a session: a TCP connection that notices a dead peer, or a unix socket; and what is
//! going on in it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::conninfo::Timers;

/// A connected stream.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    activity: Arc<Activity>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What goes through a socket, and when it last did.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// When something last came or went, in milliseconds after `began`.
    last: AtomicU64,
    /// Whether that was ours.
    ours_was_last: AtomicBool,
    /// Bytes are awaited, and none came yet.
    reading: AtomicBool,
    /// Bytes are to be sent, and the system takes no more.
    stuck: AtomicBool,
    /// Counts what goes in either direction.
    moves: AtomicU64,
}

/// What an [`Activity`] is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stillness {
    /// How long nothing came or went.
    pub quiet: Duration,
    /// The last that went was ours.
    pub ours_was_last: bool,
    /// We wait for bytes.
    pub reading: bool,
    /// We wait to send bytes.
    pub stuck: bool,
    /// How many times something came or went.
    pub moves: u64,
}

impl Activity {
    fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            ours_was_last: AtomicBool::new(false),
            reading: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            moves: AtomicU64::new(0),
        })
    }

    /// How it stands.
    pub(super) fn now(&self) -> Stillness {
        Stillness {
            quiet: self
                .began
                .elapsed()
                .saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed))),
            ours_was_last: self.ours_was_last.load(Ordering::Relaxed),
            reading: self.reading.load(Ordering::Relaxed),
            stuck: self.stuck.load(Ordering::Relaxed),
            moves: self.moves.load(Ordering::Relaxed),
        }
    }

    fn read(&self, came: &Poll<io::Result<()>>) {
        self.reading.store(came.is_pending(), Ordering::Relaxed);
        if came.is_ready() {
            self.moved(false);
        }
    }

    fn wrote(&self, went: &Poll<io::Result<usize>>) {
        self.stuck.store(went.is_pending(), Ordering::Relaxed);
        if went.is_ready() {
            self.moved(true);
        }
    }

    fn moved(&self, ours: bool) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
        self.ours_was_last.store(ours, Ordering::Relaxed);
        self.moves.fetch_add(1, Ordering::Relaxed);
    }
}

impl Socket {
    /// Connects by TCP.
    pub(super) async fn tcp(address: SocketAddr, timers: Timers) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        notice_a_dead_peer(&stream, timers);
        Ok(Self { stream: Stream::Tcp(stream), activity: Activity::begin() })
    }

    /// Connects to a unix socket.
    pub(super) async fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        Ok(Self { stream: Stream::Unix(stream), activity: Activity::begin() })
    }

    /// What goes through it, to be watched.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

/// Sets the kernel's timers. A kernel without one of them is no reason to stop: the connection works.
fn notice_a_dead_peer(stream: &TcpStream, timers: Timers) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let millis = u32::try_from(timers.user_timeout.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(stream, millis);
    }
    if timers.keepalives {
        let _ = sockopt::set_socket_keepalive(stream, true);
        let _ = sockopt::set_tcp_keepidle(stream, timers.idle);
        let _ = sockopt::set_tcp_keepintvl(stream, timers.interval);
        let _ = sockopt::set_tcp_keepcnt(stream, timers.count);
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let came = match &mut socket.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        socket.activity.read(&came);
        came
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let went = match &mut socket.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        socket.activity.wrote(&went);
        went
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_came_in_one_moment_is_known_in_its_order() {
        let activity = Activity::begin();
        for ours in [true, false] {
            if ours {
                activity.wrote(&Poll::Ready(Ok(1)));
            } else {
                activity.read(&Poll::Ready(Ok(())));
            }
            activity.read(&Poll::Pending);
            assert_eq!(activity.now().ours_was_last, ours);
        }
        assert_eq!(activity.now().moves, 2);
    }
}
