//! A network between us and the server: a TCP proxy that can cut, and that can take every byte and give none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const OPEN: u8 = 0;
const FROZEN: u8 = 1;
const CUT: u8 = 2;

/// A proxy before a port of 127.0.0.1.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    mode: AtomicU8,
    /// The number of the next connection, and of the first that is not lost.
    next: AtomicUsize,
    lost_below: AtomicUsize,
    thawed: (Mutex<()>, Condvar),
    connections: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            mode: AtomicU8::new(OPEN),
            next: AtomicUsize::new(0),
            lost_below: AtomicUsize::new(0),
            thawed: (Mutex::new(()), Condvar::new()),
            connections: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.serve(client, port);
            }
        });
        Self { port: own, state }
    }

    /// From here on it takes bytes and connections, and passes nothing on. Nobody is told.
    pub fn freeze(&self) {
        self.state.mode.store(FROZEN, Ordering::SeqCst);
    }

    /// Through the connections of now nothing passes ever again, and nobody is told; new ones are served.
    pub fn lose_connections(&self) {
        self.state.lost_below.store(self.state.next.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Every connection is cut, and new ones are too.
    pub fn cut(&self) {
        self.state.mode.store(CUT, Ordering::SeqCst);
        self.drop_connections();
    }

    /// All is well again; what was held back flows.
    pub fn heal(&self) {
        self.state.mode.store(OPEN, Ordering::SeqCst);
        let _guard = self.state.thawed.0.lock().expect("a lock");
        self.state.thawed.1.notify_all();
    }

    fn drop_connections(&self) {
        for connection in self.state.connections.lock().expect("a list").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn serve(self: &Arc<Self>, client: TcpStream, port: u16) {
        if self.mode.load(Ordering::SeqCst) == CUT {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.connections.lock().expect("a list");
        for stream in [&client, &server] {
            kept.push(stream.try_clone().expect("a descriptor"));
        }
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to) = (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
            let state = Arc::clone(self);
            std::thread::spawn(move || state.pass(number, from, to));
        }
    }

    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0u8; 16 * 1024];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            self.hold_while_frozen(number);
            if read == 0 || self.mode.load(Ordering::SeqCst) == CUT || to.write_all(&bytes[..read]).is_err() {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
        }
    }

    fn hold_while_frozen(&self, number: usize) {
        let mut guard = self.thawed.0.lock().expect("a lock");
        let lost = || number < self.lost_below.load(Ordering::SeqCst);
        while self.mode.load(Ordering::SeqCst) == FROZEN || lost() {
            guard = self.thawed.1.wait_timeout(guard, Duration::from_secs(1)).expect("a lock").0;
        }
    }
}
