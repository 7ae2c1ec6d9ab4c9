//! Many releases started at once on one environment: one runs, the others are told who does.

use crate::common::project::Ended;
use crate::driver::Driver;
use crate::tale::Tale;
use crate::world::World;

const AT_ONCE: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_releases_at_once_one_runs() {
    let _alone = crate::ALONE.lock().await;
    let world = World::build().await;
    world.begin(&Tale::calm()).await;
    // The one that runs waits in its deploy until the others were refused.
    let wait = "while [ ! -e go ]; do sleep 0.05; done";
    for machine in &world.machines {
        let deploy = std::fs::read_to_string(machine.join("deploy")).expect("the deploy");
        std::fs::write(machine.join("deploy"), deploy.replace("sleep 0.15", wait)).expect("the deploy");
    }
    let mut drivers: Vec<Driver> =
        (0..AT_ONCE).map(|n| world.start(n % 2, &["run", "release", "--yes"])).collect();
    crate::common::project::wait_until("all but one to be refused", || {
        drivers.iter_mut().map(Driver::has_ended).filter(|ended| !ended).count() <= 1
    });
    world.project.write("go", "");
    let ended: Vec<Ended> = drivers.into_iter().map(Driver::ended).collect();
    let (done, refused): (Vec<&Ended>, Vec<&Ended>) = ended.iter().partition(|ended| ended.code == 0);
    assert_eq!((done.len(), refused.len()), (1, AT_ONCE - 1), "{ended:?}");
    for refused in refused {
        assert_eq!(refused.code, 3, "{}", refused.err);
        assert!(refused.err.contains("it is held by"), "{}", refused.err);
        assert!(refused.err.contains("server process"), "{}", refused.err);
    }
    let runs = std::fs::read_dir(world.project.path("backstay-store/runs")).expect("the runs").count();
    assert_eq!(runs, 1, "a refused one left something on the store");
    let effects = std::fs::read_to_string(world.project.path("deployed")).expect("the deploy's effects");
    assert_eq!(effects.lines().count(), 1, "deployed more than once");
    crate::judge::of_production(&world, &Tale::calm(), &Default::default(), 0, &[]).await;
}
