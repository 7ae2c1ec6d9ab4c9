//! A tale is played: drivers live and die, and when nothing is disturbed any more a resume ends the run.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::project::Ended;
use crate::driver::Driver;
use crate::judge;
use crate::proxy::{Cut, Weather};
use crate::tale::{Fault, Kind, Life, Tale, When};
use crate::told::Told;
use crate::world::World;

/// How late everything comes when the network is slow.
const LATE: Duration = Duration::from_millis(60);

/// Plays the whole tale; gives the exit code that it ended with.
pub async fn play(world: &World, tale: &Tale, told: &Told) -> i32 {
    let mut last = None;
    for (number, life) in tale.lives.iter().enumerate() {
        if number > 0 && world.verdict().is_some() {
            break;
        }
        last = if life.rivals && !world.records().is_empty() {
            Some(rivals(world, told).await)
        } else {
            live(world, tale, life, told).await
        };
        world.calm();
    }
    finish(world, tale, told, last).await
}

/// One driver's life; its exit code, unless it was killed.
async fn live(world: &World, tale: &Tale, life: &Life, told: &Told) -> Option<i32> {
    let written = world.records().len() as u32;
    let arguments: &[&str] =
        if written == 0 { &["run", "release", "--yes"] } else { &["resume", "latest", "--yes"] };
    told.say(format!("{} on machine {}", arguments[0], life.machine + 1));
    let mut driver = world.start(life.machine, arguments);
    let mut base = written;
    for fault in &life.faults {
        if !comes(world, &mut driver, base, fault.when).await {
            break;
        }
        told.hit(world, fault.kind);
        driver = strike(world, life, *fault, driver, told).await?;
        base = world.records().len() as u32;
    }
    let ended = driver.ended();
    told.end(arguments[0], &ended);
    world.calm();
    judge::of_exit(world, tale, &ended, told).await;
    Some(ended.code)
}

