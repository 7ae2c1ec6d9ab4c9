//! Releases in a job of GitHub Actions: log, summary and outputs of the real binary.

use crate::common::project::{Ended, Project, SENTINEL};

struct Job {
    project: Project,
}

impl Job {
    async fn begin() -> Self {
        Self { project: Project::shop().await }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        for file in ["output", "summary"] {
            self.project.write(file, "");
        }
        let mut command = self.project.command(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", self.project.path("."));
        command
            .env("GITHUB_OUTPUT", self.project.path("output"))
            .env("GITHUB_STEP_SUMMARY", self.project.path("summary"));
        let ended = Ended::of(command.output().expect("a run"));
        for text in [self.read("output"), self.read("summary")] {
            assert!(!text.contains(SENTINEL), "{text}");
        }
        ended
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.project.path(file)).expect("a file of the job")
    }
}

fn count(text: &str, begin: &str) -> usize {
    text.lines().filter(|line| line.starts_with(begin)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_a_release() {
    let job = Job::begin().await;
    let hostile = "echo \"::error::not ours\"; echo \"##[error]nor this\"; echo \"::endgroup::\"; echo \"$DATABASE_URL\"; echo deployed >> deployed";
    job.project.set_deploy(hostile, "echo undone >> deployed");
    job.run(&["plan", "release", "--out", "plan.json"]).expect(0);
    assert_eq!(job.read("output"), "pending=1\nplan=plan.json\n");
    let summary = job.read("summary");
    assert!(
        summary.starts_with("### Plan: release on production\n\n**Pending:** `c08085465bad`"),
        "{summary}"
    );
    assert!(summary.contains("<details><summary>The SQL</summary>\n\n```sql\n"), "{summary}");

    let ended = job.run(&["run", "--plan", "plan.json", "--yes"]).expect(0);
    let log = &ended.err;
    assert!(count(log, "::group::") > 10 && count(log, "::group::") == count(log, "::endgroup::"), "{log}");
    assert_eq!((count(log, "::error"), log.contains("##[")), (0, false), "{log}");
    assert!(log.contains("::notice title=release on production%3A done.::Production is as wished."), "{log}");
    let outputs = job.read("output");
    let lines: Vec<&str> = outputs.lines().collect();
    assert_eq!(
        (lines[0], lines[1], lines[3]),
        ("verdict=done", "exit=0", "production=as wished"),
        "{outputs}"
    );
    assert!(lines[2].starts_with("run=2"), "{outputs}");
    let summary = job.read("summary");
    for part in [
        "### ✅ release on production: done.",
        "**Production is** as wished",
        "| ✅ | 1 preflight | before |",
        "<details><summary>The SQL that was previewed</summary>",
    ] {
        assert!(summary.contains(part), "no {part:?} in\n{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_put_back_and_one_that_is_refused() {
    let job = Job::begin().await;
    job.project.set_deploy("echo 50% | tee deployed; exit 7", "echo undone >> deployed");
    let ended = job.run(&["run", "release", "--yes"]).expect(4);
    let log = &ended.err;
    assert!(
        count(log, "::error title=open ") == 1
            && count(log, "::error title=release on production%3A failed%2C and") == 1,
        "{log}"
    );
    assert_eq!(count(log, "::group::"), count(log, "::endgroup::"), "{log}");
    assert!(job.read("output").starts_with("verdict=put_back\nexit=4\nrun=2"), "{}", job.read("output"));
    let summary = job.read("summary");
    for part in [
        "### ❌ release on production: failed, and production was put back.",
        "#### The way back",
        "**What failed:**",
        "| ❌ |",
    ] {
        assert!(summary.contains(part), "no {part:?} in\n{summary}");
    }

    let ended = job.run(&["run", "no-such", "--yes"]).expect(2);
    assert_eq!(count(&ended.err, "::error title=backstay%3A exit 2::"), 1, "{}", ended.err);
    assert_eq!(job.read("output"), "verdict=usage\nexit=2\nrun=\nproduction=untouched\n");
    assert!(
        job.read("summary").starts_with("### ❌ backstay: exit 2\n\n**Production is** untouched"),
        "{}",
        job.read("summary")
    );

    let ended = job.run(&["run", "release", "--yes", "--json"]).expect(4);
    assert_eq!(
        (count(&ended.err, "::"), ended.out.lines().all(|line| line.starts_with('{'))),
        (0, true),
        "{}",
        ended.err
    );
    assert!(job.read("output").contains("exit=4") && job.read("summary").contains("put back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_stand_beside_their_lines() {
    let job = Job::begin().await;
    job.project.write(
        "migrations/20990101000000_drop.sql",
        "-- revision: aaaaaaaaaaaa\n-- revises: c08085465bad\n-- Drop all orders\n\n-- upgrade\nDELETE FROM orders;\n\n-- downgrade\nSELECT 1;\n",
    );
    let ended = job.run(&["migrate", "lint"]);
    let found = ended
        .err
        .lines()
        .find(|line| line.starts_with("::error file=migrations/20990101000000_drop.sql,line="));
    assert!(
        found.is_some_and(|line| line.contains("title=delete-without-where::")),
        "{}\n{}",
        ended.out,
        ended.err
    );
    assert_eq!(ended.code, 3);
}
