//! How one secret may be written. **Pure.**

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Encodings of shorter secrets are not looked for: a few letters of base64 stand in every text.
const SHORTEST_ENCODED: usize = 6;

/// As many backslashes may be before a character as three programs escape it one after another.
const MOST_BACKSLASHES: usize = 8;

/// An apostrophe in SQL, in the quotes of a shell, in HTML.
const APOSTROPHES: [&[u8]; 6] = [b"''", b"'\\''", b"'\"'\"'", b"&#39;", b"&#x27;", b"&apos;"];
/// A quotation mark in SQL and CSV, in HTML.
const QUOTES: [&[u8]; 4] = [b"\"\"", b"&quot;", b"&#34;", b"&#x22;"];

/// A text that is looked for. Each of its characters may be written in any way that [`spellings_end`] knows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Needle(String);

/// All that is looked for to find `secret`: itself, what is surely in base64 of any text that holds it, and its
/// hexadecimal digits.
pub(super) fn needles(secret: &str) -> Vec<Needle> {
    let mut texts = vec![secret.to_string()];
    if secret.len() >= SHORTEST_ENCODED {
        for before in 0..3 {
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                texts.push(encoded_behind(secret, before, &engine));
            }
        }
        texts.extend([hex::encode(secret), hex::encode_upper(secret)]);
    }
    texts.sort();
    texts.dedup();
    texts.into_iter().map(Needle).collect()
}

/// The part of base64 that the secret alone decides, if `before` bytes (modulo 3) stand before it. A character holds six
/// bits: those at the edges, which hold bits of the neighbours too, are left out.
fn encoded_behind(secret: &str, before: usize, engine: &impl Engine) -> String {
    let text = [&vec![0; before], secret.as_bytes()].concat();
    let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
    engine.encode(&text).get(first..last).unwrap_or_default().to_string()
}

impl Needle {
    /// The byte that it begins with, before anybody writes it in another way.
    pub fn first_byte(&self) -> u8 {
        self.0.bytes().next().unwrap_or_default()
    }

    /// Where the longest spelling ends that begins at `start`, if one does.
    pub fn end_at(&self, text: &[u8], start: usize) -> Option<usize> {
        if self.is_plainly_another(&text[start..]) {
            return None;
        }
        // Almost always there is one way on; a few where a character is written as more of its kind.
        let (mut ends, mut next) = (vec![start], Vec::new());
        for c in self.0.chars() {
            ends.drain(..).for_each(|end| spellings_end(text, end, c, &mut next));
            if next.is_empty() {
                return None;
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut ends, &mut next);
        }
        ends.pop()
    }

    /// Most texts that begin as the needle does differ in the second byte, and that is quickly seen.
    fn is_plainly_another(&self, text: &[u8]) -> bool {
        match (text, self.0.as_bytes()) {
            ([b, found, ..], [first, wanted, ..]) => {
                b == first && found != wanted && !may_begin_another_way(*found)
            }
            _ => false,
        }
    }
}

/// Whether a character may be written otherwise than as itself from this byte on.
fn may_begin_another_way(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | b'+' | b'\'' | b'"')
}

/// Gives to `found` the first byte of every character of which a spelling may begin at `at`.
pub(super) fn first_bytes(text: &[u8], at: usize, mut found: impl FnMut(u8)) {
    let byte = text[at];
    found(byte);
    let rest = &text[at + 1..];
    match byte {
        b'%' => rest.get(..2).and_then(hex_value).into_iter().for_each(|code| found(code as u8)),
        b'+' => found(b' '),
        b'&' => b"<>\"'".iter().for_each(|c| found(*c)),
        b'\\' => {
            let escaped = rest.iter().take(MOST_BACKSLASHES).find(|byte| **byte != b'\\').copied();
            b"\n\r\t".iter().for_each(|c| found(*c));
            escaped.filter(|c| *c != b'u').into_iter().for_each(&mut found);
            if escaped == Some(b'u') {
                // Whatever its number says; those are few.
                (0..=u8::MAX).filter(|c| *c != b'\\').for_each(found);
            }
        }
        _ => {}
    }
}

/// Adds to `ends` where each spelling of `c` ends that begins at `at`.
fn spellings_end(text: &[u8], at: usize, c: char, ends: &mut Vec<usize>) {
    let rest = text.get(at..).unwrap_or_default();
    let mut utf8 = [0; 4];
    let utf8 = c.encode_utf8(&mut utf8).as_bytes();
    let mut literally = |spelling: &[u8]| {
        if rest.starts_with(spelling) {
            ends.push(at + spelling.len());
        }
    };
    literally(utf8);
    match c {
        ' ' => literally(b"+"),
        '\'' => APOSTROPHES.into_iter().for_each(literally),
        '"' => QUOTES.into_iter().for_each(literally),
        '&' => literally(b"&amp;"),
        '<' => literally(b"&lt;"),
        '>' => literally(b"&gt;"),
        _ => {}
    }
    match rest.first() {
        Some(b'%') => ends.extend(percent_end(rest, utf8).map(|length| at + length)),
        Some(b'\\') => escaped_ends(rest, c, |length| ends.push(at + length)),
        _ => {}
    }
}

/// How long `bytes` are at the beginning of `text` if each is percent-encoded.
fn percent_end(text: &[u8], bytes: &[u8]) -> Option<usize> {
    let codes = text.chunks_exact(3).take(bytes.len());
    let same = codes.len() == bytes.len()
        && codes
            .zip(bytes)
            .all(|(code, byte)| code[0] == b'%' && hex_value(&code[1..]) == Some(u32::from(*byte)));
    same.then_some(bytes.len() * 3)
}

/// How long `c` is at the beginning of `text`, which is a backslash, in each way in which it may be escaped.
fn escaped_ends(text: &[u8], c: char, mut found: impl FnMut(usize)) {
    let run = text.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    if c == '\\' {
        // One was a spelling by itself; each program that escapes it doubles it.
        [2, 4, 8].into_iter().filter(|doubled| *doubled <= run).for_each(found);
        return;
    }
    let after = &text[run..];
    let letter = match c {
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c as u8),
        _ => None,
    };
    if letter.is_some() && after.first().copied() == letter {
        found(run + 1);
    }
    if let Some(length) = unicode_end(after, c) {
        found(run + length);
    }
}

/// How long `c` is as `uXXXX`, or a pair of those (JSON), or `u{X}` (Rust), the first backslash being read already.
fn unicode_end(text: &[u8], c: char) -> Option<usize> {
    let digits = text.strip_prefix(b"u")?;
    if let Some(braced) = digits.strip_prefix(b"{") {
        let length = braced.iter().position(|byte| *byte == b'}')?;
        return (hex_value(&braced[..length])? == u32::from(c)).then_some(length + 3);
    }
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units);
    if hex_value(digits.get(..4)?)? != u32::from(units[0]) {
        return None;
    }
    let Some(low) = units.get(1) else { return Some(5) };
    let after = &digits[4..];
    let run = after.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let second = after[run..].strip_prefix(b"u")?.get(..4)?;
    (run > 0 && hex_value(second)? == u32::from(*low)).then_some(5 + run + 5)
}

fn hex_value(digits: &[u8]) -> Option<u32> {
    let fits = (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok()?;
    fits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}
