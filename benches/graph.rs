//! What the revision graph costs, by its shape and size: `make bench-graph`.
//!
//! Microseconds for each revision, medians. A cost that grows no faster than the number of revisions shows the same
//! figure in every column. Nothing here passes or fails: it prints.

#[expect(dead_code, reason = "no database is asked here")]
mod bed;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use backstay::migrate::Migrations;
use backstay::migrate::graph::{Graph, Revision, Step};

use bed::{median, show};

const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// The revisions of a graph of that size.
type Shape = fn(usize) -> Vec<Revision>;

fn main() {
    println!("µs for each revision, at {SIZES:?} revisions\n");
    println!("{:<8} {:>27} {:>27} {:>27}", "", "built", "upgraded from base", "downgraded to base");
    let shapes: [(&str, Shape); 5] =
        [("chain", chain), ("comb", comb), ("ladder", ladder), ("stairs", stairs), ("random", random)];
    for (shape, make) in shapes {
        let costs: Vec<Cost> = SIZES.iter().map(|&size| Cost::of(&make(size))).collect();
        let column = |pick: fn(&Cost) -> Duration| {
            let cells =
                costs.iter().zip(SIZES).map(|(cost, size)| pick(cost).as_secs_f64() * 1e6 / size as f64);
            cells.fold(String::new(), |mut row, micros| {
                let _ = write!(row, "{micros:>9.2}");
                row
            })
        };
        println!("{shape:<8} {} {} {}", column(|c| c.built), column(|c| c.upgrade), column(|c| c.downgrade));
    }
    println!();
    for (shape, make) in [("chain", chain as Shape), ("random", random)] {
        files(shape, &make(10_000));
    }
}

struct Cost {
    built: Duration,
    upgrade: Duration,
    downgrade: Duration,
}

impl Cost {
    fn of(revisions: &[Revision]) -> Self {
        let (mut built, mut upgrade, mut downgrade) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..9 {
            let given = revisions.to_vec();
            let (graph, cost) = timed(|| Graph::new(given).expect("a graph"));
            built.push(cost);
            let none = BTreeSet::new();
            let (steps, cost) = timed(|| graph.plan_upgrade(&none, "heads").expect("a plan"));
            upgrade.push(cost);
            let rows = graph.resolve("heads").expect("heads").into_iter().map(String::from).collect();
            let (back, cost): (Vec<Step>, _) = timed(|| graph.plan_downgrade(&rows, "base").expect("a plan"));
            downgrade.push(cost);
            assert_eq!((steps.len(), back.len()), (revisions.len(), revisions.len()));
        }
        Self { built: median(&mut built), upgrade: median(&mut upgrade), downgrade: median(&mut downgrade) }
    }
}

/// The same from files: read, parsed, built and planned.
fn files(shape: &str, revisions: &[Revision]) {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&target).expect("a folder");
    let folder = tempfile::tempdir_in(target).expect("a folder");
    for (number, revision) in revisions.iter().enumerate() {
        let mut text = format!("-- revision: {}\n", revision.id);
        for (key, names) in
            [("revises", &revision.down), ("depends-on", &revision.depends_on), ("branch", &revision.labels)]
        {
            if !names.is_empty() {
                let _ = writeln!(text, "-- {key}: {}", names.join(", "));
            }
        }
        let _ = write!(text, "-- Make table {number}\n\n-- upgrade\nCREATE TABLE t{number} (id int);\n");
        let _ = write!(text, "\n-- downgrade\nDROP TABLE t{number};\n");
        std::fs::write(folder.path().join(format!("{number:05}_{}.sql", revision.id)), text).expect("a file");
    }
    let (mut loaded, mut planned) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let (migrations, cost) = timed(|| Migrations::load(folder.path()).expect("migrations"));
        loaded.push(cost);
        let (_, cost) = timed(|| migrations.graph().plan_upgrade(&BTreeSet::new(), "heads").expect("a plan"));
        planned.push(cost);
    }
    let (loaded, planned) = (median(&mut loaded), median(&mut planned));
    println!(
        "{shape}, {} files: read and built in {}, planned in {}, together {} (aim: below 150 ms)",
        revisions.len(),
        show(loaded),
        show(planned),
        show(loaded + planned)
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn made(size: usize, parents: impl Fn(usize) -> Vec<usize>) -> Vec<Revision> {
    let revision = |i: usize| {
        let down = parents(i).into_iter().map(id).collect();
        Revision { down, ..Revision::new(&id(i), &[]) }
    };
    (0..size).map(revision).collect()
}

/// Twelve hexadecimal digits, in no order, as Alembic's ids are.
fn id(i: usize) -> String {
    format!("{:012x}", (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
}

/// Each on the one before.
fn chain(size: usize) -> Vec<Revision> {
    made(size, |i| i.checked_sub(1).into_iter().collect())
}

/// All on the first.
fn comb(size: usize) -> Vec<Revision> {
    made(size, |i| if i == 0 { Vec::new() } else { vec![0] })
}

/// A fork of two and their merge, again and again.
fn ladder(size: usize) -> Vec<Revision> {
    made(size, |i| match i % 3 {
        0 => i.checked_sub(1).into_iter().chain(i.checked_sub(2)).collect(),
        1 => vec![i - 1],
        _ => vec![i - 2],
    })
}

/// A trunk with a branch of one revision at every step.
fn stairs(size: usize) -> Vec<Revision> {
    made(size, |i| if i % 2 == 0 { i.checked_sub(2).into_iter().collect() } else { vec![i - 1] })
}

/// Branches, merges, labels and dependencies as a big project might have them; the same each time.
fn random(size: usize) -> Vec<Revision> {
    let mut state = 7u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    let mut list = Vec::with_capacity(size);
    for i in 0..size {
        let mut revision = Revision::new(&id(i), &[]);
        if i > 0 && below(500) > 0 {
            let mut down = BTreeSet::from([i - 1 - below(8.min(i))]);
            if below(5) == 0 {
                down.insert(i - 1 - below(16.min(i)));
            }
            revision.down = down.into_iter().map(id).collect();
        }
        if i > 0 && below(20) == 0 {
            revision.depends_on.push(id(below(i)));
        }
        if below(400) == 0 {
            revision.labels.push(format!("branch{i}"));
        }
        list.push(revision);
    }
    list
}
