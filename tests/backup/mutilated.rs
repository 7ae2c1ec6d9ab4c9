//! No mutilation of a backup passes for one.

use backstay::backup::verify::Mismatch;
use backstay::backup::{self, BackupError, Level};
use backstay::event::Progress;

use crate::world::{World, files, next, small};

#[tokio::test]
async fn every_mutilation_is_refused_by_reading() {
    let world = World::new(
        "CREATE TABLE a (id integer, t text); INSERT INTO a SELECT n, md5(n::text) FROM generate_series(1, 900) n; \
         CREATE TABLE b (id integer, t text); INSERT INTO b SELECT n, md5(n::text) FROM generate_series(1, 900) n",
    )
    .await;
    let (place, _) = world.write(&small()).await;
    let (other, _) = world.write(&small()).await;
    let folder = world.folder.path().join(place.prefix());
    let whole: Vec<(std::path::PathBuf, Vec<u8>)> =
        files(&folder).into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
    assert_eq!(world.verify(&place, Level::Read).await.mismatches, []);

    let first = 20_261_120;
    for seed in first..first + 150 {
        let mut random = seed;
        let mut draw = |below: usize| {
            random = next(random);
            (random % below.max(1) as u64) as usize
        };
        let (path, bytes) = &whole[draw(whole.len())];
        let mut changed = bytes.clone();
        let at = draw(bytes.len());
        let kind = draw(7);
        match kind {
            0 => changed[at] ^= 1 << draw(8),
            1 => changed.truncate(at),
            2 => drop(changed.remove(at)),
            3 => changed.insert(at, draw(256) as u8),
            4 => changed.extend_from_slice(bytes),
            5 => {
                let (_, another) = &whole[draw(whole.len())];
                changed.clone_from(another);
            }
            _ => changed.clear(),
        }
        if changed == *bytes {
            continue;
        }
        std::fs::write(path, &changed).unwrap();
        let refused = match kind {
            // An object that is gone.
            6 if at % 2 == 0 => {
                std::fs::remove_file(path).unwrap();
                let options = Default::default();
                match backup::verify(&world.store, &place, Level::Read, None, &options, &Progress::none())
                    .await
                {
                    // Without a manifest there is no backup to verify.
                    Err(BackupError::NotFound { .. }) => path.ends_with("manifest.json"),
                    Err(error) => panic!("{error}"),
                    Ok(proof) => !proof.holds(),
                }
            }
            _ => !world.verify(&place, Level::Read).await.holds(),
        };
        assert!(refused, "seed {seed}: kind {kind} at {at} of {}", path.display());
        std::fs::write(path, bytes).unwrap();
    }

    // Two objects swapped, and another backup's manifest in place of this one's.
    let [one, two] = ["data/1.copy.gz", "data/2.copy.gz"].map(|name| folder.join(name));
    let (a, b) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    std::fs::write(&one, &b).unwrap();
    std::fs::write(&two, &a).unwrap();
    let proof = world.verify(&place, Level::Read).await;
    assert_eq!(proof.mismatches.len(), 2, "{:?}", proof.mismatches);
    std::fs::write(&one, &a).unwrap();
    std::fs::write(&two, &b).unwrap();
    let manifest = world.folder.path().join(other.object("manifest.json"));
    std::fs::copy(manifest, folder.join("manifest.json")).unwrap();
    let proof = world.verify(&place, Level::Manifest).await;
    assert!(matches!(&proof.mismatches[..], [Mismatch::Manifest { .. }]), "{:?}", proof.mismatches);
}
