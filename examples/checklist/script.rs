//! Runs as their events tell them, with the time that passes before each: played by the example and
//! held by the snapshot tests of the screens.

use backstay::event::{Event, LineCard, LineId, Phase, Unit};
use backstay::failure::{Failure, Verdict};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

/// One event, and how long after the one before.
pub struct Beat {
    pub after_millis: i64,
    pub event: Event,
}

/// Events as they are written down; the clock goes on with [`Script::wait`].
pub struct Script {
    pub beats: Vec<Beat>,
    now: Timestamp,
    waited: i64,
    started: Timestamp,
    line: LineId,
}

pub const RUN: &str = "20251120-230512-k3x9";

const LINES: [(Phase, &str); 14] = [
    (Phase::Before, "preflight"),
    (Phase::Before, "backup"),
    (Phase::Before, "preview"),
    (Phase::Before, "approve"),
    (Phase::During, "flag up"),
    (Phase::During, "close"),
    (Phase::During, "guard"),
    (Phase::During, "migrate to head"),
    (Phase::During, "verify"),
    (Phase::During, "open"),
    (Phase::Open, "restart api"),
    (Phase::Open, "health"),
    (Phase::Open, "clear"),
    (Phase::After, "record"),
];

impl Script {
    pub fn begin(now: Timestamp) -> Self {
        let mut script = Self::at(now);
        script.begin_as(1, 0);
        script
    }

    /// Nothing yet.
    pub fn at(now: Timestamp) -> Self {
        Self { beats: Vec::new(), now, waited: 0, started: now, line: LineId::Line(0) }
    }

    /// Driver `epoch` takes the run up, with the first `done` lines done.
    pub fn begin_as(&mut self, epoch: u32, done: usize) {
        let summaries =
            ["31 checks", "12 tables, 3.1 MB, read back", "3 revisions", "typed", "", "14 sessions ended"];
        let card = |(i, (phase, name)): (usize, &(Phase, &str))| LineCard {
            id: LineId::Line(i as u32 + 1),
            phase: *phase,
            name: name.to_string(),
            done: (i < done).then(|| summaries.get(i).copied().unwrap_or_default().to_string()),
        };
        self.emit(Event::RunBegan {
            at: self.now,
            run: RUN.into(),
            epoch,
            environment: "production".into(),
            database: "shop on 127.0.0.1:5432".into(),
            runbook: "release".into(),
            description: "Backup-guarded production release".into(),
            lines: LINES.iter().enumerate().map(card).collect(),
        });
    }

    pub fn emit(&mut self, event: Event) {
        self.beats.push(Beat { after_millis: std::mem::take(&mut self.waited), event });
    }

    pub fn wait(&mut self, millis: i64) -> &mut Self {
        self.waited += millis;
        self.now += SignedDuration::from_millis(millis);
        self
    }

    pub fn start(&mut self, line: LineId) -> &mut Self {
        (self.line, self.started) = (line, self.now);
        self.emit(Event::LineStarted { at: self.now, line });
        self
    }

    pub fn finish(&mut self, summary: &str) -> &mut Self {
        let millis = (self.now.as_millisecond() - self.started.as_millisecond()) as u64;
        self.emit(Event::LineFinished { at: self.now, line: self.line, summary: summary.into(), millis });
        self
    }

    pub fn fail(&mut self, failure: Failure) -> &mut Self {
        let millis = (self.now.as_millisecond() - self.started.as_millisecond()) as u64;
        self.emit(Event::LineFailed { at: self.now, line: self.line, failure, millis });
        self
    }

    pub fn line(&mut self, n: u32, millis: i64, summary: &str) -> &mut Self {
        self.start(LineId::Line(n)).wait(millis).finish(summary)
    }

    pub fn back(&mut self, n: u32, millis: i64, summary: &str) -> &mut Self {
        self.start(LineId::Back(n)).wait(millis).finish(summary)
    }

    pub fn progress(&mut self, done: u64, total: Option<u64>, unit: Unit, note: &str) -> &mut Self {
        self.emit(Event::Progress { line: self.line, done, total, unit, note: note.into() });
        self
    }

