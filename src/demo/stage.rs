//! Everything that the demo sets up, and one release on it: run, and checked from outside.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use tokio::process::Command;

use super::cluster::{Cluster, ClusterError, SUPERUSER};
use super::crowd::{Crowd, Tally};
use super::folder::Folder;
use super::notary::{self, State};
use super::project::{self, Project, Setting};
use super::release::{FIRST, Release};
use super::screen::{Account, Check, Facts};
use super::shop;
use super::supervisor::{Host, Supervisor};
use super::{crowd, http};
use crate::event::Progress;
use crate::failure::Failure;
use crate::migrate::{self, Migrations};
use crate::pg::{self, ConnInfo, SessionOptions};

/// How long customers may need to order again after a release.
const PATIENCE: Duration = Duration::from_secs(10);

/// Set by whoever started us; a release of the demo must not see them.
const FOREIGN: [&str; 9] = [
    "DATABASE_URL",
    "DATABASE_DISK",
    "ADMIN_URL",
    "DEPLOY",
    "DEPLOY_UNDO",
    "HEALTH_URL",
    "MAINTENANCE_FLAG",
    "MAINTENANCE",
    "NOTE",
];

/// The stage. Fields are dropped from the first to the last: people, application, server, files. A version of
/// the application that outlives its supervisor ends by itself.
pub struct Stage {
    crowd: Crowd,
    supervisor: Supervisor,
    shop: ConnInfo,
    facts: Facts,
    /// The application's version.
    serving: u32,
    project: Project,
    program: PathBuf,
    _cluster: Cluster,
    folder: Folder,
}

/// Starts a server, on a thread of its own.
///
/// # Errors
/// If there is no PostgreSQL or it does not start.
pub async fn cluster() -> Result<Cluster, Failure> {
    let started = tokio::task::spawn_blocking(|| Cluster::start(&[])).await;
    let started =
        started.map_err(|error| Failure::internal("start a PostgreSQL server").caused_by(&error))?;
    started.map_err(|error| {
        let failure = Failure::refused("start a throw-away PostgreSQL").caused_by(&error);
        match error {
            ClusterError::NoServer => {
                failure.then("make demo installs what is missing; or: apt-get install postgresql")
            }
            _ => failure,
        }
    })
}

impl Stage {
    /// Loads the shop, starts its application and lets the crowd in.
    ///
    /// # Errors
    /// Whatever is refused; then all of it is removed again.
    pub async fn set(cluster: Cluster) -> Result<Self, Failure> {
        let folder = Folder::new().map_err(|error| failed("make a temporary folder", &error))?;
        let program = std::env::current_exe().map_err(|error| failed("find this program", &error))?;
        let root = folder.path().join("project");
        let url = cluster.url(shop::NAME, shop::NAME);
        let host = Host {
            program: program.clone(),
            database: url.clone(),
            flag: project::flag(&root),
            log: folder.path().join("shop.log"),
        };
        let supervisor = Supervisor::new(host, folder.path()).map_err(|error| failed("listen", &error))?;
        let address = supervisor.address().map_err(|error| failed("listen", &error))?;
        let setting = Setting {
            program: program.clone(),
            database: url.clone(),
            shop: address,
            supervisor: supervisor.socket().to_path_buf(),
            disk: cluster.folder().to_path_buf(),
        };
        let project =
            Project::write(root, setting).map_err(|error| failed("write the demo's project", &error))?;
        let shop = connection(&url)?;
        shop::create(&connection(&cluster.url(SUPERUSER, "postgres"))?).await?;
        let version = migrate(&shop, &project).await?;
        let rows = shop::load(&shop).await?;
        supervisor.deploy(FIRST.0).await.map_err(|error| failed("start the shop", &error))?;
        let facts = Facts { server: pg::tools::version_text(version), rows, shop: address };
        let crowd = Crowd::gather(address, shop.clone());
        Ok(Self {
            crowd,
            supervisor,
            shop,
            facts,
            serving: FIRST.0,
            project,
            program,
            _cluster: cluster,
            folder,
        })
    }

    /// Removes everything: people first, then the application, the server and the files.
    pub async fn strike(self) {
        drop(self.crowd);
        self.supervisor.stop().await;
    }

    /// What the screen says of it.
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// What the crowd has lived through.
    pub fn tally(&self) -> Tally {
        self.crowd.tally()
    }

