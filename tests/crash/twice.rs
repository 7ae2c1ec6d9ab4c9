//! Drivers that die one after another, and journals whose last record is torn.

use std::cmp::Ordering;
use std::io::Write;
use std::path::Path;

use crate::common::dice::Dice;
use crate::driver::{Driver, records, start_of};
use crate::longer;
use crate::stage::{Release, Stage};

/// How many seeds a test takes: few, unless `BACKSTAY_CRASH_SEEDS` says otherwise.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    // A longer test takes other seeds than yesterday's; they are printed.
    let first = longer().map_or(1, |_| std::process::id().into());
    first..first + longer().unwrap_or(usual)
}

/// Kills the run and up to two resumes, each at a random record and a random moment after it; the last resume
/// is left alone.
async fn dies_again_and_again(release: Release, seed: u64) {
    let stage = Stage::of(release).await;
    let mut dice = Dice::new(seed);
    let mut code = if release == Release::Good { 0 } else { 4 };
    let mut story = format!("{release:?}, seed {seed}");
    println!("{story}");
    for life in 0..3 {
        let written = records(&stage.project).len() as u32;
        let arguments: &[&str] =
            if written == 0 { &["run", "release", "--yes"] } else { &["resume", "--yes"] };
        let mut driver = Driver::start(&stage.project, arguments);
        let after = written + 1 + dice.below(if life == 0 { 30 } else { 8 }) as u32;
        let pause = dice.below(120);
        if !driver.reaches(after) || pause > 100 && stage.has_ended() {
            let ended = driver.ended();
            stage.expect(&ended, code, &format!("{story}, ended by itself")).and_production().await;
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(pause));
        if dice.below(2) == 0 {
            driver.kill()
        } else {
            driver.kill_group()
        }
        story =
            format!("{story}, killed {pause} ms after record {after}, which left {}", stage.last_record());
        println!("{story}");
        if stage.under_way().as_deref() == Some("deploy") {
            code = 4;
        }
        if stage.has_ended() {
            return;
        }
    }
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, code, &story).and_production().await;
}

#[tokio::test]
async fn a_good_release_whose_drivers_die_at_random() {
    for seed in seeds(2) {
        dies_again_and_again(Release::Good, seed).await;
    }
}

#[tokio::test]
async fn bad_releases_whose_drivers_die_at_random() {
    for seed in seeds(1) {
        dies_again_and_again(Release::BadMigration, seed).await;
        dies_again_and_again(Release::Unhealthy, seed).await;
    }
}

/// A decision that can't be heeded leaves the window as it is, and the exit code says so.
#[tokio::test]
async fn a_refused_decision_is_no_refused_run() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    let refused = stage.project.run(&["resume", "--yes", "--keep-new"]).expect(8);
    for words in ["could not keep the new version", "in maintenance", "backstay resume"] {
        assert!(refused.err.contains(words), "{words:?} is missing:\n{}", refused.err);
    }
    assert!(stage.project.flag_is_up());
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "resumed after a refused decision").and_production().await;
}

/// Who says put back is heeded wherever the driver died: never does the release go on.
#[tokio::test]
async fn a_run_is_put_back_from_wherever_it_stands() {
    let stage = Stage::of(Release::Good).await;
    for line in ["close the database", "migrate", "verify", "health"] {
        stage.reset().await;
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        driver.starts(&stage.project, line);
        driver.kill();
        let ended = stage.project.run(&["resume", "--put-back"]);
        for words in ["put back, as ", "Users saw the maintenance page for"] {
            assert!(ended.err.contains(words), "{line}: {words:?} is missing:\n{}", ended.err);
        }
        stage.expect(&ended, 4, &format!("put back by a person, from {line}")).and_production().await;
    }
    // Before the window nothing was changed: the run is over, and no question of its own is asked any more.
    stage.reset().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "backup");
    driver.kill();
    let ended = stage.project.run(&["resume", "--put-back"]).expect(3);
    assert!(ended.err.contains("nothing was changed") && !stage.project.flag_is_up(), "{}", ended.err);
    let ended = stage.project.run(&["run", "release", "--yes"]);
    stage.expect(&ended, 0, "a run after one that was ended by a person").and_production().await;
    // Behind the window it is refused: users are in.
    stage.reset().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "record");
    driver.kill();
    let refused = stage.project.run(&["resume", "--put-back"]).expect(6);
    for words in ["could not put production back", "backstay rollback"] {
        assert!(refused.err.contains(words), "{words:?} is missing:\n{}", refused.err);
    }
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "resumed after a refused put-back").and_production().await;
}

