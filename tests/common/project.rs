//! A project as an operator has it: a database owned by a role without superuser rights, config, runbook,
//! migrations, a flag file, an application with a health page — and the real binary run in it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backstay::backup::fingerprint::{self, Content};
use backstay::backup::schema::schema_of;
use backstay::pg::ConnInfo;

use super::{cluster, fresh_name, session};

/// A value that must never be seen in any output.
pub const SENTINEL: &str = "s3ntinel-Pass/w@rd";

/// A project in a temporary folder.
pub struct Project {
    folder: tempfile::TempDir,
    /// Where its server listens.
    port: u16,
    /// The database's name, and its owner's.
    pub name: String,
    /// The application's health page.
    pub app: App,
}

impl Project {
    /// A project whose database has the shop's first two migrations applied and a few hundred rows.
    pub async fn shop() -> Self {
        Self::shop_on(cluster().port()).await
    }

    /// As [`Project::shop`], on a server of the test's own: one that is to be stopped, say.
    pub async fn shop_on(port: u16) -> Self {
        let project = Self::empty_on(port).await;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("migrations")
        {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            project.write(&format!("migrations/{name}"), &std::fs::read_to_string(&path).expect("text"));
        }
        let url = project.url();
        let migrations =
            backstay::migrate::Migrations::load(&project.path("migrations")).expect("the shop's migrations");
        let mut owner = session(&url).await;
        let options = backstay::migrate::Options::default();
        let silent = backstay::event::Progress::none();
        backstay::migrate::upgrade(&mut owner, &migrations, "989ceebf408f", &options, &silent)
            .await
            .expect("the shop's first migrations");
        owner
            .batch_execute(
                "INSERT INTO customers (name, email) SELECT 'name ' || i, i || '@example.org' FROM generate_series(1, 200) i;
                 INSERT INTO products (sku, name, price, stock) SELECT 'sku-' || i, 'product ' || i, i, 10 FROM generate_series(1, 50) i;
                 INSERT INTO orders (customer_id) SELECT id FROM customers;
                 INSERT INTO order_items (order_id, product_id, quantity, price) SELECT o.id, p.id, 1, p.price FROM orders o JOIN products p ON p.id = o.id % 50 + 1;",
            )
            .await
            .expect("rows");
        project
    }

    /// A project with an empty database and no migrations.
    pub async fn empty() -> Self {
        Self::empty_on(cluster().port()).await
    }

    async fn empty_on(port: u16) -> Self {
        let name = fresh_name("shop");
        let admin = superuser(port).await;
        for statement in [
            format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{SENTINEL}'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
            format!("COMMENT ON DATABASE {name} IS 'the shop''s own'"),
            format!("ALTER DATABASE {name} SET search_path = public, pg_catalog"),
            format!("ALTER DATABASE {name} SET statement_timeout = '1min'"),
            format!("ALTER DATABASE {name} CONNECTION LIMIT 150"),
            format!("ALTER ROLE {name} IN DATABASE {name} SET work_mem = '8MB'"),
            format!("GRANT CONNECT ON DATABASE {name} TO pg_monitor WITH GRANT OPTION"),
            format!("REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"),
        ] {
            admin.batch_execute(&statement).await.expect("a role and its database");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let app = App::start(folder.path().join("health"));
        let project = Project { folder, port, name, app };
        for folder in ["config", "runbooks", "migrations"] {
            std::fs::create_dir(project.path(folder)).expect("a folder");
        }
        project.write("config/production.toml", include_str!("../../config/production.toml"));
        project.write("runbooks/release.toml", include_str!("../../runbooks/release.toml"));
        project.set_deploy("echo deployed >> deployed", "echo undone >> deployed");
        project
    }

    /// Writes the env file with these commands for `deploy` and its undo.
    pub fn set_deploy(&self, deploy: &str, undo: &str) {
        self.write(
            ".env.production",
            &format!(
                "DATABASE_URL={}\nMAINTENANCE_FLAG={}\nHEALTH_URL={}\nDATABASE_DISK={}\nDEPLOY='{deploy}'\nDEPLOY_UNDO='{undo}'\n",
                self.url(),
                self.path("flag").display(),
                self.app.url(),
                self.folder.path().display(),
            ),
        );
    }

    /// The owner's URL, with the sentinel as its password.
    pub fn url(&self) -> String {
        let password = SENTINEL.replace('/', "%2F").replace('@', "%40");
        format!("postgresql://{0}:{password}@127.0.0.1:{1}/{0}", self.name, self.port)
    }

    /// The database, as its owner reaches it.
    pub fn info(&self) -> ConnInfo {
        ConnInfo::parse(&self.url()).expect("a good URL")
    }

    /// A path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a written file");
        super::keep_private(&self.path(name));
    }

