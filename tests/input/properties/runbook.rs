//! A runbook is read or refused at a place, and what is read can be journaled, read again and compiled.

use std::path::Path;

use backstay::config::Config;
use backstay::document::render;
use backstay::engine::plan::Plan;
use backstay::event::LineId;
use backstay::runbook::Runbook;

use super::findings;

const FILE: &str = "runbooks/release.toml";

/// An environment with nothing but what it must have.
const PLAIN: &str = "[database]\nurl = \"postgresql://shop@127.0.0.1/shop\"\n[migrations]\ndirectory = \"m\"\n\
                     [store]\nurl = \"file://./store\"\n";

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let variables = findings::variables();
    let runbook = match Runbook::parse(&text, FILE, &variables) {
        Ok(runbook) => runbook,
        Err(invalid) => {
            findings::look_over(&invalid, &text);
            let told = findings::with_literals(&text);
            if let Err(invalid) = Runbook::parse(&told, FILE, &variables) {
                findings::expect_no_literal(&invalid, &text);
            }
            return;
        }
    };
    assert_eq!(runbook.text, text);
    let again = Runbook::parse(&runbook.text, FILE, &variables).expect("it was read a moment ago");
    assert_eq!(format!("{again:?}"), format!("{runbook:?}"));

    let environment = Config::parse(PLAIN, Path::new("/nowhere"), "production", &variables);
    let environment = environment.unwrap_or_else(|invalid| panic!("{}", render(&*invalid, 100, false)));
    if let Err(invalid) = runbook.check_against(&environment) {
        findings::look_over(&invalid, &text);
    }
    let plan = Plan::compile(&runbook, &environment);
    for (number, line) in (1..).zip(&plan.lines) {
        assert_eq!(line.id, LineId::Line(number));
        assert!(!line.name.trim().is_empty());
    }
}
