//! The two runbooks of an application: the shipped ones as they are, to be changed by whoever wants to. All environments
//! share them, so nothing of one environment is in them: how it is deployed is in its env file.

use super::env_file::{DEPLOY, DEPLOY_UNDO};
use crate::runbook::SHIPPED;

/// Where the release's is, from the root.
pub const RELEASE: &str = "runbooks/release.toml";
/// Where that of the way back is, from the root.
pub const EMERGENCY: &str = "runbooks/emergency-rollback.toml";

/// The runbooks to write: where, from the root, and their texts.
pub fn runbooks() -> [(&'static str, &'static str); 2] {
    [(RELEASE, shipped("release")), (EMERGENCY, shipped("emergency-rollback"))]
}

fn shipped(name: &str) -> &'static str {
    SHIPPED.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}

/// Whether a runbook of this text takes the lines that deploy from the environment.
pub fn takes_deploy(text: &str) -> bool {
    [DEPLOY, DEPLOY_UNDO]
        .iter()
        .any(|name| [format!("${{{name}}}"), format!("${{{name}:-")].iter().any(|form| text.contains(form)))
}
