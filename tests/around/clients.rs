//! Clients that write all the time, and remember what was acknowledged to them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstay::pg::{ConnInfo, Session, SessionOptions, connect};
use tokio::task::JoinHandle;

/// What clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The names of rows whose insert was acknowledged.
    pub acknowledged: BTreeSet<String>,
    /// The errors that they met.
    pub errors: Vec<String>,
}

/// Clients at work.
pub struct Clients {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// So many clients at `url`, each on a session of its own, which it makes anew when it is lost.
    pub fn at(url: &str, count: usize) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let info = ConnInfo::parse(url).expect("a good URL");
        let tasks = (0..count)
            .map(|client| tokio::spawn(work(client, info.clone(), Arc::clone(&seen), Arc::clone(&stop))))
            .collect();
        Self { seen, stop, tasks }
    }

    /// Waits until this many more writes are acknowledged.
    pub async fn write_more(&self, more: usize) {
        let count = || self.seen.lock().expect("what was seen").acknowledged.len();
        let wanted = count() + more;
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while count() < wanted {
            assert!(
                std::time::Instant::now() < deadline,
                "nobody writes: {:?}",
                self.seen.lock().expect("seen").errors
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them; gives what they saw.
    pub async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(60), task)
                .await
                .expect("a client ends")
                .expect("a client");
        }
        std::mem::take(&mut *self.seen.lock().expect("what was seen"))
    }
}

async fn work(client: usize, info: ConnInfo, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    let options =
        SessionOptions { lent: true, connect_timeout: Duration::from_secs(30), ..SessionOptions::default() };
    let mut session: Option<Session> = None;
    let mut number = 0u64;
    let met = |error: String| seen.lock().expect("what was seen").errors.push(error);
    while !stop.load(Ordering::Relaxed) {
        let open = match session.take() {
            Some(open) => open,
            None => match connect(&info, &options).await {
                Ok(open) => open,
                Err(error) => {
                    met(error.to_string());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        number += 1;
        let name = format!("w-{client}-{number}");
        // No prepared statement: a pooler in transaction mode of this age knows none.
        let statement =
            format!("INSERT INTO customers (name, email) VALUES ('{name}', '{name}@example.org')");
        match open.batch_execute(&statement).await {
            Ok(()) => {
                seen.lock().expect("what was seen").acknowledged.insert(name);
                session = Some(open);
            }
            Err(error) => met(backstay::pg::describe_error(&error)),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The writes of clients that are in this database.
pub async fn written(session: &Session) -> BTreeSet<String> {
    let rows = session.query("SELECT name FROM customers WHERE name LIKE 'w-%'", &[]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}
