//! What stands in the way of the backup that later lines take, and of restoring it.

use super::{Check, Finding, Premises};
use crate::backup::survey::{self, Stops, survey};
use crate::failure::Failure;
use crate::pg::ConnInfo;
use crate::steps::site::{direct, session_options};

pub(super) async fn examine(premises: &Premises<'_>) -> Check {
    const NAME: &str = "backup";
    if !premises.outline.backs_up {
        return Check::new(NAME, "not needed", vec![]);
    }
    let said = if premises.outline.restores {
        "everything can be read, and restored"
    } else {
        "everything can be read"
    };
    let findings = match survey_both(premises).await {
        Ok(found) => found.iter().map(|finding| weigh(finding, premises.outline.restores)).collect(),
        Err(failure) => vec![Finding::of(&failure)],
    };
    Check::new(NAME, said, findings)
}

/// The role that reads is not always the one that restores: each is asked for its own part.
async fn survey_both(premises: &Premises<'_>) -> Result<Vec<survey::Finding>, Failure> {
    let config = premises.config;
    let session = session_options(config, "backstay preflight");
    let reader: &ConnInfo = direct(config);
    let restorer = config.database.admin_url.with_database(reader.database());
    let mut found = survey(reader, &session).await?;
    if restorer.user() != reader.user() {
        found.retain(|finding| finding.stops != Stops::Restore);
        let others = survey(&restorer, &session).await?;
        found.extend(others.into_iter().filter(|finding| finding.stops == Stops::Restore));
    }
    Ok(found)
}

fn weigh(finding: &survey::Finding, restores: bool) -> Finding {
    let (what, remedy) = (finding.to_string(), finding.remedy);
    match finding.stops {
        Stops::Backup => Finding::blocks(what, remedy),
        Stops::Restore if restores => Finding::blocks(format!("no restore: {what}"), remedy),
        Stops::Restore => Finding::warns(format!("no restore by this role: {what}"), remedy),
        Stops::Nothing => Finding::warns(what, remedy),
    }
}