    /// Runs one release before the eyes, and checks what came of it.
    ///
    /// # Errors
    /// If it can't be run or checked. A check that does not hold is no error: the account says so.
    pub async fn perform(&mut self, release: &Release) -> Result<Account, Failure> {
        let wrote = |error: std::io::Error| failed("write the demo's project", &error);
        self.project.bring(release, self.serving).map_err(wrote)?;
        self.crowd.take_outage();
        if !release.is_good() {
            self.crowd.stay_away_after_maintenance();
        }
        let began = Instant::now();
        let exit = self.run().await?.code();
        let took = began.elapsed();
        self.crowd.hold().await;
        let mut checks = vec![exit_check(release, exit)];
        if release.is_good() && exit == Some(0) {
            self.serving = release.version;
        } else {
            checks.extend(self.compare(release).await?);
            self.project.revert(release).map_err(wrote)?;
        }
        checks.push(self.shop_serves().await);
        checks.push(self.orders_are_there().await?);
        checks.push(self.customers_come_back().await);
        let maintenance = self.crowd.take_outage();
        Ok(Account { release: *release, exit, took, maintenance, checks })
    }

    /// The product itself, with this terminal.
    async fn run(&mut self) -> Result<ExitStatus, Failure> {
        let what = "run backstay";
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| failed(what, &error))?;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "release", "-e", "production", "--yes"])
            .current_dir(self.project.root())
            // Standard output is for the demo's own result.
            .stdout(stderr)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PG") || text.starts_with("BACKSTAY_") || FOREIGN.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        let mut child = command.spawn().map_err(|error| failed(what, &error))?;
        self.folder.watch(child.id());
        let status = child.wait().await.map_err(|error| failed(what, &error));
        self.folder.watch(None);
        status
    }

    /// Production against the note that was taken behind the fence.
    async fn compare(&self, release: &Release) -> Result<Vec<Check>, Failure> {
        let note = self.project.note(release);
        if !note.exists() {
            return Ok(vec![Check::failed(
                "the state at the guard was not noted: the run did not come so far",
            )]);
        }
        let (then, now) = (State::load(&note)?, State::read(&self.shop).await?);
        let differences = then.differences(&now);
        if !differences.is_empty() {
            return Ok(differences.into_iter().map(Check::failed).collect());
        }
        Ok(vec![
            Check::held(format!(
                "the schema dump equals the one at the guard, all {} lines",
                now.schema.lines().count()
            )),
            Check::held(format!(
                "the content equals that at the guard: {} tables with {} rows by fingerprint, {} sequences",
                now.tables.len(),
                grouped(now.rows()),
                now.sequences.len()
            )),
        ])
    }

    /// The front door: the right version, healthy, and no maintenance page.
    async fn shop_serves(&self) -> Check {
        let flag = if self.project.flag().exists() { "the flag is up" } else { "the flag is down" };
        match http::ask(self.facts.shop, Method::GET, "/health", String::new()).await {
            Ok((status, body)) => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let revision = body["revision"].as_str().unwrap_or("unknown");
                let text =
                    format!("version {} of the shop serves on revision {revision}, {flag}", body["version"]);
                let right = status == StatusCode::OK && body["version"] == self.serving;
                Check { held: right && !self.project.flag().exists(), text }
            }
            Err(error) => Check::failed(format!("the shop does not answer: {error}")),
        }
    }

    async fn orders_are_there(&self) -> Result<Check, Failure> {
        let acknowledged = self.crowd.acknowledged();
        let missing = notary::missing(&self.shop, &acknowledged).await?;
        let count = grouped(acknowledged.len() as u64);
        Ok(match missing.first() {
            None => {
                Check::held(format!("all {count} orders acknowledged so far were looked up and are there"))
            }
            Some(first) => Check::failed(format!(
                "{} of {count} acknowledged orders are gone, like {}",
                missing.len(),
                first.id
            )),
        })
    }

    async fn customers_come_back(&self) -> Check {
        let before = self.crowd.tally().acknowledged;
        self.crowd.call_back();
        let deadline = Instant::now() + PATIENCE;
        while self.crowd.tally().acknowledged < before + u64::from(crowd::CUSTOMERS_AT_ONCE) {
            if Instant::now() >= deadline {
                return Check::failed("customers came back and could not order");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Check::held("customers came back and order again")
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("facts", &self.facts).finish_non_exhaustive()
    }
}

fn exit_check(release: &Release, exit: Option<i32>) -> Check {
    let wanted = release.verdict.exit_code();
    let meaning = release.verdict.production();
    match exit {
        Some(code) if code == i32::from(wanted) => {
            Check::held(format!("exit {code}: production is {meaning}"))
        }
        Some(code) => Check::failed(format!("exit {code}, where {wanted} is right")),
        None => Check::failed("the run was killed"),
    }
}

/// Brings the empty database to the first version; gives the server's version.
async fn migrate(shop: &ConnInfo, project: &Project) -> Result<u32, Failure> {
    let migrations = Migrations::load(&project.migrations())?;
    let mut session = pg::connect(shop, &SessionOptions::default()).await?;
    migrate::upgrade(&mut session, &migrations, "head", &migrate::Options::default(), &Progress::none())
        .await?;
    Ok(session.server_version())
}

fn connection(url: &str) -> Result<ConnInfo, Failure> {
    Ok(ConnInfo::parse(url)?)
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::failed(what).caused_by(error)
}

/// `77412` as `77,412`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
