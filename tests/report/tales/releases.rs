//! Releases: one that went well, and ones that did not.

use backstay::backup::Level;
use backstay::backup::proof::Trial;
use backstay::event::{LineCard, LineId, Phase};
use backstay::failure::{Failure, Verdict};
use backstay::journal::{Entry, Onward};
use backstay::report::{BackupSeen, Evidence, Kept};
use backstay::steps::{Exchanged, Left};
use serde_json::{Value, json};

use super::{Tale, cards, line};

const BEFORE: &[&str] = &["preflight", "backup", "lint", "preview", "approve"];
pub const DURING: &[&str] =
    &["raise the flag", "close the database", "clone the guard", "migrate to head", "verify schema and rows"];
pub const OPEN: &[&str] =
    &["open the database", "deploy api", "health", "prove that production serves", "clear the flag"];
const AFTER: &[&str] = &["watch for 10m", "record"];
pub const BACK: &[&str] = &[
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

pub fn checklist() -> Vec<LineCard> {
    [
        cards(Phase::Before, BEFORE, 1),
        cards(Phase::During, DURING, 6),
        cards(Phase::Open, OPEN, 11),
        cards(Phase::After, AFTER, 16),
    ]
    .concat()
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
    tale.evidence.schema_before = Kept::There(SCHEMA.into());
    tale.evidence.backups = vec![BackupSeen {
        id: "20261121t020001z-a77qk".into(),
        missing: None,
        tables: 11,
        rows: 8_104_220,
        raw_bytes: 1_912_000_000,
        stored_bytes: 412_700_000,
        unread: None,
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

pub fn deployed() -> Tale {
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
    tale.evidence.schema_after = Kept::There(SCHEMA.replace(
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

pub fn turned_back() -> Tale {
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

/// Where the writes since a release are kept.
pub const LEDGER: &str = "runs/20261121t020000z-b4kqn/ledger/1/";

/// A rollback after which production has none of what was written since the release.
pub fn rolled_back() -> Evidence {
    rolled_back_leaving(Left { ledger: Some(LEDGER.into()), ..Left::default() })
}

/// A rollback that put the guard of a release in production's place.
pub fn rolled_back_leaving(left: Left) -> Evidence {
    let (name, kept_as) = ("shop__g_x_1".to_string(), Some("shop__f_x_1".to_string()));
    let facts = json!(Exchanged { database: 16901, name, backup: None, kept_as, left });
    let lines = ["raise the flag", "close the database", "put the old one back by the guard"];
    let mut tale =
        Tale::begin([cards(Phase::During, &lines, 1), cards(Phase::Open, &["clear the flag"], 4)].concat());
    if let Entry::Began { rollback, .. } = &mut tale.evidence.records[0].entry {
        let order = json!({ "by": "guard", "release": "20261120t020000z-aaaaa", "marked": true });
        *rollback = Some(serde_json::from_value(order).expect("an order"));
    }
    for (n, name) in (1..).zip(lines.iter().take(2)) {
        tale.done(line(n), name, 20, "done", Value::Null);
    }
    tale.done(line(3), lines[2], 90, "the guard takes production's place", facts)
        .done(line(4), "clear the flag", 9, "it is down", Value::Null)
        .end(Verdict::Done);
    tale.told()
}
