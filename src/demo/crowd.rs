//! Who uses the shop while it is released: customers who order through the application, readers who connect
//! to the database again and again, and one visitor who looks at the shop window all the time.
//!
//! Customers remember every order that was acknowledged (answered with 201 and an id). What was not answered
//! may be written or not, as with any database.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

use super::app::pages::NewOrder;
use super::http;
use super::shop::{CUSTOMERS, Dice, PRODUCTS};
use crate::pg::{self, ConnInfo, SessionOptions};

/// Customers who order at the same time.
pub const CUSTOMERS_AT_ONCE: u32 = 8;
/// Readers who connect, read, leave and come again.
pub const READERS: u32 = 12;

const ORDER_PAUSE: Duration = Duration::from_millis(15);
const TURNED_AWAY_PAUSE: Duration = Duration::from_millis(50);
const READ_PAUSE: Duration = Duration::from_millis(20);
const READS_A_VISIT: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// An order that the application acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The id that was answered.
    pub id: i64,
    /// What was ordered.
    pub order: NewOrder,
}

/// What the crowd has lived through so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders that were acknowledged.
    pub acknowledged: u64,
    /// Orders that met the maintenance page.
    pub turned_away: u64,
    /// Orders that got no answer, or an error: written or not, nobody knows.
    pub unanswered: u64,
    /// Reads that succeeded, straight in the database.
    pub reads: u64,
    /// Readers' sessions that were ended or refused.
    pub cut: u64,
}

/// The crowd; it goes home when dropped.
pub struct Crowd {
    shared: Arc<Shared>,
    away: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

struct Shared {
    address: SocketAddr,
    database: ConnInfo,
    /// Held for reading while an order is under way; taken for writing to wait until none is.
    ordering: RwLock<()>,
    /// Customers who meet the maintenance page stay away until they are called back.
    polite: std::sync::atomic::AtomicBool,
    acknowledged: Mutex<Vec<Acknowledged>>,
    turned_away: AtomicU64,
    unanswered: AtomicU64,
    reads: AtomicU64,
    cut: AtomicU64,
    outages: Mutex<Outages>,
}

/// When the visitor saw the maintenance page.
#[derive(Default)]
struct Outages {
    since: Option<Instant>,
    total: Duration,
}

impl Crowd {
    /// Lets them in.
    pub fn gather(address: SocketAddr, database: ConnInfo) -> Self {
        let shared = Arc::new(Shared {
            address,
            database,
            ordering: RwLock::default(),
            polite: std::sync::atomic::AtomicBool::default(),
            acknowledged: Mutex::default(),
            turned_away: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            outages: Mutex::default(),
        });
        let (away, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for customer in 0..CUSTOMERS_AT_ONCE {
            tasks.spawn(shared.clone().order(customer, away.clone()));
        }
        for _ in 0..READERS {
            tasks.spawn(shared.clone().read());
        }
        tasks.spawn(shared.clone().look());
        Self { shared, away, _tasks: tasks }
    }

    /// From now on the first customer who meets the maintenance page calls all of them away, until
    /// [`Crowd::call_back`]. So nobody orders between the window and the comparison behind it.
    pub fn stay_away_after_maintenance(&self) {
        self.shared.polite.store(true, Ordering::SeqCst);
    }

    /// Nobody orders any more when this returns, and no order is under way. Readers go on.
    pub async fn hold(&self) {
        self.away.send_replace(true);
        drop(self.shared.ordering.write().await);
    }

    /// Customers order again.
    pub fn call_back(&self) {
        self.shared.polite.store(false, Ordering::SeqCst);
        self.away.send_replace(false);
    }

    /// Every order acknowledged so far.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        locked(&self.shared.acknowledged).clone()
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        Tally {
            acknowledged: locked(&self.shared.acknowledged).len() as u64,
            turned_away: self.shared.turned_away.load(Ordering::Relaxed),
            unanswered: self.shared.unanswered.load(Ordering::Relaxed),
            reads: self.shared.reads.load(Ordering::Relaxed),
            cut: self.shared.cut.load(Ordering::Relaxed),
        }
    }

    /// How long the visitor saw the maintenance page since this was asked last.
    pub fn take_outage(&self) -> Duration {
        std::mem::take(&mut locked(&self.shared.outages).total)
    }
}

/// How an order went.
enum Outcome {
    Placed(i64),
    TurnedAway,
    Unanswered,
}

impl Shared {
    async fn order(self: Arc<Self>, customer: u32, away: watch::Sender<bool>) {
        let mut called_away = away.subscribe();
        let mut dice = Dice::of("shopping", customer);
        loop {
            if called_away.wait_for(|away| !away).await.is_err() {
                return;
            }
            let under_way = self.ordering.read().await;
            // Looked at again behind the lock: whoever holds it for writing saw the last order end.
            if *away.borrow() {
                continue;
            }
            let order = NewOrder {
                customer: 1 + dice.below(CUSTOMERS),
                product: 1 + dice.below(PRODUCTS),
                quantity: 1 + dice.below(4),
            };
            let outcome = self.place(order).await;
            if let Outcome::Placed(id) = outcome {
                locked(&self.acknowledged).push(Acknowledged { id, order });
            }
            drop(under_way);
            let pause = match outcome {
                Outcome::Placed(_) => ORDER_PAUSE,
                Outcome::TurnedAway => {
                    self.turned_away.fetch_add(1, Ordering::Relaxed);
                    if self.polite.load(Ordering::SeqCst) {
                        away.send_replace(true);
                    }
                    TURNED_AWAY_PAUSE
                }
                Outcome::Unanswered => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    TURNED_AWAY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn place(&self, order: NewOrder) -> Outcome {
        let Ok(body) = serde_json::to_string(&order) else { return Outcome::Unanswered };
        match http::ask(self.address, Method::POST, "/orders", body).await {
            Ok((StatusCode::CREATED, body)) => {
                let answer: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
                match answer.and_then(|answer| answer["id"].as_i64()) {
                    Some(id) => Outcome::Placed(id),
                    None => Outcome::Unanswered,
                }
            }
            Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => Outcome::TurnedAway,
            _ => Outcome::Unanswered,
        }
    }

    /// Connects to the database's own name, as a report or a forgotten script does, and never gives up.
    async fn read(self: Arc<Self>) {
        let options = SessionOptions {
            application_name: "reader".into(),
            connect_timeout: Duration::from_secs(2),
            ..SessionOptions::default()
        };
        loop {
            match pg::connect(&self.database, &options).await {
                Ok(session) => {
                    for _ in 0..READS_A_VISIT {
                        match session.query_one("SELECT count(*) FROM products WHERE stock < 10", &[]).await {
                            Ok(_) => self.reads.fetch_add(1, Ordering::Relaxed),
                            Err(_) => {
                                self.cut.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        };
                        tokio::time::sleep(READ_PAUSE).await;
                    }
                }
                Err(_) => {
                    self.cut.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(READ_PAUSE).await;
        }
    }

    /// Looks at the shop window and notes for how long it shows the maintenance page.
    async fn look(self: Arc<Self>) {
        loop {
            let seen = http::ask(self.address, Method::GET, "/", String::new()).await;
            if let Ok((status, _)) = seen {
                let mut outages = locked(&self.outages);
                match (status, outages.since) {
                    (StatusCode::SERVICE_UNAVAILABLE, None) => outages.since = Some(Instant::now()),
                    (StatusCode::OK, Some(since)) => {
                        outages.total += since.elapsed();
                        outages.since = None;
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
