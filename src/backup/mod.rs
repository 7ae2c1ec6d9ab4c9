//! Backups: portable dumps on the store, proven as far as asked, restorable with `gunzip` and `psql` alone.
//!
//! One backup is a folder of objects, `backups/<environment>/<id>/…`, and its [`Manifest`] is written last:
//! without it there is no backup, whatever a crash has left (invariant 4). All of DDL comes from
//! PostgreSQL's own `pg_dump`; the rows go through `COPY` on several connections that share one exported
//! snapshot, and are compressed, hashed and fingerprinted on their way to the store.
//!
//! | module | its job |
//! | --- | --- |
//! | [`manifest`] | what a backup says of itself |
//! | [`write`](mod@write) | a database to objects, manifest last |
//! | [`restore`](mod@restore) | objects to a side database |
//! | [`verify`](mod@verify) | how far a backup is proven |
//! | [`proof`] | the records of that, beside the manifest |
//! | [`fingerprint`] | the content of a database as numbers that can be compared |
//! | [`split`] | pg_dump's text, statement by statement |
//! | [`schema`] | the schema of a database as text that can be compared |
//! | [`objects`] | that text object by object, and what differs between two |
//! | [`attributes`] | what belongs to the database itself and no clone or dump carries |
//! | [`survey`](mod@survey) | what stands in a backup's way, found before it begins |
//! | [`list`](mod@list) | which backups there are, which may go |
//! | [`summary`] | what a list of them shows beyond their names |

pub mod attributes;
mod catalog;
mod compare;
mod dump;
mod error;
pub mod fingerprint;
pub mod list;
pub mod manifest;
mod meter;
mod mismatch;
mod name;
pub mod objects;
mod owned;
mod pack;
mod pinned;
pub mod proof;
mod queue;
mod reading;
pub mod restore;
mod roles;
pub mod schema;
mod script;
pub mod split;
mod subscriptions;
pub mod summary;
pub mod survey;
mod unpack;
pub mod verify;
pub mod write;

pub use attributes::DatabaseAttributes;
pub(crate) use catalog::{encoded as encoding_clause, waves};
pub use error::BackupError;
pub use list::{BackupEntry, find, find_any, list, prune};
pub use manifest::{Manifest, TableName};
pub use name::{Place, time_of_id};
pub(crate) use pack::{FULL, Packer};
pub(crate) use pinned::open as open_pinned;
pub use restore::{Restored, restore};
pub use script::{page as restore_page, script as restore_script};
pub use survey::survey;
pub use verify::{Level, verify};
pub use write::write;
