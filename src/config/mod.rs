//! One deployed application, as `config/<name>.toml` describes it: text in, validated values out.
//!
//! Reading the file (and the `env_file` that it names) is the only I/O here.

pub mod env_file;
mod environment;
mod error;
pub(crate) mod health;
mod lint_rules;
mod load;
mod migrations;
mod notify;
mod schedule;
mod sections;
#[cfg(test)]
mod tests;

pub use environment::{environments, find_environment};
pub use error::ConfigError;
pub use load::DEFAULTS;
pub use notify::{Notify, Webhook, WebhookFormat};

pub(crate) use environment::toml_files;
pub(crate) use load::defaults;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::migrate::draft::{IdKind, NamePattern};
use crate::migrate::{alembic, lint};
use crate::pg::ConnInfo;
use crate::schedule::Schedule;
use crate::store;

/// An environment, resolved: nothing below reads files or variables again.
#[derive(Debug, Clone)]
pub struct Config {
    /// The environment's name: the file's stem.
    pub environment: String,
    /// The project's root (`-C DIR`): relative paths of the config start here.
    pub root: PathBuf,
    /// The file that it came from.
    pub path: PathBuf,
    /// SHA-256 of the file's text in hex, journaled with a run.
    pub hash: String,
    /// Direct verbs that change the database need `--unguarded` here.
    pub protected: bool,
    /// Where the database is.
    pub database: Database,
    /// Its physical replicas, as far as they are declared.
    pub replicas: Vec<Replica>,
    /// What counts as drift between the database and its migrations.
    pub drift: DriftPolicy,
    /// Migration roots, at least one; the unnamed single one is called `main`.
    pub migrations: Vec<MigrationRoot>,
    /// What the lint thinks of their scripts.
    pub lint: lint::Policy,
    /// Where backups, journals and artifacts live.
    pub store: StoreLocation,
    /// What happens while the store is out of reach.
    pub spool: SpoolPolicy,
    /// How backups are written.
    pub backup: Backup,
    /// What tells the application that it is in maintenance. A window needs it.
    pub flag: Option<Flag>,
    /// When a window may be open; whenever one likes, if the config does not say.
    pub schedule: Option<Schedule>,
    /// How windows behave, whatever the runbook.
    pub window: WindowPolicy,
    /// How a driver shows that it lives, and when it counts as dead.
    pub lease: LeasePolicy,
    /// What a signal does inside the window where nobody can be asked.
    pub stop: StopPolicy,
    /// The application's health checks: what proves that it serves.
    pub health: Health,
    /// Who tells people what can't wait.
    pub notify: Notify,
    /// The program by which the server is reached.
    pub tunnel: Option<Tunnel>,
    /// The env file that the config names, whether it exists or not; absolute.
    pub env_file: Option<PathBuf>,
    /// The variables of `env_file`, given to commands beside our own environment.
    pub variables: BTreeMap<String, String>,
}

/// `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// As the application connects.
    pub url: ConnInfo,
    /// As we connect to create, close and rename databases; `url` unless the config says otherwise.
    pub admin_url: ConnInfo,
    /// The database that stays reachable while ours is closed (`postgres`).
    pub maintenance_database: String,
    /// A bound on every attempt to connect.
    pub connect_timeout: Duration,
    /// How soon it is noticed that the other side is gone; the URLs heed it already.
    pub network_timeout: Duration,
    /// How long a line goes on trying to connect while the server restarts or can't be reached.
    pub restart_timeout: Duration,
    /// How long `close` may take to end every session.
    pub close_timeout: Duration,
    /// The pooler before it.
    pub pooler: Option<Pooler>,
    /// Free bytes on the server's disk, where they can't be measured.
    pub free_disk: FreeDisk,
}

impl Database {
    /// The way to the database that stays reachable while ours is closed, as the role that may create others.
    pub fn maintenance(&self) -> ConnInfo {
        self.admin_url.with_database(&self.maintenance_database)
    }
}

/// `[tunnel]`: a program that listens on this machine and leads to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The program and its arguments; no shell.
    pub run: Vec<String>,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// How long it may take until it does.
    pub timeout: Duration,
}

/// `[database] pooler`: what holds its clients back, and lets them go on (argument vectors, no shell).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooler {
    /// Before the database is closed.
    pub pause: Vec<String>,
    /// Once it is open again.
    pub resume: Vec<String>,
    /// A bound on each.
    pub timeout: Duration,
}

/// One of `[[replicas]]`: a physical replica of ours.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Its `application_name` in `pg_stat_replication`.
    pub name: String,
    /// The way to it, by a role that may end its sessions.
    pub url: ConnInfo,
}

/// Where the server's free disk space is known from: it can't be asked in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FreeDisk {
    /// The server is on this machine: ask the file system that holds this folder.
    Path(PathBuf),
    /// A command that prints a number of bytes.
    Command(Vec<String>),
    /// A figure in bytes.
    Bytes(u64),
    /// Not known, and accepted (`free_disk = "unchecked"`).
    Unchecked,
    /// Nothing configured: the data directory if the server tells it and it is on this machine, else refused.
    Unset,
}

