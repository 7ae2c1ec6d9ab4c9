//! Runs as they are found on a store: one that went well, ones that did not, and one that nobody should trust.

use backstay::backup::Level;
use backstay::backup::proof::Trial;
use backstay::event::{LineCard, LineId, Phase};
use backstay::failure::{Failure, Kind, Verdict};
use backstay::journal::lease::Lease;
use backstay::journal::{Driver, Entry, Onward, Record, RunbookCopy, Target};
use backstay::machine::Machine;
use backstay::report::{BackupSeen, Evidence};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const RUN: &str = "20261121t020000z-b4kqn";

const BEFORE: &[&str] = &["preflight", "backup", "lint", "preview", "approve"];
const DURING: &[&str] =
    &["raise the flag", "close the database", "clone the guard", "migrate to head", "verify schema and rows"];
const OPEN: &[&str] =
    &["open the database", "deploy api", "health", "prove that production serves", "clear the flag"];
const AFTER: &[&str] = &["watch for 10m", "record"];
const BACK: &[&str] = &[
    "look for writes of others",
    "undo deploy api",
    "swap the guard in",
    "prove that production serves",
    "clear the flag",
];

pub const SQL: &str = "BEGIN;

-- Running upgrade 989ceebf408f -> c08085465bad

SET LOCAL lock_timeout = '4000ms';

-- lint: warn adding-field-with-default: a volatile default rewrites the table while it is locked
-- lint:   public.orders has 1.2 GB in 8,104,220 rows
ALTER TABLE orders ADD COLUMN priority integer NOT NULL DEFAULT 0;

/* Staff asked for three of them. */
ALTER TABLE orders
    ADD CONSTRAINT orders_priority_check CHECK (priority BETWEEN 0 AND 2) NOT VALID;

COMMENT ON COLUMN orders.priority IS 'how soon: 0 normal, 1 soon, 2 now';

UPDATE public.alembic_version SET version_num = 'c08085465bad' WHERE version_num = '989ceebf408f';

COMMIT;
";

const SCHEMA: &str = "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n--\n-- Name: orders; Type: TABLE; Schema: public; Owner: shop\n--\n\n\
CREATE TABLE public.orders (\n    id bigint NOT NULL,\n    customer_id bigint NOT NULL\n);\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

const RUNBOOK: &str = "name = \"release\"\ndescription = \"Backup-guarded production release\"\n\n[[before]]\nstep = \"preflight\"\n\n[window]\nguard = \"clone\"\nmax = \"15m\"\n\n[[during]]\nstep = \"migrate\"\nto = \"head\"\n";

/// A run that is being told.
pub struct Tale {
    pub evidence: Evidence,
    now: Timestamp,
    epoch: u32,
    log: String,
}

impl Tale {
    /// Begun, with this checklist.
    pub fn begin(lines: Vec<LineCard>) -> Self {
        let now: Timestamp = "2026-11-21T02:00:00.412Z".parse().expect("a time");
        let evidence = Evidence { run: RUN.into(), at: now, ..Evidence::default() };
        let mut tale = Self { evidence, now, epoch: 1, log: String::new() };
        tale.say(Entry::Began {
            environment: "production".into(),
            config_hash: String::new(),
            runbook: RunbookCopy {
                name: "release".into(),
                origin: "runbooks/release.toml".into(),
                text: RUNBOOK.into(),
                hash: String::new(),
            },
            target: Target { system: "1".into(), name: "shop".into(), oid: 16760 },
            driver: driver("maria", "runner-7"),
            lines,
            rollback: None,
        });
        tale
    }

    pub fn say(&mut self, entry: Entry) -> &mut Self {
        self.evidence.records.push(Record {
            format: 1,
            number: self.evidence.records.len() as u32 + 1,
            run: RUN.into(),
            epoch: self.epoch,
            nonce: "n".into(),
            at: self.now,
            previous: String::new(),
            entry,
        });
        self
    }

    pub fn wait(&mut self, millis: i64) -> &mut Self {
        self.now += SignedDuration::from_millis(millis);
        self.evidence.at = self.now;
        self
    }

    pub fn start(&mut self, line: LineId, name: &str) -> &mut Self {
        self.wait(6).say(Entry::Started { line, name: name.into(), intent: Value::Null })
    }

