//! Runs that a page must bear: one of which records are lost, one that nobody should trust, a long one.

use backstay::event::{LineId, Phase};
use backstay::failure::{Failure, Verdict};
use backstay::journal::{Entry, Onward};
use backstay::report::{BackupSeen, Evidence, Kept};
use serde_json::{Value, json};

use super::{Tale, cards, checklist, line, migrated};

/// Its driver is gone, and records of it with him.
pub fn damaged() -> Evidence {
    let mut tale = migrated();
    tale.evidence.records.drain(..4);
    tale.evidence.refused = true;
    tale.evidence.environment = "production".into();
    tale.evidence.damage = vec!["record 1 is missing".into(), "record 2 is missing".into()];
    tale.told()
}

/// Every text that others write tries to be more than a text.
pub fn hostile() -> Evidence {
    const EVIL: &str = "</pre></title></style><script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">'\" onload='window.hacked=1' &lt;b&gt; \u{202e}\u{1b}[31m";
    let evil = |text: &str| format!("{text}{EVIL}");
    let mut lines = checklist();
    lines.iter_mut().take(4).for_each(|line| line.name = evil("name"));
    let mut tale = Tale::begin(lines);
    if let Some(Entry::Began { environment, runbook, target, driver, .. }) =
        tale.evidence.records.first_mut().map(|r| &mut r.entry)
    {
        for text in [environment, &mut runbook.name, &mut runbook.origin, &mut runbook.text, &mut target.name]
        {
            *text = evil("x");
        }
        driver.user = evil("user");
        driver.machine.host = evil("host");
        driver.version = evil("1");
    }
    let finding = json!({ "rule": evil("r"), "level": "error\"", "file": evil("f"), "line": 1, "what": evil("w"), "evidence": [evil("e")], "help": [evil("h")] });
    let preview =
        json!({ "hash": evil("h"), "sql_hash": "1", "revisions": [evil("r")], "commit": evil("c") });
    let approval = json!({ "by": evil("by"), "how": "said", "recorded_by": evil("rec"), "at": "2026-11-20T17:00:00Z", "of": "1" });
    let check = json!({ "check": evil("c"), "answer": evil("a"), "latency_millis": 1 });
    let ledger = json!({ "foreign": true, "ledger": { "entries": [{ "name": evil("public.\"t"), "what": evil("w") }] } });
    tale.done(line(1), "x", 5, &evil("sum"), json!({ "findings": [finding], "checks": [check] }))
        .done(line(2), "x", 5, &evil("sum"), preview)
        .done(line(3), "x", 5, &evil("sum"), json!({ "by": evil("by"), "host": evil("on"), "asked": false }))
        .done(
            line(3),
            "x",
            5,
            &evil("sum"),
            json!({ "by": evil("by"), "file": evil("file"), "driver": evil("me") }),
        )
        .done(line(3), "x", 5, &evil("sum"), json!({ "by": evil("by"), "plan": { "approval": approval } }))
        .start(line(4), "x")
        .fail(line(4), 5, Failure::failed(evil("f")).because_of(evil("c")).leaving(evil("s")).then(evil("n")))
        .say(Entry::PutBackBegan { lines: cards(Phase::PutBack, &[&evil("b")], 1) })
        .done(LineId::Back(1), "x", 5, &evil("s"), ledger)
        .say(Entry::Interrupted { how: evil("how"), onward: Onward::Leave })
        .say(Entry::KeepNew { who: evil("who") })
        .print(line(1), EVIL)
        .note(line(1), EVIL)
        .end(Verdict::NotPutBack);
    tale.evidence.preview =
        Some(format!("-- lint: error {EVIL}\nSELECT \"{EVIL}\", '{EVIL}'; /* {EVIL} */ {EVIL}"));
    tale.evidence.schema_before = Kept::There(String::new());
    tale.evidence.schema_after = Kept::There(evil("CREATE TABLE x;\n"));
    let unread = Some(evil("proof"));
    tale.evidence.backups =
        vec![BackupSeen { id: evil("id"), missing: Some(evil("gone")), unread, ..BackupSeen::default() }];
    tale.evidence.damage = vec![evil("record 7 ")];
    tale.told()
}

/// Two thousand steps that all talk.
pub fn long() -> Evidence {
    let names: Vec<String> = (0..2_000).map(|n| format!("load part {n} of the catalogue")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tale = Tale::begin(cards(Phase::Before, &names, 1));
    for (n, name) in (1..).zip(&names) {
        tale.done(
            line(n),
            name,
            20 + i64::from(n % 37) * 40,
            "psql ended with 0: 1,204 rows loaded & checked",
            Value::Null,
        );
        for row in 0..30 {
            tale.print(
                line(n),
                &format!("COPY {row} <public.\"part of the catalogue\"> took {} ms", n * row),
            );
        }
    }
    tale.end(Verdict::Done);
    tale.told()
}

/// Everything that others write is longer than anybody would read, on 2,000 lines.
pub fn boundless() -> Evidence {
    let names: Vec<String> = (0..2_000).map(|n| format!("part {n} {}", "<&>".repeat(40))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tale = Tale::begin(cards(Phase::Before, &names, 1));
    if let Entry::Began { runbook, .. } = &mut tale.evidence.records[0].entry {
        runbook.text = "# \"quoted\" & <marked>\n".repeat(50_000);
    }
    let text = |n: usize| "<é&\u{1b}[31m\u{1}'\">".repeat(n);
    let findings: Vec<Value> = (0..1_000)
        .map(|n| json!({ "rule": "r", "level": "warn", "file": text(20), "line": n, "what": text(50), "evidence": vec![text(9); 40] }))
        .collect();
    let checks: Vec<Value> =
        (0..3_000).map(|_| json!({ "check": text(40), "answer": text(9), "latency_millis": 1 })).collect();
    let revisions: Vec<String> = (0..50_000).map(|n| format!("r{n}")).collect();
    let facts = [
        json!({ "findings": findings, "checks": checks, "hash": "h", "sql_hash": "s", "revisions": revisions }),
        json!({ "ledger": { "entries": vec![json!({ "name": text(9), "what": text(90) }); 9_000] } }),
    ];
    for (n, name) in (1..).zip(&names) {
        let facts = facts.get(n as usize - 1).cloned().unwrap_or_default();
        tale.done(line(n), name, 9, &text(200), facts);
        for _ in 0..60 {
            tale.note(line(n), "a note of a line that has many of them");
            tale.print(line(n), &text(9));
        }
    }
    let failure = (0..200)
        .fold(Failure::failed(text(50)), |failure, n| failure.because_of(format!("{n} {}", text(200))));
    for n in 0..20 {
        tale.start(line(7), names[6]).fail(line(7), 9, failure.clone());
        tale.say(Entry::KeepNew { who: format!("{n} {}", text(90)) });
    }
    tale.end(Verdict::Refused);
    tale.evidence.preview = Some("INSERT INTO t VALUES (1,2,3,'it''s <here> & \"there\"');\n".repeat(5_000));
    tale.evidence.schema_before = Kept::There(String::new());
    let table = |n: usize| {
        format!(
            "--\n-- Name: t{n}; Type: TABLE; Schema: public; Owner: x\n--\n\nCREATE TABLE t{n} (\n    a {}\n);\n\n",
            text(9)
        )
    };
    tale.evidence.schema_after = Kept::There((0..2_000).map(table).collect());
    tale.evidence.damage = (0..5_000).map(|n| format!("record {n} {}", text(90))).collect();
    tale.told()
}
