//! Commands on their bad days, in a real release: it stays bounded, and production is what the exit code says.

use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// The driver's greatest memory so far, in bytes.
fn peak(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[tokio::test]
async fn a_flood_of_output_fills_neither_memory_nor_log() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    stage.deploy_with(
        "yes this line is printed a million times over | head -c 100000000; echo deployed >> deployed; \
         touch flooded; while [ ! -e go ]; do sleep 0.02; done",
    );
    let driver = Driver::start(project, &["run", "release", "--yes"]);
    crate::patiently("the flood to be over", || project.path("flooded").exists());
    let most = peak(driver.id()).expect("the driver's memory");
    project.write("go", "");
    let ended = driver.ended().expect(0);
    assert!(most < 256 << 20, "{most} bytes");
    assert!(ended.err.contains("the rest is neither shown nor kept") && ended.err.len() < 32 << 20);
    let run = project.journal()[0].1["run"].as_str().expect("a run").to_string();
    let log = std::fs::read_to_string(project.path(&format!("backstay-store/runs/{run}/run.log")));
    let log = log.expect("the log");
    assert!(log.len() <= 16 << 20 && log.contains("ended with exit 0"), "{} bytes", log.len());
}

#[tokio::test]
async fn a_command_that_never_ends_and_heeds_no_signal() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    project.edit("runbooks/release.toml", "undo = ", "timeout = \"1s\"\nundo = ");
    stage.deploy_with("echo deployed >> deployed; trap \"\" TERM; while :; do sleep 0.1; done");
    let ended = Driver::start(project, &["run", "release", "--yes"]).ended();
    assert!(ended.err.contains("did not end within 1.0 s and was stopped"), "{}", ended.err);
    stage.expect(&ended, 4, "a deploy without end").and_production().await;
}