    /// A line that is begun and done.
    pub fn done(&mut self, line: LineId, name: &str, millis: i64, summary: &str, facts: Value) -> &mut Self {
        self.start(line, name).wait(millis);
        let (summary, millis) = (summary.into(), millis as u64);
        self.say(Entry::Finished { line, summary, facts, millis, probed: false })
    }

    pub fn fail(&mut self, line: LineId, millis: i64, failure: Failure) -> &mut Self {
        self.wait(millis).say(Entry::Failed { line, failure, millis: millis as u64 })
    }

    pub fn print(&mut self, line: LineId, text: &str) -> &mut Self {
        self.log.push_str(&format!("2026-11-21T02:00:01.000Z {line} | {text}\n"));
        self
    }

    pub fn note(&mut self, line: LineId, text: &str) -> &mut Self {
        self.log.push_str(&format!("2026-11-21T02:00:01.000Z {line} ! {text}\n"));
        self
    }

    pub fn end(&mut self, verdict: Verdict) -> &mut Self {
        self.wait(8).say(Entry::Ended { verdict })
    }

    pub fn take_over(&mut self) -> &mut Self {
        self.epoch += 1;
        self.say(Entry::TookOver { driver: driver("jonas", "laptop-3") })
    }

    pub fn told(self) -> Evidence {
        let mut evidence = self.evidence;
        evidence.log = Some(self.log);
        evidence
    }
}

pub fn driver(user: &str, host: &str) -> Box<Driver> {
    let machine = Machine { host: host.into(), ..Machine::default() };
    Box::new(Driver { user: user.into(), machine, pid: 4711, started: None, version: "0.1.0".into() })
}

fn cards(phase: Phase, names: &[&str], first: u32) -> Vec<LineCard> {
    let id = |n| if phase == Phase::PutBack { LineId::Back(n) } else { LineId::Line(n) };
    (first..)
        .zip(names)
        .map(|(n, name)| LineCard { id: id(n), phase, name: name.to_string(), done: None })
        .collect()
}

pub fn checklist() -> Vec<LineCard> {
    [
        cards(Phase::Before, BEFORE, 1),
        cards(Phase::During, DURING, 6),
        cards(Phase::Open, OPEN, 11),
        cards(Phase::After, AFTER, 16),
    ]
    .concat()
}

fn line(n: u32) -> LineId {
    LineId::Line(n)
}

/// Begun, and approved.
pub fn approved() -> Tale {
    let mut tale = Tale::begin(checklist());
    let finding = json!({
        "rule": "adding-field-with-default", "level": "warn", "revision": "c08085465bad",
        "file": "migrations/c08085465bad_add_priority.sql", "line": 9, "statement": 1, "excerpt": "ALTER TABLE orders",
        "what": "a volatile default rewrites the table while it is locked",
        "evidence": ["public.orders has 1.2 GB in 8,104,220 rows"],
        "help": ["add the column without a default, then set it in batches"],
    });
    let preview = json!({
        "hash": "9f2c1ab7740e55d0aa", "sql_hash": "77", "revisions": ["c08085465bad"],
        "object": "runs/x/preview.sql", "commit": "4be1c0f29d5566aa0011223344556677889900aa",
    });
    let approval = json!({ "by": "maria", "host": "runner-7", "hash": "9f2c1ab7740e55d0aa", "asked": true });
    tale.done(line(1), "preflight", 812, "23 checks, all good", Value::Null)
        .done(line(2), "backup", 94_310, "20261121t020001z-a77qk: 11 tables, 8,104,220 rows, 412.7 MB stored, restored in 1 m 12 s and compared", json!({ "backup": "20261121t020001z-a77qk" }))
        .done(line(3), "lint", 240, "0 errors, 1 warning in 1 migration", json!({ "findings": [finding] }))
        .done(line(4), "preview", 310, "1 pending: c08085465bad", preview)
        .done(line(5), "approve", 221_400, "1 migration (9f2c1ab7740e), by maria", approval);
    tale.evidence.preview = Some(SQL.into());
    tale.evidence.schema_before = Some(SCHEMA.into());
    tale.evidence.backups = vec![BackupSeen {
        id: "20261121t020001z-a77qk".into(),
        missing: None,
        tables: 11,
        rows: 8_104_220,
        raw_bytes: 1_912_000_000,
        stored_bytes: 412_700_000,
        proven: Some((
            Trial { held: true, level: Level::Restore, at: "2026-11-21T02:01:35Z".parse().expect("a time") },
            Some(79_000),
        )),
        restore_millis: Some(72_140),
        damaged_at: None,
    }];
    tale
}