    pub fn output(&mut self, text: &str) -> &mut Self {
        self.emit(Event::Output { line: self.line, text: text.into() });
        self
    }

    pub fn note(&mut self, text: &str) -> &mut Self {
        self.emit(Event::Note { line: Some(self.line), text: text.into() });
        self
    }

    pub fn end(&mut self, verdict: Verdict, causes: [Option<Failure>; 2], next: &[&str]) -> &mut Self {
        let [cause, put_back_cause] = causes;
        self.emit(Event::Ended {
            at: self.now,
            verdict,
            exit: verdict.exit_code(),
            run: RUN.into(),
            production: verdict.production().into(),
            cause,
            put_back_cause,
            next: next.iter().map(|n| n.to_string()).collect(),
        });
        self
    }

    /// The question of `approve`; what is typed can be received.
    pub fn ask(&mut self) -> oneshot::Receiver<String> {
        let (reply, answer) = oneshot::channel();
        let text = "release wants to run 3 revisions (7 statements) on shop on 127.0.0.1:5432.\n\
                    Users will see the maintenance page, for 15 m 00 s at most.";
        let (text, expects) = (text.into(), "production".into());
        self.emit(Event::Question { line: self.line, text, expects, reply });
        answer
    }

    // The chapters that the runs share.

    pub fn preflight(&mut self) -> &mut Self {
        self.start(LineId::Line(1)).wait(300).progress(12, Some(31), Unit::Items, "long transactions");
        self.note("session 4711 (analyst) holds a transaction open for 12 m 04 s");
        self.wait(500).finish("31 checks, 1 note")
    }

    /// The backup as far as `parts` of ten.
    pub fn backup_until(&mut self, parts: u64) -> &mut Self {
        self.start(LineId::Line(2));
        for part in 0..=parts {
            self.progress(part * 140_000_000, Some(1_400_000_000), Unit::Bytes, "public.order_lines")
                .wait(500);
        }
        self
    }

    pub fn before(&mut self) -> &mut Self {
        self.preflight().backup_until(10).finish("12 tables, 1.4 GB in 212.3 MB, read back");
        self.line(3, 140, "3 revisions, 7 statements").line(4, 12_000, "typed by anna@deploy-1")
    }

    pub fn window(&mut self) -> &mut Self {
        self.start(LineId::Line(5)).wait(40).finish("/opt/app/maintenance");
        self.emit(Event::WindowBegan { at: self.now, max_millis: Some(900_000) });
        self.line(6, 110, "14 sessions ended").line(7, 2200, "cloned 1.4 GB, compared")
    }

    pub fn during(&mut self) -> &mut Self {
        self.window();
        self.start(LineId::Line(8))
            .progress(0, Some(3), Unit::Items, "a41c add priority to questions")
            .wait(900);
        self.progress(1, Some(3), Unit::Items, "b52d index order_lines by product").wait(1600);
        self.progress(2, Some(3), Unit::Items, "c63e fill prices").wait(800);
        self.finish("3 revisions").line(9, 60, "11 tables, revision c63e").line(10, 30, "")
    }

    pub fn restart(&mut self) -> &mut Self {
        self.start(LineId::Line(11));
        for text in [
            "Stopping api.service",
            "Stopped api.service",
            "Starting api.service",
            "\u{1b}[32mready\u{1b}[0m",
        ] {
            self.output(text).wait(250);
        }
        self
    }

    pub fn turn_back(&mut self) -> &mut Self {
        let names = [
            "undo restart api",
            "close",
            "swap guard into place",
            "open",
            "health of the old application",
            "clear",
        ];
        let card = |(i, name): (usize, &&str)| LineCard {
            id: LineId::Back(i as u32 + 1),
            phase: Phase::PutBack,
            name: name.to_string(),
            done: None,
        };
        self.emit(Event::PutBackBegan { at: self.now, lines: names.iter().enumerate().map(card).collect() });
        self
    }

    pub fn window_ends(&mut self) -> &mut Self {
        self.emit(Event::WindowEnded { at: self.now });
        self
    }
}

// Whole runs.

