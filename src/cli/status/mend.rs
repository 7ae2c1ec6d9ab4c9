//! The commands that `status` tells to type. **Pure.**

use crate::config::Config;
use crate::pg::ConnInfo;
use crate::words::shell_word;

/// Goes on with a run, or puts it back.
pub(super) fn resume(config: &Config, run: &str) -> String {
    format!("backstay resume {run} -e {}", config.environment)
}

/// Takes the flag down by hand.
pub(super) fn lower_flag(config: &Config) -> String {
    let unguarded = if config.protected { " --unguarded" } else { "" };
    format!("backstay maintenance off -e {}{unguarded}", config.environment)
}

/// Drops what is left over and old enough.
pub(super) fn cleanup(config: &Config) -> String {
    format!("backstay cleanup -e {}", config.environment)
}

/// Drops what a run left that the store does not know.
pub(super) fn cleanup_run(config: &Config, run: &str) -> String {
    format!("backstay cleanup --run {run} -e {}", config.environment)
}

/// Statements that only a person should decide on, for `psql` on the maintenance database. It asks for the password.
pub(super) fn psql(info: &ConnInfo, statements: &[String]) -> String {
    let mut line = format!(
        "psql -h {} -p {} -U {} -d {}",
        shell_word(&info.host()),
        info.port(),
        shell_word(info.user()),
        shell_word(info.database())
    );
    for statement in statements {
        line.push_str(&format!(" -c {}", shell_word(statement)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_psql_survives_the_shell_and_holds_no_password() {
        let info = ConnInfo::parse("postgres://ops:hunter2-mend@db.example.com:5433/postgres").unwrap();
        let line = psql(&info, &["DROP DATABASE \"o'neil\"".to_string()]);
        assert_eq!(
            line,
            r#"psql -h db.example.com -p 5433 -U ops -d postgres -c 'DROP DATABASE "o'\''neil"'"#
        );
    }
}
