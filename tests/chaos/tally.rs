//! What the runs add up to, in this call and in all calls together.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::told::Told;

/// The sum of some runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// First and last seed of each call.
    seeds: Vec<(u64, u64)>,
    runs: u64,
    seconds: u64,
    /// How often each exit code ended a run.
    verdicts: BTreeMap<String, u64>,
    /// How often each fault hit each line.
    faults: BTreeMap<String, BTreeMap<String, u64>>,
    /// Seeds after which something was wrong.
    failed: Vec<u64>,
}

impl Tally {
    pub fn of(seeds: &[u64]) -> Self {
        let ends = seeds.first().zip(seeds.last()).map(|(first, last)| (*first, *last));
        Self { seeds: ends.into_iter().collect(), ..Self::default() }
    }

    /// A run that ended as it may.
    pub fn add(&mut self, told: &Told, code: i32) {
        *self.verdicts.entry(format!("exit {code}")).or_default() += 1;
        self.count(told);
    }

    /// A run after which something was wrong.
    pub fn fail(&mut self, told: &Told, seed: u64) {
        self.failed.push(seed);
        self.count(told);
    }

    fn count(&mut self, told: &Told) {
        self.runs += 1;
        for hit in told.hits() {
            let lines = self.faults.entry(hit.kind.to_string()).or_default();
            *lines.entry(hit.line).or_default() += 1;
        }
    }

    pub fn took(&mut self, seconds: u64) {
        self.seconds = seconds;
    }

    pub fn failed(&self) -> &[u64] {
        &self.failed
    }

    /// Appends this call to the file of all calls; gives their sum.
    pub fn keep(&self) -> Self {
        let path = file();
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(&path).expect("the tally's file");
        writeln!(file, "{}", serde_json::to_string(self).expect("JSON")).expect("a line");
        let text = std::fs::read_to_string(&path).expect("the tally's file");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).fold(Self::default(), Self::plus)
    }

    fn plus(mut self, other: Self) -> Self {
        self.seeds.extend(other.seeds);
        self.runs += other.runs;
        self.seconds += other.seconds;
        self.failed.extend(other.failed);
        for (code, times) in other.verdicts {
            *self.verdicts.entry(code).or_default() += times;
        }
        for (kind, lines) in other.faults {
            let all = self.faults.entry(kind).or_default();
            for (line, times) in lines {
                *all.entry(line).or_default() += times;
            }
        }
        self
    }

    /// The sum as a table for a person.
    pub fn table(&self, title: &str) -> String {
        let count = |map: &BTreeMap<String, u64>| map.values().sum::<u64>();
        let seeds: Vec<String> = self.seeds.iter().map(|(first, last)| format!("{first}..={last}")).collect();
        let verdicts: Vec<String> =
            self.verdicts.iter().map(|(code, times)| format!("{code}: {times}")).collect();
        let mut text = format!(
            "\n{title}\n  runs      {} in {} s, {} failed {:?}\n  seeds     {}\n  verdicts  {}\n  faults    {}\n",
            self.runs,
            self.seconds,
            self.failed.len(),
            self.failed,
            seeds.join(" "),
            verdicts.join(", "),
            self.faults.values().map(count).sum::<u64>()
        );
        for (kind, lines) in &self.faults {
            let mut at: Vec<(&String, &u64)> = lines.iter().collect();
            at.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
            let at: Vec<String> = at.iter().map(|(line, times)| format!("{line} {times}")).collect();
            text.push_str(&format!("    {kind:<15} {:>5}   {}\n", count(lines), at.join(", ")));
        }
        text
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos.jsonl")
}
