//! How a run's sessions are named in `pg_stat_activity`: whose they are, of which driver, and what for. **Pure.**

use crate::backup::time_of_id;

/// The role of the session that holds the lock.
pub const LOCK: &str = "lock";

/// The role of the session that shows that its driver lives.
pub const HEARTBEAT: &str = "heartbeat";

/// An `application_name` of ours: `backstay <run> <epoch> <role>`, always below PostgreSQL's 63 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The run.
    pub run: String,
    /// The driver.
    pub epoch: u32,
    /// What the session is for: `lock`, `migrate`, `proof`, …
    pub role: String,
}

impl Tag {
    /// The tag of a session of the driver `epoch` of `run`.
    pub fn new(run: &str, epoch: u32, role: &str) -> Self {
        Self { run: run.to_string(), epoch, role: role.to_string() }
    }

    /// What `LIKE` finds the sessions of this role by, of whatever driver of `run`. Ids of runs hold none of its signs.
    pub fn of_any_driver(run: &str, role: &str) -> String {
        format!("backstay {run} % {role}")
    }

    /// Reads an `application_name`; nothing if it is no driver's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix("backstay ")?.splitn(3, ' ');
        let (run, epoch, role) = (words.next()?, words.next()?, words.next()?);
        time_of_id(run)?;
        Some(Self::new(run, epoch.parse().ok()?, role))
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "backstay {} {} {}", self.run, self.epoch, self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id;

    #[test]
    fn a_tag_is_read_back_and_nothing_else_is_one() {
        let tag = Tag::new(&id::fresh(crate::time::now()), 12, LOCK);
        assert_eq!(Tag::parse(&tag.to_string()), Some(tag));
        for other in
            ["", "backstay", "backstay run of production", "backstay status", "psql", "backstay x 1 lock"]
        {
            assert_eq!(Tag::parse(other), None, "{other}");
        }
    }
}
