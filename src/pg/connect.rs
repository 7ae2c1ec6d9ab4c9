//! Making connections: which host, which address, with or without TLS, in how much time.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;

use super::connect_error::ConnectError;
use super::conninfo::{ChannelBinding, ConnInfo, Endpoint, SslMode, TargetSession};
use super::options::SessionOptions;
use super::refusal::Refusal;
use super::session::{Route, Session};
use super::socket::Socket;
use super::tls::{self, handshake::Handshake};

/// The first pause of [`connect_with_retry`]; each next one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Opens a session on the first of the hosts that gives one; as long as the options' patience lasts, again and
/// again.
///
/// The time limit (the URL's `connect_timeout`, else the options') holds for each address of each host and
/// covers everything from the name's resolution to the session's settings.
///
/// # Errors
/// With the reason, and what to do about it, if no host gives a session.
pub async fn connect(info: &ConnInfo, options: &SessionOptions) -> Result<Session, ConnectError> {
    match options.patience {
        Duration::ZERO => connect_once(info, options).await,
        patience => connect_with_retry(info, options, patience).await,
    }
}

async fn connect_once(info: &ConnInfo, options: &SessionOptions) -> Result<Session, ConnectError> {
    let passes: &[TargetSession] = match info.target_session {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        ref other => std::slice::from_ref(other),
    };
    let mut attempts = Vec::new();
    for wanted in passes {
        for endpoint in &info.endpoints {
            let attempt = Attempt { info, options, endpoint, wanted: *wanted };
            match attempt.over_all_addresses().await {
                Ok(session) => return Ok(session),
                Err(reason) => {
                    let stop = reason.is_final();
                    attempts.push((endpoint.describe(), reason));
                    if stop {
                        return Err(ConnectError::new(info, attempts));
                    }
                }
            }
        }
    }
    Err(ConnectError::new(info, attempts))
}

/// Opens a session, trying again with growing pauses while the reason is transient, for `deadline` at most.
///
/// # Errors
/// With the last reason, at once if it is not transient.
pub async fn connect_with_retry(
    info: &ConnInfo,
    options: &SessionOptions,
    deadline: Duration,
) -> Result<Session, ConnectError> {
    let began = Instant::now();
    let end = began + deadline;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // One attempt must not outlast what is left of the whole.
        let limit = limit_of(info, options).min(left).max(FIRST_PAUSE);
        let mut hurried = info.clone();
        hurried.connect_timeout = Some(limit);
        match connect_once(&hurried, options).await {
            Err(error) if error.is_transient() && Instant::now() + pause < end => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error.after(began.elapsed())),
            Ok(session) => return Ok(session),
        }
    }
}

/// How long one address may take. As in libpq zero means no limit.
fn limit_of(info: &ConnInfo, options: &SessionOptions) -> Duration {
    let limit = info.connect_timeout.unwrap_or(options.connect_timeout);
    if limit.is_zero() { Duration::MAX } else { limit }
}

/// One host.
struct Attempt<'a> {
    info: &'a ConnInfo,
    options: &'a SessionOptions,
    endpoint: &'a Endpoint,
    wanted: TargetSession,
}

/// How TLS is asked for in one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    TlsIfOffered,
    Tls,
}

