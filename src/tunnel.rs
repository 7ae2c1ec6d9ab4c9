//! `[tunnel]`: a program by which the server is reached, as `cloud-sql-proxy`, `ssh -L` or `kubectl port-forward`.
//!
//! Started before a command's first connection and waited for by its port, started again if it ends in the middle, ended
//! with the command. A keeper stands between us and it, so that it is not left behind by a command that is killed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::config::{Config, Tunnel};
use crate::failure::Failure;
use crate::process::{self, ProcessError, Program};
use crate::time::show_duration;

/// The variable by which another command knows the same tunnel.
const MARK: &str = "BACKSTAY_TUNNEL";

const POLL: Duration = Duration::from_millis(50);

/// How often is looked whether another command's is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How often in a row it is started again.
const RESTARTS: u32 = 5;

/// A tunnel that held for so long may be started again as often.
const HELD: Duration = Duration::from_secs(60);

/// The pause before the first restart; the next are each twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// No tunnel of ours takes longer: the command that needs it ends before.
const AT_MOST: Duration = Duration::from_secs(30 * 24 * 3600);

/// An open tunnel; dropped, it is closed.
#[derive(Debug)]
pub struct Open(JoinSet<()>);

/// Why there is none.
#[derive(Debug)]
pub enum NoTunnel {
    /// It did not open, and nobody listens at its port: whoever connects is refused.
    Closed(Failure),
    /// Somebody else listens at its port: whoever connects reaches they know not what.
    Taken(Failure),
}

impl Open {
    /// Opens the environment's tunnel, if it has one. `keeper` is the program, with its arguments, that keeps another: the
    /// tunnel's command follows behind. `tell` is told of restarts.
    ///
    /// One that another command of this environment holds open on this machine (Linux) is used, and taken over when that
    /// command ends.
    ///
    /// # Errors
    /// [`NoTunnel`]; then nothing of it runs.
    pub async fn of(
        config: &Config,
        keeper: Vec<String>,
        tell: impl Fn(String) + Send + 'static,
    ) -> Result<Option<Self>, NoTunnel> {
        let Some(tunnel) = &config.tunnel else { return Ok(None) };
        let mark = mark(config, tunnel);
        let there = answers(tunnel.port).await;
        if there && !is_there(&mark) {
            return Err(NoTunnel::Taken(taken(tunnel)));
        }
        let mut env = config.variables.clone();
        env.insert(MARK.to_string(), mark.clone());
        let argv = keeper.into_iter().chain(tunnel.run.iter().cloned()).collect();
        let program = Program { argv, directory: config.root.clone(), env, timeout: AT_MOST };
        let (ended, mut ends) = mpsc::unbounded_channel();
        let mut keeping = JoinSet::new();
        keeping.spawn(keep_up(program, mark, tunnel.clone(), ended, tell));
        if there {
            return Ok(Some(Self(keeping)));
        }
        tokio::select! {
            opened = timeout(tunnel.timeout, until_open(tunnel.port)) => match opened {
                Ok(()) => Ok(Some(Self(keeping))),
                Err(_) => Err(NoTunnel::Closed(too_slow(tunnel))),
            },
            Some(failure) = ends.recv() => Err(NoTunnel::Closed(failure)),
        }
    }

    /// Closes it, and waits until nobody uses its program any more; what hears no SIGTERM is killed after seconds.
    pub async fn close(mut self) {
        self.0.shutdown().await;
        process::settle().await;
    }
}

/// Runs the program for as long as it is wanted. The first end is told to who waits for it to open.
async fn keep_up(
    program: Program,
    mark: String,
    tunnel: Tunnel,
    ended: mpsc::UnboundedSender<Failure>,
    tell: impl Fn(String),
) {
    let (mut restarts, mut pause) = (0, PAUSE);
    loop {
        // Another command's, as long as that runs.
        while is_there(&mark) {
            sleep(LOOK).await;
        }
        let began = Instant::now();
        let failure = gone(&tunnel, process::hold(&program, |_| ()).await);
        if began.elapsed() >= HELD {
            (restarts, pause) = (0, PAUSE);
        }
        // Whoever waits for it to open tells the failure; afterwards nobody hears it.
        if ended.send(failure.clone()).is_ok() {
            return;
        }
        restarts += 1;
        if restarts > RESTARTS {
            tell(format!("{failure}; it is not started any more"));
            return;
        }
        tell(format!("{failure}; it is started again"));
        sleep(pause).await;
        pause *= 2;
    }
}

async fn until_open(port: u16) {
    while !answers(port).await {
        sleep(POLL).await;
    }
}

async fn answers(port: u16) -> bool {
    matches!(
        timeout(Duration::from_secs(1), TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await,
        Ok(Ok(_))
    )
}

/// The same for every command that would open the same tunnel.
fn mark(config: &Config, tunnel: &Tunnel) -> String {
    let what = format!("{}\0{}\0{}", config.root.display(), config.environment, tunnel.run.join("\0"));
    hex::encode(Sha256::digest(what))
}

/// Whether a process of this machine, and of a user whose processes we may look at, carries the mark.
fn is_there(mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    let carries = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| carries(&entry.path()))
}

fn name(tunnel: &Tunnel) -> &str {
    tunnel.run.first().map_or("", String::as_str)
}

fn taken(tunnel: &Tunnel) -> Failure {
    Failure::refused(format!("open the tunnel at port {}", tunnel.port))
        .because_of("somebody else listens there, and nobody knows where that leads")
        .leaving("nothing was asked there, and nothing was changed")
        .then(format!("ss -ltnp 'sport = :{}' names who it is; end that, or take another port", tunnel.port))
}

fn too_slow(tunnel: &Tunnel) -> Failure {
    let (port, bound) = (tunnel.port, show_duration(tunnel.timeout));
    Failure::refused(format!("open the tunnel at port {port}"))
        .because_of(format!("{} does not listen there within {bound}", name(tunnel)))
        .then("start it by hand to see what it waits for, or raise [tunnel] timeout")
}

fn gone(tunnel: &Tunnel, how: Result<(), ProcessError>) -> Failure {
    let failure = Failure::refused(format!("hold the tunnel at port {} open", tunnel.port));
    let name = name(tunnel);
    match how {
        Ok(()) => failure.because_of(format!("{name} ended")),
        // The keeper's status is that of the program behind it.
        Err(ProcessError::Ended { status, tail, .. }) => tail
            .into_iter()
            .fold(failure.because_of(format!("{name} ended with {status}")), Failure::because_of),
        Err(error) => failure.caused_by(&error),
    }
}
