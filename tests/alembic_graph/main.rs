//! The revision graph held against Alembic itself: the same order and the same version rows, or a refusal by both.
//!
//! `make test-alembic` asks Alembic about 2,000 random graphs; `make test` compares with what it once said about 100 of
//! them (`recorded.jsonl`, made by `make record-alembic`), without Python.

mod answer;
mod generate;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use answer::Case;

/// What one of the two says: lines, or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Lines(Vec<String>),
    Refused(String),
}

impl Answer {
    /// A refusal agrees with a refusal, whatever the words.
    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Lines(a), Self::Lines(b)) => a == b,
            (Self::Refused(_), Self::Refused(_)) => true,
            _ => false,
        }
    }
}

/// What Alembic says; or, where it is departed from on purpose, the name of the departure and what is right instead.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Theirs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    departs: Option<String>,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    case: Case,
    answers: Vec<Theirs>,
}

/// Every departure that there may be; one by another name fails the test.
const DEPARTURES: [&str; 18] = [
    // The graph is refused: Alembic warns, and goes on with whichever file it read last.
    "two files with one id",
    // Alembic does not notice every circle; it then applies a revision before what it stands on.
    "a circle through a dependency",
    // Alembic looks at a branch only where it needs one to choose by: a misspelt one may take down everything.
    "a branch that does not exist",
    // Alembic walks down from base to the head.
    "steps below base lead to the head",
    // Alembic takes whichever row comes first, and warns that it will refuse.
    "-N from several rows",
    // Alembic's HeadMaintainer raises half-way; the order of the revisions and the rows before it are the same.
    "Alembic's bookkeeping breaks off",
    // Such rows make Alembic refuse the next upgrade ("overlaps with other requested revisions").
    "Alembic leaves rows that others imply",
    // Where there are rows, Alembic refuses it too.
    "a stamp of -N on an empty version table",
    // Alembic looks for it in the whole graph too, if there are rows.
    "a stamp of an id shortened within its branch",
    // Such rows make Alembic refuse the next upgrade.
    "a stamp of heads of which one needs the other",
    // Alembic makes one row of all that a name touches, and loses those that the target does not stand for.
    "a stamp that forgets a row that it has nothing to do with",
    // Alembic answers by accident.
    "a range of which both ends are counted",
    // Alembic looks for it as it was typed among the labels, and lists nothing.
    "a shortened branch at the start of a range",
    // Alembic counts from the heads; its manual says from the end.
    "a start of -N counts from the end of the range",
    // Alembic's sort asserts.
    "a range through a dependency",
    // Alembic lists everything.
    "up to the current revision of an empty version table",
    // Alembic counts down from the heads.
    "-N where nothing is counted",
    // Alembic writes a revision with one parent.
    "a merge of fewer than two",
];

const GRAPHS: usize = 2_000;
/// Graphs that are wrong on purpose, beside them.
const BROKEN: usize = 200;

#[test]
#[ignore = "needs Python and PyPI: make test-alembic"]
fn random_graphs_agree() {
    let seed = seed();
    println!("BACKSTAY_SEED={seed}");
    let mut random = generate::Random::new(seed);
    let mut cases: Vec<Case> = (0..GRAPHS).map(|_| generate::case(&mut random, 60)).collect();
    cases.extend((0..BROKEN).map(|_| generate::broken(&mut random)));
    let theirs = ask_alembic(&cases);
    let report = Report::of(&cases, &theirs);
    println!("{}", report.summary());
    assert!(report.differences.is_empty(), "BACKSTAY_SEED={seed}\n{}", report.first_differences());
}

#[test]
fn recorded_graphs_agree() {
    let text = std::fs::read_to_string(recorded()).unwrap();
    let (mut cases, mut theirs) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let Recorded { case, answers } = serde_json::from_str(line).unwrap();
        cases.push(case);
        theirs.push(answers);
    }
    assert_eq!(cases.len(), 100);
    let report = Report::of(&cases, &theirs);
    assert!(report.differences.is_empty(), "{}", report.first_differences());
}

/// Writes `recorded.jsonl`: a graph, what is asked about it and what Alembic says, a line each.
#[test]
#[ignore = "writes a file: make record-alembic"]
fn record() {
    let mut random = generate::Random::new(seed());
    let mut cases: Vec<Case> = (0..5).map(|_| generate::case(&mut random, 60)).collect();
    cases.extend((0..85).map(|_| generate::case(&mut random, 10)));
    cases.extend((0..10).map(|_| generate::broken(&mut random)));
    let theirs = ask_alembic(&cases);
    let mut text = String::new();
    for (mut case, mut answers) in cases.into_iter().zip(theirs) {
        thin(&mut case, &mut answers);
        text.push_str(&serde_json::to_string(&Recorded { case, answers }).unwrap());
        text.push('\n');
    }
    std::fs::write(recorded(), text).unwrap();
}