pub fn good(now: Timestamp) -> Script {
    let mut script = Script::begin(now);
    script.before().during().restart().finish("exit 0");
    script.line(12, 3100, "3 good answers in a row, 41 ms").start(LineId::Line(13)).wait(20).window_ends();
    script.wait(10).finish("maintenance page down").line(14, 15, "CHANGELOG.md");
    script.end(Verdict::Done, [None, None], &[]);
    script
}

pub fn refused(now: Timestamp) -> Script {
    let mut script = Script::begin(now);
    let failure = Failure::refused("find production ready for a release")
        .because_of("prepared transaction \"pay-7\" of role pay holds locks since 09:12")
        .because_of("schema public: permission denied for role shop (42501)")
        .then("COMMIT PREPARED 'pay-7' or ROLLBACK PREPARED 'pay-7', as its owner decides")
        .then("GRANT CREATE ON SCHEMA public TO shop;");
    script.start(LineId::Line(1)).wait(800).fail(failure.clone());
    script.end(Verdict::Refused, [Some(failure), None], &["backstay run release -e production"]);
    script
}

pub fn migration_failure() -> Failure {
    Failure::failed("apply revision b52d (index order_lines by product)")
        .because_of("ERROR: could not create unique index \"order_lines_product\" (23505)\nDETAIL: Key (product)=(7) is duplicated.")
        .because_of("statement 2 of migrations/0003_order_lines.sql:\n  CREATE UNIQUE INDEX order_lines_product\n               ^")
        .leaving("revision a41c is committed, b52d is not")
        .then("find the duplicates: SELECT product, count(*) FROM order_lines GROUP BY 1 HAVING count(*) > 1")
}

pub fn put_back(now: Timestamp) -> Script {
    let mut script = Script::begin(now);
    script.before().window();
    script
        .start(LineId::Line(8))
        .progress(0, Some(3), Unit::Items, "a41c add priority to questions")
        .wait(900);
    script.progress(1, Some(3), Unit::Items, "b52d index order_lines by product").wait(1600);
    script.fail(migration_failure()).turn_back();
    script
        .back(1, 10, "was not started")
        .back(2, 10, "closed already")
        .back(3, 40, "one transaction")
        .back(4, 20, "");
    script.back(5, 1200, "3 good answers in a row").start(LineId::Back(6)).wait(10).window_ends().finish("");
    let next =
        ["Mend b52d, then run it again: production is as it was.", "backstay report 20251120-230512-k3x9"];
    script.end(Verdict::PutBack, [Some(migration_failure()), None], &next);
    script
}

pub fn not_put_back(now: Timestamp) -> Script {
    let mut script = Script::begin(now);
    script.before().during().restart().finish("exit 0");
    let health = Failure::failed("see http://127.0.0.1:8000/health answer well").because_of(
        "status 500 where 200 was expected: {\"db\": \"relation \\\"prices\\\" does not exist\"}",
    );
    script.start(LineId::Line(12)).wait(30_000).fail(health.clone()).turn_back();
    script.back(1, 900, "exit 0").back(2, 120, "31 sessions ended").start(LineId::Back(3)).wait(200);
    let swap = Failure::failed("rename shop__g_k3x9_1 to shop")
        .because_of("ERROR: database \"shop__g_k3x9_1\" is being accessed by other users (55006)")
        .leaving("production is closed under the name shop__w_k3x9_1; the guard is whole")
        .then("end the session of role monitor (pid 8812) on shop__g_k3x9_1");
    script.fail(swap.clone());
    let next = ["backstay resume 20251120-230512-k3x9"];
    script.end(Verdict::NotPutBack, [Some(health), Some(swap)], &next);
    script
}

pub fn interrupted_in_window(now: Timestamp) -> Script {
    let mut script = Script::begin(now);
    script.before().window();
    script
        .start(LineId::Line(8))
        .progress(0, Some(3), Unit::Items, "a41c add priority to questions")
        .wait(900);
    let cause = Failure { kind: backstay::failure::Kind::Interrupted, ..Failure::failed("go on") };
    let cause = cause.because_of("SIGTERM");
    script.end(Verdict::InterruptedInWindow, [Some(cause), None], &["backstay resume 20251120-230512-k3x9"]);
    script
}
