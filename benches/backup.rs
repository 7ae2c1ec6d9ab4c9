//! Backup and restore against pg_dump and pg_restore, and against raw COPY: `make bench-backup`.
//!
//! One throw-away server, a database of about 1.5 GB that is made here (12 GB of disk), all programs alternately, five times
//! each, medians. Nothing passes or fails: it prints.
//!
//! Arguments name what is measured (all by default): `write`, `restore`, `memory`, `tables`. `SCALE=100` makes a
//! database of a tenth, to see that it runs.

mod bed;
mod measured;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backstay::demo::cluster::Cluster;

use bed::sql;
use measured::{Figures, One, run};

const ROUNDS: usize = 5;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn()); 4] =
        [("write", write), ("restore", restore), ("memory", memory), ("tables", tables)];
    for (name, measure) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            measure();
        }
    }
}

/// The shop, written.
fn write() {
    let bench = Bench::new();
    bench.shop();
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.add("raw COPY (pg_dump -Fd -j2 -Z0)", bench.pg_dump(&["-Fd", "-j2", "-Z0"]));
        figures.add("pg_dump -Fd -j2", bench.pg_dump(&["-Fd", "-j2"]));
        figures.add("backstay, gzip", bench.create("gzip"));
        figures.add("backstay, zstd", bench.create("zstd"));
    }
    println!("writing {}:", bench.size("shop"));
    figures.print(&["pg_dump -Fd -j2", "raw COPY (pg_dump -Fd -j2 -Z0)"]);
}

/// The shop, restored.
fn restore() {
    let bench = Bench::new();
    bench.shop();
    bench.pg_dump(&["-Fd", "-j2"]);
    bench.create("gzip");
    bench.create("zstd");
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.add("pg_restore -j2", bench.pg_restore());
        let (restored, whole) = bench.restore("gzip");
        figures.add("backstay, gzip", restored);
        figures.add("backstay, gzip, and compared", whole);
        let (restored, whole) = bench.restore("zstd");
        figures.add("backstay, zstd", restored);
        figures.add("backstay, zstd, and compared", whole);
    }
    println!("restoring {}:", bench.size("shop"));
    figures.print(&["pg_restore -j2"]);
}

/// Peak memory with four workers, at a size and at four times the size.
fn memory() {
    for scale in [250, 1_000] {
        let bench = Bench::new();
        bench.fill(scale);
        for codec in ["gzip", "zstd"] {
            let one = bench.create(&format!("{codec}4"));
            println!(
                "{} with 4 workers, {codec}: at most {} MiB (aim: 96)",
                bench.size("shop"),
                one.peak / 1024
            );
        }
    }
}

/// Ten thousand tables, two rows each.
fn tables() {
    let bench = Bench::new();
    for thousand in 0..10 {
        let block = format!(
            "DO $$ BEGIN FOR n IN {}..{} LOOP \
             EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text)', n); \
             EXECUTE format('INSERT INTO t%s VALUES (1, ''a''), (2, ''b'')', n); END LOOP; END $$",
            thousand * 1_000 + 1,
            (thousand + 1) * 1_000
        );
        bench.sql("shop", &["-c", &block]);
    }
    bench.sql("shop", &["-c", "VACUUM ANALYZE"]);
    let mut figures = Figures::default();
    for _ in 0..ROUNDS {
        figures.add("pg_dump -Fd -j2", bench.pg_dump(&["-Fd", "-j2"]));
        figures.add("backstay, gzip", bench.create("gzip"));
    }
    println!("writing 10,000 tables of two rows:");
    figures.print(&["pg_dump -Fd -j2"]);
}

