//! Failures before the window: exit 3 (2 where files and arguments decide it), production and flag untouched.

use std::process::{Command, Stdio};

use crate::scene::{Running, Scene};

#[tokio::test]
async fn preflight_refuses_and_says_everything_at_once() {
    let mut scene = Scene::open("preflight: flag up, application ill, disk small").await;
    let project = &scene.project;
    project.write("flag", "run=somebody-else\n");
    project.app.answer(503);
    project.edit(
        "config/production.toml",
        "free_disk = \"${DATABASE_DISK:-/var/lib/postgresql}\"",
        "free_disk = { bytes = 4096 }",
    );
    let ended = scene.release(3);
    ended
        .says("is up already, held by somebody-else")
        .says("is not healthy now: answered 503")
        .says("4.1 kB free");
    assert_eq!(std::fs::read_to_string(project.path("flag")).unwrap(), "run=somebody-else\n");
    scene.status_says("run", "refused");
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_session_that_may_not_be_ended_is_found_in_preflight() {
    let mut scene = Scene::open("preflight: a superuser is in the database").await;
    let superuser =
        crate::common::session(&crate::common::cluster().url("postgres", &scene.project.name)).await;
    scene.release(3).says("our role may not end it");
    superuser.close().await;
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_backup_that_fails_stops_the_release() {
    // The folder of the store became a file.
    let mut scene = Scene::open("backup: the store can't be written").await;
    std::fs::create_dir(scene.project.path("backstay-store")).unwrap();
    scene.project.write("backstay-store/backups", "in the way");
    scene.release(3).says("backup").says("nothing was changed");
    scene.is_untouched().await;

    let mut scene = Scene::open("backup: a table that the owner may not read").await;
    let name = scene.project.name.clone();
    scene.as_superuser(&name, "CREATE TABLE secret_ledger (id int)").await;
    scene.release(3).says("table public.secret_ledger may not be read");
    scene.as_superuser(&name, "DROP TABLE secret_ledger").await;
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_store_that_is_full_stops_the_release() {
    let mut scene = Scene::open("backup: the disk of the store is full").await;
    let owner = crate::common::session(&scene.project.url()).await;
    let filler = "INSERT INTO customers (name, email) \
        SELECT md5(i::text) || md5((i + 1)::text), md5((i + 2)::text) FROM generate_series(1, 40000) i";
    owner.batch_execute(filler).await.expect("rows that do not compress");
    scene.look_again().await;
    // A file may not grow past this: what a full disk does, without filling one.
    let binary = env!("CARGO_BIN_EXE_backstay");
    let line = format!("trap '' XFSZ; ulimit -f 512; exec {binary} run release --yes");
    let command = scene.project.command(&[]);
    let variables: Vec<_> =
        command.get_envs().map(|(n, v)| (n.to_owned(), v.map(|v| v.to_owned()))).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(scene.project.path("")).stdin(Stdio::null());
    for (name, value) in variables {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let ended = Running::start(&mut shell).end();
    assert_eq!(ended.code, 3, "{}", ended.err);
    ended.says("File too large");
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_preview_that_can_not_be_made_stops_the_release() {
    let mut scene = Scene::open("preview: two files with one revision").await;
    // Between preflight and preview, so preflight saw a good folder.
    scene.project.edit(
        "runbooks/release.toml",
        "# The pending migrations as SQL",
        "[[before]]\nstep = \"command\"\nname = \"sabotage\"\nrun = [\"sh\", \"-c\", \"cp migrations/*priority* migrations/twin.sql\"]\n\n# The pending migrations as SQL",
    );
    scene.release(3).says("c08085465bad");
    scene.is_untouched().await;
}

#[tokio::test]
async fn approval_needs_a_yes_or_the_right_answer() {
    let mut scene = Scene::open("approve: nobody to ask").await;
    scene.run(&["run", "release"], 2).says("give --yes");
    assert!(scene.project.journal().is_empty(), "nothing was begun");
    scene.is_untouched().await;

    let mut scene = Scene::open("approve: the wrong answer").await;
    // A slip is asked again; nothing is a no.
    let ended = scene.project.type_into(&["run", "release"], "staging\r\r");
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("that is not production"), "{}", ended.out);
    assert!(ended.out.contains("nobody answered"), "{}", ended.out);
    scene.is_untouched().await;

    let mut scene = Scene::open("approve: the right answer").await;
    let ended = scene.project.type_into(&["run", "release"], "production\r");
    assert_eq!(ended.code, 0, "{ended:?}");
    scene.is_new("done").await;
}

#[tokio::test]
async fn a_typed_no_is_a_no() {
    let mut scene = Scene::open("the word for no is typed").await;
    let ended = scene.project.type_into(&["run", "release"], "nothing\r").expect(3);
    assert!(ended.out.contains("the answer was not"), "{}", ended.out);
    scene.run(&["plan", "release", "--out", "plan.json"], 0);
    let plan = || std::fs::read_to_string(scene.project.path("plan.json")).expect("the plan");
    let planned = plan();
    let ended = scene.project.type_into(&["approve", "plan.json"], "nothing\r").expect(3);
    assert!(ended.out.contains("the answer was not production"), "{}", ended.out);
    assert_eq!(plan(), planned, "it was approved all the same");
    scene.project.edit("config/production.toml", "protected = true", "protected = false");
    let ended = scene.project.type_into(&["migrate", "reset", "--force"], "nothing\r").expect(3);
    assert!(ended.out.contains("the answer was no"), "{}", ended.out);
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_flag_that_can_not_be_raised_leaves_production_untouched() {
    let mut scene = Scene::open("flag: its folder vanished after preflight").await;
    std::fs::create_dir(scene.project.path("flags")).unwrap();
    let (from, to) = (scene.project.path("flag"), scene.project.path("flags/flag"));
    let line = |path: &std::path::Path| format!("MAINTENANCE_FLAG={}\n", path.display());
    scene.project.edit(".env.production", &line(&from), &line(&to));
    scene.project.add_command("before", "rmdir flags");
    scene.release(3).says("raise the flag");
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_command_before_the_window_that_fails_stops_the_release() {
    let mut scene = Scene::open("a command before the window fails").await;
    scene.project.add_command("before", "echo no luck; exit 3");
    scene.release(3).says("no luck").says("exit status: 3");
    scene.is_untouched().await;
}

#[tokio::test]
async fn the_window_opens_on_no_backup_that_is_not_proven_any_more() {
    let mut scene = Scene::open("backup: damaged between its line and the window").await;
    scene.project.add_command("before", "truncate -s -1 backstay-store/backups/production/*/data/1.copy.*");
    scene.release(3).says("data/1.copy.").says("bytes, not").says("takes another backup and proves it");
    scene.is_untouched().await;

    let mut scene = Scene::open("backup: resumed where its proof is gone").await;
    scene.project.add_gate("before");
    let mut driver = scene.release_to_gate("before");
    driver.kill();
    scene.open_gate("before");
    let proofs = scene.project.path("backstay-store/backups/production");
    let backup = std::fs::read_dir(proofs).unwrap().next().unwrap().unwrap().path();
    let objects = std::fs::read_dir(backup).unwrap().map(|entry| entry.unwrap().path());
    let is_proof = |path: &std::path::PathBuf| path.to_string_lossy().contains("/verified-");
    objects.filter(is_proof).for_each(|path| std::fs::remove_file(path).unwrap());
    scene.run(&["resume", "latest", "--yes"], 3).says("no record of such a proof stands beside its manifest");
    scene.is_untouched().await;
}
