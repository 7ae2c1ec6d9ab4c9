//! Real releases on a real server, under write load, while processes are killed, the server crashes and the network
//! breaks: whatever happens, production ends wholly old or wholly new, and no acknowledged write is lost.
//!
//! `make test-chaos SEED=… RUNS=…` plays so many tales from that seed on; `SEED=n RUNS=1` repeats one.

#[path = "../crash/app.rs"]
mod app;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "tests/crash uses all of it")]
#[path = "../crash/driver.rs"]
mod driver;
mod fifty;
mod judge;
mod ledger;
mod play;
mod proxy;
mod sentinel;
mod tale;
mod tally;
mod told;
mod watch;
mod world;
mod writers;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::Mutex;

use crate::sentinel::Spy;
use crate::tale::Tale;
use crate::tally::Tally;
use crate::told::Told;
use crate::watch::Watch;
use crate::world::World;
use crate::writers::Writers;

/// The server of this process crashes: nobody else may use it meanwhile.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What `make test` plays: of every fault one, of every release one, two faults and more in a tale.
const USUAL: [u64; 10] = [6, 11, 16, 20, 28, 42, 50, 69, 72, 73];

/// The seeds that were asked for.
fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match (number("BACKSTAY_CHAOS_SEED"), number("BACKSTAY_CHAOS_RUNS")) {
        (None, None) => USUAL.to_vec(),
        (seed, runs) => {
            let first = seed.unwrap_or(1);
            (first..first + runs.unwrap_or(1)).collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_in_a_storm() {
    let _alone = ALONE.lock().await;
    let seeds = seeds();
    let (world, began, mut tally) = (World::build().await, Instant::now(), Tally::of(&seeds));
    let spy = Spy::start();
    for &seed in &seeds {
        let (tale, told) = (Tale::of(seed), Told::default());
        let began = Instant::now();
        world.begin(&tale).await;
        match AssertUnwindSafe(live_through(&world, &tale, &told)).catch_unwind().await {
            Ok(code) => {
                println!(
                    "seed {seed}: {:?}, exit {code}, {:.1} s",
                    tale.release,
                    began.elapsed().as_secs_f32()
                );
                if seeds.len() == 1 {
                    println!("{tale:#?}\n{}", told.all(&world));
                }
                tally.add(&told, code);
            }
            // The panic was printed; the other tales are told all the same.
            Err(_) => {
                println!("seed {seed} FAILED, see above\n{tale:#?}\n{}", told.all(&world));
                tally.fail(&told, seed);
            }
        }
    }
    tally.took(began.elapsed().as_secs());
    println!("{}", tally.table("This call"));
    println!("{}", tally.keep().table("All calls"));
    spy.saw_nothing();
    assert!(tally.failed().is_empty(), "repeat one with: make test-chaos SEED={} RUNS=1", tally.failed()[0]);
}

/// One tale, and what must hold after it.
async fn live_through(world: &World, tale: &Tale, told: &Told) -> i32 {
    let (watch, writers) = (Watch::start(), Writers::start(&world.project, tale));
    let code = play::play(world, tale, told).await;
    let rows = writers.stop().await;
    watch.saw_nobody();
    judge::of_ending(tale, told, code);
    judge::of_production(world, tale, told, code, &rows).await;
    judge::of_next_release(world, tale, told).await;
    code
}
