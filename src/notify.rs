//! `[notify]`: a program that tells a person what a run can't wait to say.
//!
//! It is told by its environment and never waited for long. What goes wrong with it is noted, and changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::failure::Failure;
use crate::process::{self, Program};
use crate::redact::redact;

/// How long the program may take: a run goes on beside it, but its end waits.
const BOUND: Duration = Duration::from_secs(10);

/// Tells `message` about `run` to whoever the environment names; `event` is a word that programs can know it by. Gives
/// what went wrong, for a note; nothing if all went well or nobody is to be told.
///
/// The program runs in the project's root, without a shell, with `BACKSTAY_MESSAGE`, `BACKSTAY_RUN`, `BACKSTAY_ENV` and
/// `BACKSTAY_EVENT` beside our own environment and that of the env file. The message carries no secret. A crash leaves
/// the program to itself, or untold.
pub async fn tell(config: &Config, event: &str, run: &str, message: &str) -> Option<String> {
    let program = Program {
        argv: config.notify.clone()?,
        directory: config.root.clone(),
        env: environment(config, event, run, message),
        timeout: BOUND,
    };
    let ended = process::run(&program, |line| tracing::debug!(line = %redact(line), "notify")).await;
    let failure = Failure::from(ended.err()?);
    Some(format!("could not notify of {event}: {failure}"))
}

fn environment(config: &Config, event: &str, run: &str, message: &str) -> BTreeMap<String, String> {
    // No process takes a NUL byte.
    let message = redact(message).replace('\0', "");
    let own = [("MESSAGE", message.as_str()), ("RUN", run), ("ENV", &config.environment), ("EVENT", event)];
    let own = own.map(|(name, value)| (format!("BACKSTAY_{name}"), value.to_string()));
    config.variables.clone().into_iter().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &std::path::Path, notify: &str) -> Config {
        let text = format!("{notify}\n[database]\nurl = \"postgres://app@db.example.com/shop\"\n");
        Config::parse(&text, root, "production", &BTreeMap::new()).unwrap()
    }

    #[tokio::test]
    async fn the_program_is_told_without_secrets() {
        crate::redact::register("hunter2-notify");
        let folder = tempfile::tempdir().unwrap();
        let script = "echo $BACKSTAY_EVENT $BACKSTAY_ENV $BACKSTAY_RUN $BACKSTAY_MESSAGE > told";
        let config = config(folder.path(), &format!("[notify]\nrun = [\"sh\", \"-c\", \"{script}\"]\n"));
        let noted = tell(&config, "window-overrun", "r-1", "it says hunter2-notify\0").await;
        assert_eq!(noted, None);
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        assert_eq!(told, "window-overrun production r-1 it says ***\n");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_a_note() {
        let root = std::path::Path::new("/");
        assert_eq!(tell(&config(root, ""), "ended", "r-1", "x").await, None);
        let missing = config(root, "[notify]\nrun = [\"no-such-program\"]\n");
        let noted = tell(&missing, "ended", "r-1", "x").await.unwrap();
        assert!(noted.contains("could not notify of ended") && noted.contains("no-such-program"), "{noted}");
        let failing = config(root, "[notify]\nrun = [\"sh\", \"-c\", \"echo no route; exit 1\"]\n");
        let noted = tell(&failing, "ended", "r-1", "x").await.unwrap();
        assert!(noted.contains("no route"), "{noted}");
    }
}
