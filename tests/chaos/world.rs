//! Where it happens: a server that may crash, a network that may break, two machines that share a store, an
//! application, and its users' writes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use backstay::pg::Session;
use serde_json::Value;

use crate::app;
use crate::common::pristine::{Pristine, Snapshot};
use crate::common::project::{Ended, Project};
use crate::common::{cluster, session};
use crate::driver::Driver;
use crate::proxy::{Proxy, Weather};
use crate::sentinel::{self, OF_COMMAND, OF_ENV_FILE, OF_HEALTH, OF_URL};
use crate::tale::{Release, Tale};
use crate::writers;

/// The head that a good release migrates to.
const GOOD: &str = "-- revision: c4a05c4a05c4\n-- revises: c08085465bad\n-- Rows change, and columns\n\n\
    -- upgrade\nUPDATE products SET stock = stock + 1;\nSELECT pg_sleep(0.1);\n\
    ALTER TABLE customers ADD COLUMN nickname text;\nUPDATE customers SET nickname = name WHERE id % 2 = 0;\n\
    -- downgrade\nUPDATE products SET stock = stock - 1;\nALTER TABLE customers DROP COLUMN nickname;\n";

const HALF: &str = "-- upgrade\nALTER TABLE orders ADD COLUMN half integer;\nSELECT 1 / (count(*) - count(*)) FROM orders;\n\
    -- downgrade\nALTER TABLE orders DROP COLUMN half;\n";

/// Everything that a tale needs, made once.
pub struct World {
    pub project: Project,
    /// Two working directories of the same project; the store is outside of both.
    pub machines: [PathBuf; 2],
    pub proxy: Proxy,
    pub pristine: Pristine,
    /// What a good release makes of it.
    pub new: Snapshot,
    health: String,
    /// The second machine can have a host name of its own.
    names_hosts: bool,
    up: AtomicBool,
}

impl World {
    pub async fn build() -> Self {
        let project = Project::shop().await;
        let owner = session(&project.url()).await;
        owner.batch_execute(writers::TABLE).await.expect("the writers' table");
        owner.close().await;
        let machines = [project.path("machine-1"), project.path("machine-2")];
        let proxy = Proxy::before(cluster().port()).await;
        let health = app::serve(project.path("version"));
        std::fs::create_dir(project.path("tmp")).expect("a folder");
        project.write("migrations/good.sql", GOOD);
        let pristine = Pristine::of(&project).await;
        let new = pristine.migrated(&project, &project.path("migrations")).await;
        let (names_hosts, up) = (can_name_hosts(), AtomicBool::new(true));
        Self { project, machines, proxy, pristine, new, health, names_hosts, up }
    }

    /// Puts the world back to the beginning of a tale.
    pub async fn begin(&self, tale: &Tale) {
        self.calm();
        self.pristine.restore(&self.project).await;
        for folder in ["backstay-store", "machine-1", "machine-2", "tmp"] {
            let _ = std::fs::remove_dir_all(self.project.path(folder));
        }
        for file in ["flag", "deployed", "version"] {
            let _ = std::fs::remove_file(self.project.path(file));
        }
        std::fs::create_dir(self.project.path("tmp")).expect("a folder");
        for machine in &self.machines {
            self.check_out(machine, tale);
            self.set_release(machine, tale.release);
        }
    }

