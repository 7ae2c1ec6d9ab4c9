//! A plan file: what a run would do, as hashes, so that what was approved in one place is what runs in another.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::{Line, Plan};
use super::recall::outline;
use crate::config::Config;
use crate::event::LineCard;
use crate::failure::Failure;
use crate::git;
use crate::journal::{self, Target};
use crate::pg::Session;
use crate::redact::redact;
use crate::runbook::Runbook;
use crate::steps::{Approval, Outline, Pending, Planned};
use crate::time::now;
use crate::window::admin;
use crate::words::{shell_word, short};

/// The version of the file's format.
pub const FORMAT: u32 = 1;

/// What a plan file holds. Hashes are SHA-256 in hex. Members may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// [`FORMAT`].
    pub format: u32,
    /// Who made it.
    pub backstay: String,
    /// When.
    pub at: Timestamp,
    /// The environment's name.
    pub environment: String,
    /// The hash of its file.
    pub config_hash: String,
    /// The runbook.
    pub runbook: Named,
    /// The hash over all that the lines do, variables filled in.
    pub lines_hash: String,
    /// The lines, for people.
    pub lines: Vec<LineCard>,
    /// What lines of commands run, and what takes that back, for people: `run: …`, `undo: …`; secrets are masked.
    pub commands: BTreeMap<String, Vec<String>>,
    /// The database.
    pub target: Target,
    /// Its address, for people.
    pub server: String,
    /// The commit of the project, if it is a git checkout.
    pub commit: Option<String>,
    /// What is applied, by root.
    pub revisions: BTreeMap<String, Vec<String>>,
    /// What is pending, in order.
    pub pending: Vec<String>,
    /// What an approval of the migrations holds for.
    pub sql_hash: String,
    /// They as SQL, for people; secrets are masked.
    pub sql: String,
    /// Who agreed; nobody yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// The runbook of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// As it was named: a path, or a name.
    pub name: String,
    /// The hash of its text.
    pub hash: String,
    /// Where its text was read from; not written, for it is another place elsewhere.
    #[serde(skip)]
    pub origin: String,
}

impl Proposal {
    /// Looks what a run of `runbook`, which was named `name`, would do now. Reads only.
    ///
    /// # Errors
    /// As [`Pending::read`]; if the database can't be asked.
    pub async fn draw(
        config: &Config,
        runbook: &Runbook,
        name: &str,
        session: &Session,
    ) -> Result<Self, Failure> {
        let plan = Plan::compile(runbook, config);
        let outline = outline(&plan, &runbook.name);
        let pending = Pending::read(config, &outline.migrations, None, session).await?;
        Self::of(config, (runbook, name), (&plan, &outline), &pending, session).await
    }

    /// [`Proposal::draw`] of what was looked at already.
    ///
    /// # Errors
    /// If the database can't be asked.
    pub async fn of(
        config: &Config,
        (runbook, name): (&Runbook, &str),
        (plan, outline): (&Plan, &Outline),
        pending: &Pending,
        session: &Session,
    ) -> Result<Self, Failure> {
        let url = &config.database.url;
        Ok(Self {
            format: FORMAT,
            backstay: env!("CARGO_PKG_VERSION").to_string(),
            at: now(),
            environment: config.environment.clone(),
            config_hash: config.hash.clone(),
            runbook: Named {
                name: name.to_string(),
                hash: journal::hash(runbook.text.as_bytes()),
                origin: runbook.origin.clone(),
            },
            lines_hash: outline.digest.clone(),
            lines: super::plan::cards(&plan.lines),
            commands: commands(plan),
            target: target(config, session).await?,
            server: format!("{}:{}", url.host(), url.port()),
            commit: git::head(&config.root).await,
            revisions: pending.from.clone(),
            pending: pending.revisions.clone(),
            sql_hash: journal::hash(pending.fixed.as_bytes()),
            sql: redact(&pending.sql).into_owned(),
            approval: None,
        })
    }

    /// The hash over all of it but the approval: what an approval is of.
    pub fn hash(&self) -> String {
        let bare = Self { approval: None, ..self.clone() };
        // Values of ours are JSON; members keep the order in which they are declared.
        journal::hash(&serde_json::to_vec(&bare).unwrap_or_default())
    }

    /// What the run is given of it.
    pub fn planned(&self) -> Planned {
        Planned { hash: self.hash(), sql_hash: self.sql_hash.clone(), approval: self.approval.clone() }
    }

    /// Whether the approval in it, if there is one, is of what stands in it now.
    pub fn is_as_approved(&self) -> bool {
        self.approval.as_ref().is_none_or(|approval| approval.of == self.hash())
    }

