//! A storm of thirty clients, as an application with a careless connection pool makes one.
//!
//! Each connects as the application's role, reads, some write and note what was acknowledged, and whoever is
//! refused or cut off connects again at once. They honour the flag as an application does: it is looked at
//! inside the transaction, so whoever saw it down is cut off before the database is opened again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls};

use crate::common::project::{Project, wait_until};
use crate::common::session;

/// How many clients there are.
pub const CLIENTS: usize = 30;

/// Every so many clients one writes.
const WRITERS: usize = 5;

/// How long a client thinks between two statements, and before it connects again.
const THINKS: Duration = Duration::from_millis(40);

/// The table that the storm writes to.
pub const TABLE: &str = "storm";

/// What the clients saw.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Sessions that were let in.
    pub connections: u64,
    /// Attempts that were refused.
    pub refusals: u64,
    /// Sessions that were cut off.
    pub cut: u64,
    /// Queries that were answered.
    pub reads: u64,
    /// Writes whose commit the server acknowledged.
    pub acknowledged: BTreeSet<i64>,
}

/// Thirty clients at work.
pub struct Storm {
    tally: Arc<Mutex<Tally>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Storm {
    /// Makes the storm's table in the project's database.
    pub async fn prepare(project: &Project) {
        let owner = session(&project.url()).await;
        owner.batch_execute(&format!("CREATE TABLE {TABLE} (id bigint PRIMARY KEY)")).await.expect("a table");
    }

    /// Starts the clients; comes back when all of them are connected and somebody has written.
    pub fn start(project: &Project) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (end, ended) = oneshot::channel();
        let (shared, url, flag) = (tally.clone(), project.url(), project.path("flag"));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
            runtime.block_on(async move {
                let mut clients = tokio::task::JoinSet::new();
                for number in 0..CLIENTS {
                    clients.spawn(live(number, url.clone(), flag.clone(), shared.clone()));
                }
                let _ = ended.await;
            });
        });
        let storm = Self { tally, end: Some(end), thread: Some(thread) };
        wait_until("the storm", || {
            let seen = storm.seen();
            seen.connections >= CLIENTS as u64 && !seen.acknowledged.is_empty()
        });
        storm
    }

    /// What the clients saw until now.
    pub fn seen(&self) -> Tally {
        self.tally.lock().expect("the tally").clone()
    }

    /// Ends the storm; tells what its clients saw.
    pub fn calm(&mut self) -> Tally {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the storm's thread");
        }
        self.seen()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        drop(self.end.take());
    }
}

/// One client, for ever.
async fn live(number: usize, url: String, flag: PathBuf, tally: Arc<Mutex<Tally>>) {
    let note = |what: fn(&mut Tally)| what(&mut tally.lock().expect("the tally"));
    for round in 0.. {
        let Ok((mut client, connection)) = tokio_postgres::connect(&url, NoTls).await else {
            note(|tally| tally.refusals += 1);
            // Thirty clients without any pause only measure how fast the server forks.
            tokio::time::sleep(THINKS).await;
            continue;
        };
        note(|tally| tally.connections += 1);
        let connection = tokio::spawn(connection);
        for turn in 0..20 {
            let id = (number * 1_000_000_000 + round * 1_000 + turn) as i64;
            let lived = match number % WRITERS {
                0 => write(&mut client, id, &flag, &tally).await,
                // Somebody always sits in a transaction, or in a long statement.
                1 if turn == 1 => client.batch_execute("BEGIN; SELECT count(*) FROM customers").await,
                2 if turn == 1 => client.batch_execute("SELECT pg_sleep(0.5)").await,
                _ => client.simple_query("SELECT count(*) FROM customers").await.map(|_| ()),
            };
            if lived.is_err() {
                note(|tally| tally.cut += 1);
                break;
            }
            note(|tally| tally.reads += 1);
            tokio::time::sleep(THINKS).await;
        }
        connection.abort();
    }
}

/// Writes a row, unless the flag is up.
async fn write(
    client: &mut Client,
    id: i64,
    flag: &std::path::Path,
    tally: &Mutex<Tally>,
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    if flag.exists() {
        return transaction.rollback().await;
    }
    transaction.execute(&format!("INSERT INTO {TABLE} (id) VALUES ($1)"), &[&id]).await?;
    transaction.commit().await?;
    tally.lock().expect("the tally").acknowledged.insert(id);
    Ok(())
}
