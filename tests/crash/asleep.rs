//! A driver that is taken over while it takes the run up itself: between its first record and its first line.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstay::config::Config;
use backstay::engine::begin::{self, Means};
use backstay::engine::decisions::Told;
use backstay::event::{Event, Events};
use backstay::failure::{Kind, Verdict};
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
        takes_over(&self.store, &self.run, &self.role).await;
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

/// A release whose driver died in its migration, as the next one finds it.
struct Interrupted {
    stage: Stage,
    config: Config,
    runbook: Runbook,
    store: Arc<dyn Store>,
    run: String,
}

impl Interrupted {
    async fn new() -> Self {
        let stage = Stage::of(Release::Good).await;
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        driver.starts(&stage.project, "migrate");
        driver.kill();
        let config =
            Config::load(&stage.project.path(""), "production", &Default::default()).expect("a config");
        let runbook = Runbook::load(&config.root, "release", &config.variables).expect("a runbook");
        let store: Arc<dyn Store> = Arc::new(Directory::new(stage.project.path("backstay-store")));
        let run = journal::runs(&*store).await.expect("the runs").pop().expect("a run");
        Self { stage, config, runbook, store, run }
    }

    fn spool(&self, store: &Arc<dyn Store>) -> Arc<Spool> {
        Arc::new(Spool::over(store.clone(), self.stage.project.path("spool"), Duration::from_secs(10)))
    }

    /// The rival is gone as well: whoever comes next goes on.
    async fn is_gone_on_with(&self) {
        let ended = self.stage.project.run(&["resume", "--yes"]);
        self.stage.expect(&ended, 0, "taken over from a driver that took it up").and_production().await;
    }
}

/// Another driver takes the run over, and ends the sessions of whoever had it.
async fn takes_over(store: &Arc<dyn Store>, run: &str, role: &str) {
    let history = journal::read(&**store, run).await.expect("the journal");
    let mut rival = Journal::take_over(store.clone(), run.to_string(), &history);
    let driver = Box::new(journal::Driver::this_process());
    rival.append(Entry::TookOver { driver }).await.expect("the rival's record");
    end_sessions_of(role).await;
}

#[tokio::test]
async fn a_driver_that_lost_the_run_while_it_took_it_up_says_so() {
    let scene = Interrupted::new().await;
    let (role, slept) = (scene.stage.project.name.clone(), AtomicBool::new(false));
    let store: Arc<dyn Store> =
        Arc::new(Asleep { store: scene.store.clone(), run: scene.run.clone(), role, slept });
    let (spool, events, told) = (scene.spool(&store), Events::unheard(), Told::default());
    let (_asking, stop) = tokio::sync::watch::channel(Default::default());
    let means = Means { config: &scene.config, store: &store, spool: &spool, events: &events, stop, told };
    let failure = begin::resume(means, &scene.runbook, &scene.run).await;
    let failure = failure.err().expect("the run is another driver's");
    assert_eq!(failure.kind, Kind::Fenced, "{failure}");
    assert!(format!("{failure:?}").contains("another driver"), "{failure:?}");
    scene.is_gone_on_with().await;
}

/// Between its takeover and its first line it looks at the server: there too its sessions are ended by whoever took over.
#[tokio::test]
async fn a_driver_that_lost_the_run_before_its_first_line_says_so() {
    let scene = Interrupted::new().await;
    let (spool, told) = (scene.spool(&scene.store), Told::default());
    let (events, mut seen) = Events::channel();
    let (_asking, stop) = tokio::sync::watch::channel(Default::default());
    let (config, store) = (&scene.config, &scene.store);
    let means = Means { config, store, spool: &spool, events: &events, stop, told };
    let driving = begin::resume(means, &scene.runbook, &scene.run).await;
    let driving = driving.unwrap_or_else(|failure| panic!("{failure}"));
    takes_over(&scene.store, &scene.run, &scene.stage.project.name).await;
    assert_eq!(driving.drive().await, Verdict::InterruptedInWindow);
    drop(events);
    let mut cause = None;
    while let Some(event) = seen.recv().await {
        if let Event::Ended { cause: Some(why), .. } = event {
            cause = Some(why);
        }
    }
    let cause = cause.expect("a cause");
    assert_eq!(cause.kind, Kind::Fenced, "{cause}");
    scene.is_gone_on_with().await;
}
