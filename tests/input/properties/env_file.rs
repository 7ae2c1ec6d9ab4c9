//! What an env file says can be written again and read as the same; lines beside a good file are read as if alone.

use std::collections::BTreeMap;

use backstay::config::env_file::parse;

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let text = text.trim_start_matches('\u{feff}');
    let variables = match parse(text) {
        Ok(variables) => variables,
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            let lines = text.split('\n').count();
            for error in errors {
                assert!((1..=lines).contains(&error.line), "{error} of {lines}");
            }
            return;
        }
    };
    for (name, value) in &variables {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        assert!(!name.is_empty() && name.bytes().all(plain), "{name:?} is no name");
        assert!(!value.contains('\0'), "{name} can be given to no process");
    }
    assert_eq!(parse(&written(&variables)).as_ref(), Ok(&variables), "written as\n{}", written(&variables));
    stand_beside_others(text, &variables);
}

/// All of them, in double quotes.
fn written(variables: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(&format!("export {name}=\""));
        for letter in value.chars() {
            match letter {
                '"' | '\\' | '$' | '`' => text.extend(['\\', letter]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                letter => text.push(letter),
            }
        }
        text.push_str("\"\n");
    }
    text
}

fn stand_beside_others(text: &str, variables: &BTreeMap<String, String>) {
    let mut expected = variables.clone();
    expected.insert("KNOWN_FIRST".into(), "it's \"so\" # $x".into());
    // The last of two counts.
    expected.entry("KNOWN_FIRST".into()).and_modify(|value| {
        if let Some(later) = variables.get("KNOWN_FIRST") {
            value.clone_from(later);
        }
    });
    let above = format!("\u{feff}KNOWN_FIRST='it'\\''s \"so\" # $x' # why\r\n{text}");
    assert_eq!(parse(&above), Ok(expected.clone()), "below another line");
    // As in a shell, a backslash at the very end takes the next line's beginning.
    if text.ends_with('\\') {
        return;
    }
    expected.insert("KNOWN_LAST".into(), "a b".into());
    assert_eq!(parse(&format!("{above}\nKNOWN_LAST = a b # c")), Ok(expected), "above another line");
}
