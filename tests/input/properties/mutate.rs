//! Inputs made of others: what a fuzzer does, in small, and the same every time.

use std::path::Path;

/// A small generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'a>(&mut self, choices: &'a [Vec<u8>]) -> &'a [u8] {
        choices.get(self.below(choices.len())).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What is worth putting anywhere, whatever the language.
const ANYWHERE: [&[u8]; 22] = [
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"'",
    b"\"",
    b"\\",
    b"$",
    b"%",
    b";",
    b":",
    b"=",
    b",",
    b"#",
    b"-",
    b"/",
    b"[",
    b"}",
    b"\xc3\xa4",
    b"\xff",
    b"18446744073709551615",
];

/// `input` changed in a few places: pieces cut out, doubled, put in from `words` or from `others`, bytes changed.
pub fn mutated(random: &mut Random, input: &[u8], others: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut text = input.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(text.len() + 1);
        let length = random.below(1 + (text.len() - at).min(40));
        match random.below(7) {
            0 => drop(text.drain(at..at + length)),
            1 => {
                let piece = text[at..at + length].to_vec();
                text.splice(at..at, piece);
            }
            2 => {
                let other = random.of(others);
                let from = random.below(other.len());
                let length = random.below(other.len() - from + 1).min(200);
                text.splice(at..at, other[from..from + length].iter().copied());
            }
            3 | 4 if !words.is_empty() => {
                let word = random.of(words).to_vec();
                text.splice(at..at + length.min(random.below(4)), word);
            }
            5 => text.truncate(at),
            6 if at < text.len() => text[at] ^= 1 << random.below(8),
            _ => {
                let piece = ANYWHERE[random.below(ANYWHERE.len())];
                text.splice(at..at, piece.iter().copied());
            }
        }
    }
    text
}

/// The words of a dictionary as libFuzzer reads it: `"…"` a line, with `\"`, `\\` and `\xAB`.
pub fn words(dictionary: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(dictionary).unwrap_or_default();
    let quoted = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, after.first(), digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'\\', Some(b'x'), Some(code)) => {
                out.push(code);
                rest = &after[3..];
            }
            (b'\\', Some(&escaped), _) => {
                out.push(escaped);
                rest = &after[1..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}