/// A driver that died while it wrote its next record, on a disk that kept a part of it.
#[tokio::test]
async fn a_torn_last_record_was_never_acted_on() {
    let stage = Stage::of(Release::Good).await;
    for (number, kept) in [(3, 0), (14, 200), (20, 1), (27, 300)] {
        stage.reset().await;
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        assert!(driver.reaches(number));
        driver.kill();
        let story = format!("a torn record of {kept} bytes after {}", stage.last_record());
        let code = if stage.under_way().as_deref() == Some("deploy") { 4 } else { 0 };
        let (last, record) = stage.project.journal().pop().expect("a record");
        let next =
            last.with_file_name(format!("{:06}.json", record["number"].as_u64().expect("a number") + 1));
        let text = serde_json::to_string_pretty(&record).expect("JSON");
        let mut file = std::fs::File::create_new(&next).expect("a torn record");
        file.write_all(&text.as_bytes()[..kept]).expect("its bytes");
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, code, &story).and_production().await;
        // The evidence stays: the next reader passes over it too.
        assert_eq!(std::fs::read(&next).expect("the torn record").len(), kept);
        stage.project.run(&["runs", "latest"]).expect(0);
    }
}

/// The effect took place and its `Finished` is torn: it is looked at, not repeated.
#[tokio::test]
async fn a_torn_end_of_a_line_is_found_out() {
    let stage = Stage::of(Release::Good).await;
    for line in ["close the database", "migrate", "open the database"] {
        let end = loop {
            stage.reset().await;
            let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
            driver.starts(&stage.project, line);
            let end = start_of(&stage.project, line).expect("the start of the line") + 1;
            assert!(driver.reaches(end));
            driver.kill();
            // A deploy that it had begun would be one of which no record tells.
            if start_of(&stage.project, "deploy").is_none() {
                break end;
            }
        };
        for (path, record) in stage.project.journal() {
            // A record that came before the kill would prove that the one before it was whole.
            match record["number"].as_u64().expect("a number").cmp(&u64::from(end)) {
                Ordering::Less => {}
                Ordering::Equal => tear(&path),
                Ordering::Greater => std::fs::remove_file(path).expect("a removed record"),
            }
        }
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, 0, &format!("the end of {line} is torn")).and_production().await;
    }
}

fn tear(path: &Path) {
    let text = std::fs::read(path).expect("the record");
    std::fs::write(path, &text[..text.len() / 2]).expect("a torn record");
}

/// The very first record is torn: nothing was done, nothing can be resumed, and a new run is free to begin.
#[tokio::test]
async fn a_torn_first_record_stands_in_nobodys_way() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    assert!(driver.reaches(1));
    driver.kill();
    let journal = stage.project.journal();
    for (path, record) in &journal {
        if record["number"] == 1 {
            std::fs::write(path, "{\"format\": 1, ").expect("a torn record");
        } else {
            std::fs::remove_file(path).expect("a removed record");
        }
    }
    let ended = stage.project.run(&["resume", "latest", "--yes"]).expect(3);
    assert!(ended.err.contains("nothing was done yet"), "{}", ended.err);
    let ended = stage.project.run(&["run", "release", "--yes"]);
    stage.expect(&ended, 0, "a new run after a torn first record").and_production().await;
}

/// A record in the middle that was changed is no crash: the run is not touched any more.
#[tokio::test]
async fn a_changed_record_is_refused() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    assert!(driver.reaches(6));
    driver.kill();
    let (path, _) = stage.project.journal().swap_remove(2);
    let text = std::fs::read_to_string(&path).expect("a record");
    std::fs::write(&path, text.replace("\"epoch\": 1", "\"epoch\": 7")).expect("a changed record");
    let ended = stage.project.run(&["resume", "--yes"]).expect(1);
    assert!(ended.err.contains("damaged at record 4"), "{}", ended.err);
    stage.reset().await;
}
