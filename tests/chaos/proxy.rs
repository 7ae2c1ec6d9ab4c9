//! The network between backstay and the server, which can be disturbed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// How long a listener waits for its port, if another process took it for an outgoing connection.
const AGAIN: Duration = Duration::from_millis(20);

/// What the network does with everything, until it does something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Passes it on.
    Fair,
    /// Nobody listens: connections are refused. Those that stand go on.
    Refusing,
    /// Passes it on, each piece so much later.
    Slow(Duration),
    /// A black hole: takes everything and passes nothing on. What it took is not lost once it is fair again.
    Still,
}

/// What is done to the connections that stand, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both sides are closed.
    Both,
    /// The server's answers end; the server is not told.
    ToTool,
    /// The requests end; the client is not told.
    ToServer,
}

/// A proxy on a port of 127.0.0.1 in front of the server. It lives as long as its runtime.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    weather: watch::Sender<Weather>,
    cuts: broadcast::Sender<Cut>,
}

impl Proxy {
    /// Before the server on `server`.
    pub async fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (weather, watched) = watch::channel(Weather::Fair);
        let (cuts, _) = broadcast::channel(16);
        tokio::spawn(listen(listener, server, watched, cuts.clone()));
        Self { port, weather, cuts }
    }

    /// From now on it does this.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Does this to every connection that stands.
    pub fn cut(&self, cut: Cut) {
        // Nobody listens where no connection stands.
        let _ = self.cuts.send(cut);
    }
}

async fn listen(
    listener: TcpListener,
    server: u16,
    mut weather: watch::Receiver<Weather>,
    cuts: broadcast::Sender<Cut>,
) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    loop {
        if *weather.borrow_and_update() == Weather::Refusing {
            listener = None;
        }
        let Some(open) = &listener else {
            if weather.wait_for(|weather| *weather != Weather::Refusing).await.is_err() {
                return;
            }
            listener = TcpListener::bind(address).await.ok();
            if listener.is_none() {
                tokio::time::sleep(AGAIN).await;
            }
            continue;
        };
        tokio::select! {
            Ok((tool, _)) = open.accept() => {
                tokio::spawn(connect(tool, server, weather.clone(), cuts.clone()));
            }
            changed = weather.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(
    tool: TcpStream,
    server: u16,
    weather: watch::Receiver<Weather>,
    cuts: broadcast::Sender<Cut>,
) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let _ = (tool.set_nodelay(true), server.set_nodelay(true));
    let ((from_tool, to_tool), (from_server, to_server)) = (tool.into_split(), server.into_split());
    tokio::join!(
        pour(from_tool, to_server, weather.clone(), cuts.subscribe(), Cut::ToServer),
        pour(from_server, to_tool, weather, cuts.subscribe(), Cut::ToTool),
    );
}

/// Carries one direction of a connection until it ends or is cut.
async fn pour(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    mut cuts: broadcast::Receiver<Cut>,
    half: Cut,
) {
    let carry = async {
        let mut piece = vec![0u8; 64 << 10];
        while let Ok(bytes @ 1..) = from.read(&mut piece).await {
            let Ok(now) = weather.wait_for(|weather| *weather != Weather::Still).await.map(|now| *now) else {
                return;
            };
            if let Weather::Slow(late) = now {
                tokio::time::sleep(late).await;
            }
            if to.write_all(&piece[..bytes]).await.is_err() {
                return;
            }
        }
        let _ = weather.wait_for(|weather| *weather != Weather::Still).await;
    };
    let is_cut = async { while !matches!(cuts.recv().await, Ok(cut) if cut == Cut::Both || cut == half) {} };
    tokio::select! {
        () = carry => {}
        () = is_cut => {}
    }
    let _ = to.shutdown().await;
}
