use super::*;

fn plan(statements: &[&str]) -> Plan {
    Plan::of(statements.iter().map(ToString::to_string), |table| table.name.len() as u64)
}

/// The plan as text: `a | b` beside each other, `a, b` one after another, what belongs together joined by `+`.
fn outline(plan: &Plan) -> Vec<String> {
    let join = |tasks: &[Task], by| tasks.iter().map(|t| t.statements.join("+")).collect::<Vec<_>>().join(by);
    let line = |stage: &Stage| match stage {
        Stage::InOrder(tasks) => join(tasks, ", "),
        Stage::Beside(tasks) => join(tasks, " | "),
    };
    plan.stages.iter().map(line).collect()
}

const KEY_A: &str = "ALTER TABLE ONLY s.a ADD CONSTRAINT a_pkey PRIMARY KEY (id)";
const KEY_B: &str = "ALTER TABLE ONLY s.bb ADD CONSTRAINT b_pkey PRIMARY KEY (id)";
const INDEX_A: &str = "CREATE INDEX a_i ON s.a USING btree (x)";
const INDEX_A2: &str = "CREATE INDEX a_j ON s.a USING btree (y)";
const INDEX_B: &str = "CREATE INDEX b_i ON s.bb USING btree (x)";
const F_AB: &str = "ALTER TABLE ONLY s.a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES s.bb(id)";
const F_BC: &str = "ALTER TABLE ONLY s.bb ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES s.c(id)";
const F_DE: &str = "ALTER TABLE ONLY s.d ADD CONSTRAINT f FOREIGN KEY (e) REFERENCES s.e(id)";
const TRIGGER: &str = "CREATE TRIGGER t AFTER INSERT ON s.a FOR EACH ROW EXECUTE FUNCTION s.f()";
const REFRESH: &str = "REFRESH MATERIALIZED VIEW s.v";

#[test]
fn builds_run_beside_each_other_foreign_keys_after_them() {
    let found = plan(&[KEY_A, KEY_B, INDEX_A, F_AB, F_DE, TRIGGER, REFRESH]);
    let wanted = [
        format!("{KEY_A} | {KEY_B} | {INDEX_A}"),
        format!("{F_AB} | {F_DE}"),
        format!("{TRIGGER}, {REFRESH}"),
    ];
    assert_eq!(outline(&found), wanted);
    assert_eq!(found.tasks(), 7);
}

#[test]
fn everything_else_is_a_barrier() {
    let attach = "ALTER INDEX s.p ATTACH PARTITION s.a_i";
    let view = "CREATE OR REPLACE VIEW s.grouped AS SELECT 1";
    let on_view = "CREATE UNIQUE INDEX v_i ON s.v USING btree (x)";
    let found = plan(&[KEY_A, view, INDEX_A, attach, TRIGGER, F_AB, REFRESH, on_view]);
    let wanted =
        [KEY_A, view, INDEX_A, &format!("{attach}, {TRIGGER}"), F_AB, REFRESH, on_view].map(String::from);
    assert_eq!(outline(&found), wanted);
}

#[test]
fn what_belongs_to_an_index_follows_it() {
    let comment = "COMMENT ON INDEX s.a_i IS 'x'";
    let cluster = "ALTER TABLE s.a CLUSTER ON a_pkey";
    let found = plan(&[KEY_A, cluster, INDEX_A, comment, INDEX_A2]);
    assert_eq!(outline(&found), [format!("{KEY_A}+{cluster} | {INDEX_A}+{comment} | {INDEX_A2}")]);
    let Stage::Beside(tasks) = &found.stages[0] else { panic!() };
    let locks: Vec<Lock> = tasks.iter().map(|task| task.locks[0].1).collect();
    assert_eq!(locks, [Lock::Exclusive, Lock::Shared, Lock::Shared]);

    // Of another index than the last one: it keeps its place, after all of them.
    let found = plan(&[KEY_A, INDEX_A, INDEX_A2, comment]);
    assert_eq!(outline(&found), [format!("{KEY_A} | {INDEX_A} | {INDEX_A2}"), comment.to_string()]);
    let identity = "ALTER TABLE ONLY s.a REPLICA IDENTITY USING INDEX a_i";
    let Stage::Beside(tasks) = &plan(&[INDEX_A, identity]).stages[0] else { panic!() };
    assert_eq!(tasks[0].locks[0].1, Lock::Exclusive);
}

