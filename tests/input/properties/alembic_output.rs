//! Whatever Alembic (and an `env.py`) prints is heard without a panic, in bounded memory, and nothing is told of it that
//! was not said; of the SQL that it writes, a migration's part is a part.

use std::collections::BTreeSet;
use std::path::Path;

use backstay::migrate::alembic::heard::Heard;
use backstay::migrate::alembic::offline::{body_of, heading};
use backstay::migrate::chain::{Chain, Text};
use backstay::migrate::graph::{Revision, Step};
use backstay::migrate::{Options, Tables};

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let chain = chain();
    let steps = chain.graph().plan_upgrade(&BTreeSet::new(), "head").expect("a chain of three");
    as_output(&text, &chain, &steps);
    as_sql(&text, &steps);
}

/// `a`, then `b` and `c`, then `m` of both.
fn chain() -> Chain {
    let file = |id: &str, down: &[&str]| {
        let path = format!("versions/{id}.py").into();
        (Revision::new(id, down), Text { path, description: id.to_uppercase(), ..Text::default() })
    };
    let files = vec![file("a", &[]), file("b", &["a"]), file("c", &["a"]), file("m", &["b", "c"])];
    Chain::new(Path::new("/srv/alembic"), files).expect("a diamond")
}

fn as_output(text: &str, chain: &Chain, steps: &[Step]) {
    let mut heard = Heard::new();
    let mut last = None;
    for line in text.lines() {
        if let Some((at, step)) = heard.line(line, steps) {
            assert_eq!(&steps[at], step);
            assert!(line.contains(&format!("Running {} ", step.direction.verb())));
            last = Some(step.revision.clone());
        }
        let _ = heard.is_tracing();
    }
    heard.end();
    assert_eq!(heard.at_work(), last.as_deref());
    assert!(steps.iter().all(|step| heard.took(&step.revision).is_none() || last.is_some()));
    let said = |told: &String| text.lines().any(|line| line.contains(told.as_str()));
    for told in [heard.cause(), heard.answers()] {
        assert!(told.len() <= 4, "{told:?}");
        assert!(told.iter().all(said), "{told:?} was not said");
    }
    assert!(heard.said().iter().all(said));
    assert!(heard.said().len() <= 400, "more is kept than a traceback has");
    assert!(!heard.is_contention() || heard.says(&["lock timeout", "LockNotAvailable", "deadlock detected"]));
    if let Some((revision, line)) = heard.place(chain, Path::new("/srv/alembic")) {
        assert!(chain.text(&revision).is_some(), "{revision}:{line}");
    }
}

fn as_sql(text: &str, steps: &[Step]) {
    let tables = Tables::offline(&Options::default()).expect("the default's name");
    for step in steps {
        let title = heading(step);
        let Some(body) = body_of(text, &title, &tables) else { continue };
        let below = &text[text.find(&title).expect("there is a part below it")..];
        for statement in &body.statements {
            let made = statement == "BEGIN;" || statement == "COMMIT;";
            assert!(made || below.contains(statement.as_str()), "{statement:?} was not written");
        }
        assert!(!body.outside || body.statements.iter().any(|statement| statement == "COMMIT;"));
        // Where nothing of it stands, nothing is made up.
        let other = body_of(&format!("{text}\n{title}"), &title, &tables);
        assert_eq!(other.map(|body| body.statements.len()), Some(0));
    }
}