/// A server, and a project that backs its database `shop` up.
struct Bench {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let settings = ["max_wal_size = '8GB'", "max_locks_per_transaction = 512"];
        let cluster = Cluster::start(&settings).expect("a cluster");
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let folder = tempfile::tempdir_in(target).expect("a folder");
        std::fs::create_dir(folder.path().join("config")).expect("a folder");
        let url = cluster.url("postgres", "shop");
        for (name, codec, jobs) in
            [("gzip", "gzip", 2), ("zstd", "zstd", 2), ("gzip4", "gzip", 4), ("zstd4", "zstd", 4)]
        {
            let text =
                format!("[database]\nurl = \"{url}\"\n[backup]\ncompression = \"{codec}\"\njobs = {jobs}\n");
            std::fs::write(folder.path().join(format!("config/{name}.toml")), text).expect("a file");
        }
        let bench = Self { cluster, folder };
        bench.sql("postgres", &["-c", "CREATE DATABASE shop"]);
        bench
    }

    fn shop(&self) {
        let scale = std::env::var("SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1_250);
        self.fill(scale);
    }

    fn fill(&self, scale: u32) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/shop.sql");
        let scale = format!("scale={scale}");
        self.sql("shop", &["-v", &scale, "-f", file.to_str().expect("a path")]);
    }

    fn sql(&self, database: &str, arguments: &[&str]) -> String {
        let psql = self.cluster.binaries().join("psql");
        sql(&psql, &self.cluster.url("postgres", database), arguments)
    }

    fn size(&self, database: &str) -> String {
        let size = self.sql(database, &["-c", "SELECT pg_database_size(current_database())"]);
        backstay::time::show_bytes(size.trim().parse().expect("a number"))
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump")
    }

    fn pg_dump(&self, arguments: &[&str]) -> One {
        let _ = std::fs::remove_dir_all(self.dump());
        let mut command = Command::new(self.cluster.binaries().join("pg_dump"));
        command.args(arguments).arg("-f").arg(self.dump()).arg(self.cluster.url("postgres", "shop"));
        let (took, peak) = run(&mut command);
        One { took, bytes: bytes_below(&self.dump()), peak }
    }

    fn create(&self, environment: &str) -> One {
        let backups = self.folder.path().join("backstay-store/backups").join(environment);
        let _ = std::fs::remove_dir_all(&backups);
        let (took, peak) = run(self.backstay().args(["backup", "create", "-e", environment]));
        One { took, bytes: bytes_below(&backups), peak }
    }

    fn pg_restore(&self) -> One {
        self.forget("restored");
        self.sql("postgres", &["-c", "CREATE DATABASE restored"]);
        let mut command = Command::new(self.cluster.binaries().join("pg_restore"));
        command.args(["-j2", "-d", &self.cluster.url("postgres", "restored")]).arg(self.dump());
        let (took, peak) = run(&mut command);
        self.forget("restored");
        One { took, bytes: 0, peak }
    }

    /// The restore alone as the program says it, and the whole command with its comparison.
    fn restore(&self, environment: &str) -> (One, One) {
        let answer = self.folder.path().join("answer");
        let file = std::fs::File::create(&answer).expect("a file");
        let mut command = self.backstay();
        command.args(["backup", "restore", "latest", "--as", "restored", "--json", "-e", environment]);
        let began = Instant::now();
        let status = command.stdout(file).status().expect("backstay");
        let took = began.elapsed();
        assert!(status.success());
        let text = std::fs::read_to_string(answer).expect("an answer");
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let alone = Duration::from_millis(answer["millis"].as_u64().expect("milliseconds"));
        self.forget("restored");
        (One { took: alone, bytes: 0, peak: 0 }, One { took, bytes: 0, peak: 0 })
    }

    fn forget(&self, database: &str) {
        self.sql("postgres", &["-c", &format!("DROP DATABASE IF EXISTS {database}")]);
    }

    fn backstay(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.current_dir(self.folder.path()).env_remove("CI").stderr(Stdio::null());
        command
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let size = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() { bytes_below(&path) } else { entry.metadata().expect("a file").len() }
    };
    entries.map(|entry| size(entry.expect("an entry"))).sum()
}
