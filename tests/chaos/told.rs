//! What happened in a tale, for whoever has to find out why it ended badly.

use std::sync::Mutex;

use crate::common::project::Ended;
use crate::tale::Kind;
use crate::world::World;

/// The story so far.
#[derive(Default)]
pub struct Told {
    story: Mutex<Vec<String>>,
    hits: Mutex<Vec<Hit>>,
    outputs: Mutex<Vec<String>>,
}

/// A fault that struck.
#[derive(Debug, Clone)]
pub struct Hit {
    pub kind: Kind,
    /// The line that was under way, or the one before.
    pub line: String,
}

impl Told {
    pub fn say(&self, text: impl Into<String>) {
        self.story.lock().expect("the story").push(text.into());
    }

    /// A fault strikes now.
    pub fn hit(&self, world: &World, kind: Kind) {
        let (line, records) = (world.line(), world.records().len());
        self.say(format!("{kind} at record {records}, {line}"));
        self.hits.lock().expect("the hits").push(Hit { kind, line });
    }

    /// A driver ended by itself.
    pub fn end(&self, who: &str, ended: &Ended) {
        self.say(format!("{who} ended with {}", ended.code));
        let output = format!("=== {who}: exit {}\n{}{}", ended.code, ended.out, ended.err);
        self.outputs.lock().expect("the outputs").push(output);
    }

    /// Whether a driver said this that ended by itself.
    pub fn ever_said(&self, words: &str) -> bool {
        self.outputs.lock().expect("the outputs").iter().any(|output| output.contains(words))
    }

    /// Whether the driver that ended last said this.
    pub fn last_said(&self, words: &str) -> bool {
        self.outputs.lock().expect("the outputs").last().is_some_and(|output| output.contains(words))
    }

    pub fn hits(&self) -> Vec<Hit> {
        self.hits.lock().expect("the hits").clone()
    }

    /// Whether nothing but kills of drivers happened.
    pub fn only_kills(&self) -> bool {
        self.hits().iter().all(|hit| hit.kind.is_a_kill())
    }

    /// Everything, for a tale that ended badly.
    pub fn all(&self, world: &World) -> String {
        let mut text = self.story.lock().expect("the story").join("\n");
        for output in self.outputs.lock().expect("the outputs").iter() {
            text.push_str(&format!("\n{output}"));
        }
        text.push_str("\n=== the journal");
        for record in world.records() {
            let what = ["name", "summary", "why", "verdict", "failure", "how"];
            let what: Vec<String> = what
                .iter()
                .map(|key| &record[*key])
                .filter(|v| !v.is_null())
                .map(|v| v.to_string())
                .collect();
            text.push_str(&format!(
                "\n{:>3} epoch {} {} {} {} {}",
                record["number"],
                record["epoch"],
                record["at"].as_str().unwrap_or_default(),
                record["kind"].as_str().unwrap_or_default(),
                record["line"].as_str().unwrap_or_default(),
                what.join(" ")
            ));
        }
        text
    }
}