impl Attempt<'_> {
    async fn over_all_addresses(&self) -> Result<Session, Refusal> {
        let limit = limit_of(self.info, self.options);
        let within = async |route: Route| {
            let attempt = timeout(limit, self.over(route)).await;
            attempt.unwrap_or(Err(Refusal::Timeout(limit)))
        };
        if let Some(path) = self.endpoint.socket() {
            return within(Route::Unix(path)).await;
        }
        let addresses = timeout(limit, self.addresses()).await.unwrap_or(Err(Refusal::Timeout(limit)))?;
        let mut last = Refusal::Broken("the host name has no address".into());
        for address in addresses {
            match within(Route::Tcp(address)).await {
                Err(reason) if !reason.is_final() => last = reason,
                other => return other,
            }
        }
        Err(last)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Refusal> {
        let Endpoint { host, address, port, .. } = self.endpoint;
        if let Some(address) = address {
            return Ok(vec![SocketAddr::new(*address, *port)]);
        }
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        found.map(Iterator::collect).map_err(|error| {
            let cause = error.to_string();
            // getaddrinfo's EAI_AGAIN comes through as text alone.
            let temporary = cause.contains("emporary failure");
            Refusal::NoSuchHost { host: host.clone(), cause, temporary }
        })
    }

    /// One address, in the manners that `sslmode` allows, in its order (manual 34.19.3).
    async fn over(&self, route: Route) -> Result<Session, Refusal> {
        let manners = match (&route, self.info.tls.mode) {
            (Route::Unix(_), _) | (_, SslMode::Disable) => (Manner::Plain, None),
            (_, SslMode::Allow) => (Manner::Plain, Some(Manner::Tls)),
            (_, SslMode::Prefer) => (Manner::TlsIfOffered, Some(Manner::Plain)),
            (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => (Manner::Tls, None),
        };
        let failed = match self.once(&route, manners.0).await {
            Ok(session) => return Ok(session),
            Err(failed) => failed,
        };
        let other = manners.1.filter(|_| failed.other_manner_may_help(manners.0));
        let Some(other) = other else { return Err(failed.reason) };
        match self.once(&route, other).await {
            Ok(session) => Ok(session),
            Err(again) => Err(the_more_telling(failed.reason, again.reason)),
        }
    }

    async fn once(&self, route: &Route, manner: Manner) -> Result<Session, Failed> {
        // Certificates are read only where TLS is asked for: a start must be quick.
        let connector = match manner {
            Manner::Plain => None,
            Manner::TlsIfOffered | Manner::Tls => {
                let made = tls::connector(&self.info.tls);
                Some(made.map_err(|error| Failed::before_tls(error.into()))?)
            }
        };
        let io = |error| Failed::before_tls(Refusal::of_io(error, route.path()));
        let socket = match route {
            Route::Tcp(address) => Socket::tcp(*address, self.info.timers()).await.map_err(io)?,
            Route::Unix(path) => Socket::unix(path).await.map_err(io)?,
        };
        let activity = socket.activity();
        let handshake = match &connector {
            Some(connector) => Handshake::with(connector, &self.endpoint.host),
            None => Handshake::none(),
        };
        let begun = handshake.begun();
        let opened = self.config(manner).connect_raw(socket, handshake).await;
        let tls = begun.load(Ordering::Relaxed);
        let failed = |reason| Failed { reason, tls };
        let (client, connection) = opened.map_err(|error| failed(Refusal::of(&error, self.info.tls.mode)))?;
        let way = super::session::Way {
            route: route.clone(),
            timers: self.info.timers(),
            activity,
            connector: connector.filter(|_| tls),
            host: self.endpoint.host.clone(),
        };
        let begun = Session::begin(client, connection, way, self.options, self.wanted).await;
        let mut session = begun.map_err(failed)?;
        if !self.options.lent && matches!(route, Route::Tcp(_)) {
            session.watch_over(self.info.at(self.endpoint), self.options);
        }
        Ok(session)
    }

    fn config(&self, manner: Manner) -> Config {
        use tokio_postgres::config;
        let mut config = Config::new();
        config.user(&self.info.user).dbname(&self.info.database);
        config.application_name(self.application_name());
        if let Some(password) = &self.endpoint.password {
            config.password(password.reveal());
        }
        // Only what the user asked for: poolers refuse startup options, so ours are set afterwards.
        if let Some(options) = &self.info.options {
            config.options(options);
        }
        config.ssl_mode(match manner {
            Manner::Plain => config::SslMode::Disable,
            Manner::TlsIfOffered => config::SslMode::Prefer,
            Manner::Tls => config::SslMode::Require,
        });
        config.channel_binding(match self.info.channel_binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        });
        config
    }

    /// The options' name, else the URL's, else ours; in as many bytes as the server keeps.
    fn application_name(&self) -> String {
        let own = Some(self.options.application_name.as_str()).filter(|name| !name.is_empty());
        let name = own.or(self.info.application_name.as_deref()).unwrap_or("backstay");
        let end = (0..=name.len().min(63)).rev().find(|end| name.is_char_boundary(*end));
        name[..end.unwrap_or(0)].to_string()
    }
}

/// A connection that failed.
struct Failed {
    reason: Refusal,
    /// Whether the server had agreed to TLS.
    tls: bool,
}

impl Failed {
    fn before_tls(reason: Refusal) -> Self {
        Self { reason, tls: false }
    }

    /// Whether the other manner, which `allow` and `prefer` leave open, is worth an attempt.
    fn other_manner_may_help(&self, tried: Manner) -> bool {
        match tried {
            Manner::Plain => self.reason.may_differ_with_or_without_tls(),
            _ => self.tls && (self.reason.is_about_tls() || self.reason.may_differ_with_or_without_tls()),
        }
    }
}

/// Of the reasons of both manners the one that a person must act on: a server that does not admit a manner
/// at all says less than one that admits it and refuses the password.
fn the_more_telling(first: Refusal, second: Refusal) -> Refusal {
    let says_little = |reason: &Refusal| matches!(reason, Refusal::NotInHba(_)) || reason.is_about_tls();
    if says_little(&first) && !says_little(&second) { second } else { first }
}