/// Half of what is asked at random is refused, in long words: one refusal of four is kept, without its words.
fn thin(case: &mut Case, answers: &mut Vec<Theirs>) {
    let Some(graph) = (!answers.is_empty()).then(|| answers.remove(0)) else { return };
    let mut refused = 0;
    let asked = std::mem::take(&mut case.questions).into_iter().zip(std::mem::take(answers));
    let kept = asked.filter(|(_, theirs)| {
        refused += usize::from(matches!(theirs.answer, Answer::Refused(_)));
        matches!(theirs.answer, Answer::Lines(_)) || refused % 4 == 0
    });
    (case.questions, *answers) = kept.unzip();
    answers.insert(0, graph);
    for theirs in answers {
        if let Answer::Refused(words) = &mut theirs.answer {
            words.clear();
        }
    }
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alembic_graph/recorded.jsonl")
}

/// `BACKSTAY_SEED`, or another each time.
fn seed() -> u64 {
    match std::env::var("BACKSTAY_SEED") {
        Ok(seed) => seed.parse().expect("BACKSTAY_SEED is a number"),
        Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    }
}

fn ask_alembic(cases: &[Case]) -> Vec<Vec<Theirs>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new(root.join(".ci/alembic")).stderr(Stdio::inherit()).output().unwrap();
    assert!(installed.status.success(), "Alembic is not installed");
    let alembic = PathBuf::from(String::from_utf8(installed.stdout).unwrap().trim());
    let mut python = Command::new(alembic.with_file_name("python"))
        .arg(root.join("tests/alembic_graph/ask.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = python.stdin.take().unwrap();
    let lines: Vec<String> = cases.iter().map(|case| serde_json::to_string(case).unwrap()).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            writeln!(questions, "{line}").unwrap();
        }
    });
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "ask.py failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Vec<Theirs>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

struct Difference {
    revisions: usize,
    text: String,
}

#[derive(Default)]
struct Report {
    answered: usize,
    refused: usize,
    departures: BTreeMap<String, usize>,
    differences: Vec<Difference>,
}

impl Report {
    fn of(cases: &[Case], theirs: &[Vec<Theirs>]) -> Self {
        let mut report = Self::default();
        for (case, theirs) in cases.iter().zip(theirs) {
            let ours = case.answers();
            let questions = std::iter::once("is it a graph?".to_string())
                .chain(case.questions.iter().map(|question| serde_json::to_string(question).unwrap()));
            assert_eq!(
                ours.len(),
                theirs.len(),
                "one builds the graph, the other does not:\n{}",
                case.show()
            );
            for ((question, ours), theirs) in questions.zip(&ours).zip(theirs) {
                report.compare(case, &question, ours, theirs);
            }
        }
        report
    }

    fn compare(&mut self, case: &Case, question: &str, ours: &Answer, theirs: &Theirs) {
        let known = match &theirs.departs {
            None => true,
            Some(name) => {
                *self.departures.entry(name.clone()).or_default() += 1;
                DEPARTURES.contains(&name.as_str())
            }
        };
        match ours {
            Answer::Lines(_) => self.answered += 1,
            Answer::Refused(_) => self.refused += 1,
        }
        if !known || !ours.agrees(&theirs.answer) {
            let text = format!("{}{question}\n  ours    {ours:?}\n  theirs  {theirs:?}\n", case.show());
            self.differences.push(Difference { revisions: case.graph.len(), text });
        }
    }

    fn summary(&self) -> String {
        let mut lines = vec![format!("{} answers and {} refusals agree", self.answered, self.refused)];
        lines.push(format!("{} differences", self.differences.len()));
        lines.extend(self.departures.iter().map(|(name, count)| format!("{count:>6} departures: {name}")));
        lines.join("\n")
    }

    /// Those of the smallest graphs.
    fn first_differences(&self) -> String {
        let mut first: Vec<&Difference> = self.differences.iter().collect();
        first.sort_by_key(|difference| difference.revisions);
        let texts: Vec<&str> = first.iter().take(12).map(|difference| difference.text.as_str()).collect();
        format!("{} differences, the first:\n\n{}", self.differences.len(), texts.join("\n"))
    }
}