    /// What would not run as it stands here, since things are as `found` says; a sentence each. **Pure.**
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let mut differs = |is: bool, text: String| {
            if is {
                told.push(text);
            }
        };
        let another = self.environment != found.environment;
        differs(another, format!("it is for {}, and this is {}", self.environment, found.environment));
        let text = |what: &str, then: &str, now: &str| {
            format!("{what}: planned {}, now {}", short(then), short(now))
        };
        let config = format!("config/{}.toml", found.environment);
        let changed = self.config_hash != found.config_hash;
        let how = self.how_to_see(&config);
        differs(!another && changed, text(&config, &self.config_hash, &found.config_hash) + &how);
        let rewritten = self.runbook.hash != found.runbook.hash;
        let (which, how) = self.runbook_file(found);
        differs(rewritten, text(&which, &self.runbook.hash, &found.runbook.hash) + &how);
        // Where a file differs its lines may well do too: once is enough.
        let others = self.lines_hash != found.lines_hash && !rewritten && !(another || changed);
        differs(others, self.other_lines(found));
        differs(self.commit != found.commit, commits(self.commit.as_deref(), found.commit.as_deref()));
        differs(!self.is_same_database(found), self.other_database(found));
        let moved = self.revisions != found.revisions;
        differs(
            moved,
            format!(
                "revision: planned from {}, the database is at {}",
                at(&self.revisions),
                at(&found.revisions)
            ),
        );
        let pending = self.pending != found.pending;
        differs(pending, format!("pending: planned {}, now {}", list(&self.pending), list(&found.pending)));
        let rewritten = self.sql_hash != found.sql_hash && !pending && !moved;
        differs(rewritten, text("the SQL of the migrations", &self.sql_hash, &found.sql_hash));
        // SQL files are what is hashed, so what a person was shown can be held against it too.
        let fixed = journal::hash(found.sql.as_bytes()) == found.sql_hash;
        let shown = fixed && self.sql_hash == found.sql_hash && self.sql != found.sql;
        differs(shown, "the SQL in the file is not that of its migrations".to_string());
        told
    }

    /// The runbook as it is read here, in words, and how to see what is new in it.
    fn runbook_file(&self, found: &Self) -> (String, String) {
        match found.runbook.origin.as_str() {
            "" => (format!("runbook {}", self.runbook.name), String::new()),
            origin if origin.starts_with("shipped:") => (
                format!("runbook {}, now the one that ships with backstay", self.runbook.name),
                String::new(),
            ),
            file => (file.to_string(), self.how_to_see(file)),
        }
    }

    /// `; git diff COMMIT -- FILE`, where the plan was made in a checkout.
    fn how_to_see(&self, file: &str) -> String {
        let diff = |commit| format!("; what changed: git diff {} -- {}", short(commit), shell_word(file));
        self.commit.as_deref().map(diff).unwrap_or_default()
    }

    fn other_lines(&self, found: &Self) -> String {
        let text = "the lines: a variable that they use has another value, or a default of backstay";
        match self.backstay == found.backstay {
            true => text.to_string(),
            false => format!("{text} ({} planned, this is {})", self.backstay, found.backstay),
        }
    }

    fn is_same_database(&self, found: &Self) -> bool {
        // A server that withholds its identifier is known by its address alone.
        let known = self.target.system != "withheld" || self.server == found.server;
        self.target == found.target && known
    }

    fn other_database(&self, found: &Self) -> String {
        let told = |p: &Self| {
            format!("{} on {} (oid {}, system {})", p.target.name, p.server, p.target.oid, p.target.system)
        };
        format!("database: planned {}, now {}", told(self), told(found))
    }
}

/// What lines run, as it may be shown.
fn commands(plan: &Plan) -> BTreeMap<String, Vec<String>> {
    let told = |line: &Line| {
        let told: Vec<String> = line.told_commands().iter().map(|told| redact(told).into_owned()).collect();
        (!told.is_empty()).then(|| (line.id.to_string(), told))
    };
    plan.lines.iter().filter_map(told).collect()
}

async fn target(config: &Config, session: &Session) -> Result<Target, Failure> {
    let name = config.database.url.database().to_string();
    let row = session
        .query_one(
            "SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
            &[],
        )
        .await
        .map_err(|error| Failure::refused(format!("ask which database {name} is")).caused_by(&error))?;
    Ok(Target { system: admin::system(session).await?, name, oid: row.get(0) })
}

fn commits(planned: Option<&str>, found: Option<&str>) -> String {
    let told = |commit: Option<&str>| commit.map_or("no checkout".to_string(), |c| short(c).to_string());
    format!("commit: planned {}, now {}", told(planned), told(found))
}

