//! What lies around the database: store, flag, the application's health, commands.

use std::path::Path;

use bytes::Bytes;

use super::{Check, Finding, Premises, programs};
use crate::config::{Config, Flag};
use crate::failure::Failure;
use crate::steps::health;
use crate::window::flag::{self, Standing};

pub(super) async fn examine(premises: &Premises<'_>) -> Vec<Check> {
    let mut checks = vec![store(premises).await];
    if premises.outline.window {
        checks.push(flag_check(premises.config).await);
        // A release is taken back because its application is ill.
        if !premises.outline.first_deploy && premises.outline.rollback.is_none() {
            checks.push(healthy(premises.config).await);
        }
    }
    checks.push(programs::examine(premises.config, premises.outline));
    checks
}

/// Writes, reads and removes an object.
async fn store(premises: &Premises<'_>) -> Check {
    let name = format!("probe/{}", crate::id::fresh(crate::time::now()));
    let tried = async {
        premises.store.create(&name, Bytes::from_static(b"backstay")).await?;
        let read = premises.store.read(&name).await?;
        premises.store.delete(&name).await?;
        Ok::<_, crate::store::StoreError>(read == b"backstay")
    };
    let url = premises.store.url();
    let mut findings = match tried.await {
        Ok(true) => vec![],
        Ok(false) => vec![Finding::blocks(
            format!("the store {url} gave back other bytes than were written"),
            "use another disk or bucket for [store] url",
        )],
        Err(error) => vec![Finding::of(&Failure::from(error))],
    };
    if premises.outline.window {
        findings.extend(no_spool(&premises.config.spool.path));
    }
    Check::new("store", format!("{url} takes and gives back objects"), findings)
}

/// Where the records of a put-back would wait for a store that is lost inside the window.
fn no_spool(spool: &Path) -> Option<Finding> {
    let folder = spool.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let error = tempfile::Builder::new().prefix(".backstay-").tempfile_in(folder).err()?;
    Some(Finding::warns(
        format!(
            "{} can't be written ({error}): a store lost in the window would keep production down",
            spool.display()
        ),
        "make it writable for this user, or name another folder in [store] spool",
    ))
}

async fn flag_check(config: &Config) -> Check {
    const NAME: &str = "maintenance flag";
    let Some(flag) = &config.flag else {
        let remedy = "add [maintenance] flag = { file = \"/opt/app/maintenance\" }";
        return Check::new(
            NAME,
            "",
            vec![Finding::blocks("the environment has no maintenance flag", remedy)],
        );
    };
    let place = flag::describe(flag);
    let mut findings = match flag::look(flag, config).await {
        Ok(Standing::Down) => vec![],
        Ok(Standing::Up(whose)) => vec![Finding::blocks(
            format!(
                "the flag {place} is up already{}",
                whose.map(|w| format!(", held by {w}")).unwrap_or_default()
            ),
            "backstay status tells whose it is; backstay maintenance off takes it down",
        )],
        Err(failure) => vec![Finding::of(&failure)],
    };
    if let Flag::File(path) = flag {
        findings.extend(unwritable_folder(path));
    }
    Check::new(NAME, format!("{place} is down and can be raised"), findings)
}

fn unwritable_folder(path: &Path) -> Option<Finding> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = tempfile::Builder::new().prefix(".backstay-flag-").tempfile_in(folder).err()?;
    Some(Finding::blocks(
        format!("the flag's folder {} can't be written: {error}", folder.display()),
        format!("make {} writable for this user", folder.display()),
    ))
}

/// An application that is ill before the release could not be proven healthy after a put-back.
async fn healthy(config: &Config) -> Check {
    let mut findings = Vec::new();
    for check in &config.health.http {
        if let Err(why) = health::look_once(check).await {
            findings.push(Finding::blocks(
                format!("{} is not healthy now: {why}", check.url),
                "mend the application first, or set first_deploy = true in the runbook's [window] if there is none yet",
            ));
        }
    }
    let said = match config.health.http.len() {
        1 => "1 check passes".to_string(),
        many => format!("{many} checks pass"),
    };
    Check::new("health now", said, findings)
}
