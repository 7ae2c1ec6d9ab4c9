//! Other people's writes while production is released: rows of their own, and what of them was acknowledged.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstay::pg::{self, ConnInfo, Session, SessionOptions};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::SimpleQueryMessage;

use crate::common::dice::Dice;
use crate::common::project::Project;
use crate::tale::{Mood, Tale};

/// Where they write, and nobody else.
pub const TABLE: &str = "CREATE TABLE traffic (id bigint PRIMARY KEY, version integer NOT NULL)";

const WRITERS: i64 = 3;
const PAUSE: Duration = Duration::from_millis(12);

/// A row, and all that its writer did to it.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i64,
    pub writes: Vec<Write>,
}

/// What a row should be since then.
#[derive(Debug, Clone)]
pub struct Write {
    /// Its version; nothing if it was deleted.
    pub leaves: Option<i32>,
    pub sent: Timestamp,
    /// When it was acknowledged. What was not may be there or not.
    pub acknowledged: Option<Timestamp>,
}

impl Row {
    /// The newest write that was acknowledged.
    pub fn newest(&self) -> Option<&Write> {
        self.writes.iter().rfind(|write| write.acknowledged.is_some())
    }

    /// Whether a database that has `found` of this row has lost no acknowledged write.
    pub fn is_kept_by(&self, found: Option<i32>) -> bool {
        let known = self.newest().and_then(|write| write.leaves);
        known == found || self.writes.iter().any(|w| w.acknowledged.is_none() && w.leaves == found)
    }
}

/// Writers at work; they stop when dropped.
pub struct Writers {
    rows: Arc<Mutex<Vec<Row>>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// Lets them write into the project's database, whichever that is, again and again.
    pub fn start(project: &Project, tale: &Tale) -> Self {
        let rows = Arc::<Mutex<Vec<Row>>>::default();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let dice = Dice::new(tale.seed.wrapping_mul(31).wrapping_add(writer as u64));
            let (rows, stopped, flag) = (Arc::clone(&rows), stopped.clone(), project.path("flag"));
            let hand = Hand { writer, dice, rows, stopped, flag, mood: tale.mood };
            tasks.spawn(hand.write(project.info()));
        }
        Self { rows, stop, tasks }
    }

    /// Waits until the last one has put down the pen; gives all rows.
    pub async fn stop(mut self) -> Vec<Row> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.rows.lock().expect("rows"))
    }
}

struct Hand {
    writer: i64,
    dice: Dice,
    rows: Arc<Mutex<Vec<Row>>>,
    stopped: watch::Receiver<bool>,
    flag: PathBuf,
    mood: Mood,
}

enum Deed {
    Insert,
    Update(Own),
    Delete(Own),
    Nothing,
}

/// A row that a hand may write again.
#[derive(Clone, Copy)]
struct Own {
    at: usize,
    id: i64,
    version: i32,
}

impl Hand {
    async fn write(mut self, info: ConnInfo) {
        let options = SessionOptions {
            application_name: "a writer".into(),
            connect_timeout: Duration::from_secs(1),
            ..SessionOptions::default()
        };
        let mut own = Vec::new();
        while !*self.stopped.borrow() {
            if let Ok(session) = pg::connect(&info, &options).await {
                self.write_until_cut(&session, &mut own).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn write_until_cut(&mut self, session: &Session, own: &mut Vec<Own>) {
        while !*self.stopped.borrow() {
            let answer = match self.choose(own) {
                Deed::Insert => self.insert(session).await,
                Deed::Update(row) => self.rewrite(session, row, true).await,
                Deed::Delete(row) => self.rewrite(session, row, false).await,
                Deed::Nothing => Ok(None),
            };
            match answer {
                Ok(row) => own.extend(row),
                Err(_) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn choose(&mut self, own: &mut Vec<Own>) -> Deed {
        let (thrown, mood) = (self.dice.below(10), if self.flag.exists() { self.mood } else { Mood::Mixed });
        if mood == Mood::Mixed && thrown > 4 {
            return Deed::Insert;
        }
        if own.is_empty() {
            return if mood == Mood::Mixed { Deed::Insert } else { Deed::Nothing };
        }
        let row = own.swap_remove(self.dice.below(own.len() as u64) as usize);
        match (mood, thrown) {
            (Mood::Deleting, _) | (Mood::Mixed, 0) => Deed::Delete(row),
            _ => Deed::Update(row),
        }
    }

    async fn insert(&mut self, session: &Session) -> Result<Option<Own>, tokio_postgres::Error> {
        let own = {
            let mut rows = self.rows.lock().expect("rows");
            let id = self.writer * 1_000_000_000 + rows.len() as i64;
            rows.push(Row { id, writes: Vec::new() });
            Own { at: rows.len() - 1, id, version: 0 }
        };
        let statement = format!("INSERT INTO traffic VALUES ({}, 0)", own.id);
        self.acknowledge(session, &statement, own, Some(0)).await
    }

    async fn rewrite(
        &mut self,
        session: &Session,
        own: Own,
        stays: bool,
    ) -> Result<Option<Own>, tokio_postgres::Error> {
        let version = own.version + 1;
        let (statement, leaves) = if stays {
            (format!("UPDATE traffic SET version = {version} WHERE id = {}", own.id), Some(version))
        } else {
            (format!("DELETE FROM traffic WHERE id = {}", own.id), None)
        };
        self.acknowledge(session, &statement, Own { version, ..own }, leaves).await
    }

    /// Sends one write; the row may be written again if it was acknowledged and is still there. What touches no
    /// row (it was put back meanwhile) is no write.
    async fn acknowledge(
        &mut self,
        session: &Session,
        statement: &str,
        own: Own,
        leaves: Option<i32>,
    ) -> Result<Option<Own>, tokio_postgres::Error> {
        let write = Write { leaves, sent: Timestamp::now(), acknowledged: None };
        self.rows.lock().expect("rows")[own.at].writes.push(write);
        let answer = session.simple_query(statement).await?;
        let touched = answer.iter().any(|said| matches!(said, SimpleQueryMessage::CommandComplete(1..)));
        let writes = &mut self.rows.lock().expect("rows")[own.at].writes;
        if touched {
            writes.last_mut().expect("the write").acknowledged = Some(Timestamp::now());
        } else {
            writes.pop();
        }
        Ok((touched && leaves.is_some()).then_some(own))
    }
}