#[test]
fn settings_hold_for_what_comes_after_them() {
    let found = plan(&["SET a = 1", "SET b = 1", KEY_A, "SET b = 2", INDEX_A, TRIGGER]);
    assert_eq!(outline(&found), [format!("{KEY_A} | {INDEX_A}"), TRIGGER.to_string()]);
    let Stage::Beside(tasks) = &found.stages[0] else { panic!() };
    assert_eq!(found.settings_of(&tasks[0]), "SET a = 1\n;\nSET b = 1");
    assert_eq!(found.settings_of(&tasks[1]), "SET a = 1\n;\nSET b = 2");
    assert_eq!(plan(&[]), Plan::default());
}

fn begin_all(schedule: &mut Schedule) -> Vec<Task> {
    std::iter::from_fn(|| schedule.begin()).collect()
}

fn texts(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.statements[0].as_str()).collect()
}

fn schedule(statements: &[&str]) -> Schedule {
    match plan(statements).stages.remove(0) {
        Stage::Beside(tasks) | Stage::InOrder(tasks) => Schedule::new(tasks),
    }
}

#[test]
fn several_indexes_of_one_table_but_a_key_alone() {
    let mut schedule = schedule(&[KEY_A, INDEX_A, INDEX_A2, INDEX_B]);
    // The larger table first; the key of the other keeps its indexes waiting.
    let first = begin_all(&mut schedule);
    assert_eq!(texts(&first), [INDEX_B, KEY_A]);
    assert!(!schedule.alone());
    schedule.end(&first[0]);
    assert_eq!(schedule.begin(), None);
    assert!(schedule.alone(), "what waits cannot begin");
    schedule.end(&first[1]);
    assert_eq!(schedule.begin().unwrap().statements, [INDEX_A]);
    assert!(!schedule.alone(), "another could begin beside it");
    assert_eq!(texts(&begin_all(&mut schedule)), [INDEX_A2]);
}

#[test]
fn no_two_foreign_keys_touch_one_table() {
    let mut schedule = schedule(&[F_AB, F_BC, F_DE]);
    let first = begin_all(&mut schedule);
    assert_eq!(texts(&first), [F_AB, F_DE]);
    schedule.end(&first[0]);
    assert_eq!(texts(&begin_all(&mut schedule)), [F_BC]);
}

/// The server may give the constraint that it adds for a partition the name of a later one.
#[test]
fn the_foreign_keys_of_one_table_keep_their_order() {
    let refers = |name: &str, to: &str| {
        format!("ALTER TABLE ONLY s.a ADD CONSTRAINT {name} FOREIGN KEY (x) REFERENCES s.{to}(id)")
    };
    // The second weighs more, for it refers to the larger table.
    let (first, second) = (refers("a_x_fkey", "c"), refers("a_x_fkey1", "bb"));
    let mut schedule = schedule(&[&first, &second, F_DE]);
    let begun = begin_all(&mut schedule);
    assert_eq!(texts(&begun), [first.as_str(), F_DE]);
    schedule.end(&begun[0]);
    assert_eq!(texts(&begin_all(&mut schedule)), [second]);
}

/// Whatever finishes first: everything runs once, and never two that block each other.
#[test]
fn any_order_of_ends_is_sound() {
    for seed in 0..200u64 {
        let mut random = seed;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let statements: Vec<String> = (0..30)
            .map(|n| match (draw(2), draw(4)) {
                (0, table) => format!("CREATE INDEX i{n} ON s.t{table} USING btree (x)"),
                (_, table) => format!("ALTER TABLE ONLY s.t{table} ADD CONSTRAINT c{n} UNIQUE (x)"),
            })
            .collect();
        let list: Vec<&str> = statements.iter().map(String::as_str).collect();
        let mut schedule = schedule(&list);
        let (mut running, mut done) = (Vec::new(), 0);
        loop {
            running.extend(begin_all(&mut schedule));
            for (at, task) in running.iter().enumerate() {
                assert!(!running[at + 1..].iter().any(|other| task.blocks(other)), "seed {seed}");
            }
            if running.is_empty() {
                break;
            }
            let ended = running.swap_remove(draw(running.len()));
            schedule.end(&ended);
            done += 1;
        }
        assert_eq!(done, list.len(), "seed {seed}");
    }
}