/// Up to the fence, migrated.
pub fn migrated() -> Tale {
    let mut tale = approved();
    tale.done(line(6), "raise the flag", 31, "/opt/shop/maintenance", Value::Null)
        .done(line(7), "close the database", 144, "now called shop__w_20261121t020000z-b4kqn_1", Value::Null)
        .done(
            line(8),
            "clone the guard",
            2_260,
            "1.9 GB, same schema, 46 relations, 3 tables compared",
            Value::Null,
        )
        .done(
            line(9),
            "migrate to head",
            1_870,
            "c08085465bad Add priority to orders",
            json!({ "applied": ["c08085465bad"] }),
        )
        .done(
            line(10),
            "verify schema and rows",
            420,
            "11 tables, 23 indexes, 9 foreign keys, no table lost rows",
            Value::Null,
        );
    tale
}

fn deployed() -> Tale {
    let mut tale = migrated();
    tale.done(line(11), "open the database", 60, "shop is called so again and lets sessions in", Value::Null);
    tale.done(line(12), "deploy api", 4_800, "systemctl ended with 0", Value::Null);
    for row in [
        "Pulling registry.example.org/shop/api:2026-11-21",
        "Restarting api.service",
        "Active: active (running)",
    ] {
        tale.print(line(12), row);
    }
    tale
}

/// It went well.
pub fn good() -> Evidence {
    let mut tale = deployed();
    let checks = json!({ "checks": [
        { "check": "https://shop.example.org/health", "answer": "200", "latency_millis": 38, "tries": 3, "good_after_millis": 2_100 },
        { "check": "https://shop.example.org/api/v1/orders?limit=1", "answer": "200", "latency_millis": 121, "tries": 1, "good_after_millis": 121 },
        { "check": "select count(*) > 0 from users", "answer": "true", "latency_millis": 4, "tries": 1, "good_after_millis": 4 },
    ]});
    tale.done(
        line(13),
        "health",
        2_230,
        "https://shop.example.org/health answered 200 in 38 ms, SQL check true",
        checks,
    )
    .done(line(14), "prove that production serves", 12, "a new session can write", Value::Null)
    .done(line(15), "clear the flag", 9, "/opt/shop/maintenance is down", Value::Null)
    .done(line(16), "watch for 10m", 600_000, "healthy throughout; 0 blocked sessions", Value::Null)
    .done(line(17), "record", 380, "a line in RELEASES.md, the schema in schema.sql", Value::Null)
    .end(Verdict::Done);
    tale.evidence.schema_after = Some(SCHEMA.replace(
        "customer_id bigint NOT NULL\n",
        "customer_id bigint NOT NULL,\n    priority integer DEFAULT 0 NOT NULL,\n    CONSTRAINT orders_priority_check CHECK (((priority >= 0) AND (priority <= 2))) NOT VALID\n",
    ));
    tale.told()
}

fn unhealthy() -> Failure {
    Failure::failed("see https://shop.example.org/health healthy")
        .because_of("answered 503, not 200 (Service Unavailable: worker failed to boot)")
        .because_of("30 tries in 30 s")
        .then("look at the application's own log")
}

fn turned_back() -> Tale {
    let mut tale = deployed();
    for n in 0..30 {
        tale.print(line(13), &format!("try {n}: 503 Service Unavailable"));
    }
    tale.start(line(13), "health").fail(line(13), 30_010, unhealthy());
    let lines = cards(Phase::PutBack, BACK, 1);
    tale.say(Entry::PutBackBegan { lines });
    tale
}

