//! An open session: its settings, its notices, its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::answer::{describe_answer, describe_error};
use super::conninfo::{ConnInfo, SslMode, TargetSession, Timers};
use super::options::SessionOptions;
use super::record::Record;
use super::refusal::Refusal;
use super::socket::{Activity, Socket};
use super::tls::handshake::{Handshake, TlsSocket};
use super::watch::{self, Watched};

/// How a server was reached.
#[derive(Debug, Clone)]
pub(super) enum Route {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Route {
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path.clone()),
        }
    }
}

/// The way to the server that a session took, for a cancel request to take again.
#[derive(Clone)]
pub(super) struct Way {
    pub route: Route,
    pub timers: Timers,
    pub activity: Arc<Activity>,
    pub connector: Option<MakeRustlsConnect>,
    pub host: String,
}

/// A session; it derefs to [`tokio_postgres::Client`] and ends when dropped.
///
/// A drop closes the socket at once, also in the middle of a statement; the server then ends the backend
/// and rolls its transaction back (within half a second from version 14 on, after the statement before).
pub struct Session {
    client: Client,
    driver: Driver,
    watch: Option<Driver>,
    record: Arc<Record>,
    way: Way,
    pid: i32,
    version: u32,
    in_recovery: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("pid", &self.pid).field("server_version", &self.version).finish()
    }
}

impl std::ops::Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Session {
    /// Takes a connection over: drives it, sets what is to be set, and learns who answers, in one round trip.
    pub(super) async fn begin(
        client: Client,
        connection: Connection<Socket, TlsSocket>,
        way: Way,
        options: &SessionOptions,
        wanted: TargetSession,
    ) -> Result<Self, Refusal> {
        let version = connection.parameter("server_version").and_then(version_number).unwrap_or(0);
        let record = Arc::<Record>::default();
        let driver = Driver(tokio::spawn(drive(connection, Arc::clone(&record))));
        let batch = format!(
            "{} SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(), \
             pg_catalog.current_setting('transaction_read_only');",
            options.batch(version)
        );
        let main = client.simple_query(&batch);
        // Servers without the operating system's support refuse these; a session is a session without them.
        let ours = |text: String| if options.lent { String::new() } else { text };
        let interval = if version >= 140_000 { "SET client_connection_check_interval = '500ms'" } else { "" };
        let (interval, dead_client) = (ours(interval.into()), ours(keepalives_of_the_server(way.timers)));
        let silence = ours(format!("SET tcp_user_timeout = {}", way.timers.user_timeout.as_millis()));
        let (answer, _, _, _) = futures_util::future::join4(
            main,
            client.batch_execute(&interval),
            client.batch_execute(&dead_client),
            client.batch_execute(&silence),
        )
        .await;
        let answer = answer.map_err(|error| match record.end() {
            Some(end) => Refusal::Broken(end),
            None => Refusal::of(&error, SslMode::Prefer),
        })?;
        let state = State::read(&answer)
            .ok_or_else(|| Refusal::Broken("the server did not tell its state".into()))?;
        if !state.suits(wanted) {
            return Err(Refusal::WrongKind(wanted.name()));
        }
        let (pid, in_recovery) = (state.pid, state.in_recovery);
        Ok(Self { client, driver, watch: None, record, way, pid, version, in_recovery })
    }

    /// From here on somebody looks, by another connection to the same place, why the server says nothing for so
    /// long, and ends the session if no answer can come any more.
    pub(super) fn watch_over(&mut self, place: ConnInfo, options: &SessionOptions) {
        let watched = Watched {
            pid: self.pid,
            activity: Arc::clone(&self.way.activity),
            record: Arc::clone(&self.record),
            driver: self.driver.0.abort_handle(),
        };
        self.watch = Some(Driver(tokio::spawn(watch::watching(watched, place, options.clone()))));
    }

    /// The process id of the backend; behind a transaction pooler only that of the first statement's.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The server's version as a number: 150018 for 15.18. Zero if a pooler hides it.
    pub fn server_version(&self) -> u32 {
        self.version
    }

    /// Whether the server was a standby, or recovering, when the session began.
    pub fn in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// Whether the connection goes through TLS.
    pub fn is_encrypted(&self) -> bool {
        self.way.connector.is_some()
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.0.is_finished()
    }

