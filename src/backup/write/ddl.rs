//! The DDL and the large objects: pg_dump's own text, on the same snapshot.

use super::Target;
use super::outbox::{self, Outbox};
use super::source::{BRIEFLY, Source};
use super::thread;
use crate::backup::catalog;
use crate::backup::dump::{Dumping, PgDump};
use crate::backup::error::BackupError;
use crate::backup::manifest::{Codec, Object};
use crate::backup::name;
use crate::backup::pack::{FULL, Packer};
use crate::pg::ConnInfo;

/// One text of pg_dump's.
#[derive(Clone)]
struct Part {
    /// What pg_dump is told.
    arguments: Vec<String>,
    /// The name of the text's n-th object, from 1.
    name: fn(u64) -> String,
    /// Whether it is cut into several objects: for text that may be of any size.
    is_cut: bool,
}

/// Dumps what stands before and after the rows side by side, then large objects if there are any.
///
/// # Errors
/// If pg_dump or the store refuses.
pub(super) async fn dump(
    info: &ConnInfo,
    pg_dump: &PgDump,
    source: &Source,
    target: &Target<'_>,
) -> Result<Vec<Object>, BackupError> {
    let part = |arguments: &[&str], name, is_cut| {
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.push("--no-subscriptions".to_string());
        arguments.push(format!("--snapshot={}", source.exported));
        arguments.push(format!("--lock-wait-timeout={}", BRIEFLY.as_millis()));
        Part { arguments, name, is_cut }
    };
    let mut parts = vec![
        part(&["--section=pre-data"], |_| name::PRE_DATA.to_string(), false),
        part(&["--section=post-data"], |_| name::POST_DATA.to_string(), false),
    ];
    if catalog::has_large_objects(&source.main).await? {
        // Of the data section only the large objects: every table's rows and sequence's state is left out.
        let arguments = ["--section=data", "--blobs", "--exclude-table-data=*.*"];
        parts.push(part(&arguments, name::large_object_part, true));
    }
    let start = |part: Part, outbox: Outbox| {
        let (info, pg_dump) = (info.clone(), pg_dump.clone());
        let encoding = source.server.client_encoding.clone();
        thread::spawn(outbox, move |outbox| async move {
            let dumping = pg_dump.start(&info, &encoding, &part.arguments)?;
            store(dumping, outbox, &part).await
        })
    };
    let objects = outbox::run(target.store, target.place, parts, start).await?;
    Ok(objects.into_iter().flatten().collect())
}

async fn store(mut dumping: Dumping, mut outbox: Outbox, part: &Part) -> Result<Vec<Object>, BackupError> {
    let refused = |source| BackupError::pack(&(part.name)(1), source);
    let mut objects = Vec::new();
    let mut packer = Packer::new(Codec::default()).map_err(refused)?;
    let mut line = Vec::new();
    while dumping.line(&mut line).await?.is_some() {
        packer.put(&line).map_err(refused)?;
        if part.is_cut && packer.stored_bytes() >= FULL {
            let full = std::mem::replace(&mut packer, Packer::new(Codec::default()).map_err(refused)?);
            let name = (part.name)(objects.len() as u64 + 1);
            objects.push(outbox.send(name, full.finish().map_err(refused)?).await?);
        }
    }
    if packer.raw_bytes() > 0 {
        let name = (part.name)(objects.len() as u64 + 1);
        objects.push(outbox.send(name, packer.finish().map_err(refused)?).await?);
    }
    outbox.settle().await?;
    Ok(objects)
}
