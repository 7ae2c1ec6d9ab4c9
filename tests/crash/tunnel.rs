//! `[tunnel]`: there when it is needed, again when it dies, and gone with the command, however that ends.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::common::cluster;
use crate::driver::Driver;
use crate::stage::{Release, Stage};
use crate::{patiently, runs_on};

/// A forwarder as `ssh -L` is one: listens, and passes bytes on.
const FORWARDER: &str = r#"
import os, socket, sys, threading
open("tunnel.pid", "w").write(str(os.getpid()))
open("tunnel.starts", "a").write("x")
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def passes(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
while True:
    near, _ = server.accept()
    far = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for ends in ((near, far), (far, near)):
        threading.Thread(target=passes, args=ends, daemon=True).start()
"#;

/// A stage whose database is reached by a tunnel alone; gives its port.
async fn behind_a_tunnel() -> (Stage, u16) {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    project.write("tunnel.py", FORWARDER);
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let program = format!("[\"python3\", \"tunnel.py\", \"{free}\", \"{}\"]", cluster().port());
    let tunnel = format!("{config}\n[tunnel]\nrun = {program}\nport = {free}\n");
    project.write("config/production.toml", &tunnel);
    project.edit(".env.production", &format!(":{}/", cluster().port()), &format!(":{free}/"));
    (stage, free)
}

fn starts(stage: &Stage) -> usize {
    std::fs::read_to_string(stage.project.path("tunnel.starts")).map_or(0, |text| text.len())
}

#[tokio::test]
async fn it_is_open_around_a_command_and_gone_behind_it() {
    let (stage, port) = behind_a_tunnel().await;
    let ended = stage.project.run(&["migrate", "current"]).expect(0);
    assert!(ended.out.contains("989ceebf408f"), "{}", ended.out);
    assert!(!runs_on(&stage.project, "tunnel.pid"), "it was left behind");
    for idle in [
        &["migrate", "heads"][..],
        &["backup", "list"],
        &["runs"],
        &["schema", "plan"],
        &["completions", "bash"],
    ] {
        stage.project.run(idle).expect(0);
        assert_eq!(starts(&stage), 1, "{idle:?} asks no server and opened it");
    }
    // A plan names its environment; where there are two, nobody else does.
    stage.project.run(&["plan", "release", "--out", "plan.json"]).expect(0);
    stage.project.run(&["approve", "plan.json", "--by", "alice", "--yes"]).expect(0);
    assert_eq!(starts(&stage), 2, "an approval asks no server");
    std::fs::copy(stage.project.path("config/production.toml"), stage.project.path("config/staging.toml"))
        .expect("another");
    let ended = stage.project.run(&["run", "--plan", "plan.json"]).expect(0);
    assert_eq!(starts(&stage), 3, "{}", ended.err);
    // Each environment is looked at through its own, one after another: they take the same port.
    let told = stage.project.run(&["status", "--all", "--json"]).expect(0).out;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    for environment in told["environments"].as_array().expect("a list") {
        assert!(environment["revision"]["value"].is_array(), "{environment:#}");
    }
    assert_eq!(starts(&stage), 5);
    std::fs::remove_file(stage.project.path("config/staging.toml")).expect("gone");

    // Somebody else listens there: nobody asks where that leads.
    let other = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    let ended = stage.project.run(&["doctor"]).expect(3);
    assert!(ended.err.contains("somebody else listens there"), "{}", ended.err);
    drop(other);

    // What it says is shown if it fails, and only then.
    stage.project.write("tunnel.py", "import sys; sys.exit('no route to the bastion')");
    let ended = stage.project.run(&["migrate", "current"]);
    assert!(ended.err.contains("no route to the bastion"), "{}", ended.err);
    assert_ne!(ended.code, 0);
}

/// Dead in the middle of the window: it is started again, and the release goes on. A command beside it uses it.
#[tokio::test]
async fn it_is_started_again_when_it_dies() {
    let (stage, port) = behind_a_tunnel().await;
    let direct = format!(":{port}/");
    assert!(std::fs::read_to_string(stage.project.path(".env.production")).unwrap().contains(&direct));
    let deploy = "touch waiting; while [ ! -e go ]; do sleep 0.02; done; kill -9 $(cat tunnel.pid); echo new > version; \
                  echo deployed >> deployed";
    let text = std::fs::read_to_string(stage.project.path(".env.production")).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.starts_with("DEPLOY=") { format!("DEPLOY='{deploy}'") } else { line.to_string() })
        .collect();
    stage.project.write(".env.production", &(lines.join("\n") + "\n"));
    let driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    patiently("the deploy", || stage.project.path("waiting").exists());
    stage.project.run(&["status"]).expect(0);
    assert_eq!(starts(&stage), 1, "a command beside it opened another");
    stage.project.write("go", "");
    let ended = driver.ended().expect(0);
    assert!(ended.err.contains("it is started again"), "{}", ended.err);
    assert_eq!((starts(&stage), stage.deployed()), (2, vec!["deployed".to_string()]));
    assert!(!runs_on(&stage.project, "tunnel.pid"), "it was left behind");
}

/// Killed where nothing of ours runs any more: the keeper ends it, and `resume` opens its own.
#[tokio::test]
async fn it_ends_with_a_command_that_is_killed() {
    let (stage, _) = behind_a_tunnel().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "backup");
    assert!(runs_on(&stage.project, "tunnel.pid"));
    driver.signal(Signal::KILL);
    patiently("the tunnel's end", || !runs_on(&stage.project, "tunnel.pid"));
    drop(driver);
    stage.project.run(&["resume", "--yes"]).expect(0);
    assert_eq!(starts(&stage), 2);
    assert!(!runs_on(&stage.project, "tunnel.pid"), "it was left behind");
}