fn at(revisions: &BTreeMap<String, Vec<String>>) -> String {
    let told = |(root, at): (&String, &Vec<String>)| match at.as_slice() {
        [] => format!("base ({root})"),
        at => format!("{} ({root})", at.join(", ")),
    };
    revisions.iter().map(told).collect::<Vec<_>>().join("; ")
}

fn list(revisions: &[String]) -> String {
    if revisions.is_empty() { "nothing".to_string() } else { revisions.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::How;

    fn proposal() -> Proposal {
        Proposal {
            format: FORMAT,
            backstay: "0.1.0".into(),
            at: Timestamp::UNIX_EPOCH,
            environment: "production".into(),
            config_hash: "c".repeat(64),
            runbook: Named { name: "release".into(), hash: "r".repeat(64), origin: String::new() },
            lines_hash: "l".repeat(64),
            lines: Vec::new(),
            commands: BTreeMap::new(),
            target: Target { system: "7".into(), name: "shop".into(), oid: 16_384 },
            server: "db:5432".into(),
            commit: Some("a".repeat(40)),
            revisions: [("main".to_string(), vec!["989ceebf408f".to_string()])].into(),
            pending: vec!["c08085465bad".into()],
            sql_hash: "s".repeat(64),
            sql: "select 1".into(),
            approval: None,
        }
    }

    /// What differs where one thing was changed.
    fn found(change: impl FnOnce(&mut Proposal)) -> String {
        let mut found = Proposal { at: now(), sql: "written otherwise".into(), ..proposal() };
        change(&mut found);
        proposal().differences(&found).join(" | ")
    }

    #[test]
    fn each_difference_is_named_once() {
        assert_eq!(found(|_| ()), "");
        let told = [
            found(|p| (p.environment, p.config_hash) = ("staging".into(), "x".repeat(64))),
            found(|p| p.config_hash = "d".repeat(64)),
            found(|p| (p.runbook.hash, p.lines_hash) = ("d".repeat(64), "d".repeat(64))),
            found(|p| {
                p.runbook = Named {
                    hash: "d".repeat(64),
                    origin: "runbooks/release.toml".into(),
                    ..p.runbook.clone()
                }
            }),
            found(|p| {
                p.runbook =
                    Named { hash: "d".repeat(64), origin: "shipped:release".into(), ..p.runbook.clone() }
            }),
            found(|p| p.lines_hash = "d".repeat(64)),
            found(|p| (p.lines_hash, p.backstay) = ("d".repeat(64), "0.2.0".into())),
            found(|p| p.commit = None),
            found(|p| p.target.oid = 1),
            found(|p| p.target.system = "8".into()),
            found(|p| p.revisions = [("main".to_string(), Vec::new())].into()),
            found(|p| (p.pending, p.sql_hash) = (Vec::new(), "d".repeat(64))),
            found(|p| p.sql_hash = "d".repeat(64)),
        ];
        insta::assert_snapshot!("differences", told.join("\n"));
    }

    #[test]
    fn another_address_of_the_same_server_is_no_difference_where_the_server_is_known() {
        assert_eq!(found(|p| p.server = "127.0.0.1:15432".into()), "");
        let withheld = |server: &str| Proposal {
            target: Target { system: "withheld".into(), ..proposal().target },
            server: server.into(),
            ..proposal()
        };
        assert!(withheld("a:1").differences(&withheld("a:1")).is_empty());
        assert!(withheld("a:1").differences(&withheld("b:1"))[0].starts_with("database:"));
    }

    #[test]
    fn what_is_shown_is_what_is_hashed() {
        let sql = |sql: &str, of: &str| Proposal {
            sql: sql.into(),
            sql_hash: journal::hash(of.as_bytes()),
            ..proposal()
        };
        let found = sql("DROP TABLE users", "DROP TABLE users");
        let told = sql("SELECT 1", "DROP TABLE users").differences(&found);
        assert_eq!(told, ["the SQL in the file is not that of its migrations"]);
        assert!(sql("DROP TABLE users", "DROP TABLE users").differences(&found).is_empty());
        // What Alembic writes may be another text each time; its files are what is hashed.
        assert!(sql("uuid 1", "files").differences(&sql("uuid 2", "files")).is_empty());
    }

    #[test]
    fn an_approval_is_of_what_it_was_given_for() {
        let mut approved = proposal();
        let approval = Approval {
            by: "alice".into(),
            how: How::Typed,
            recorded_by: "alice on desk".into(),
            at: Timestamp::UNIX_EPOCH,
            of: approved.hash(),
        };
        approved.approval = Some(approval);
        assert!(approved.is_as_approved());
        let read: Proposal = serde_json::from_str(&serde_json::to_string(&approved).unwrap()).unwrap();
        assert!(read.is_as_approved() && read == approved);
        assert!(!Proposal { sql: "drop table users".into(), ..approved }.is_as_approved());
    }
}
