//! The verbs about the files: new ones, branches, merges, ranges.

use serde_json::json;

use crate::common::command_line::CommandLine;
use crate::project;

/// The files of the folder, by name.
fn names(p: &CommandLine) -> Vec<String> {
    let entries = std::fs::read_dir(p.path().join("migrations")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".sql"));
    names.sort();
    names
}

#[tokio::test]
async fn a_new_revision_stands_on_the_head_and_runs() {
    let p = project("").await;
    let said = p.expect(0, &["migrate", "revision", "-m", "Add user preferences"]).stdout;
    let names = names(&p);
    let new = names.iter().find(|name| name.ends_with("_add_user_preferences.sql")).unwrap();
    assert!(new.len() == 14 + 25, "{new}");
    assert!(said.starts_with(&format!("migrations/{new}\n  989ceebf408f -> ")), "{said}");
    let path = p.path().join("migrations").join(new);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\n-- revises: 989ceebf408f\n-- created: 20"), "{text}");
    std::fs::write(&path, text.replace("-- upgrade\n", "-- upgrade\nCREATE TABLE prefs (n int);\n")).unwrap();
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(p.ask("SELECT count(*) FROM pg_tables WHERE tablename = 'prefs'").await, "1");
}

#[tokio::test]
async fn names_ids_and_text_are_as_configured() {
    let p = project(
        "[migrations]\nfile_name = \"V{timestamp}__{slug}\"\nrevision_ids = \"timestamp\"\ntemplate = \"template.txt\"",
    )
    .await;
    p.write(
        "template.txt",
        "-- revision: {revision}\n-- revises: {revises}\n-- {description}\n-- by the team of {branch}\n\
         -- upgrade\nSET LOCAL search_path TO app;\n-- downgrade\n",
    );
    let made = p.json(0, &["migrate", "revision", "-m", "Größe"]);
    let id = made["revision"].as_str().unwrap();
    assert!(id.len() == 14 && id.starts_with("20"), "{id}");
    assert_eq!(made["path"], format!("migrations/V{id}__größe.sql"));
    let text = std::fs::read_to_string(p.path().join(made["path"].as_str().unwrap())).unwrap();
    assert!(text.contains("search_path TO app") && !text.contains("team"), "{text}");
    p.write("template.txt", "-- {description}\n-- upgrade\n");
    p.expect(2, &["migrate", "revision", "-m", "x"]).says(&["no file was written", "-- revision"]);
    p.write("template.txt", "-- {up_revision}\n");
    p.expect(2, &["migrate", "revision", "-m", "x"]).says(&["line 1: {up_revision} is no placeholder"]);
    std::fs::remove_file(p.path().join("template.txt")).unwrap();
    p.expect(2, &["migrate", "revision", "-m", "x"]).says(&["template.txt", "No such file"]);
    assert_eq!(names(&p).len(), 3);
}

/// Guides 2 and 5: two heads, named with the command that joins them, and joined.
#[tokio::test]
async fn several_heads_are_merged_by_the_command_that_is_named() {
    let p = project("").await;
    let branch =
        ["migrate", "revision", "-m", "Hot fix", "--rev-id", "0123456789ab", "--head", "c08085465bad"];
    p.expect(2, &branch).says(&["c08085465bad is no head: it has 989ceebf408f on it", "--splice"]);
    p.expect(0, &[&branch[..], &["--splice", "--branch-label", "fixes"]].concat());
    assert_eq!(
        p.expect(0, &["migrate", "branches"]).stdout,
        "c08085465bad (branchpoint)\n             -> 0123456789ab (fixes) (head)\n             -> 989ceebf408f (head)\n"
    );
    let about = p.expect(0, &["migrate", "branches", "-v"]).stdout;
    assert!(about.contains("-> 0123456789ab (fixes) (head), Hot fix\n"), "{about}");
    let mends = "backstay migrate merge -m \"merge heads\" 0123456789ab 989ceebf408f";
    p.expect(2, &["migrate", "revision", "-m", "Next"]).says(&[mends]);
    let refused = p.run(&["migrate", "upgrade", "head"]);
    assert!(refused.code == 3 && refused.stderr.contains(mends), "{refused:?}");
    assert_eq!(p.expect(0, &["migrate", "heads"]).stdout.lines().count(), 2);
    let merged = p.json(0, &["migrate", "merge", "-m", "merge migration heads", "9", "0123"]);
    assert_eq!(merged["revises"], json!(["989ceebf408f", "0123456789ab"]));
    p.expect(2, &["migrate", "merge"]).says(&["there is nothing to merge", "no file was written"]);
    p.expect(0, &["migrate", "upgrade", "head"]);
    let id = merged["revision"].as_str().unwrap();
    assert!(p.expect(0, &["migrate", "current"]).stdout.starts_with(id));
}

#[tokio::test]
async fn one_revision_and_a_range_of_them() {
    let p = project("").await;
    let head = p.expect(0, &["migrate", "show", "head"]).stdout;
    assert!(head.starts_with("Rev: 989ceebf408f (head)\nParent: c08085465bad\nPath: "), "{head}");
    assert_eq!(p.expect(0, &["migrate", "show", "989c"]).stdout, head);
    p.expect(2, &["migrate", "show", "nothing"]).says(&["nothing"]);
    let newest = "c08085465bad -> 989ceebf408f (head), Add priority to questions\n";
    let oldest = "<base> -> c08085465bad, Initial schema\n";
    let range = |range: &str| p.expect(0, &["migrate", "history", "-r", range]).stdout;
    assert_eq!(range(":"), format!("{newest}{oldest}"));
    assert_eq!(range(":c08085465bad"), oldest);
    assert_eq!(range("989c:head"), newest);
    assert_eq!(range("-1:"), format!("{newest}{oldest}"));
    assert_eq!(range(":current"), "");
    p.expect(0, &["migrate", "upgrade", "+1"]);
    assert_eq!(range(":current"), oldest);
    assert_eq!(range("current:"), format!("{newest}{oldest}"));
    let current = p.expect(0, &["migrate", "show", "current"]).stdout;
    assert!(
        current.starts_with("Rev: c08085465bad (current)\n") && current.contains("\nApplied: 20"),
        "{current}"
    );
    for bad in ["c08085465bad", "a:b:c", "current:current", "989c:c080"] {
        assert!([2, 3].contains(&p.run(&["migrate", "history", "-r", bad]).code), "{bad}");
    }
}

#[tokio::test]
async fn models_are_for_alembic() {
    let p = project("").await;
    let answer = p.expect(2, &["migrate", "revision", "--autogenerate", "-m", "x"]);
    answer.says(&["the migrations of main are plain SQL"]);
    p.expect(2, &["migrate", "revision", "-m", "two\nlines"]).says(&["one line"]);
    assert_eq!(names(&p).len(), 2);
}