/// It failed, and production was put back.
pub fn put_back() -> Evidence {
    let mut tale = turned_back();
    let back = LineId::Back;
    tale.done(
        back(1),
        BACK[0],
        90,
        "nobody else wrote",
        json!({ "foreign": false, "ledger": { "entries": [] } }),
    )
    .done(back(2), BACK[1], 3_900, "systemctl ended with 0", Value::Null)
    .done(
        back(3),
        BACK[2],
        140,
        "the old database serves; the failed one is kept as shop__f_20261121t020000z-b4kqn_1",
        Value::Null,
    )
    .done(
        back(4),
        BACK[3],
        55,
        "a new session can write; https://shop.example.org/health answered 200 in 41 ms",
        Value::Null,
    )
    .done(back(5), BACK[4], 8, "/opt/shop/maintenance is down", Value::Null)
    .end(Verdict::PutBack);
    tale.told()
}

/// It failed, a second driver took over, and production is still in maintenance.
pub fn not_put_back() -> Evidence {
    let mut tale = turned_back();
    let back = LineId::Back;
    let ledger = json!({ "foreign": false, "ledger": { "entries": [] } });
    tale.done(back(1), BACK[0], 90, "nobody else wrote", ledger)
        .start(back(2), BACK[1])
        .wait(2_000)
        .say(Entry::Interrupted { how: "stopped by a signal".into(), onward: Onward::Leave })
        .wait(48_000)
        .take_over()
        .wait(40)
        .say(Entry::Abandoned { line: back(2), why: "it is idempotent and is done again".into() })
        .done(back(2), BACK[1], 3_900, "systemctl ended with 0", Value::Null)
        .start(back(3), BACK[2])
        .fail(
            back(3),
            5_000,
            Failure::refused("end all sessions in database shop")
                .because_of(
                    "session 8812 of role postgres (pg_dump, from 10.0.4.9) can't be ended by role shop",
                )
                .leaving("nothing was swapped; the database is open with the new schema, the flag is up")
                .then("as a superuser: SELECT pg_terminate_backend(8812);"),
        )
        .note(back(3), "5 sessions were ended, 1 is left")
        .end(Verdict::NotPutBack);
    tale.told()
}

/// It goes on, inside the window.
pub fn running() -> Evidence {
    let mut tale = migrated();
    tale.done(line(11), "open the database", 60, "shop is called so again and lets sessions in", Value::Null);
    tale.start(line(12), "deploy api").wait(3_100);
    tale.print(line(12), "Pulling registry.example.org/shop/api:2026-11-21");
    let mut lease = Lease::of_this_process(RUN, 1, std::time::Duration::from_secs(2));
    lease.at = tale.evidence.at - SignedDuration::from_millis(1_200);
    tale.evidence.lease = Some(lease);
    tale.told()
}

/// Its driver is gone, and records of it with him.
pub fn damaged() -> Evidence {
    let mut tale = migrated();
    tale.evidence.records.drain(..4);
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
    let check = json!({ "check": evil("c"), "answer": evil("a"), "latency_millis": 1 });
    let ledger = json!({ "foreign": true, "ledger": { "entries": [{ "name": evil("public.\"t"), "what": evil("w") }] } });
    tale.done(line(1), "x", 5, &evil("sum"), json!({ "findings": [finding], "checks": [check] }))
        .done(line(2), "x", 5, &evil("sum"), preview)
        .done(line(3), "x", 5, &evil("sum"), json!({ "by": evil("by"), "host": evil("on"), "asked": false }))
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
    tale.evidence.schema_before = Some(String::new());
    tale.evidence.schema_after = Some(evil("CREATE TABLE x;\n"));
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

/// A signal stopped it before the window.
pub fn interrupted() -> Evidence {
    let mut tale = approved();
    tale.wait(5).say(Entry::Interrupted { how: "stopped by a signal".into(), onward: Onward::Leave });
    tale.evidence.driver_gone = true;
    tale.told()
}

/// What stopped a run that was then put back without any failure.
pub fn stopped() -> Evidence {
    let mut tale = migrated();
    tale.start(line(11), OPEN[0]).wait(20);
    tale.say(Entry::Interrupted { how: "the window lasts longer than 15m".into(), onward: Onward::PutBack });
    tale.say(Entry::PutBackBegan { lines: cards(Phase::PutBack, &BACK[4..], 1) });
    tale.done(LineId::Back(1), BACK[4], 8, "/opt/shop/maintenance is down", Value::Null)
        .end(Verdict::PutBack);
    tale.told()
}

/// The kind that a run has that stopped without a failure.
pub const STOPPED: Kind = Kind::Interrupted;
