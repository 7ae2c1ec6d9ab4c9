//! What every refusal of a file that a person wrote must be: at a place in the file, shown without a panic, and
//! without a secret.

use std::collections::BTreeMap;

use backstay::document::{Invalid, render};
use backstay::failure::Failure;

/// Words that stand in secrets alone. Each is looked for by itself: a message that is wrapped tears a secret apart.
const SECRET_WORDS: [&str; 3] = ["Zq1alpha", "Zq2beta", "Zq3gamma"];

/// What a password that is written into a file is here.
const LITERAL: &str = "Zq4literal";

/// What `${NAME}` stands for, as a process would have it: secrets, and what is none.
pub fn variables() -> BTreeMap<String, String> {
    let [a, b, c] = SECRET_WORDS;
    let passphrase = format!("{a} {b} {c}");
    let url = format!("postgresql://shop:{a}%20{b}@127.0.0.1:5432/shop");
    [
        ("API_TOKEN", passphrase.as_str()),
        ("DATABASE_URL", url.as_str()),
        ("DB_PASSWORD", a),
        ("EMPTY", ""),
        ("NAME", "shop"),
        ("PORT", "5432"),
        ("QUOTED_SECRET", &format!("{a}\"'\\\n{b}")),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .into()
}

/// Looks a refusal of `text` over.
pub fn look_over(invalid: &Invalid, text: &str) {
    assert!(!invalid.findings().is_empty(), "refused without a word");
    let lines: Vec<&str> = text.split('\n').collect();
    let mut before = (0, 0);
    for finding in invalid.findings() {
        assert!(!finding.message().is_empty());
        let (line, column) = invalid.position(finding);
        assert!((1..=lines.len()).contains(&line), "line {line} of {}", lines.len());
        let width = lines[line - 1].chars().count();
        assert!((1..=width + 1).contains(&column), "column {column} of {width} in line {line}");
        assert!(before <= (line, column), "{before:?} is told before {:?}", (line, column));
        before = (line, column);
    }
    let failure = Failure::from(invalid);
    assert!(!failure.causes.is_empty());
    let mut shown = vec![invalid.to_string(), failure.to_string(), failure.next.join("\n")];
    shown.extend(
        [(30, false), (80, true), (200, false)].map(|(width, colour)| render(invalid, width, colour)),
    );
    for shown in shown {
        expect_no_secret(&shown, text);
    }
}

/// No secret is shown, unless it stands in the file as if it were none.
pub fn expect_no_secret(shown: &str, text: &str) {
    for word in SECRET_WORDS {
        assert!(!shown.contains(word) || text.contains(word), "{word} is shown: {shown}");
    }
}

/// `text` with passwords below it that are written out. They are under keys that no file has, so it is refused.
pub fn with_literals(text: &str) -> String {
    format!(
        "{text}\n[no-such-table]\npassword = \"{LITERAL}\"\nurl = \"postgresql://u:{LITERAL}@h/d\"\n\
         headers = {{ Authorization = \"Bearer {LITERAL}\" }}\n# {LITERAL}_TOKEN=x, password={LITERAL}\n"
    )
    .replace(&format!("{LITERAL}_TOKEN"), "TOKEN")
}

/// None of what [`with_literals`] added is shown.
pub fn expect_no_literal(invalid: &Invalid, text: &str) {
    if text.contains(LITERAL) {
        return;
    }
    let failure = Failure::from(invalid);
    for shown in [render(invalid, 100, false), failure.to_string(), failure.next.join("\n")] {
        assert!(!shown.contains(LITERAL), "{LITERAL} is shown: {shown}");
    }
}
