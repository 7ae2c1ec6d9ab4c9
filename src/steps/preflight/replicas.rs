//! Who follows the server, and whether the sessions on our own replicas can be ended after a swap.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::database::{SESSIONS, ask, session as unendable};
use super::server::Sessions;
use super::{Check, Finding, Premises};
use crate::config::Replica;
use crate::pg;
use crate::steps::site::session_options;
use crate::time::show_bytes;
use crate::window::admin;

/// A replica that is further behind than this keeps its sessions in the failed database for a while.
const FAR_BEHIND: i64 = 64 << 20;

/// Who follows: replicas, and programs that only copy the log. A role that may not look sees the names alone.
const FOLLOWERS: &str = "SELECT r.application_name, coalesce(host(r.client_addr), 'an address that our role may not see'), \
     coalesce(r.state, '') FROM pg_catalog.pg_stat_replication r WHERE NOT EXISTS \
     (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')";

/// Whether commits wait for a standby that is not there. Who may not see the state of a follower is not told that
/// there is none.
const ALONE: &str = "SELECT pg_catalog.current_setting('synchronous_standby_names') \
     WHERE pg_catalog.current_setting('synchronous_standby_names') <> '' \
     AND pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local') \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication r WHERE coalesce(r.sync_state, 'sync') IN ('sync', 'quorum'))";

pub(super) async fn examine(premises: &Premises<'_>, sessions: &Sessions) -> Check {
    let config = premises.config;
    let mut findings = match ask(&sessions.admin, FOLLOWERS, &[], Follower::read).await {
        Ok(followers) => weigh(&followers, &config.replicas, config.window.undeclared_replicas),
        Err(finding) => vec![finding],
    };
    findings.extend(ask(&sessions.admin, ALONE, &[], alone).await.unwrap_or_else(|finding| vec![finding]));
    for replica in &config.replicas {
        findings.extend(look_at(replica, premises, sessions).await);
    }
    let said = match config.replicas.len() {
        0 => "none".to_string(),
        1 => "1 declared, and its sessions can be ended".to_string(),
        many => format!("{many} declared, and their sessions can be ended"),
    };
    Check::new("replicas", said, findings)
}

/// The server holds back the answer to every commit, and no timeout of its own ends that (chapter 27.2.8).
fn alone(row: &Row) -> Finding {
    let names: String = row.get(0);
    Finding::blocks(
        format!(
            "every commit waits for a synchronous standby ({names}), and none is connected and caught up"
        ),
        "start the standby; or do without it: ALTER SYSTEM SET synchronous_standby_names = '', then SELECT \
         pg_reload_conf()",
    )
}

/// An entry of `pg_stat_replication`.
#[derive(Debug, Clone)]
struct Follower {
    name: String,
    address: String,
    state: String,
}

impl Follower {
    fn read(row: &Row) -> Self {
        Self { name: row.get(0), address: row.get(1), state: row.get(2) }
    }

    /// What only copies the log has no sessions.
    fn copies_the_log(&self) -> bool {
        self.state == "backup" || ["pg_basebackup", "pg_receivewal"].contains(&self.name.as_str())
    }
}

/// Each declared name stands for one follower: a second one of the same name is another server.
fn weigh(followers: &[Follower], declared: &[Replica], all_accepted: bool) -> Vec<Finding> {
    let mut free: BTreeMap<&str, usize> = BTreeMap::new();
    for replica in declared {
        *free.entry(&replica.name).or_default() += 1;
    }
    let mut findings = Vec::new();
    for follower in followers {
        let Follower { name, address, .. } = follower;
        if follower.copies_the_log() {
            findings.push(Finding::warns(
                format!("{name} at {address} copies the server's log; it is no replica and has no sessions"),
                "nothing need be done",
            ));
            continue;
        }
        match free.get_mut(name.as_str()).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None if all_accepted => findings.push(Finding::warns(
                format!("the replica {name} at {address} is not declared: after a put-back its sessions stay on the failed database"),
                "end them by hand then, or declare it as one of [[replicas]]",
            )),
            None => findings.push(Finding::blocks(
                format!("the physical replica {name} at {address} follows: after a put-back its sessions stay on the failed database"),
                format!(
                    "declare it: [[replicas]] name = \"{name}\", url = \"${{REPLICA_URL}}\"; or accept that: [window] \
                     undeclared_replicas = \"allow\""
                ),
            )),
        }
    }
    findings
}