/// Waits for the moment; false if the driver ended before it came.
async fn comes(world: &World, driver: &mut Driver, base: u32, when: When) -> bool {
    match when {
        When::Record(after, pause) => {
            let reached = driver.reaches(base + after);
            if reached {
                tokio::time::sleep(pause).await;
            }
            reached && !driver.has_ended()
        }
        When::InClone => {
            let admin = world.admin().await;
            let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                         AND query ~ '^CREATE DATABASE .*__g_.* TEMPLATE'";
            while !driver.has_ended() {
                if admin.query_one(query, &[]).await.expect("sessions").get::<_, i64>(0) > 0 {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            false
        }
    }
}

/// A fault strikes; gives the driver, if it lives.
async fn strike(world: &World, life: &Life, fault: Fault, mut driver: Driver, told: &Told) -> Option<Driver> {
    match fault.kind {
        Kind::Kill => {
            driver.kill();
            return None;
        }
        Kind::KillGroup => {
            driver.kill_group();
            return None;
        }
        Kind::Sleep => {
            take_over(world, life, driver, told).await;
            return None;
        }
        Kind::Interrupt => driver.signal(Signal::INT),
        Kind::Crash => {
            world.crash();
            tokio::time::sleep(fault.lasts / 2).await;
            world.calm();
        }
        Kind::Cut => world.proxy.cut(Cut::Both),
        Kind::HalfToTool => world.proxy.cut(Cut::ToTool),
        Kind::HalfToServer => world.proxy.cut(Cut::ToServer),
        Kind::Refuse => {
            world.proxy.set(Weather::Refusing);
            world.proxy.cut(Cut::Both);
            tokio::time::sleep(fault.lasts).await;
            world.proxy.set(Weather::Fair);
        }
        Kind::Gone => {
            world.proxy.set(Weather::Refusing);
            world.proxy.cut(Cut::Both);
        }
        Kind::Slow => {
            world.proxy.set(Weather::Slow(LATE));
            tokio::time::sleep(fault.lasts).await;
            world.proxy.set(Weather::Fair);
        }
        Kind::BlackHole => {
            world.proxy.set(Weather::Still);
            tokio::time::sleep(fault.lasts * 3).await;
            world.proxy.set(Weather::Fair);
        }
    }
    Some(driver)
}

/// The driver sleeps past its heartbeat, another one takes the run over, and it wakes up.
async fn take_over(world: &World, life: &Life, mut driver: Driver, told: &Told) {
    driver.signal(Signal::STOP);
    let (over, last) = (world.verdict().is_some(), world.records().pop());
    let taker = world.run(1 - life.machine, &["resume", "latest", "--yes"]);
    told.end("the takeover", &taker);
    driver.signal(Signal::CONT);
    let woken = driver.ended();
    told.end("the woken driver", &woken);
    if over {
        assert_eq!(taker.code, 2, "a run that had ended was taken over");
        return;
    }
    judge::of_code(&taker);
    // One that had written its last word has only to say it.
    if last.is_none_or(|last| last["kind"] != "ended") {
        assert!(matches!(woken.code, 6 | 8), "the woken driver ended with {}", woken.code);
        assert!(woken.err.contains("another driver"), "the woken driver did not see the takeover");
    }
}

/// Two resumes at once: one drives, the other is told so. Gives the winner's exit code.
async fn rivals(world: &World, told: &Told) -> i32 {
    told.say("two resumes at once");
    let epochs = || world.records().iter().filter(|record| record["kind"] == "took_over").count();
    let before = epochs();
    let rivals = [0, 1].map(|machine| world.start(machine, &["resume", "latest", "--yes"]));
    let mut ended: Vec<Ended> = rivals.map(Driver::ended).into();
    ended.iter().for_each(|ended| told.end("a rival", ended));
    let words = ["held by", "it has ended", "could not take the run over"];
    let lost = |ended: &Ended| words.iter().any(|words| ended.err.contains(words));
    ended.sort_by_key(lost);
    let [winner, loser] = &ended[..] else { unreachable!("two") };
    judge::of_code(winner);
    // Where a person is needed the second may try what the first one tried.
    if winner.code != 5 {
        assert!(lost(loser) && !lost(winner), "not one of two resumes won");
        assert_eq!(epochs(), before + 1, "both took over");
    }
    winner.code
}

/// Undisturbed: at most one resume, one answer of a person's, and the run has ended.
async fn finish(world: &World, tale: &Tale, told: &Told, last: Option<i32>) -> i32 {
    let mut code = last;
    if world.records().is_empty() {
        let ended = calm_run(world, told, &["run", "release", "--yes"]);
        code = Some(ended.code);
    } else if world.verdict().is_none() {
        let ended = calm_run(world, told, &["resume", "latest", "--yes"]);
        code = Some(ended.code);
    }
    if code == Some(5) && told.last_said(judge::FLAG_ELSEWHERE) {
        // The flag is there for whoever looks, and a host that did not raise it can't know that.
        assert!(!world.project.flag_is_up(), "the flag is up and is said not to be seen");
        code = Some(calm_run(world, told, &["resume", "latest", "--yes", judge::FLAG_ELSEWHERE]).code);
    }
    if code == Some(5) && tale.asks {
        code = Some(answer(world, tale, told).code);
    }
    let verdict = world.verdict().expect("the run did not end");
    let meant = judge::code_of(&verdict);
    // A driver that was killed after the last record told nobody.
    let code = if code.is_none() || told.hits().iter().any(|hit| hit.kind == Kind::Sleep) {
        meant
    } else {
        code.unwrap_or(meant)
    };
    assert_eq!(code, meant, "the exit code, and the journal's verdict {verdict}");
    code
}

/// The person who is asked about others' writes.
fn answer(world: &World, tale: &Tale, told: &Told) -> Ended {
    if tale.keeps_new {
        // Whatever was wrong with the application is mended first.
        world.project.write("version", "new");
        calm_run(world, told, &["resume", "latest", "--yes", "--keep-new"])
    } else {
        calm_run(world, told, &["resume", "latest", "--yes", "--put-back"])
    }
}

fn calm_run(world: &World, told: &Told, arguments: &[&str]) -> Ended {
    let ended = world.run(1, arguments);
    told.end(&format!("undisturbed {}", arguments.join(" ")), &ended);
    judge::of_code(&ended);
    assert!(!matches!(ended.code, 6 | 8), "interrupted, and nobody did");
    ended
}
