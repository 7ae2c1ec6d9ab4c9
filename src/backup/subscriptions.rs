//! The database's subscriptions as SQL without connection strings, for people: no restore runs it.

use std::fmt::Write as _;

use serde::Deserialize;
use tokio_postgres::Client;

use super::catalog::get;
use super::error::BackupError;
use crate::pg::{quote_ident, quote_literal};

/// What is asked of `pg_subscription`, as far as the server has it and anybody may read it. Connection strings
/// hold passwords: not asked for, and only a superuser could.
const COLUMNS: [&str; 15] = [
    "subname",
    "subslotname",
    "subpublications",
    "subenabled",
    "subsynccommit",
    "subbinary",
    "substream",
    "subtwophasestate",
    "subdisableonerr",
    "subpasswordrequired",
    "subrunasowner",
    "suborigin",
    "subfailover",
    "subretaindeadtuples",
    "submaxretention",
];

#[derive(Deserialize)]
struct Subscription {
    subname: String,
    subslotname: Option<String>,
    subpublications: Vec<String>,
    #[serde(default)]
    subenabled: bool,
    subsynccommit: Option<String>,
    #[serde(default)]
    subbinary: bool,
    /// A boolean before 16, then `f`, `t` or `p`.
    #[serde(default)]
    substream: serde_json::Value,
    subtwophasestate: Option<String>,
    #[serde(default)]
    subdisableonerr: bool,
    subpasswordrequired: Option<bool>,
    #[serde(default)]
    subrunasowner: bool,
    suborigin: Option<String>,
    #[serde(default)]
    subfailover: bool,
    #[serde(default)]
    subretaindeadtuples: bool,
    submaxretention: Option<i32>,
    owner: String,
    comment: Option<String>,
}

const HEADING: &str = "\
-- Not run by a restore: a restored subscription takes over the publisher's slot, and dropping it
-- drops that slot. Create it by hand, with its connection string, where it is wanted.
";

/// The subscriptions; `None` if there are none.
///
/// # Errors
/// If the server refuses.
pub(super) async fn as_sql(client: &Client) -> Result<Option<String>, BackupError> {
    let refused = |source| BackupError::sql("read the subscriptions", source);
    let known = "SELECT attname FROM pg_catalog.pg_attribute \
                 WHERE attrelid = 'pg_catalog.pg_subscription'::pg_catalog.regclass AND attname = ANY ($1) \
                 AND pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT')";
    let rows = client.query(known, &[&&COLUMNS[..]]).await.map_err(refused)?;
    let columns: Vec<String> = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    let pairs: Vec<String> =
        columns.iter().map(|c| format!("{}, s.{}", quote_literal(c), quote_ident(c))).collect();
    // Before 14 only a superuser reads even its oid, on which its comment hangs.
    let readable = "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'oid', 'SELECT')";
    let comment = match get(&client.query_one(readable, &[]).await.map_err(refused)?, 0)? {
        true => "pg_catalog.obj_description(s.oid, 'pg_subscription')",
        false => "NULL",
    };
    let sql = format!(
        "SELECT pg_catalog.jsonb_build_object({}, 'owner', pg_catalog.pg_get_userbyid(s.subowner), \
         'comment', {comment})::text \
         FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() ORDER BY s.subname",
        pairs.join(", ")
    );
    let mut text = String::new();
    for row in &client.query(&sql, &[]).await.map_err(refused)? {
        let subscription: Subscription = serde_json::from_str(get(row, 0)?)
            .map_err(|e| BackupError::Strange { what: "a subscription".into(), reason: e.to_string() })?;
        subscription.write(&mut text);
    }
    Ok((!text.is_empty()).then(|| format!("{HEADING}{text}")))
}

impl Subscription {
    /// As pg_dump has it. `connect = false` keeps it from enabling itself, and from making a slot.
    fn write(&self, text: &mut String) {
        let name = quote_ident(&self.subname);
        let publications: Vec<String> = self.subpublications.iter().map(|p| quote_ident(p)).collect();
        let slot = self.subslotname.as_deref().map_or("NONE".to_string(), quote_literal);
        let mut options = format!("connect = false, slot_name = {slot}");
        let mut option = |given: bool, sql: &str| {
            if given {
                let _ = write!(options, ", {sql}");
            }
        };
        option(self.subbinary, "binary = true");
        match self.substream.as_str() {
            Some("p") => option(true, "streaming = parallel"),
            Some("t") => option(true, "streaming = on"),
            _ => option(self.substream.as_bool().unwrap_or_default(), "streaming = on"),
        }
        option(self.subtwophasestate.as_deref().is_some_and(|state| state != "d"), "two_phase = on");
        option(self.subdisableonerr, "disable_on_error = true");
        option(self.subpasswordrequired == Some(false), "password_required = false");
        option(self.subrunasowner, "run_as_owner = true");
        option(self.suborigin.as_deref() == Some("none"), "origin = none");
        option(self.subfailover, "failover = true");
        option(self.subretaindeadtuples, "retain_dead_tuples = true");
        if let Some(most) = self.submaxretention.filter(|most| *most != 0) {
            option(true, &format!("max_retention_duration = {most}"));
        }
        if let Some(commit) = self.subsynccommit.as_deref().filter(|commit| *commit != "off") {
            option(true, &format!("synchronous_commit = {}", quote_literal(commit)));
        }
        let _ = writeln!(
            text,
            "\nCREATE SUBSCRIPTION {name} CONNECTION '***' PUBLICATION {} WITH ({options});",
            publications.join(", ")
        );
        let _ = writeln!(text, "ALTER SUBSCRIPTION {name} OWNER TO {};", quote_ident(&self.owner));
        if let Some(comment) = &self.comment {
            let _ = writeln!(text, "COMMENT ON SUBSCRIPTION {name} IS {};", quote_literal(comment));
        }
        if self.subenabled {
            let _ = writeln!(text, "-- It was enabled: ALTER SUBSCRIPTION {name} ENABLE;");
        }
    }
}