/// Is it there, is it ours, does it keep up, and may we end its sessions?
async fn look_at(replica: &Replica, premises: &Premises<'_>, sessions: &Sessions) -> Vec<Finding> {
    let config = premises.config;
    let name = &replica.name;
    let info = replica.url.with_database(&config.database.maintenance_database);
    let session = match pg::connect(&info, &session_options(config, "backstay preflight")).await {
        Ok(session) => session,
        Err(error) => {
            let failure = crate::failure::Failure::from(error);
            let mut finding = Finding::of(&failure);
            finding.what = format!("the replica {name} can't be asked: {}", finding.what);
            finding.remedies.push("if it is gone for good, take it out of [[replicas]]".into());
            return vec![finding];
        }
    };
    if !session.in_recovery() {
        return vec![Finding::blocks(
            format!("{} is declared as the replica {name}, and follows nobody", info.describe()),
            "correct [[replicas]] url, or take it out if it was promoted",
        )];
    }
    let (own, its) = (admin::system(&sessions.admin).await, admin::system(&session).await);
    if let (Ok(own), Ok(its)) = (own, its)
        && own != its
    {
        return vec![Finding::blocks(
            format!(
                "the replica {name} at {} is of another server (system identifier {its}, not {own})",
                info.describe()
            ),
            "correct [[replicas]] url",
        )];
    }
    let mut findings = ask(&session, SESSIONS, &[&config.database.url.database()], |row| {
        let mut finding = unendable(row);
        finding.what = format!("on the replica {name}: {}", finding.what);
        finding
    })
    .await
    .unwrap_or_else(|finding| vec![finding]);
    findings.extend(lag(name, sessions, &session).await);
    findings
}

async fn lag(name: &str, sessions: &Sessions, replica: &pg::Session) -> Option<Finding> {
    let replayed = "SELECT pg_catalog.pg_last_wal_replay_lsn()::text, pg_catalog.pg_is_wal_replay_paused()";
    let row = replica.query_one(replayed, &[]).await.ok()?;
    let (at, paused): (Option<String>, bool) = (row.get(0), row.get(1));
    if paused {
        return Some(Finding::warns(
            format!(
                "the replica {name} does not replay: it is paused, and would keep its sessions on a failed database"
            ),
            format!("on the replica {name}: SELECT pg_wal_replay_resume()"),
        ));
    }
    let behind = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), $1::text::pg_catalog.pg_lsn)::bigint";
    let bytes: i64 = sessions.admin.query_one(behind, &[&at?]).await.ok()?.get(0);
    (bytes > FAR_BEHIND).then(|| {
        Finding::warns(
            format!("the replica {name} is {} behind", show_bytes(bytes.unsigned_abs())),
            "after a put-back it is waited for as long as [window] replica_timeout says",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::ConnInfo;

    fn follower(name: &str, state: &str) -> Follower {
        Follower { name: name.into(), address: "10.0.0.7".into(), state: state.into() }
    }

    fn declared(names: &[&str]) -> Vec<Replica> {
        let url = ConnInfo::parse("host=r user=u dbname=d").unwrap();
        names.iter().map(|name| Replica { name: (*name).into(), url: url.clone() }).collect()
    }

    fn weighed(followers: &[Follower], names: &[&str], accepted: bool) -> Vec<(bool, String)> {
        let found = weigh(followers, &declared(names), accepted);
        found.into_iter().map(|finding| (finding.blocks, finding.what)).collect()
    }

    #[test]
    fn only_what_is_not_declared_blocks() {
        let two = [follower("walreceiver", "streaming"), follower("walreceiver", "catchup")];
        assert_eq!(weighed(&two, &["walreceiver", "walreceiver"], false), []);
        let found = weighed(&two, &["walreceiver"], false);
        assert_eq!(found.len(), 1, "one name is one server");
        assert!(found[0].0 && found[0].1.contains("walreceiver at 10.0.0.7"), "{found:?}");
        assert!(weighed(&two, &["analytics"], true).iter().all(|(blocks, _)| !blocks));
    }

    #[test]
    fn what_copies_the_log_is_named_as_such() {
        let found =
            weighed(&[follower("pg_receivewal", "streaming"), follower("nightly", "backup")], &[], false);
        assert!(
            found.iter().all(|(blocks, what)| !blocks && what.contains("copies the server's log")),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }
}
