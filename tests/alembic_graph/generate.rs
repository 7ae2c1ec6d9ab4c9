//! Random graphs, and what to ask about them. The same seed makes the same.

use std::collections::{BTreeMap, BTreeSet};

use backstay::migrate::graph::Graph;
use serde_json::{Value, json};

use super::answer::{Case, Declared, apply};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below `end`; 0 if that is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }

    /// Once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A graph of up to `most` revisions, and questions.
pub fn case(random: &mut Random, most: usize) -> Case {
    let graph = graph(random, most);
    let case = Case { graph, questions: Vec::new() };
    let built = Graph::new(case.revisions()).unwrap_or_else(|error| panic!("{error}\n{}", case.show()));
    let questions = Questions { random, case: &case, graph: &built, asked: Vec::new() }.all();
    Case { questions, ..case }
}

/// Names that are the beginning of others now and then, and some too short to be shortened.
fn name(random: &mut Random, taken: &mut BTreeSet<String>) -> String {
    loop {
        let length = if random.once_in(12) { 2 + random.below(2) } else { 4 + random.below(5) };
        let name: String = (0..length).map(|_| char::from(b"ab0_"[random.below(4)])).collect();
        if taken.insert(name.clone()) {
            return name;
        }
    }
}

fn graph(random: &mut Random, most: usize) -> Vec<Declared> {
    let mut taken = BTreeSet::new();
    let size = 1 + random.below(most);
    let (width, roots) = (1 + random.below(6), 4 + random.below(40));
    let (merges, needs, labels) = (2 + random.below(12), 3 + random.below(20), 2 + random.below(12));
    // Most projects merge heads; some graphs shall be wild.
    let wild = random.once_in(6);
    let mut list: Vec<Declared> = Vec::new();
    for i in 0..size {
        let id = name(random, &mut taken);
        let mut down = Vec::new();
        if i > 0 && !random.once_in(roots) {
            down.push(list[i - 1 - random.below(width.min(i))].0.clone());
            if random.once_in(merges) {
                for _ in 0..=random.below(2) {
                    let others: Vec<&String> =
                        list.iter().map(|r| &r.0).filter(|id| wild || beside(&list, id, &down)).collect();
                    down.extend(others.get(random.below(others.len())).map(ToString::to_string));
                }
            }
        }
        let mut depends_on = Vec::new();
        if i > 0 && random.once_in(needs) {
            let ancestors = below(&list, &down);
            let strangers = list.iter().filter(|r| wild || !ancestors.contains(&r.0));
            let choices: Vec<&String> = strangers.flat_map(|r| std::iter::once(&r.0).chain(&r.3)).collect();
            for _ in 0..=random.below(3) {
                depends_on.extend(choices.get(random.below(choices.len())).map(ToString::to_string));
            }
        }
        once_each(&mut down);
        once_each(&mut depends_on);
        let mut branch = Vec::new();
        if random.once_in(labels) {
            branch.extend((0..=random.below(5) / 4).map(|_| name(random, &mut taken)));
        }
        list.push((id, down, depends_on, branch));
    }
    match random.below(3) {
        0 => {}
        1 => list.reverse(),
        _ => (1..list.len()).rev().for_each(|i| list.swap(i, random.below(i + 1))),
    }
    list
}

fn once_each(list: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

/// Neither above nor below any of these.
fn beside(list: &[Declared], id: &str, others: &[String]) -> bool {
    let lower = below(list, &[id.to_string()]);
    !below(list, others).contains(id) && !others.iter().any(|other| lower.contains(other))
}

/// These and everything below them.
fn below(list: &[Declared], of: &[String]) -> BTreeSet<String> {
    let by_name: BTreeMap<&str, &Declared> =
        list.iter().flat_map(|r| std::iter::once(&r.0).chain(&r.3).map(move |n| (n.as_str(), r))).collect();
    let mut todo: Vec<String> = of.to_vec();
    let mut found = BTreeSet::new();
    while let Some((id, down, needs, _)) = todo.pop().and_then(|name| by_name.get(name.as_str()).copied()) {
        if found.insert(id.clone()) {
            todo.extend(down.iter().chain(needs).cloned());
        }
    }
    found
}

/// A graph with something wrong in it, and no questions.
pub fn broken(random: &mut Random) -> Case {
    let mut graph = graph(random, 12);
    let (one, other) = (random.below(graph.len()), random.below(graph.len()));
    let id = graph[other].0.clone();
    match random.below(7) {
        // A circle, most times.
        0 => graph[one].1 = vec![id],
        1 => graph[one].2.push(id),
        2 => graph[one].1.push("gone".to_string()),
        3 => graph[one].2.push("gone".to_string()),
        4 => graph[one].3.push(id),
        5 => {
            graph[one].3.push("twice".to_string());
            graph[other].3.push("twice".to_string());
        }
        _ => {
            let (_, down, needs, _) = graph[one].clone();
            graph.push((id, down, needs, Vec::new()));
        }
    }
    Case { graph, questions: Vec::new() }
}

struct Questions<'a> {
    random: &'a mut Random,
    case: &'a Case,
    graph: &'a Graph,
    asked: Vec<Value>,
}

