//! A driver that is taken over while it takes the run up itself: between its first record and its first line.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay::config::Config;
use backstay::engine::begin::{self, Means};
use backstay::engine::decisions::Told;
use backstay::event::Events;
use backstay::failure::Kind;
use backstay::journal::{self, Entry, Journal};
use backstay::runbook::Runbook;
use backstay::store::{Created, Directory, Spool, Store, StoreError};
use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::driver::Driver;
use crate::rivals::end_sessions_of;
use crate::stage::{Release, Stage};

/// The store of a driver that falls asleep once its takeover is written: a rival takes the run over before it looks again.
#[derive(Debug)]
struct Asleep {
    store: Arc<dyn Store>,
    run: String,
    role: String,
    slept: AtomicBool,
}

impl Asleep {
    async fn sleeps(&self) {
        if self.slept.swap(true, Ordering::SeqCst) {
            return;
        }
        let history = journal::read(&*self.store, &self.run).await.expect("the journal");
        let mut rival = Journal::take_over(self.store.clone(), self.run.clone(), &history);
        let driver = Box::new(journal::Driver::this_process());
        rival.append(Entry::TookOver { driver }).await.expect("the rival's record");
        end_sessions_of(&self.role).await;
    }
}

#[async_trait::async_trait]
impl Store for Asleep {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let took_over = String::from_utf8_lossy(&bytes).contains("\"took_over\"");
        let created = self.store.create(name, bytes).await;
        if took_over {
            self.sleeps().await;
        }
        created
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.store.replace(name, bytes).await
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        self.store.reader(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<backstay::store::Entry>, StoreError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name).await
    }

    fn url(&self) -> String {
        self.store.url()
    }
}

#[tokio::test]
async fn a_driver_that_lost_the_run_while_it_took_it_up_says_so() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    let config = Config::load(&stage.project.path(""), "production", &Default::default()).expect("a config");
    let runbook = Runbook::load(&config.root, "release", &config.variables).expect("a runbook");
    let directory: Arc<dyn Store> = Arc::new(Directory::new(stage.project.path("backstay-store")));
    let run = journal::runs(&*directory).await.expect("the runs").pop().expect("a run");
    let (role, slept) = (stage.project.name.clone(), AtomicBool::new(false));
    let store: Arc<dyn Store> = Arc::new(Asleep { store: directory, run: run.clone(), role, slept });
    let spool = Arc::new(Spool::over(store.clone(), stage.project.path("spool"), Duration::from_secs(10)));
    let (_asking, stop) = tokio::sync::watch::channel(Default::default());
    let (events, told) = (Events::unheard(), Told::default());
    let means = Means { config: &config, store: &store, spool: &spool, events: &events, stop, told };
    let failure = begin::resume(means, &runbook, &run).await.err().expect("the run is another driver's");
    assert_eq!(failure.kind, Kind::Fenced, "{failure}");
    assert!(format!("{failure:?}").contains("another driver"), "{failure:?}");
    // The rival is gone as well: whoever comes next goes on.
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "taken over from a driver that took it up").and_production().await;
}
