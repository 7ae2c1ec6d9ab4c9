//! What a session sets for itself.

use std::time::Duration;

/// What every session of ours sets. A limit of `None` means that there is none, whatever role, database or
/// server say: a default made for web requests must not end a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// `application_name`, shown in `pg_stat_activity`; if empty, the URL's, else `backstay`. At most 63 bytes
    /// are kept.
    pub application_name: String,
    /// How long one host's address may take to give a session; a URL's `connect_timeout` goes before it.
    pub connect_timeout: Duration,
    /// How long connecting is tried again while the reason may pass by itself: a server that restarts, a standby
    /// that is being promoted, a network that is cut. Zero: it is tried once.
    pub patience: Duration,
    /// A pooler lends its own session: nothing is set in it, for the next who gets it is not us.
    pub lent: bool,
    /// `statement_timeout`.
    pub statement_timeout: Option<Duration>,
    /// `lock_timeout`.
    pub lock_timeout: Option<Duration>,
    /// `idle_in_transaction_session_timeout`.
    pub idle_in_transaction_session_timeout: Option<Duration>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            application_name: String::new(),
            connect_timeout: Duration::from_secs(10),
            patience: Duration::ZERO,
            lent: false,
            statement_timeout: None,
            lock_timeout: None,
            idle_in_transaction_session_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl SessionOptions {
    /// The settings, for a server of `version`.
    pub(super) fn batch(&self, version: u32) -> String {
        if self.lent {
            return String::new();
        }
        let mut settings = vec![
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", self.lock_timeout),
            ("idle_in_transaction_session_timeout", self.idle_in_transaction_session_timeout),
        ];
        // The session that holds a run's lock is idle for hours.
        if version >= 140_000 {
            settings.push(("idle_session_timeout", None));
        }
        if version >= 170_000 {
            settings.push(("transaction_timeout", None));
        }
        settings.iter().map(|(name, limit)| format!("SET {name} = {};", millis(*limit))).collect()
    }
}

/// Zero is the server's word for no limit; a limit below a millisecond must not become one.
fn millis(limit: Option<Duration>) -> u128 {
    limit.map_or(0, |limit| limit.as_millis().clamp(1, i32::MAX as u128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_set_in_a_lent_session() {
        assert!(SessionOptions::default().batch(150_000).starts_with("SET statement_timeout = 0;"));
        assert_eq!(SessionOptions { lent: true, ..SessionOptions::default() }.batch(150_000), "");
    }

    #[test]
    fn no_limit_is_zero_and_a_tiny_limit_is_not() {
        assert_eq!(millis(None), 0);
        assert_eq!(millis(Some(Duration::from_micros(1))), 1);
        assert_eq!(millis(Some(Duration::MAX)), i32::MAX as u128);
    }
}
