//! What `status` says of the server: whether the application can get in, what runs left, and what a crash left.

use serde_json::json;

use super::scene::{Scene, Server};
use super::together::{Alike, Sort};
use super::{Fact, mend};
use crate::cli::cleanup::{Claim, Leftover, leftovers};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::pg::catalog::{self, Database};
use crate::pg::debris::{self, Invalid, Orphan};
use crate::pg::{quote_ident, refused};
use crate::time::{show_bytes, show_duration};
use crate::window::names::Role;
use crate::words::shell_word;

const FENCE: &str = "fence";
pub(super) const LEFTOVER: &str = "leftover";
pub(super) const INVALID: &str = "invalid";
pub(super) const ORPHANED: &str = "orphaned files";

/// The fence, and all that lies about.
pub(super) async fn look(scene: &Scene<'_>) -> Vec<Fact> {
    let server = match &scene.server {
        Ok(server) => server,
        Err(failure) => return vec![Fact::unknown(FENCE, failure)],
    };
    let mut facts = match ours(scene, server).await {
        Ok(facts) => facts,
        Err(failure) => vec![Fact::unknown(FENCE, &failure)],
    };
    match debris::orphans(&server.session).await {
        Ok(found) => facts.extend(found.iter().map(orphaned)),
        // Not everybody may ask, and most servers have none: no reason for a line.
        Err(error) => tracing::debug!(%error, "orphaned files are not known"),
    }
    facts
}

/// Whether a fact of the fence says that the application can't get in.
pub(super) fn shuts_out(fact: &Fact) -> bool {
    fact.name == FENCE && fact.value.get("closed") == Some(&json!(true))
}

async fn ours(scene: &Scene<'_>, server: &Server) -> Result<Vec<Fact>, Failure> {
    let (config, session) = (scene.config, &server.session);
    let production = catalog::database_by_name(session, config.database.url.database()).await;
    let production = production.map_err(|error| refused("look for the database", &error))?;
    let found = leftovers(session, config, scene.store).await?;
    let invalid = debris::invalid_databases(session).await;
    let invalid = invalid.map_err(|error| refused("look for invalid databases", &error))?;
    let foreign =
        invalid.into_iter().filter(|i| !found.iter().any(|leftover| leftover.database.oid == i.oid));
    let foreign: Vec<Invalid> = foreign.collect();
    let mut facts = vec![fence(scene, production.as_ref(), &found).await];
    // The first fenced database was told with the fence.
    let told = found.iter().position(is_window);
    let rest = found.iter().enumerate().filter(|(at, _)| Some(*at) != told);
    facts.extend(rest.map(|(_, leftover)| left_over(scene, leftover)));
    facts.extend(foreign.iter().map(|invalid| invalid_fact(config, invalid)));
    Ok(facts)
}

/// Whether the application can get in: the rename is not all that can shut it out.
async fn fence(scene: &Scene<'_>, production: Option<&Database>, found: &[Leftover]) -> Fact {
    let config = scene.config;
    let fence = found.iter().find(|leftover| is_window(leftover));
    match (production, fence) {
        (None, Some(fence)) => fenced(scene, fence, found).await,
        (Some(database), Some(fence)) => two_claim(scene, database, fence),
        (Some(database), _) if !database.allow_connections => {
            let text = format!("CLOSED: {} lets no sessions in", database.name);
            let fact = Fact::new(FENCE, text, json!({ "closed": true, "run": null }));
            match scene.unfinished() {
                Some(run) if run.is_driven() => fact,
                Some(run) => fact.mended_by(mend::resume(config, &run.id)),
                None => fact.mended_by(mend::psql(
                    &config.database.maintenance(),
                    &[format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quote_ident(&database.name))],
                )),
            }
        }
        (Some(_), None) => Fact::new(FENCE, "open", json!({ "closed": false })),
        (None, None) => {
            let name = config.database.url.database();
            let text = format!("unknown: there is no database called {name}");
            let fact = Fact::new(FENCE, text, json!({ "closed": null }));
            fact.mended_by(match scene.unfinished() {
                Some(run) => mend::resume(config, &run.id),
                // There was one, and the store may have it.
                None if scene.last.as_ref().is_ok_and(Option::is_some) => {
                    format!("backstay rollback --by backup -e {}", config.environment)
                }
                None => format!(
                    "backstay migrate upgrade heads --create-database -e {}, or correct [database] url",
                    config.environment
                ),
            })
        }
    }
}

fn is_window(leftover: &Leftover) -> bool {
    leftover.trace.role == Role::Window
}

/// A database has production's name, and another is fenced. Neither is dropped by a line of ours: one of them is
/// renamed, so that it is in nobody's way.
fn two_claim(scene: &Scene<'_>, named: &Database, fence: &Leftover) -> Fact {
    let (window, run) = (&fence.database.name, &fence.trace.run);
    let rename = |from: &str, to: String| {
        let rename = format!("ALTER DATABASE {} RENAME TO {}", quote_ident(from), quote_ident(&to));
        mend::psql(&scene.config.database.maintenance(), &[rename])
    };
    let value = |closed: bool| json!({ "closed": closed, "run": run });
    match fence.claim {
        // The run goes on as soon as its database can have its name back.
        Claim::Unfinished | Claim::Unreadable(_) => {
            let text = format!(
                "CLOSED: production is called {window}, and another database has the name {}",
                named.name
            );
            let fact = Fact::new(FENCE, text, value(true));
            match scene.driver_of(run) {
                Some(_) => fact,
                None => fact.mended_by(rename(&named.name, format!("kept_beside_{run}"))),
            }
        }
        _ => {
            let text = format!(
                "two databases claim to be production: {}, which has the name, and {window}, of a run that this store \
                 can't resume: compare them; the line keeps the second under another name",
                named.name
            );
            Fact::new(FENCE, text, value(!named.allow_connections))
                .mended_by(rename(window, format!("kept_{run}_{}", fence.trace.epoch)))
        }
    }
}

