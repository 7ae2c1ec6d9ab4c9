//! Each property on its corpus, and on a bounded number of inputs made of it. `BACKSTAY_SEED=…` makes others of it,
//! `BACKSTAY_INPUTS=…` more of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use super::mutate::{Random, mutated, words};

/// How many inputs are made of a corpus, where one takes a fraction of a millisecond. All together take a few seconds.
const INPUTS: usize = 1_000;

#[derive(Clone, Copy)]
struct Property {
    name: &'static str,
    hold: fn(&[u8]),
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a corpus with their names, in order.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join("corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

impl Property {
    /// The panic alone does not tell the input.
    fn try_on(self, origin: &str, input: &[u8]) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.hold)(input))) {
            eprintln!("{} does not hold of {origin}:\n{}", self.name, input.escape_ascii());
            resume_unwind(panic);
        }
    }

    fn holds(self, inputs: usize) {
        let seed = number("BACKSTAY_SEED").unwrap_or(1);
        let inputs = number("BACKSTAY_INPUTS").map_or(inputs, |inputs| inputs as usize);
        let (names, files): (Vec<String>, Vec<Vec<u8>>) = corpus(self.name).into_iter().unzip();
        for (name, file) in names.iter().zip(&files) {
            self.try_on(name, file);
        }
        let words = words(&folder().join("dictionaries").join(format!("{}.dict", self.name)));
        let mut random = Random(seed);
        for made in 0..inputs {
            let from = random.below(files.len());
            let input = mutated(&mut random, &files[from], &files, &words);
            self.try_on(&format!("input {made} of BACKSTAY_SEED={seed}, made of {}", names[from]), &input);
        }
    }
}

macro_rules! bounded {
    ($($name:ident: $inputs:expr),+ $(,)?) => {
        $(#[test]
        fn $name() {
            Property { name: stringify!($name), hold: super::$name::hold }.holds($inputs);
        })+

        /// A target without a test, or a test without a target, would be forgotten.
        #[test]
        fn every_fuzz_target_is_here() {
            let file = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
            let mut targets: Vec<&str> = file
                .lines()
                .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
                .collect();
            targets.sort_unstable();
            assert_eq!(targets, [$(stringify!($name)),+]);
        }
    };
}

bounded! {
    alembic_files: 150,
    alembic_output: INPUTS,
    config: 50,
    conninfo: 200,
    dump: INPUTS,
    env_file: INPUTS,
    journal: 300,
    listing: INPUTS,
    manifest: INPUTS,
    runbook: 100,
    script: 500,
    sql: 500,
}
