//! Sessions. (First form: replaced by the full one.)

use super::ConnInfo;

/// What every session of ours sets.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// `application_name`.
    pub application_name: String,
}

/// Why a session could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(#[from] tokio_postgres::Error);

/// A connection; closed when dropped.
pub struct Session {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl std::ops::Deref for Session {
    type Target = tokio_postgres::Client;
    fn deref(&self) -> &tokio_postgres::Client {
        &self.client
    }
}
impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut tokio_postgres::Client {
        &mut self.client
    }
}
impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects.
pub async fn connect(info: &ConnInfo, _options: &SessionOptions) -> Result<Session, ConnectError> {
    let (client, connection) =
        info.to_url().parse::<tokio_postgres::Config>()?.connect(tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Session { client, driver })
}