    /// Whether the server answers, within `limit`. A session that does not is of no use any more.
    pub async fn answers_within(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.client.simple_query("")).await.is_ok_and(|answer| answer.is_ok())
    }

    /// Why the session is over, in the server's words if it had any: a statement that was under way learns
    /// only that the connection closed.
    pub fn ended_because(&self) -> Option<String> {
        self.record.end()
    }

    /// What the server remarked (`NOTICE`, `WARNING`, …) since the last call, in order; notices of a statement
    /// are there when it returns. Of more than a thousand the latest are kept, and the first line says so.
    pub fn notices(&self) -> Vec<String> {
        self.record.take_notices()
    }

    /// What cancels this session's statement, from anywhere.
    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.client.cancel_token(), way: self.way.clone() }
    }

    /// Ends the session in good order, and returns when the server was told.
    pub async fn close(self) {
        let Self { client, mut driver, .. } = self;
        drop(client);
        let _ = (&mut driver.0).await;
    }
}

/// Cancels the statement of one session (manual 55.2.8).
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    way: Way,
}

impl Canceller {
    /// Asks the server to cancel whatever the session does. The server does not say whether it did; the
    /// statement tells by failing with SQLSTATE 57014.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn cancel(&self) -> Result<(), Refusal> {
        let io = |error| Refusal::of_io(error, self.way.route.path());
        let socket = match &self.way.route {
            Route::Tcp(address) => Socket::tcp(*address, self.way.timers).await.map_err(io)?,
            Route::Unix(path) => Socket::unix(path).await.map_err(io)?,
        };
        let handshake = match &self.way.connector {
            Some(connector) => Handshake::with(connector, &self.way.host),
            None => Handshake::none(),
        };
        let sent = self.token.cancel_query_raw(socket, handshake).await;
        sent.map_err(|error| Refusal::of(&error, SslMode::Prefer))
    }
}

/// What has the server notice a dead client as soon as the client notices a dead server.
fn keepalives_of_the_server(timers: Timers) -> String {
    format!(
        "SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {}; SET tcp_keepalives_count = {}",
        timers.idle.as_secs(),
        timers.interval.as_secs(),
        timers.count
    )
}

/// The task that moves the bytes; it ends with its session.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn drive(mut connection: Connection<Socket, TlsSocket>, record: Arc<Record>) {
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => record.add_notice(describe_answer(&notice)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return record.set_end(describe_error(&error)),
            None => return,
        }
    }
}

/// What a server tells of itself.
struct State {
    pid: i32,
    in_recovery: bool,
    read_only: bool,
}

impl State {
    fn read(answer: &[SimpleQueryMessage]) -> Option<Self> {
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })?;
        Some(Self {
            pid: row.get(0)?.parse().ok()?,
            in_recovery: row.get(1)? == "t",
            read_only: row.get(2)? == "on",
        })
    }

    fn suits(&self, wanted: TargetSession) -> bool {
        match wanted {
            TargetSession::Any | TargetSession::PreferStandby => true,
            TargetSession::ReadWrite => !self.read_only && !self.in_recovery,
            TargetSession::ReadOnly => self.read_only || self.in_recovery,
            TargetSession::Primary => !self.in_recovery,
            TargetSession::Standby => self.in_recovery,
        }
    }
}

/// `15.18 (Debian …)` as 150018; `17beta1` as 170000; `9.6.24` as 90624.
pub(super) fn version_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut parts = text[..end].split('.').map(|part| part.parse::<u32>().ok());
    let major = parts.next()??;
    let second = parts.next().flatten().unwrap_or(0);
    let third = parts.next().flatten().unwrap_or(0);
    let number = if major >= 10 { (major, 0, second) } else { (major, second, third) };
    let scaled = number.0.checked_mul(10_000)?;
    scaled.checked_add(number.1.checked_mul(100)?)?.checked_add(number.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_numbers() {
        assert_eq!(version_number("15.18 (Debian 15.18-0+deb12u1)"), Some(150_018));
        assert_eq!(version_number("17beta1"), Some(170_000));
        assert_eq!(version_number("9.6.24"), Some(90_624));
        assert_eq!(version_number("16"), Some(160_000));
        assert_eq!(version_number("PgBouncer"), None);
        assert_eq!(version_number("99999999999"), None);
    }
}
