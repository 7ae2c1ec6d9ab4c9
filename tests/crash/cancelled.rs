//! A job that is cancelled, as CI systems do it: SIGINT, ten seconds, SIGKILL. Another process in another directory
//! resumes, and production ends as the exit codes say, whatever line it was.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::project::Ended;
use crate::driver::{Driver, records};
use crate::stage::{Release, Stage};

/// What GitHub Actions and others give between the first signal and the last.
const GRACE: Duration = Duration::from_secs(10);

/// A project beside the first one, on the same store.
struct Scene {
    stage: Stage,
    elsewhere: tempfile::TempDir,
}

impl Scene {
    /// `deploy` finds itself in the first project's folder, wherever it is started.
    async fn with_deploy(deploy: &str) -> Self {
        let stage = Stage::of(Release::Good).await;
        let project = &stage.project;
        let home = project.path("").display().to_string();
        project.set_deploy(
            &format!("cd {home}; {deploy}"),
            &format!("cd {home}; echo old > version; echo undone >> deployed"),
        );
        let env = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
        project.write(".env.production", &format!("{env}BACKSTAY_STORE=file://{home}backstay-store\n"));
        project.edit("runbooks/release.toml", "\"RELEASES.md\"", &format!("\"{home}RELEASES.md\""));
        let scene = Self { stage, elsewhere: tempfile::tempdir().expect("a folder") };
        scene.check_out();
        scene
    }

    /// Copies the project's files, as another machine has them.
    fn check_out(&self) {
        for folder in ["config", "runbooks", "migrations", "."] {
            let to = self.elsewhere.path().join(folder);
            std::fs::create_dir_all(&to).expect("a folder");
            for file in std::fs::read_dir(self.stage.project.path(folder)).expect("a folder").flatten() {
                if file.path().is_file() {
                    std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
                }
            }
        }
    }

    /// SIGINT once `line` has started, and SIGKILL ten seconds later if it still lives. Nothing for the killed.
    fn cancel(&self, line: &str) -> Option<Ended> {
        let mut driver = Driver::start(&self.stage.project, &["run", "release", "--yes"]);
        driver.starts(&self.stage.project, line);
        driver.signal(Signal::INT);
        if driver.ends_within(GRACE) {
            return Some(driver.ended());
        }
        driver.kill();
        None
    }

    fn resume(&self) -> Ended {
        let mut resume = self.stage.project.command(&["resume", "latest", "--yes"]);
        Ended::of(resume.current_dir(self.elsewhere.path()).output().expect("a resume"))
    }

    /// Cancels the release in this line, and resumes it elsewhere.
    async fn survives(&self, line: &str) {
        self.stage.reset().await;
        let cancelled = self.cancel(line);
        let story = format!("cancelled in {line}, at {}", self.stage.last_record());
        let (inside, up) = (self.was_in_the_window(), self.stage.project.flag_is_up());
        println!("{story}: {:?}", cancelled.as_ref().map(|ended| ended.code));
        match &cancelled {
            Some(ended) if ended.code == 4 => {
                assert!(inside, "{story}: put back, and it was never in the window");
                assert_eq!(self.resume().code, 2, "{story}: it has ended");
                return self.stage.expect(ended, 4, &story).and_production().await;
            }
            // The line was the last one, and quicker than the signal.
            Some(ended) if ended.code == 0 => {
                return self.stage.expect(ended, 0, &story).and_production().await;
            }
            Some(ended) => {
                let code = if inside { 8 } else { 6 };
                assert_eq!(ended.code, code, "{story}: {}", ended.err);
                assert!(inside || !up, "{story}: exit 6 with the flag up");
                assert!(ended.err.contains("backstay resume"), "{story}: {}", ended.err);
            }
            None => {}
        }
        let resumed = self.resume();
        let fine = if inside { matches!(resumed.code, 0 | 4) } else { resumed.code == 0 };
        assert!(fine, "{story}, then resumed: {} {}", resumed.code, resumed.err);
        self.stage.expect(&resumed, resumed.code, &story).and_production().await;
    }

    /// Whether the flag may have been up when the driver ended: its line was started, and it was not being cleared.
    fn was_in_the_window(&self) -> bool {
        let records = records(&self.stage.project);
        let started =
            |name: &str| records.iter().any(|record| record["kind"] == "started" && record["name"] == name);
        let back = records.iter().any(|record| record["kind"] == "put_back_began");
        started("raise the flag") && (back || !started("clear the flag"))
    }
}

const QUICK: &str = "sleep 0.3; echo new > version; echo deployed >> deployed";

#[tokio::test]
async fn at_each_line_before_the_window() {
    let scene = Scene::with_deploy(QUICK).await;
    for line in ["preflight", "backup", "preview", "approve"] {
        scene.survives(line).await;
    }
}

#[tokio::test]
async fn at_each_line_behind_the_fence() {
    let scene = Scene::with_deploy(QUICK).await;
    for line in ["raise the flag", "close the database", "clone the guard", "migrate", "verify"] {
        scene.survives(line).await;
    }
}

#[tokio::test]
async fn at_each_line_after_open() {
    let scene = Scene::with_deploy(QUICK).await;
    for line in ["open the database", "deploy", "health", "prove", "clear the flag", "record"] {
        scene.survives(line).await;
    }
}

#[tokio::test]
async fn with_a_deploy_that_hears_no_signal() {
    let scene = Scene::with_deploy("trap \"\" INT TERM HUP; sleep 60; echo deployed >> deployed").await;
    scene.survives("deploy").await;
}

#[tokio::test]
async fn with_a_slow_migration() {
    let scene = Scene::with_deploy(QUICK).await;
    let migration = "migrations/20250317103000_order_priority.sql";
    scene.stage.project.edit(migration, "-- upgrade\n", "-- upgrade\nSELECT pg_sleep(12);\n");
    scene.check_out();
    scene.survives("migrate").await;
}

#[tokio::test]
async fn with_a_slow_health_check() {
    let scene = Scene::with_deploy("echo slow > version; echo deployed >> deployed").await;
    let config = "config/production.toml";
    scene.stage.project.edit(config, "deadline = \"300ms\"", "deadline = \"60s\"\ntimeout = \"60s\"");
    scene.check_out();
    scene.survives("health").await;
}
