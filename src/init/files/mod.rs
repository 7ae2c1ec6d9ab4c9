//! The files of a new environment, as texts: **pure**. What is written is what a person would write who had read the
//! documentation, with the comments that he would look for.

mod check;
mod config;
mod env_file;
mod ignored;
mod missing;
mod runbooks;
#[cfg(test)]
mod tests;

pub use check::{Mistake, check};
pub use config::{config, is_ours};
pub use env_file::{DEPLOY, DEPLOY_UNDO, EnvLine, env_file, env_lines};
pub use ignored::not_for_git;
pub use missing::{Missing, missing};
pub use runbooks::{EMERGENCY, RELEASE, runbooks, takes_deploy};

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}
