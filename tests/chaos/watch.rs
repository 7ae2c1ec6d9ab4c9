//! Looks at the server all the time: behind a fence there is nobody but the driver whose fence it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstay::pg::{self, ConnInfo, Session};

use crate::common::cluster;

const PAUSE: Duration = Duration::from_millis(15);

/// What must never be seen; looks until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    pub fn start() -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let info = ConnInfo::parse(&cluster().url("postgres", "postgres")).expect("a good URL");
        let task = tokio::spawn(look(info, Arc::clone(&seen)));
        Self { seen, task }
    }

    /// Fails if somebody was behind a fence that is not his.
    pub fn saw_nobody(&self) {
        let seen = self.seen.lock().expect("what was seen");
        assert!(seen.is_empty(), "behind the fence of another epoch: {seen:#?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The server may crash: then it is looked at again when it is back.
async fn look(info: ConnInfo, seen: Arc<Mutex<Vec<String>>>) {
    loop {
        if let Ok(session) = pg::connect(&info, &Default::default()).await {
            while let Ok(strangers) = strangers(&session).await {
                seen.lock().expect("what was seen").extend(strangers);
                tokio::time::sleep(PAUSE).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sessions in a window's database that are not of its epoch. A view joins names of one moment with sessions of
/// another: so the fence must stand before the sessions are looked at, and behind.
async fn strangers(session: &Session) -> Result<Vec<String>, tokio_postgres::Error> {
    let before = fences(session).await?;
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let query = "SELECT datid, application_name, coalesce(state, ''), left(query, 80) FROM pg_stat_activity \
                 WHERE application_name LIKE 'backstay %' OR application_name = 'a writer'";
    let sessions = session.query(query, &[]).await?;
    let after = fences(session).await?;
    let strange = sessions.iter().filter_map(|row| {
        let oid = row.get::<_, Option<u32>>(0)?;
        let fence = before.get(&oid).filter(|name| after.get(&oid) == Some(name))?;
        let application: String = row.get(1);
        let described =
            format!("{fence} | {application} | {} | {}", row.get::<_, String>(2), row.get::<_, String>(3));
        (!is_of_its_epoch(fence, &application)).then_some(described)
    });
    Ok(strange.collect())
}

/// The names of databases that are fenced now.
async fn fences(session: &Session) -> Result<BTreeMap<u32, String>, tokio_postgres::Error> {
    let query = "SELECT oid, datname::text FROM pg_database WHERE datname LIKE '%\\_\\_w\\_%'";
    Ok(session.query(query, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// `shop__w_<run>_<epoch>` and `backstay <run> <epoch> migrate`.
fn is_of_its_epoch(database: &str, application: &str) -> bool {
    let Some((_, fence)) = database.rsplit_once("__w_") else { return false };
    let mut words = application.split(' ').skip(1);
    let (run, epoch) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    fence == format!("{run}_{epoch}")
}

#[test]
fn whose_fence_it_is_stands_in_both_names() {
    assert!(is_of_its_epoch("shop__w_20261121t092027z-hsgth_2", "backstay 20261121t092027z-hsgth 2 migrate"));
    assert!(!is_of_its_epoch(
        "shop__w_20261121t092027z-hsgth_2",
        "backstay 20261121t092027z-hsgth 1 migrate"
    ));
    assert!(!is_of_its_epoch("shop__w_20261121t092027z-hsgth_2", "a writer"));
}