    /// Changes a file of the project; fails if there is nothing to change.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).expect("a file");
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, &text.replace(from, to));
    }

    /// The binary, in this project, as an operator without a terminal would run it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // A store in a directory is refused under CI, and the tester's own database and job are none of our business.
        for (name, _) in std::env::vars()
            .filter(|(n, _)| n == "CI" || ["PG", "BACKSTAY", "GITHUB_"].iter().any(|own| n.starts_with(own)))
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary to its end; no output may hold the sentinel.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("a run"))
    }

    /// Runs the binary in a terminal, within a minute, and types `keys`. What it says on either stream is in `out`.
    pub fn type_into(&self, arguments: &[&str], keys: &str) -> Ended {
        let program = self.command(&[]);
        let line = format!("exec '{}' {}", program.get_program().display(), arguments.join(" "));
        let mut script = Command::new("timeout");
        script.args(["60", "script", "-qefc", &line, "/dev/null"]).current_dir(self.folder.path());
        for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
            script.env_remove(name);
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = script.spawn().expect("script");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(keys.as_bytes()).expect("typed");
        let ended = Ended::of(child.wait_with_output().expect("an end"));
        drop(stdin);
        ended
    }

    /// The schema as `pg_dump` has it, and the content of every table and sequence.
    pub async fn state(&self) -> (String, Content) {
        let (info, options) = (self.info(), fingerprint::Options::default());
        let schema = schema_of(&info, &options.session).await.expect("a schema dump");
        let silent = backstay::event::Progress::none();
        (schema, fingerprint::database(&info, &options, &silent).await.expect("the content"))
    }

    /// Every database of the server that belongs to this project, by name.
    pub async fn databases(&self) -> Vec<String> {
        let admin = superuser(self.port).await;
        let like = format!("{}%", self.name);
        let rows = admin
            .query("SELECT datname::text FROM pg_database WHERE datname LIKE $1 ORDER BY 1", &[&like])
            .await
            .expect("databases");
        rows.iter()
            .map(|row| row.get(0))
            .filter(|n: &String| *n == self.name || n.starts_with(&format!("{}__", self.name)))
            .collect()
    }

    /// Whether the flag is up.
    pub fn flag_is_up(&self) -> bool {
        self.path("flag").exists()
    }

    /// The journal of the newest run, object by object.
    pub fn journal(&self) -> Vec<(PathBuf, serde_json::Value)> {
        let runs = self.path("backstay-store/runs");
        let mut ids: Vec<PathBuf> =
            std::fs::read_dir(runs).into_iter().flatten().map(|e| e.expect("an entry").path()).collect();
        ids.sort();
        let Some(run) = ids.pop() else { return Vec::new() };
        let mut records: Vec<PathBuf> = std::fs::read_dir(run.join("journal"))
            .into_iter()
            .flatten()
            .map(|e| e.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect();
        records.sort();
        records
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path).expect("a record");
                (path, serde_json::from_str(&text).expect("JSON"))
            })
            .collect()
    }
}

async fn superuser(port: u16) -> backstay::pg::Session {
    session(&format!("postgresql://postgres@127.0.0.1:{port}/postgres")).await
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Reads an output; fails if a secret is in it.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let ended = Self {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        for form in [SENTINEL.to_string(), SENTINEL.replace('/', "%2F").replace('@', "%40")] {
            assert!(!ended.out.contains(&form) && !ended.err.contains(&form), "a secret in {ended:?}");
        }
        ended
    }

    /// Fails, showing everything, unless the exit code is this.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }
}

/// An application's health page that answers with the status in a file, which a deploy command can write;
/// 200 without one.
pub struct App {
    port: u16,
    status: PathBuf,
}

impl App {
    fn start(status: PathBuf) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let file = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
                let _ = answer_one(stream, status.unwrap_or(200));
            }
        });
        Self { port, status }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/health", self.port)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        std::fs::write(&self.status, status.to_string()).expect("the application's status");
    }
}

fn answer_one(mut stream: TcpStream, status: u16) -> std::io::Result<()> {
    let mut request = [0u8; 1024];
    let _ = stream.read(&mut request)?;
    let body = format!("{{\"status\":{status}}}");
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Waits until `done` says so, for at most twenty seconds.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The path of a file of this repository.
pub fn of_this_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
