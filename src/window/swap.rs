//! The swap: production is wholly the old one or wholly the restored one, in one transaction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admin::Admin;
use super::fence;
use crate::failure::Failure;
use crate::pg;
use crate::pg::quote_ident;

/// Which database takes whose place; journaled before the swap acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Production's name.
    pub name: String,
    /// The database that goes, by id.
    pub failed: u32,
    /// The name that it goes by afterwards.
    pub failed_name: String,
    /// The database that takes its place, by id.
    pub guard: u32,
}

/// Whether the swap took effect: the production name belongs to the guard.
///
/// # Errors
/// The query's.
pub async fn done(admin: &Admin, swap: &Swap) -> Result<bool, Failure> {
    Ok(admin.by_name(&swap.name).await?.is_some_and(|db| db.oid == swap.guard && db.allow_connections))
}

/// Whether the guard bears production's name, open or not: then there is nothing to be read or closed before the swap.
///
/// # Errors
/// The query's.
pub async fn renamed(admin: &Admin, swap: &Swap) -> Result<bool, Failure> {
    Ok(admin.by_name(&swap.name).await?.is_some_and(|db| db.oid == swap.guard))
}

/// Makes sure that there is a guard to be swapped in.
///
/// # Errors
/// A refusal if it is gone or an interrupted clone; the query's.
pub async fn expect_guard(admin: &Admin, swap: &Swap) -> Result<(), Failure> {
    match admin.by_oid(swap.guard).await? {
        None => Err(gone(swap)),
        Some(guard) if guard.is_invalid => Err(interrupted_clone()),
        Some(_) => Ok(()),
    }
}

/// Renames both and opens the guard to everybody, in one transaction. Idempotent.
///
/// The failed database must have been [`fence::shut`] before; it stays closed and is kept. A crash leaves
/// both as they were, or both swapped.
///
/// # Errors
/// A refusal if an id does not fit any more or the guard is an interrupted clone; the server's.
pub async fn swap(admin: &mut Admin, swap: &Swap, timeout: Duration) -> Result<(), Failure> {
    if done(admin, swap).await? {
        return Ok(());
    }
    fence::shut(admin, swap.failed, timeout).await?;
    fence::shut(admin, swap.guard, timeout).await?;
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        match transact(admin, swap).await {
            Ok(()) => return Ok(()),
            Err(Refusal::InUse(_)) if tokio::time::Instant::now() < deadline => {
                fence::end_sessions(admin.session(), swap.failed, timeout).await?;
                fence::end_sessions(admin.session(), swap.guard, timeout).await?;
            }
            Err(Refusal::InUse(failure) | Refusal::Other(failure)) => return Err(failure),
        }
    }
}

enum Refusal {
    InUse(Failure),
    Other(Failure),
}

async fn transact(admin: &mut Admin, swap: &Swap) -> Result<(), Refusal> {
    let refused = |error: tokio_postgres::Error| {
        let failure = pg::refused("swap the databases", &error);
        match error.code() {
            Some(code) if *code == tokio_postgres::error::SqlState::OBJECT_IN_USE => Refusal::InUse(failure),
            _ => Refusal::Other(failure),
        }
    };
    let transaction = admin.session_mut().transaction().await.map_err(refused)?;
    let rows = transaction
        .query(
            "SELECT oid, datname::text, datconnlimit FROM pg_catalog.pg_database WHERE oid = ANY($1)",
            &[&vec![swap.failed, swap.guard]],
        )
        .await
        .map_err(refused)?;
    let find = |oid: u32| rows.iter().find(|row| row.get::<_, u32>(0) == oid);
    let (Some(failed), Some(guard)) = (find(swap.failed), find(swap.guard)) else {
        return Err(Refusal::Other(gone(swap)));
    };
    if guard.get::<_, i32>(2) == -2 {
        return Err(Refusal::Other(interrupted_clone()));
    }
    let (failed, guard): (String, String) = (failed.get(1), guard.get(1));
    let name = quote_ident(&swap.name);
    let mut statements = Vec::new();
    if failed != swap.failed_name {
        statements.push(format!(
            "ALTER DATABASE {} RENAME TO {}",
            quote_ident(&failed),
            quote_ident(&swap.failed_name)
        ));
    }
    if guard != swap.name {
        statements.push(format!("ALTER DATABASE {} RENAME TO {name}", quote_ident(&guard)));
    }
    statements.push(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    for statement in &statements {
        transaction.batch_execute(statement).await.map_err(refused)?;
    }
    transaction.commit().await.map_err(refused)
}

fn interrupted_clone() -> Failure {
    Failure::refused("swap the guard in")
        .because_of("the guard is an interrupted clone (datconnlimit = -2)")
        .then("restore the latest backup: backstay backup list")
}

fn gone(swap: &Swap) -> Failure {
    Failure::refused("swap the guard in")
        .because_of(format!(
            "database oid {} or guard oid {} does not exist any more",
            swap.failed, swap.guard
        ))
        .then("restore the latest backup: backstay backup list")
}