/// Production is known to a run alone. If that can't be resumed, a person gives it its name back.
async fn fenced(scene: &Scene<'_>, fence: &Leftover, found: &[Leftover]) -> Fact {
    let (name, id) = (&fence.database.name, &fence.trace.run);
    let told = |said: &str| {
        let text = format!("CLOSED: production is called {name}{said}");
        Fact::new(FENCE, text, json!({ "closed": true, "run": id }))
    };
    match scene.find(id).await {
        Ok(Some(run)) if run.is_driven() => told(", and its run is under way"),
        Ok(Some(run)) if !run.ended => told("").mended_by(mend::resume(scene.config, id)),
        Ok(Some(run)) => {
            let is_new = matches!(run.state.ended, Some(Verdict::Done | Verdict::ChangedButFailing));
            let serves = if is_new { &fence.database } else { guard_of(id, found).unwrap_or(&fence.database) };
            told(&format!(", and its run has ended: {} should serve", serves.name))
                .mended_by(give_name(scene.config, serves))
        }
        Ok(None) if scene.driver_of(id).is_some() => told(", by a run of another store, which is under way"),
        Ok(None) => match guard_of(id, found) {
            Some(guard) => told(&format!(
                ", by a run that this store does not know; use the store that knows it, or let {}, the state before it, serve",
                guard.name
            ))
            .mended_by(give_name(scene.config, guard)),
            None => told(", by a run that this store does not know, and which has no guard here")
                .mended_by(give_name(scene.config, &fence.database)),
        },
        Err(failure) => {
            let fact = told(&format!("; its run can't be looked up: {failure}"));
            fact.mended_by(mend::resume(scene.config, id))
        }
    }
}

/// What the run would put back.
fn guard_of<'f>(run: &str, found: &'f [Leftover]) -> Option<&'f Database> {
    let is_guard =
        |l: &&Leftover| l.trace.role == Role::Guard && l.trace.run == run && !l.database.is_invalid;
    found.iter().find(is_guard).map(|leftover| &leftover.database)
}

fn give_name(config: &Config, database: &Database) -> String {
    let production = quote_ident(config.database.url.database());
    mend::psql(
        &config.database.maintenance(),
        &[
            format!("ALTER DATABASE {} RENAME TO {production}", quote_ident(&database.name)),
            format!("ALTER DATABASE {production} ALLOW_CONNECTIONS true"),
        ],
    )
}

fn left_over(scene: &Scene<'_>, leftover: &Leftover) -> Fact {
    let (config, run) = (scene.config, &leftover.trace.run);
    let value = json!({
        "database": leftover.database.name, "run": run, "invalid": leftover.database.is_invalid,
        "age_millis": crate::event::millis(leftover.age),
    });
    let told = |why: &str| Fact::new(LEFTOVER, format!("{}{why}", leftover.describe()), value.clone());
    let alike = |sort: Sort| Alike {
        database: leftover.database.name.clone(),
        run: run.clone(),
        bytes: leftover.database.size_bytes,
        sort,
    };
    match &leftover.claim {
        Claim::None if leftover.is_due(config.window.keep) => told("").mended_by(mend::cleanup(config)),
        Claim::None => {
            let left = config.window.keep.saturating_sub(leftover.age);
            told(&format!(", kept for {} more", show_duration(left))).told_with(alike(Sort::Kept(left)))
        }
        Claim::Unfinished => match scene.unfinished().filter(|last| last.id == *run && last.is_driven()) {
            Some(_) => told(", in use"),
            None => told(", whose run is not finished").mended_by(mend::resume(config, run)),
        },
        Claim::Production => told(", which may be production as well"),
        Claim::Stranger if scene.driver_of(run).is_some() => {
            told(", of another store's run, which is under way")
        }
        Claim::Stranger => told(", which this store does not know")
            .mended_by(mend::cleanup_run(config, run))
            .told_with(alike(Sort::Unknown { store: scene.store.url() })),
        Claim::Unreadable(failure) => told(&format!("; its run can't be looked up: {failure}")),
    }
}

fn invalid_fact(config: &Config, invalid: &Invalid) -> Fact {
    let text = format!(
        "{}: an interrupted CREATE or DROP DATABASE left it, and nobody can connect to it (owner {})",
        invalid.name, invalid.owner
    );
    let drop = format!("DROP DATABASE {}", quote_ident(&invalid.name));
    Fact::new(INVALID, text, json!({ "database": invalid.name, "oid": invalid.oid }))
        .mended_by(mend::psql(&config.database.maintenance(), &[drop]))
}

fn orphaned(orphan: &Orphan) -> Fact {
    let size = orphan.bytes.map(|bytes| format!(", {}", show_bytes(bytes))).unwrap_or_default();
    let modified = orphan.modified.as_ref().map(|at| format!(", last written {at}")).unwrap_or_default();
    let text = format!(
        "{}{size}{modified}: no database owns it; a server that crashes while it copies one leaves such a folder",
        orphan.path
    );
    let value = json!({
        "path": orphan.path, "oid": orphan.oid, "bytes": orphan.bytes, "modified": orphan.modified,
    });
    let absolute = orphan.path.starts_with('/');
    let path = if absolute { shell_word(&orphan.path) } else { format!("\"$PGDATA\"/{}", orphan.path) };
    Fact::new(ORPHANED, text, value)
        .mended_by(format!("rm -r {path}   (as the server's user, while no CREATE DATABASE is under way)"))
}
