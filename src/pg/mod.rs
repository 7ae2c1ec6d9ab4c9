//! PostgreSQL as backstay meets it: how a connection is described and made, what the server says, and the
//! client tools.

mod answer;
pub mod catalog;
pub mod connect;
mod connect_error;
pub mod conninfo;
pub mod create_database;
pub mod debris;
pub mod drop_database;
mod options;
mod record;
mod refusal;
pub mod session;
mod socket;
mod tls;
pub mod tools;
mod watch;

pub use answer::{describe_answer, describe_error, explained, refused, sqlstate};
pub use connect::{connect, connect_with_retry};
pub use connect_error::{ConnectError, Refused};
pub use conninfo::{ConnInfo, ConnInfoError, SslMode};
pub use options::SessionOptions;
pub use refusal::Refusal;
pub use session::{Canceller, Session};
pub use tls::TlsSetupError;

/// `name` as an SQL identifier, always quoted.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as an SQL string constant, whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
