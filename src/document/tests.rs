//! Whatever a file holds, reading it ends in a value or in messages with places inside the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::runbook::Runbook;

/// A small generator with a fixed seed (SplitMix64): the same mutations on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'t>(&mut self, items: &[&'t str]) -> &'t str {
        items[self.below(items.len())]
    }
}

const SHARDS: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "=",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\n",
    "\r\n",
    "\r",
    "#",
    ",",
    ".",
    "${",
    "}",
    "$${",
    "://u:p@",
    "password = ",
    "ä",
    "🔑",
    "\u{feff}",
    "\0",
    "\t",
    "\\",
    "\\u0024",
    "-1",
    "99999999999999999999",
    "1e400",
    "nan",
    "true",
    "2025-01-01",
    "\"0s\"",
    "[]",
    "{}",
    "[[during]]\n",
    "[window]\n",
    "step = \"migrate\"\n",
    "name = \"x\"\n",
    "${NOT_SET}",
    "${NOT_SET:-x}",
    "a.b.c = 1\n",
    "[a.b.c.d]\n",
    "[[health.http]]\n",
    "key = \"abc\"",
];

fn mutate(text: &str, random: &mut Random) -> String {
    let mut text = text.to_string();
    for _ in 0..=random.below(4) {
        let mut boundary = |text: &str| {
            let mut at = random.below(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (a, b) = (boundary(&text), boundary(&text));
        let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 40));
        let end = (end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        match random.below(4) {
            0 => drop(text.drain(start..end)),
            1 => text.insert_str(start, random.pick(SHARDS)),
            2 => text.replace_range(start..end, random.pick(SHARDS)),
            _ => {
                let copy = text[start..end].to_string();
                text.insert_str(b.max(a), &copy);
            }
        }
    }
    text
}

fn check(text: &str, invalid: &Invalid) {
    assert!(!invalid.findings().is_empty());
    let lines = text.matches('\n').count() + 1;
    for finding in invalid.findings() {
        let (line, column) = invalid.position(finding);
        assert!((1..=lines).contains(&line) && column >= 1, "{line}:{column} in {text:?}");
        assert!(!finding.message().is_empty());
    }
    for width in [100, 20] {
        let shown = render(invalid, width, width == 20);
        assert!(!shown.contains("Failed to read contents"), "{shown}\n{text:?}");
        assert!(shown.contains(invalid.file()), "{shown}\n{text:?}");
    }
}

#[test]
fn mutated_files_never_panic_and_places_stay_in_the_file() {
    let variables: BTreeMap<String, String> = ["DATABASE_URL", "DEPLOY", "DEPLOY_UNDO", "MAINTENANCE"]
        .map(|n| (n.to_string(), String::new()))
        .into();
    let mut random = Random(7);
    let mut refused = 0;
    for round in 0..60 {
        for text in [include_str!("../../config/default.toml"), include_str!("../../config/production.toml")]
        {
            let text = mutate(text, &mut random);
            if let Err(invalid) = Config::parse(&text, Path::new("/nowhere"), "fuzz", &variables) {
                check(&text, &invalid);
                refused += 1;
            }
        }
        for (name, text) in crate::runbook::SHIPPED {
            let text = mutate(text, &mut random);
            if let Err(invalid) = Runbook::parse(&text, name, &variables) {
                check(&text, &invalid);
                refused += 1;
            }
        }
        assert!(refused > 0 || round < 10, "mutations do nothing");
    }
}

#[test]
fn short_files_have_places_too() {
    for text in [
        "",
        "\n",
        "\r",
        "\u{feff}",
        "x",
        "[",
        "ä",
        "=\n",
        "\"",
        "a",
        "\0",
        "[x]",
        "x=",
        "[[before]]",
        "before=1",
    ] {
        let none = BTreeMap::new();
        check(text, &Config::parse(text, Path::new("/nowhere"), "fuzz", &none).unwrap_err());
        check(text, &Runbook::parse(text, "fuzz", &none).unwrap_err());
    }
}

#[test]
fn deep_nesting_is_refused_and_no_stack_overflows() {
    let none = BTreeMap::new();
    for text in [
        format!("x = {}", "[".repeat(50_000)),
        format!("x = {}", "{a=".repeat(50_000)),
        format!("[{}]", vec!["a"; 20_000].join(".")),
        format!("{} = 1", vec!["a"; 20_000].join(".")),
    ] {
        assert!(Config::parse(&text, Path::new("/nowhere"), "fuzz", &none).is_err());
    }
}