    /// The project's files as they are on one machine.
    fn check_out(&self, machine: &Path, tale: &Tale) {
        let write = |name: &str, text: &str| {
            let path = machine.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let runbook = include_str!("../../runbooks/release.toml")
            .replace(
                r#"run = ["sh", "-c", "${DEPLOY}"]"#,
                "run = [\"sh\", \"deploy\"]\nenv = { TOKEN = \"${TOKEN}\" }",
            )
            .replace(r#"undo = ["sh", "-c", "${DEPLOY_UNDO}"]"#, r#"undo = ["sh", "undo"]"#);
        write("runbooks/release.toml", &runbook);
        let on_writes = if tale.asks { "ask" } else { "put-back" };
        write("config/production.toml", &config(on_writes));
        for file in std::fs::read_dir(self.project.path("migrations")).expect("migrations").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("a migration");
            write(&format!("migrations/{}", file.file_name().to_string_lossy()), &text);
        }
        let shared = self.project.path("");
        write("undo", &format!("cd {}; echo old > version; echo undone >> deployed\n", shared.display()));
        write(".env.production", &self.env_file());
        let secret = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(machine.join(".env.production"), secret).expect("permissions");
    }

    fn env_file(&self) -> String {
        let real = format!("127.0.0.1:{}", cluster().port());
        let url = self.project.url().replace(&real, &format!("127.0.0.1:{}", self.proxy.port));
        let (user, rest) = url.split_once(":s3ntinel").expect("the password of every test");
        let (_, host) = rest.split_once('@').expect("a host");
        let url = format!("{user}:{}@{host}", OF_URL.replace('/', "%2F").replace('@', "%40"));
        format!(
            "DATABASE_URL={url}\nBACKSTAY_STORE=file://{}\nMAINTENANCE_FLAG={}\nDATABASE_DISK={}\nHEALTH_URL={}\n\
             TOKEN=\"{OF_COMMAND}\"\nHEALTH_TOKEN={OF_HEALTH}\nDEPLOY_PASSWORD='{OF_ENV_FILE}'\n",
            self.project.path("backstay-store").display(),
            self.project.path("flag").display(),
            self.project.path("").display(),
            self.health,
        )
    }

    /// Makes this release the one that the machine would run next.
    pub fn set_release(&self, machine: &Path, release: Release) {
        let version = if release == Release::Unhealthy { "broken" } else { "new" };
        let ending = if release == Release::BadDeploy { "exit 3" } else { "exit 0" };
        // It tells its secrets; the pause is where a fault finds it under way.
        let deploy = format!(
            "cd {}\nprintf '%s\\n' \"$TOKEN\" \"$DATABASE_URL\" \"$DEPLOY_PASSWORD\"\nprintf %s \"$TOKEN\" | base64\nsleep 0.15\necho {version} > version\necho deployed >> deployed\n{ending}\n",
            self.project.path("").display()
        );
        std::fs::write(machine.join("deploy"), deploy).expect("the deploy");
        let bad = machine.join("migrations/bad.sql");
        let header = "-- revision: bad000000001\n-- revises: c4a05c4a05c4\n-- Fails half-way\n";
        match release {
            Release::BadMigration => std::fs::write(bad, format!("{header}\n{HALF}")).expect("a migration"),
            Release::BadOutside => {
                std::fs::write(bad, format!("{header}-- transaction: off\n\n{HALF}")).expect("a migration");
            }
            _ => drop(std::fs::remove_file(bad)),
        }
    }

    /// A driver on one of the machines.
    pub fn start(&self, machine: usize, arguments: &[&str]) -> Driver {
        let mut command = self.project.command(arguments);
        if machine == 1 && self.names_hosts {
            command = elsewhere(&command);
        }
        command.current_dir(&self.machines[machine]).env("TMPDIR", self.project.path("tmp"));
        Driver::spawn(command, self.project.path("backstay-store/runs"))
    }

    /// The tool on one of the machines, to its end; it tells no secret.
    pub fn run(&self, machine: usize, arguments: &[&str]) -> Ended {
        let ended = self.start(machine, arguments).ended();
        sentinel::search_text("an answer", &ended.out);
        sentinel::search_text("an answer", &ended.err);
        ended
    }

    /// The server dies.
    pub fn crash(&self) {
        self.up.store(false, Ordering::SeqCst);
        cluster().crash().expect("a crash");
    }

    /// Fair weather, and a server that serves.
    pub fn calm(&self) {
        self.proxy.set(Weather::Fair);
        if !self.up.swap(true, Ordering::SeqCst) {
            cluster().start_again().expect("the server again");
        }
    }

    /// A superuser, past the network.
    pub async fn admin(&self) -> Session {
        session(&cluster().url("postgres", "postgres")).await
    }

    /// The records of the newest run.
    pub fn records(&self) -> Vec<Value> {
        crate::driver::records(&self.project)
    }

    /// The verdict that the newest run ended with; nothing while it can be resumed.
    pub fn verdict(&self) -> Option<String> {
        let records = self.records();
        let last = records.last().filter(|record| record["kind"] == "ended")?;
        last["verdict"].as_str().filter(|verdict| *verdict != "not_put_back").map(String::from)
    }

    /// The line that the newest run was at: under way, or last ended.
    pub fn line(&self) -> String {
        let records = self.records();
        let last = records.iter().rfind(|record| record["line"].is_string());
        let name = |line: &Value| {
            let start = records.iter().rfind(|r| r["kind"] == "started" && r["line"] == *line);
            start.and_then(|start| start["name"].as_str()).unwrap_or("?").to_string()
        };
        last.map_or("no line yet".into(), |last| name(&last["line"]))
    }
}

/// Whether a process can be given a host name of its own (a UTS namespace): that needs root.
fn can_name_hosts() -> bool {
    let output = Command::new("unshare").args(["--uts", "hostname", "elsewhere"]).output();
    let possible = output.is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("both machines have the same host name: another needs root");
    }
    possible
}

/// The same command under another host name; it is the same process that becomes it.
fn elsewhere(local: &Command) -> Command {
    let mut there = Command::new("unshare");
    there.args(["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"]);
    there.arg(local.get_program()).args(local.get_args()).stdin(Stdio::null());
    for (name, value) in local.get_envs() {
        match value {
            Some(value) => there.env(name, value),
            None => there.env_remove(name),
        };
    }
    there
}

fn config(on_writes: &str) -> String {
    format!(
        r#"env_file = ".env.production"
protected = true

[database]
url = "${{DATABASE_URL}}"
free_disk = "${{DATABASE_DISK}}"
connect_timeout = "2s"
close_timeout = "10s"

[lease]
heartbeat = "200ms"
expires = "3s"

[store]
url = "${{BACKSTAY_STORE}}"

[maintenance]
flag = {{ file = "${{MAINTENANCE_FLAG}}" }}

[window]
on_writes = "{on_writes}"

[[health.http]]
url = "${{HEALTH_URL}}"
headers = {{ Authorization = "Bearer ${{HEALTH_TOKEN}}" }}
interval = "50ms"
deadline = "400ms"
"#
    )
}
