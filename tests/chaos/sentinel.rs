//! Secrets in every place where one can stand, and the search for them in all that the tool wrote.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;

/// The password of the URL. Not that of every test: others run beside this one, and are seen by [`Spy`].
pub const OF_URL: &str = "st0rm-Pass/w@rd";
/// In the environment of a command alone.
pub const OF_COMMAND: &str = "c0mmand's T0ken/+=&";
/// In a header of the health check.
pub const OF_HEALTH: &str = "h3alth+T0ken/=~";
/// In the env file, for whatever the deploy needs it for.
pub const OF_ENV_FILE: &str = "env-f1le $ecret\"/?";

/// What the test itself wrote, secrets and all.
const OURS: [&str; 3] = [".env.production", "config", "runbooks"];

/// One secret in the spellings that it takes on its way.
struct Secret {
    place: &'static str,
    spellings: Vec<Vec<u8>>,
}

fn secrets() -> Vec<Secret> {
    let places = [
        ("the password of the URL", OF_URL),
        ("a command's own environment", OF_COMMAND),
        ("a header of the health check", OF_HEALTH),
        ("the env file", OF_ENV_FILE),
    ];
    places.map(|(place, secret)| Secret { place, spellings: spellings(secret) }).into()
}

fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let percent = |kept: &str| -> String {
        secret
            .bytes()
            .map(|byte| match byte as char {
                plain if plain.is_ascii_alphanumeric() || kept.contains(plain) => plain.to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let json = serde_json::to_string(secret).expect("JSON");
    let mut spellings = vec![
        secret.to_string(),
        percent("-._~"),
        percent("-._~").to_lowercase(),
        percent("-._~$&+'="),
        secret.replace('\'', r"'\''"),
        json.trim_matches('"').to_string(),
        base64::engine::general_purpose::STANDARD.encode(secret),
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret),
    ];
    spellings.sort();
    spellings.dedup();
    spellings.into_iter().map(String::into_bytes).collect()
}

/// Where a secret stands in `bytes`, if one does.
fn leak(bytes: &[u8]) -> Option<&'static str> {
    let holds = |spelling: &Vec<u8>| memchr::memmem::find(bytes, spelling).is_some();
    secrets().into_iter().find(|secret| secret.spellings.iter().any(holds)).map(|secret| secret.place)
}

/// Fails if a text of the tool's holds a secret.
pub fn search_text(what: &str, text: &str) {
    if let Some(place) = leak(text.as_bytes()) {
        panic!("a secret ({place}) in {what}:\n{text}");
    }
}

/// Fails if a file below `folder` holds a secret, packed or not; but for what the test wrote.
pub fn search_files(folder: &Path) {
    for path in files(folder) {
        // What is gone by now was a temporary file of a program that is still ending.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let unpacked = match path.extension().and_then(|end| end.to_str()) {
            Some("gz") => unpacked(flate2::read::MultiGzDecoder::new(&bytes[..])),
            _ => None,
        };
        if let Some(place) = leak(unpacked.as_ref().unwrap_or(&bytes)) {
            panic!("a secret ({place}) in {}:\n{}", path.display(), String::from_utf8_lossy(&bytes));
        }
    }
}

fn unpacked(mut packed: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // A torn one is searched as far as it goes.
    let _ = packed.read_to_end(&mut bytes);
    Some(bytes)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !OURS.iter().any(|ours| path.ends_with(ours)) {
            found.extend(files(&path));
        } else if path.is_file() && !OURS.iter().any(|ours| path.ends_with(ours)) {
            found.push(path);
        }
    }
    found
}

/// Looks at the arguments of every process on the machine, again and again, as anybody with `ps` can.
pub struct Spy {
    seen: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
}

impl Spy {
    pub fn start() -> Self {
        let spy = Self { seen: Arc::default(), enough: Arc::default() };
        let (seen, enough) = (Arc::clone(&spy.seen), Arc::clone(&spy.enough));
        std::thread::spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                seen.lock().expect("what was seen").extend(told_by_ps());
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        spy
    }

    /// Fails if arguments held a secret so far.
    pub fn saw_nothing(&self) {
        let seen = self.seen.lock().expect("what was seen");
        assert!(seen.is_empty(), "a secret among the arguments of a process: {seen:?}");
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

fn told_by_ps() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .filter_map(|arguments| {
            leak(&arguments).map(|place| format!("{place}: {}", String::from_utf8_lossy(&arguments)))
        })
        .collect()
}

#[test]
fn a_secret_is_found_in_every_spelling() {
    for text in [
        "x st0rm-Pass/w@rd y",
        "postgres://u:st0rm-Pass%2Fw%40rd@h/d",
        "c3Qwcm0tUGFzcy93QHJk",
        r"TOKEN='c0mmand'\''s T0ken/+=&'",
        r#"{"p":"env-f1le $ecret\"/?"}"#,
    ] {
        assert!(leak(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(leak(b"nothing st0rm"), None);
}
