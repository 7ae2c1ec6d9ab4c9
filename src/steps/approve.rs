//! `step = "approve"`: a person agrees to what was previewed.

use super::{Report, Site};
use crate::failure::{Failure, Kind};
use crate::journal::Driver;
use crate::words::count;

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let what = match &site.recall.preview {
        Some(preview) if preview.revisions.is_empty() => format!("no migrations ({})", short(&preview.hash)),
        Some(preview) => {
            let place = format!("{}/{}", site.store.url(), preview.object);
            format!(
                "{} ({}), {place}",
                count(preview.revisions.len() as u64, "migration", "migrations"),
                short(&preview.hash)
            )
        }
        None => "what stands above".to_string(),
    };
    let driver = Driver::this_process();
    let hash = site.recall.preview.as_ref().map(|p| p.hash.clone());
    let facts = serde_json::json!({ "by": driver.user, "host": driver.machine.host, "hash": hash, "asked": !site.yes });
    if site.yes {
        return Report::with(format!("{what}, by --yes of {}", driver.user), &facts);
    }
    let environment = &site.config.environment;
    match site.events.ask(site.line, format!("Release {what} to {environment}?"), environment).await {
        Some(true) => Report::with(format!("{what}, by {}", driver.user), &facts),
        Some(false) => Err(Failure::refused("get the release approved")
            .because_of(format!("the answer was not {environment}"))
            .leaving("nothing was changed")),
        None => Err(Failure::new(Kind::Refused, "get the release approved")
            .because_of("nobody answered")
            .leaving("nothing was changed")
            .then("run it again and type the environment's name, or give --yes")),
    }
}

/// The beginning of a hash, for people.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
