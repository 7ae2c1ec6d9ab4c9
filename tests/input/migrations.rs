//! Migration files and the database's revision.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::project::{Ended, Project};
use crate::common::session;
use crate::refused::{refused, says};

const RELEASE: [&str; 3] = ["run", "release", "--yes"];

fn file(revision: &str, revises: &str) -> String {
    let revises = if revises.is_empty() { String::new() } else { format!("-- revises: {revises}\n") };
    format!(
        "-- revision: {revision}\n{revises}-- Another one\n\n-- upgrade\nSELECT 1;\n\n-- downgrade\nSELECT 1;\n"
    )
}

#[tokio::test]
async fn a_folder_that_is_missing() {
    let project = Project::shop().await;
    std::fs::rename(project.path("migrations"), project.path("elsewhere")).expect("a renamed folder");
    refused(&project, &RELEASE, 3, &["migrations", "No such file or directory"]).await;
}

#[tokio::test]
async fn a_file_in_the_folders_place() {
    let project = Project::shop().await;
    std::fs::remove_dir_all(project.path("migrations")).expect("a removed folder");
    project.write("migrations", "");
    refused(&project, &RELEASE, 3, &["migrations", "Not a directory"]).await;
}

/// Permissions don't bite root, so root runs the binary as somebody else.
#[tokio::test]
async fn a_folder_that_may_not_be_read() {
    let project = Project::shop().await;
    let closed = project.path("migrations");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).expect("chmod");
    let ended = if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(project.path("."), PermissionsExt::from_mode(0o755)).expect("chmod");
        // It is the other user's now: nobody else may read it.
        std::os::unix::fs::chown(project.path(".env.production"), Some(65534), None).expect("chown");
        let binary = project.path("backstay");
        std::fs::copy(env!("CARGO_BIN_EXE_backstay"), &binary).expect("a copy that everybody may run");
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(["plan", "release"]);
        command.current_dir(project.path(".")).env_remove("CI");
        Ended::of(command.output().expect("setpriv"))
    } else {
        project.run(&["plan", "release"])
    };
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755)).expect("chmod");
    says(&ended.expect(2), &["migrations", "Permission denied"]);
}

#[tokio::test]
async fn two_files_with_one_revision() {
    let project = Project::shop().await;
    project.write("migrations/copy.sql", &file("c08085465bad", "989ceebf408f"));
    refused(&project, &RELEASE, 3, &["revision c08085465bad is in two files", "copy.sql", "remove the copy"])
        .await;
}

#[tokio::test]
async fn a_gap_in_the_chain() {
    let project = Project::shop().await;
    project.write("migrations/later.sql", &file("aaaa00000002", "aaaa00000001"));
    refused(
        &project,
        &RELEASE,
        3,
        &["aaaa00000002", "aaaa00000001", "later.sql", "bring the missing file back"],
    )
    .await;
}

#[tokio::test]
async fn a_migration_that_was_edited_after_it_was_applied() {
    let project = Project::shop().await;
    let edited = std::fs::read_dir(project.path("migrations"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| std::fs::read_to_string(path).expect("text").contains("revision: 989ceebf408f"))
        .expect("the second migration");
    let name = edited.file_name().expect("a name").to_string_lossy().into_owned();
    project.edit(&format!("migrations/{name}"), "orders_placed_at_idx", "orders_by_day_idx");
    refused(&project, &RELEASE, 3, &[&name, "edited"]).await;
}

#[tokio::test]
async fn several_heads() {
    let project = Project::shop().await;
    project.write("migrations/side.sql", &file("bbbb00000001", "989ceebf408f"));
    refused(&project, &RELEASE, 3, &["heads", "bbbb00000001", "c08085465bad", "joins them"]).await;
}

#[tokio::test]
async fn a_revision_that_no_file_has() {
    let project = Project::shop().await;
    let owner = session(&project.url()).await;
    owner
        .batch_execute("UPDATE alembic_version SET version_num = 'dddd00000001'")
        .await
        .expect("another revision");
    refused(&project, &RELEASE, 3, &["can't locate revision dddd00000001"]).await;
    refused(&project, &["doctor"], 3, &["can't locate revision dddd00000001"]).await;
    says(&project.run(&["status"]).expect(0), &["can't locate revision dddd00000001"]);
}

#[tokio::test]
async fn tables_but_no_revision() {
    let project = Project::shop().await;
    let owner = session(&project.url()).await;
    owner.batch_execute("DROP TABLE alembic_version").await.expect("a dropped table");
    refused(&project, &RELEASE, 3, &["stamp", "no revision"]).await;
}

#[tokio::test]
async fn a_file_that_is_no_migration() {
    let project = Project::shop().await;
    project.write("migrations/notes.sql", "SELECT 1;\n");
    refused(&project, &RELEASE, 3, &["notes.sql:1", "-- revision:", "move the file elsewhere"]).await;
}
