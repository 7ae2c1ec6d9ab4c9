//! No mutilation of a backup passes for one.

use std::path::PathBuf;

use backstay::backup::verify::Mismatch;
use backstay::backup::{self, BackupError, Level, Place};
use backstay::event::Progress;
use backstay::store::Directory;

use crate::world::{World, files, next, small};

/// What stands in for `BACKSTAY_SEED`, the first of the seeds.
const FIRST_SEED: u64 = 20_261_120;

/// How many mutilations are tried, one a seed.
const SEEDS: u64 = 1000;

/// A draw of random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = next(self.0);
        (self.0 % most.max(1) as u64) as usize
    }
}

/// A whole backup, file by file.
struct Whole {
    folder: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Whole {
    /// Does one thing to it that nobody may overlook; says what.
    fn mutilate(&self, dice: &mut Dice) -> String {
        let (path, bytes) = &self.files[dice.below(self.files.len())];
        let name = path.strip_prefix(&self.folder).unwrap().display();
        let at = dice.below(bytes.len());
        let mut changed = bytes.clone();
        let what = match dice.below(9) {
            0 => {
                changed[at] ^= 1 << dice.below(8);
                format!("a bit at {at} of {name} flipped")
            }
            1 => {
                changed.truncate(at);
                format!("{name} cut to {at}")
            }
            2 => {
                let end = (at + 1 + dice.below(64)).min(changed.len());
                changed.drain(at..end);
                format!("bytes {at} to {end} of {name} cut out")
            }
            3 => {
                let count = 1 + dice.below(64);
                for _ in 0..count {
                    changed.insert(at, dice.below(256) as u8);
                }
                format!("{count} bytes inserted at {at} of {name}")
            }
            4 => {
                changed.extend_from_slice(bytes);
                format!("{name} twice in a row")
            }
            5 => {
                let end = (at + 512).min(changed.len());
                changed[at..end].fill(0);
                format!("zeros at {at} of {name}")
            }
            6 => {
                let (other, theirs) = &self.files[dice.below(self.files.len())];
                std::fs::write(other, bytes).unwrap();
                changed.clone_from(theirs);
                format!("{name} and {} swapped", other.display())
            }
            7 => {
                changed.clear();
                format!("{name} emptied")
            }
            _ => {
                std::fs::remove_file(path).unwrap();
                return format!("{name} dropped");
            }
        };
        std::fs::write(path, changed).unwrap();
        what
    }

    /// Whether it is as it was.
    fn is_there(&self) -> bool {
        self.files.iter().all(|(path, bytes)| std::fs::read(path).is_ok_and(|there| there == *bytes))
    }

    fn mend(&self) {
        for (path, bytes) in &self.files {
            if std::fs::read(path).ok().as_ref() != Some(bytes) {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}

async fn is_refused(store: &Directory, place: &Place) -> bool {
    match backup::verify(store, place, Level::Read, None, &Default::default(), &Progress::none()).await {
        Ok(proof) => !proof.holds(),
        // Without a manifest there is no backup to verify.
        Err(BackupError::NotFound { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_thousand_mutilations_are_refused_by_reading() {
    let world = World::new(
        "CREATE TABLE a (id integer, t text); INSERT INTO a SELECT n, md5(n::text) FROM generate_series(1, 300) n; \
         CREATE TABLE b (id integer, t text); INSERT INTO b SELECT n, md5(n::text) FROM generate_series(1, 300) n; \
         CREATE TABLE c (id integer); SELECT lo_from_bytea(7, '\\x0102')",
    )
    .await;
    let (place, _) = world.write(&small()).await;
    let folder = world.folder.path().join(place.prefix());
    let read = |path: PathBuf| (path.clone(), std::fs::read(&path).unwrap());
    let whole = Whole { files: files(&folder).into_iter().map(read).collect(), folder };
    assert!(!is_refused(&world.store, &place).await);

    let first = std::env::var("BACKSTAY_SEED").map_or(FIRST_SEED, |seed| seed.parse().expect("a seed"));
    eprintln!("seeds {first} to {}; another first one: BACKSTAY_SEED=…", first + SEEDS - 1);
    let mut tried = 0;
    for seed in first..first + SEEDS {
        let what = whole.mutilate(&mut Dice(seed));
        // Zeros upon zeros, or an object swapped with itself.
        if !whole.is_there() {
            assert!(is_refused(&world.store, &place).await, "seed {seed}: {what}");
            whole.mend();
            tried += 1;
        }
    }
    assert!(tried > SEEDS * 9 / 10, "only {tried} were mutilations");
    assert!(!is_refused(&world.store, &place).await, "mended, it is whole again");
}

#[tokio::test]
async fn another_backups_objects_are_refused() {
    let world = World::new("CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE b AS SELECT 2 AS x").await;
    let (place, manifest) = world.write(&small()).await;
    let (other, _) = world.write(&small()).await;
    let at = |place: &Place, name: &str| world.folder.path().join(place.object(name));
    // Of all objects of another backup, those that are not the very same bytes.
    for object in &manifest.objects {
        let (ours, theirs) = (at(&place, &object.name), at(&other, &object.name));
        let (kept, bytes) = (std::fs::read(&ours).unwrap(), std::fs::read(theirs).unwrap());
        std::fs::write(&ours, &bytes).unwrap();
        assert_eq!(is_refused(&world.store, &place).await, kept != bytes, "{}", object.name);
        std::fs::write(&ours, kept).unwrap();
    }
    std::fs::copy(at(&other, "manifest.json"), at(&place, "manifest.json")).unwrap();
    let proof = world.verify(&place, Level::Manifest).await;
    assert!(matches!(&proof.mismatches[..], [Mismatch::Manifest { .. }]), "{:?}", proof.mismatches);
}
