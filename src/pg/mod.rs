//! PostgreSQL as backstay meets it: how a connection is described and made, and the client tools.

pub mod connect;
pub mod conninfo;

pub use connect::{ConnectError, Session, SessionOptions, connect};
pub use conninfo::ConnInfo;

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
