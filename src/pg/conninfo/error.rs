//! Why a connection can't be understood. No variant holds a piece of text that may belong to a password.

use crate::failure::Failure;

/// A connection text that can't be understood; worded to follow "could not".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("understand the connection to the database: {problem}")]
pub struct ConnInfoError {
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a connection text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// The text still wears the quotation marks of a file or of a shell.
    #[error("it begins with a quotation mark")]
    Quoted,
    /// A URL of something else.
    #[error("it begins with `{scheme}://`, which is no PostgreSQL URL")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// A driver after `postgresql+` that is not known.
    #[error("`postgresql+{driver}://` names a driver that backstay does not know")]
    Driver {
        /// What stands after the plus sign.
        driver: String,
    },
    /// Neither a URL nor `key=value`.
    #[error("it is neither a URL (postgresql://…) nor a list of key=value")]
    Shape,
    /// A character of the password (or user name) that must be escaped is not.
    #[error(
        "its parts can't be told apart: the password or the user name holds a character that must be \
         percent-encoded"
    )]
    Unescaped,
    /// A percent sign that begins no escape.
    #[error("a `%` in it is not followed by two hexadecimal digits")]
    Percent,
    /// An escape that decodes to a zero byte, or to something that is no UTF-8.
    #[error("the {part} is no valid UTF-8 text after percent-decoding")]
    NotText {
        /// Which part.
        part: &'static str,
    },
    /// `[` without `]`, or nothing between them.
    #[error("a `[` that begins an IPv6 address has no proper end")]
    Bracket,
    /// `key=value` broken: the n-th word has no `=`.
    #[error("word {word} of the key=value list has no `=`")]
    NoEquals {
        /// Counted from 1.
        word: usize,
    },
    /// A quote that is not closed.
    #[error("the value of `{key}` has an opening quote and no closing one")]
    OpenQuote {
        /// Whose value.
        key: &'static str,
    },
    /// A query parameter without `=`, or with two.
    #[error("a parameter after the `?` is not of the form key=value")]
    Query,
    /// A parameter that PostgreSQL does not know. The name is given only where it can't be a piece of a password.
    #[error("{} is no connection parameter of PostgreSQL", .key.as_ref().map_or_else(
        || "a word after the password".to_string(), |key| format!("`{key}`")))]
    UnknownKey {
        /// Its name.
        key: Option<String>,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A parameter that backstay can't honour.
    #[error("`{name}` is not supported: {why}")]
    Unsupported {
        /// The parameter or environment variable.
        name: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A value that the parameter does not take.
    #[error("`{name}` must be {expected}")]
    Value {
        /// The parameter or environment variable.
        name: &'static str,
        /// What it takes.
        expected: String,
    },
    /// Lists of hosts, addresses and ports that do not fit together.
    #[error("it names {hosts} hosts and {others} {what}")]
    Lists {
        /// How many hosts.
        hosts: usize,
        /// How many of the others.
        others: usize,
        /// `ports` or `host addresses`.
        what: &'static str,
    },
    /// No user name anywhere.
    #[error("it names no user, and the system's user has no name")]
    NoUser,
}

impl Problem {
    /// What to do about it, in one sentence.
    pub fn remedy(&self) -> String {
        match self {
            Problem::Quoted => {
                "Take the quotation marks away; they belong to the shell, not to the value.".into()
            }
            Problem::Unescaped => {
                "In a URL write `@` as %40, `/` as %2F, `:` as %3A, `#` as %23, `?` as %3F, \
                                   `%` as %25, or use the form \"host=… user=… password='…'\"."
                    .into()
            }
            Problem::Percent => "Write a `%` that means itself as %25.".into(),
            Problem::NotText { .. } => "Write the text in UTF-8, without a zero byte.".into(),
            Problem::NoEquals { .. } | Problem::OpenQuote { .. } => {
                r"Put a value with spaces into single quotes; inside them write ' as \' and \ as \\.".into()
            }
            Problem::Bracket => "Write an IPv6 address as [::1].".into(),
            Problem::UnknownKey { nearest: Some("options"), .. } => {
                "Session settings are written `options=-csearch_path=…`.".into()
            }
            Problem::UnknownKey { nearest: Some(nearest), .. } => format!("Did you mean `{nearest}`?"),
            Problem::UnknownKey { key: None, .. } => "Put a password with spaces into single quotes.".into(),
            Problem::Unsupported { name, .. } => format!("Take `{name}` away."),
            Problem::NoUser => "Name the user.".into(),
            Problem::Lists { .. } => "Give one port for all hosts, or one for each.".into(),
            _ => "It should look like postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require \
                  or \"host=… port=… dbname=… user=… password='…'\"."
                .into(),
        }
    }
}

impl From<Problem> for ConnInfoError {
    fn from(problem: Problem) -> Self {
        Self { problem }
    }
}

impl From<ConnInfoError> for Failure {
    fn from(error: ConnInfoError) -> Self {
        Failure::usage("understand the connection to the database")
            .because_of(error.problem.to_string())
            .then(error.problem.remedy())
    }
}
