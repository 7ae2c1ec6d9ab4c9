//! The connections, the server's version, the client tools.

use super::{Check, Finding, Premises};
use crate::pg::{self, ConnInfo, Session, tools};
use crate::steps::site::{direct, session_options};

/// The oldest server that is supported.
const OLDEST: u32 = 130_000;

/// The sessions that the later checks use.
pub(super) struct Sessions {
    /// In the application's database, as its migrations will run.
    pub app: Session,
    /// In the maintenance database, as databases are renamed.
    pub admin: Session,
}

pub(super) async fn examine(premises: &Premises<'_>) -> (Vec<Check>, Option<Sessions>) {
    let config = premises.config;
    let mut checks = Vec::new();
    let maintenance = config.database.maintenance();
    let admin = connect(premises, &maintenance, "maintenance database", &mut checks).await;
    let app = connect(premises, direct(config), "database", &mut checks).await;
    if !std::ptr::eq(direct(config), &raw const config.database.url) {
        connect(premises, &config.database.url, "the application's own way in", &mut checks).await;
    }
    if let Some(session) = admin.as_ref().or(app.as_ref()) {
        checks.push(version(session));
        checks.push(client_tools(session.server_version()).await);
    }
    let sessions = app.zip(admin).map(|(app, admin)| Sessions { app, admin });
    (checks, sessions)
}

async fn connect(
    premises: &Premises<'_>,
    info: &ConnInfo,
    name: &'static str,
    checks: &mut Vec<Check>,
) -> Option<Session> {
    let options = session_options(premises.config, "backstay preflight");
    match pg::connect(info, &options).await {
        Ok(session) => {
            checks.push(Check::new(name, format!("{} as {}", info.describe(), info.user()), vec![]));
            Some(session)
        }
        Err(error) => {
            let failure = crate::failure::Failure::from(error);
            checks.push(Check::new(name, "", vec![Finding::of(&failure)]));
            None
        }
    }
}

fn version(session: &Session) -> Check {
    let version = session.server_version();
    let mut findings = Vec::new();
    if version < OLDEST {
        findings.push(Finding::blocks(
            format!(
                "the server is PostgreSQL {}; 13 is the oldest that is supported",
                tools::version_text(version)
            ),
            "upgrade the server first",
        ));
    }
    if session.in_recovery() {
        findings.push(Finding::blocks(
            "the server is a standby: it only reads",
            "give the primary's address in [database] url",
        ));
    }
    Check::new("server", format!("PostgreSQL {}", tools::version_text(version)), findings)
}

async fn client_tools(server: u32) -> Check {
    let mut findings = Vec::new();
    let mut said = Vec::new();
    for program in ["pg_dump", "psql"] {
        match tools::find(program, server).await {
            Ok(tool) => said.push(format!("{program} {}", tools::version_text(tool.version))),
            Err(error) => findings.push(Finding::of(&error.into())),
        }
    }
    Check::new("client tools", said.join(", "), findings)
}
