//! What of others' writes the put-back kept on the store, loaded into production as an operator would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::cluster;
use crate::world::World;

/// Loads the newest run's ledger; false if it has none. It names nobody but the writers: what the release did, and
/// what a crash of the server does to counters and sequences, is no write of others.
pub fn load(world: &World) -> bool {
    let Some(folder) = folder(world) else { return false };
    let text = std::fs::read_to_string(folder.join("ledger.json")).expect("the ledger");
    let ledger: Value = serde_json::from_str(&text).expect("JSON");
    for table in ledger["tables"].as_array().expect("tables") {
        assert_eq!(table["table"]["name"], "traffic", "nobody wrote there: {text}");
    }
    assert_eq!(ledger["sequences"].as_array().map(Vec::len), Some(0), "nobody used a sequence: {text}");
    for file in ledger["files"].as_array().expect("files") {
        if file["kind"] != "schema" {
            load_file(&folder, file["name"].as_str().expect("a name"), &world.project.name);
        }
    }
    true
}

/// Of several drivers' ledgers the newest counts, and one without its document is none.
fn folder(world: &World) -> Option<PathBuf> {
    let run = world.records().first()?["run"].as_str()?.to_string();
    let ledgers = world.project.path(&format!("backstay-store/runs/{run}/ledger"));
    let epochs = std::fs::read_dir(ledgers).ok()?.flatten().map(|entry| entry.path());
    let whole = epochs.filter(|epoch| epoch.join("ledger.json").exists());
    let epoch = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    whole.max_by_key(epoch)
}

/// `delete` says that rows may go which the release itself could have deleted: it deletes none.
fn load_file(folder: &Path, file: &str, database: &str) {
    let path = folder.join(file);
    let mut gunzip =
        Command::new("gunzip").arg("-c").arg(&path).stdout(Stdio::piped()).spawn().expect("gunzip");
    let psql = Command::new(cluster().binaries().join("psql"))
        .args(["-X", "-q", "-v", "delete=yes", "-d", &cluster().url("postgres", database)])
        .current_dir(folder)
        .stdin(gunzip.stdout.take().expect("its output"))
        .output()
        .expect("psql");
    assert!(gunzip.wait().expect("gunzip").success(), "{} is no gzip", path.display());
    assert!(psql.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&psql.stderr));
}