impl Questions<'_> {
    fn all(mut self) -> Vec<Value> {
        self.asked.extend([json!(["heads"]), json!(["bases"]), json!(["branches"])]);
        self.asked.push(json!(["history", [], null, false]));
        let mut rows = BTreeSet::new();
        for _ in 0..7 {
            self.ask_at(&rows);
            self.travel(&mut rows);
        }
        for _ in 0..4 {
            let (up, down) = (self.span(), self.span());
            self.asked.extend([json!(["upgrade_sql", up]), json!(["downgrade_sql", down])]);
            let (shown, head, needs) = (self.place(), self.place(), self.place());
            self.asked.push(json!(["show", shown]));
            let needs = if self.random.once_in(2) { vec![] } else { vec![needs] };
            self.asked.push(json!(["revision", head, self.random.once_in(2), needs]));
            let merged: Vec<String> = (0..1 + self.random.below(3)).map(|_| self.place()).collect();
            self.asked.push(json!(["merge", merged]));
        }
        self.asked
    }

    /// Everything that can be asked of a database with these rows.
    fn ask_at(&mut self, rows: &BTreeSet<String>) {
        for _ in 0..3 {
            let (up, down, stamp) = (self.target(), self.target(), self.target());
            self.asked.push(json!(["upgrade", rows, up]));
            self.asked.push(json!(["downgrade", rows, down]));
            self.asked.push(json!(["stamp", rows, stamp, self.random.once_in(5)]));
            let range = self.range();
            self.asked.push(json!(["history", rows, range, self.random.once_in(2)]));
        }
        self.asked.push(json!(["current", rows]));
    }

    /// Goes somewhere for real.
    fn travel(&mut self, rows: &mut BTreeSet<String>) {
        for _ in 0..8 {
            let target = self.target();
            let plan = match self.random.below(3) {
                0 => self.graph.plan_downgrade(rows, &target),
                _ => self.graph.plan_upgrade(rows, &target),
            };
            if let Some(steps) = plan.ok().filter(|steps| !steps.is_empty()) {
                steps.iter().flat_map(|step| &step.changes).for_each(|change| apply(rows, change));
                return;
            }
        }
    }

    fn id(&mut self) -> String {
        self.case.graph[self.random.below(self.case.graph.len())].0.clone()
    }

    /// An id, the beginning of one, or now and then nothing that there is.
    fn somebody(&mut self) -> String {
        let id = self.id();
        match self.random.below(12) {
            0..=2 => id[..1 + self.random.below(id.len())].to_string(),
            3 if self.random.once_in(4) => "nobody".to_string(),
            _ => id,
        }
    }

    /// A label mostly; any revision names its branch too.
    fn branch(&mut self) -> String {
        let labels: Vec<&String> = self.case.graph.iter().flat_map(|r| &r.3).collect();
        if labels.is_empty() || self.random.once_in(4) {
            return self.somebody();
        }
        labels[self.random.below(labels.len())].clone()
    }

    /// An absolute target.
    fn place(&mut self) -> String {
        match self.random.below(10) {
            0 => self.random.pick(&["head", "heads", "base"]).to_string(),
            1 => self.branch(),
            2 => format!("{}@{}", self.branch(), self.random.pick(&["head", "heads", "base"])),
            3 => format!("{}@{}", self.branch(), self.somebody()),
            _ => self.somebody(),
        }
    }

    fn count(&mut self) -> String {
        let sign = self.random.pick(&["+", "-"]);
        let count = if self.random.once_in(15) { 0 } else { 1 + self.random.below(4) };
        format!("{sign}{count}")
    }

    fn target(&mut self) -> String {
        match self.random.below(16) {
            0..=2 => self.random.pick(&["head", "heads", "base"]).to_string(),
            3 | 4 => self.count(),
            5 | 6 => format!("{}{}", self.somebody(), self.count()),
            7 => format!("{}{}", self.random.pick(&["head", "heads", "base"]), self.count()),
            8 | 9 => format!("{}@{}", self.branch(), self.count()),
            10 => format!("{}@{}{}", self.branch(), self.somebody(), self.count()),
            _ => self.place(),
        }
    }

    fn span(&mut self) -> String {
        let target = self.target();
        match self.random.below(5) {
            0 => target,
            1 => format!("base:{target}"),
            _ => format!("{}:{target}", self.place()),
        }
    }

    fn range(&mut self) -> String {
        let start = match self.random.below(8) {
            0 => String::new(),
            1 => "current".to_string(),
            2 => format!("-{}", 1 + self.random.below(4)),
            3 => format!("{}@-{}", self.branch(), 1 + self.random.below(3)),
            _ => self.place(),
        };
        let end = match self.random.below(8) {
            0 => String::new(),
            1 | 2 => "current".to_string(),
            3 => self.target(),
            _ => self.place(),
        };
        format!("{start}:{end}")
    }
}
