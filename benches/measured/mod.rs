//! Programs that are run to their end, by time and peak memory, and the table of their medians.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bed::{median, show};

/// One measured run.
#[derive(Clone, Copy)]
pub struct One {
    pub took: Duration,
    /// Bytes on disk afterwards, if it wrote.
    pub bytes: u64,
    /// KiB of its own process.
    pub peak: u64,
}

/// Runs by name.
#[derive(Default)]
pub struct Figures(BTreeMap<&'static str, Vec<One>>);

impl Figures {
    pub fn add(&mut self, name: &'static str, one: One) {
        self.0.entry(name).or_default().push(one);
    }

    /// Medians, and ratios to each of `against` that was run.
    pub fn print(&self, against: &[&str]) {
        let medians: BTreeMap<&str, One> = self.0.iter().map(|(name, all)| (*name, middle(all))).collect();
        for (name, one) in &medians {
            let mut line = format!("  {name:32} {:>8}", show(one.took));
            if one.bytes > 0 {
                line += &format!("  {:>8}", backstay::time::show_bytes(one.bytes));
            }
            if one.peak > 0 {
                line += &format!("  {:>4} MiB", one.peak / 1024);
            }
            for other in against.iter().filter(|other| *other != name) {
                let Some(other_one) = medians.get(other) else { continue };
                line += &format!("  {:.2} x", one.took.as_secs_f64() / other_one.took.as_secs_f64());
                if one.bytes > 0 && other_one.bytes > 0 {
                    line += &format!(" ({:.3} x bytes)", one.bytes as f64 / other_one.bytes as f64);
                }
                line += &format!(" of {other}");
            }
            println!("{line}");
        }
    }
}

fn middle(all: &[One]) -> One {
    let pick = |of: fn(&One) -> u64| median(&mut all.iter().map(of).collect::<Vec<_>>());
    One {
        took: median(&mut all.iter().map(|one| one.took).collect::<Vec<_>>()),
        bytes: pick(|one| one.bytes),
        peak: all.iter().map(|one| one.peak).max().unwrap_or_default(),
    }
}

/// Runs a program to its good end; gives its time, and its peak memory in KiB.
pub fn run(command: &mut Command) -> (Duration, u64) {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a program");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        // The kernel keeps the high-water mark; what is missed is the last moment's.
        peak = std::fs::read_to_string(&status_file).ok().and_then(|text| high_water(&text)).unwrap_or(peak);
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let took = began.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    (took, peak)
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
