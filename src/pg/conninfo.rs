//! Where a database is, as its users write it. (First form: replaced by the full one.)

/// A described connection.
#[derive(Clone)]
pub struct ConnInfo {
    pub(super) config: tokio_postgres::Config,
}

impl ConnInfo {
    /// Reads a URL or a key=value string.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { config: text.parse().map_err(|e: tokio_postgres::Error| e.to_string())? })
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut config = self.config.clone();
        config.dbname(name);
        Self { config }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

impl std::fmt::Debug for ConnInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnInfo")
    }
}
