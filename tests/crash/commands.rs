//! Commands on their bad days, in a real release: it stays bounded, and production is what the exit code says.

use rustix::process::Signal;

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
    stage.deploy_with(
        "echo deployed >> deployed; setsid sleep 300 > aside 2>&1 & echo $! > daemon; trap \"\" TERM; \
         while :; do sleep 0.1; done",
    );
    let ended = Driver::start(project, &["run", "release", "--yes"]).ended();
    assert!(ended.err.contains("did not end within 1.0 s and was stopped"), "{}", ended.err);
    stage.expect(&ended, 4, "a deploy without end").and_production().await;
    // What left the process group as well: it could act after the undo.
    let daemon = std::fs::read_to_string(project.path("daemon")).expect("its number");
    let alive = std::fs::read(format!("/proc/{}/cmdline", daemon.trim()))
        .is_ok_and(|line| line.starts_with(b"sleep"));
    assert!(!alive, "{daemon} goes on");
}

/// `[notify]` with a program that keeps what it was told, a line each.
pub fn notified(stage: &Stage) -> impl Fn() -> Vec<String> + '_ {
    let project = &stage.project;
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let notify = "\n[notify]\nrun = [\"sh\", \"notify\"]\n";
    project.write("config/production.toml", &format!("{config}{notify}"));
    project
        .write("notify", "echo $BACKSTAY_EVENT $BACKSTAY_ENV $BACKSTAY_RUN $BACKSTAY_MESSAGE >> notified\n");
    let lines = |text: String| text.lines().map(String::from).collect();
    move || std::fs::read_to_string(project.path("notified")).map(lines).unwrap_or_default()
}

/// A window that lasts too long, and a way back that fails: a person is told of both, once the run has said why.
#[tokio::test]
async fn a_person_is_notified_of_a_window_that_lasts_and_of_a_run_that_needs_one() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let told = notified(&stage);
    project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"300ms\"");
    project.set_deploy("while ! grep -q window_overrun notified; do sleep 0.02; done; exit 3", "exit 4");
    let ended = Driver::start(project, &["run", "release", "--yes"]).ended().expect(5);
    assert!(ended.err.contains("longer than the window's max"), "{}", ended.err);
    let run = project.journal()[0].1["run"].as_str().expect("a run").to_string();
    let lines = told();
    let overrun = format!("window_overrun production {run} users have seen the maintenance page for ");
    assert!(lines.first().is_some_and(|line| line.starts_with(&overrun)), "{lines:?}");
    let needed = format!("needs_a_person production {run} run {run} of production ended with exit 5: ");
    assert!(lines.last().is_some_and(|line| line.starts_with(&needed)), "{lines:?}");
    // Mended, and nobody is woken up again.
    let before = told().iter().filter(|line| line.starts_with("needs_a_person")).count();
    stage.deploy_with("exit 3");
    let ended = project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "an undo that was mended").and_production().await;
    let after = told().iter().filter(|line| line.starts_with("needs_a_person")).count();
    assert_eq!((before, after), (1, 1), "{:?}", told());
}

/// A run that a signal stopped inside its window tells a person too.
#[tokio::test]
async fn a_person_is_notified_of_a_run_that_stopped_in_its_window() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let told = notified(&stage);
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    project.write("config/production.toml", &format!("{config}\n[stop]\non_signal = \"leave\"\n"));
    stage.deploy_with("touch waiting; while [ ! -e go ]; do sleep 0.02; done; echo deployed >> deployed");
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "deploy");
    crate::patiently("the deploy", || project.path("waiting").exists());
    driver.signal(Signal::INT);
    driver.ended().expect(8);
    let lines = told();
    assert!(lines.len() == 1 && lines[0].starts_with("needs_a_person production "), "{lines:?}");
    assert!(lines[0].contains(" ended with exit 8: "), "{lines:?}");
    let ended = project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "stopped in deploy").and_production().await;
}

/// Data is loaded behind the migration by `psql` alone, and two services are deployed: a failure of the second takes back
/// the first, and the data with the guard.
#[tokio::test]
async fn a_data_load_and_two_services_are_lines_of_a_release() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let psql = crate::common::cluster().binaries().join("psql");
    let load = format!(
        "[[during]]\nstep = \"command\"\nname = \"load products\"\nundo = \"none\"\n\
         run = [\"{}\", \"-X\", \"-1\", \"-v\", \"ON_ERROR_STOP=1\", \"-f\", \"products.sql\"]\n\n",
        psql.display()
    );
    let web = "[[open]]\nstep = \"command\"\nname = \"web\"\nrun = [\"sh\", \"web\"]\nundo = [\"rm\", \"-f\", \"web-is-new\"]\n\
               url = \"https://www.example.org\"\n\n";
    let mark = "# The revision is the head";
    project.edit("runbooks/release.toml", mark, &format!("{load}{mark}"));
    let mark = "# The environment's health checks, through";
    project.edit("runbooks/release.toml", mark, &format!("{web}{mark}"));
    project.write(
        "products.sql",
        "INSERT INTO products (sku, name, price, stock) VALUES ('new', 'new', 1, 1);\n",
    );
    project.write("web", "touch web-is-new; exit 3\n");
    let ended = project.run(&["run", "release", "--yes"]);
    stage.expect(&ended, 4, "the second service fails").and_production().await;
    assert!(!project.path("web-is-new").exists(), "its undo was not run");

    project.write("web", "touch web-is-new\n");
    let ended = project.run(&["run", "release", "--yes"]).expect(0);
    assert!(ended.err.contains("exit 0; https://www.example.org"), "{}", ended.err);
    let owner = crate::common::session(&project.url()).await;
    let loaded =
        owner.query_one("SELECT count(*) FROM products WHERE sku = 'new'", &[]).await.expect("a count");
    assert_eq!(loaded.get::<_, i64>(0), 1);
}

/// Two services that each wait for the other are deployed side by side. Where both fail each is named, and both are
/// taken back.
#[tokio::test]
async fn services_are_deployed_side_by_side() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let service = |name: &str| {
        format!(
            "[[open.service]]\nname = \"{name}\"\nrun = [\"sh\", \"{name}\"]\nundo = [\"rm\", \"-f\", \"{name}-is-new\"]\n\
             url = \"https://{name}.example.org\"\n"
        )
    };
    let step = format!("[[open]]\nstep = \"services\"\n{}{}\n", service("api"), service("web"));
    let mark = "# The environment's health checks, through";
    project.edit("runbooks/release.toml", mark, &format!("{step}{mark}"));
    let meet = |own: &str, other: &str, then: &str| {
        let wait = format!("while [ ! -e {other}-is-new ]; do sleep 0.02; done");
        project.write(own, &format!("echo {own} goes; touch {own}-is-new; {wait}; {then}\n"));
    };
    meet("api", "web", "echo no luck; exit 3");
    meet("web", "api", "exit 4");
    let ended = project.run(&["run", "release", "--yes"]);
    for words in ["api: run sh", "no luck", "web: could not run sh", "exit status: 4", "undo api, web"] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    stage.expect(&ended, 4, "both services fail").and_production().await;
    assert!(!project.path("api-is-new").exists() && !project.path("web-is-new").exists());

    meet("api", "web", "true");
    meet("web", "api", "sleep 0.1");
    let ended = project.run(&["run", "release", "--yes"]).expect(0);
    for words in ["api: exit 0, 1 line of output; https://api.example.org, web: exit 0", "web: web goes"] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
}