/// `[migrations]`, or one of several `[[migrations]]`.
#[derive(Debug, Clone)]
pub struct MigrationRoot {
    /// Its name; unique.
    pub name: String,
    /// Who reads and runs the scripts.
    pub tool: Tool,
    /// Where the files are; of an Alembic project, where its command runs. Absolute.
    pub directory: PathBuf,
    /// Schema and name of the version table.
    pub version_schema: String,
    /// `alembic_version` unless said otherwise.
    pub version_table: String,
    /// How long a statement may wait for a lock before the migration is taken back and tried again.
    pub lock_timeout: Duration,
    /// How often it is tried again.
    pub lock_retries: u32,
    /// A bound on every statement; none by default.
    pub statement_timeout: Option<Duration>,
    /// How new files are named.
    pub file_name: NamePattern,
    /// How new revisions get their ids.
    pub revision_ids: IdKind,
    /// The template of new files; the shipped one if not set. Absolute.
    pub template: Option<PathBuf>,
}

/// Who runs migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// Plain SQL files.
    Sql,
    /// An Alembic project.
    Alembic(Box<alembic::Settings>),
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A directory (absolute).
    Directory {
        /// Where.
        path: PathBuf,
        /// Keep it even under `CI`, where it would die with the runner.
        insist: bool,
    },
    /// A bucket of Google Cloud Storage.
    Bucket(store::Location),
}

/// `[store]`: the store out of reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolPolicy {
    /// How long one record may take to be written.
    pub timeout: Duration,
    /// Where the records of a put-back wait for the store (absolute).
    pub path: PathBuf,
}

/// `[backup]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// How rows are compressed.
    pub compression: Compression,
    /// Connections that copy at the same time.
    pub jobs: usize,
}

/// How a backup's rows are compressed, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Restorable with `gunzip`.
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// Restorable with `zstd`: faster, and no larger.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u32,
    },
}

impl Compression {
    // Both measured (`make bench-backup`): the next level costs much time and saves few bytes.
    const GZIP_LEVEL: u32 = 4;
    const ZSTD_LEVEL: u32 = 1;
}

/// `[maintenance] flag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// A file that the application looks for; it holds run and epoch.
    File(PathBuf),
    /// Commands (argument vectors, no shell).
    Command {
        /// Raises it.
        on: Vec<String>,
        /// Takes it down.
        off: Vec<String>,
        /// Exits 0 when it is up, 1 when it is down.
        status: Vec<String>,
        /// A bound on each.
        timeout: Duration,
    },
}

/// `[drift]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftPolicy {
    /// Owners are compared.
    pub owners: bool,
    /// Privileges are compared.
    pub privileges: bool,
    /// Schemas that are not looked at: pg_dump's patterns.
    pub ignore_schemas: Vec<String>,
}

/// `[window]` of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPolicy {
    /// How long guards and failed databases are kept for `cleanup`.
    pub keep: Duration,
    /// What a failure after `open` does when others wrote: their writes would be dropped by the swap.
    pub on_writes: OnWrites,
    /// How many bytes of tables the guard's verification reads to the last row, the smallest tables first.
    pub sample_bytes: u64,
    /// Physical replicas that are not declared are accepted: their sessions stay on the failed database.
    pub undeclared_replicas: bool,
    /// How long a replica may take to replay a swap and to lose its sessions in the failed database.
    pub replica_timeout: Duration,
}

/// `[lease]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How often a driver shows that it lives.
    pub heartbeat: Duration,
    /// How long a driver may go without seeing its lock before it stops, and must be watched standing still before
    /// another may take over.
    pub expires: Duration,
}

/// `[stop]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPolicy {
    /// What a signal does inside the window where no person can be asked.
    pub on_signal: OnSignal,
    /// What lies between a signal and the SIGKILL that may follow.
    pub grace: Duration,
}

/// What a signal does inside the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSignal {
    /// Production is put back.
    PutBack,
    /// The run stops as it is, with the flag up: `resume` goes on or puts back.
    Leave,
}

/// What happens to writes of others when production is to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnWrites {
    /// Stop with the flag up and ask (exit 5).
    Ask,
    /// Put back and keep them in the ledger and the kept database.
    PutBack,
}

/// `[[health.http]]` and `[[health.sql]]`.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// HTTP checks, in order.
    pub http: Vec<HttpCheck>,
    /// SQL checks, in order.
    pub sql: Vec<SqlCheck>,
}

impl Health {
    /// Whether there is any check at all.
    pub fn checks_anything(&self) -> bool {
        !self.http.is_empty() || !self.sql.is_empty()
    }
}

/// One HTTP check; all that is said must hold, `successes` times in a row, before `deadline`.
#[derive(Debug, Clone)]
pub struct HttpCheck {
    /// The address.
    pub url: String,
    /// Header names and values (values may be secrets).
    pub headers: Vec<(String, String)>,
    /// The status that is right.
    pub status: u16,
    /// Text that the body must hold.
    pub contains: Option<String>,
    /// A JSON pointer (RFC 6901) into the body and the value there.
    pub json: Vec<(String, serde_json::Value)>,
    /// An answer slower than this is a failure.
    pub latency: Option<Duration>,
    /// How many good answers in a row.
    pub successes: u32,
    /// The pause between tries.
    pub interval: Duration,
    /// A bound on one try.
    pub timeout: Duration,
    /// A bound on all of it.
    pub deadline: Duration,
}

/// One SQL check: a query whose one value must be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlCheck {
    /// The query.
    pub expect: String,
    /// A bound on it.
    pub timeout: Duration,
}
