use super::*;

fn graph(revisions: &[(&str, &[&str])]) -> Graph {
    Graph::new(revisions.iter().map(|(id, down)| Revision::new(id, down)).collect()).unwrap()
}

fn rows(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn up(graph: &Graph, from: &[&str], target: &str) -> Vec<String> {
    graph.plan_upgrade(&rows(from), target).unwrap().into_iter().map(|s| s.revision).collect()
}

fn down(graph: &Graph, from: &[&str], target: &str) -> Vec<String> {
    graph.plan_downgrade(&rows(from), target).unwrap().into_iter().map(|s| s.revision).collect()
}

/// a - b - c
fn chain() -> Graph {
    graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"])])
}

/// a - b1 - c1 - m - z, with b2 beside b1 and c1
fn diamond() -> Graph {
    graph(&[("a", &[]), ("b1", &["a"]), ("b2", &["a"]), ("c1", &["b1"]), ("m", &["c1", "b2"]), ("z", &["m"])])
}

/// main: a - b; ai: x - y, where y depends on b
fn two_roots() -> Graph {
    let labelled = |mut r: Revision, label: &str| {
        r.labels = vec![label.to_string()];
        r
    };
    let mut y = Revision::new("y", &["x"]);
    y.depends_on = vec!["b".to_string()];
    Graph::new(vec![
        labelled(Revision::new("a", &[]), "main"),
        Revision::new("b", &["a"]),
        labelled(Revision::new("x", &[]), "ai"),
        y,
    ])
    .unwrap()
}

/// Applies the row changes of a plan to a version table.
fn replay(start: &[&str], steps: &[Step]) -> BTreeSet<String> {
    let mut table = rows(start);
    for change in steps.iter().flat_map(|s| &s.changes) {
        match change {
            RowChange::Insert(id) => assert!(table.insert(id.clone()), "{id} twice"),
            RowChange::Delete(id) => assert!(table.remove(id), "{id} is no row"),
            RowChange::Update { from, to } => {
                assert!(table.remove(from), "{from} is no row");
                assert!(table.insert(to.clone()), "{to} twice");
            }
        }
    }
    table
}

#[test]
fn a_chain_goes_up_and_down() {
    let g = chain();
    assert_eq!(up(&g, &[], "head"), ["a", "b", "c"]);
    assert_eq!(up(&g, &["a"], "head"), ["b", "c"]);
    assert_eq!(up(&g, &["c"], "head"), [""; 0]);
    assert_eq!(up(&g, &["c"], "a"), [""; 0]);
    assert_eq!(down(&g, &["c"], "base"), ["c", "b", "a"]);
    assert_eq!(down(&g, &["c"], "a"), ["c", "b"]);
    assert_eq!(down(&g, &["c"], "c"), [""; 0]);
}

#[test]
fn relative_targets_count() {
    let g = chain();
    assert_eq!(up(&g, &[], "+1"), ["a"]);
    assert_eq!(up(&g, &["a"], "+2"), ["b", "c"]);
    assert_eq!(up(&g, &[], "a+1"), ["a", "b"]);
    assert_eq!(up(&g, &[], "head-1"), ["a", "b"]);
    assert_eq!(down(&g, &["c"], "-1"), ["c"]);
    assert_eq!(down(&g, &["c"], "-3"), ["c", "b", "a"]);
    assert_eq!(down(&g, &["c"], "c-2"), ["c", "b"]);
    assert_eq!(down(&g, &["c"], "a+1"), ["c"]);
}

#[test]
fn relative_targets_have_ends() {
    let g = chain();
    for (from, target) in [(&["c"][..], "+1"), (&["a"], "+3"), (&[], "head-9")] {
        assert!(matches!(g.plan_upgrade(&rows(from), target), Err(TargetError::TooFar { .. })), "{target}");
    }
    assert!(matches!(g.plan_downgrade(&rows(&["a"]), "-2"), Err(TargetError::TooFar { .. })));
    assert!(matches!(g.plan_downgrade(&rows(&[]), "-1"), Err(TargetError::TooFar { .. })));
    assert!(matches!(g.plan_upgrade(&rows(&["a"]), "-1"), Err(TargetError::WrongWay { .. })));
    assert!(matches!(g.plan_downgrade(&rows(&["a"]), "+1"), Err(TargetError::WrongWay { .. })));
}

#[test]
fn prefixes_must_be_unique() {
    let g = graph(&[("abc1", &[]), ("abc2", &["abc1"]), ("xyz1", &["abc2"]), ("qrs", &["xyz1"])]);
    assert_eq!(g.find("x"), Ok("xyz1"));
    let error = g.find("abc").unwrap_err();
    assert_eq!(error.to_string(), "\"abc\" is the beginning of several revisions: abc1, abc2");
    assert_eq!(g.find("y"), Err(TargetError::Unknown("y".into())));
    assert_eq!(g.find("abc1"), Ok("abc1"));
    // Ids of three characters are not shortened: Alembic's rule.
    assert_eq!(g.find("qrs"), Ok("qrs"));
    assert_eq!(g.find("q"), Err(TargetError::Unknown("q".into())));
    assert!(g.find("").is_err());
}

#[test]
fn merges_join_rows_and_downgrades_part_them() {
    let g = diamond();
    let plan = g.plan_upgrade(&rows(&[]), "head").unwrap();
    assert_eq!(replay(&[], &plan), rows(&["z"]));
    let merge = plan.iter().find(|s| s.revision == "m").unwrap();
    assert_eq!(
        merge.changes,
        [RowChange::Delete("c1".into()), RowChange::Update { from: "b2".into(), to: "m".into() }]
    );
    let back = g.plan_downgrade(&rows(&["z"]), "base").unwrap();
    assert_eq!(back.len(), 6);
    assert_eq!(replay(&["z"], &back), rows(&[]));
    let unmerge = &back[1];
    assert_eq!(
        unmerge.changes,
        [RowChange::Insert("c1".into()), RowChange::Update { from: "m".into(), to: "b2".into() }]
    );
    assert_eq!(unmerge.to, ["c1", "b2"]);
}

#[test]
fn one_branch_of_several_goes_down_alone() {
    let g = graph(&[("a", &[]), ("b1", &["a"]), ("b2", &["a"])]);
    let plan = g.plan_downgrade(&rows(&["b1", "b2"]), "b1@a").unwrap();
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].changes, [RowChange::Delete("b1".into())]);
    assert!(matches!(g.plan_downgrade(&rows(&["b1", "b2"]), "-1"), Err(TargetError::Fork { .. })));
    assert_eq!(down(&g, &["b1"], "-1"), ["b1"]);
}

#[test]
fn several_heads_are_told() {
    let g = graph(&[("a", &[]), ("b1", &["a"]), ("b2", &["a"])]);
    let error = g.plan_upgrade(&rows(&[]), "head").unwrap_err();
    assert_eq!(error.to_string(), "there are several heads: b1, b2; \"head\" could be any of them");
    assert_eq!(up(&g, &[], "heads").len(), 3);
    assert_eq!(up(&g, &[], "b1@head"), ["a", "b1"]);
    assert!(matches!(g.plan_upgrade(&rows(&["a"]), "+1"), Err(TargetError::Fork { .. })));
    assert_eq!(up(&g, &["a"], "b2@+1"), ["b2"]);
}

#[test]
fn dependencies_order_but_make_no_parent() {
    let g = two_roots();
    assert_eq!(up(&g, &[], "ai@head"), ["a", "b", "x", "y"]);
    let plan = g.plan_upgrade(&rows(&[]), "heads").unwrap();
    assert_eq!(replay(&[], &plan), rows(&["y"]));
    assert_eq!(g.heads(), ["b", "y"]);
    assert!(matches!(g.plan_upgrade(&rows(&[]), "head"), Err(TargetError::SeveralHeads { .. })));
    // Taking b away takes y, which needs it.
    let back = g.plan_downgrade(&rows(&["y"]), "main@a").unwrap();
    assert_eq!(back.iter().map(|s| s.revision.as_str()).collect::<Vec<_>>(), ["y", "b"]);
    assert_eq!(replay(&["y"], &back), rows(&["a", "x"]));
}

#[test]
fn labels_spread_along_their_branch() {
    let g = two_roots();
    assert!(g.place("b").unwrap().labels.contains("main"));
    assert!(!g.place("x").unwrap().labels.contains("main"));
    assert_eq!(g.find("ai"), Ok("x"));
}

#[test]
fn broken_graphs_are_refused_by_name() {
    let build = |list: &[(&str, &[&str])]| {
        Graph::new(list.iter().map(|(id, down)| Revision::new(id, down)).collect()).unwrap_err().to_string()
    };
    assert_eq!(build(&[("a", &[]), ("a", &[])]), "revision a is in two files: a.sql and a.sql");
    assert_eq!(
        build(&[("a", &[]), ("c", &["b"])]),
        "there is a gap in the chain: c (c.sql) revises b, which no file has"
    );
    assert_eq!(
        build(&[("r", &[]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"])]),
        "the revisions stand on each other in a circle: a (a.sql) on c (c.sql) on b (b.sql) on a"
    );
    assert_eq!(build(&[("a", &["a"])]), "the revisions stand on each other in a circle: a (a.sql) on a");
    for id in ["", "a-b", "a@b", "a b", "head", "base", "x'y", "abcdefghijklmnopqrstuvwxyz0123456"] {
        assert!(build(&[(id, &[])]).contains("is no revision id"), "{id}");
    }
}

#[test]
fn rows_that_make_no_sense_are_refused() {
    let g = chain();
    assert_eq!(g.plan_upgrade(&rows(&["nope"]), "head"), Err(TargetError::UnknownRow("nope".into())));
    assert!(matches!(g.plan_upgrade(&rows(&["a", "c"]), "head"), Err(TargetError::Overlap { .. })));
}

#[test]
fn a_downgrade_goes_down_only() {
    let g = chain();
    let error = g.plan_downgrade(&rows(&["a"]), "c").unwrap_err();
    assert_eq!(error.to_string(), "\"c\" is not below the database's revision (a)");
}

#[test]
fn stamps_move_the_lineage() {
    let g = two_roots();
    let stamp = |from: &[&str], to: &str, purge| g.plan_stamp(&rows(from), to, purge).unwrap();
    assert_eq!(stamp(&[], "b", false), [RowChange::Insert("b".into())]);
    assert_eq!(stamp(&["a"], "b", false), [RowChange::Update { from: "a".into(), to: "b".into() }]);
    assert_eq!(stamp(&["b", "x"], "a", false), [RowChange::Update { from: "b".into(), to: "a".into() }]);
    assert_eq!(stamp(&["b"], "b", false), []);
    assert_eq!(stamp(&["b", "x"], "base", false).len(), 2);
    assert_eq!(stamp(&["b", "x"], "ai@base", false), [RowChange::Delete("x".into())]);
    assert_eq!(
        stamp(&["gone"], "b", true),
        [RowChange::Delete("gone".into()), RowChange::Insert("b".into())]
    );
}

#[test]
fn random_graphs_keep_every_promise() {
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    for _ in 0..300 {
        let size = 1 + random(25);
        let mut list: Vec<Revision> = Vec::new();
        for i in 0..size {
            let mut revision = Revision::new(&format!("r{i:02}"), &[]);
            for _ in 0..random(3) {
                if i > 0 {
                    revision.down.push(format!("r{:02}", random(i)));
                }
            }
            if i > 0 && random(5) == 0 {
                revision.depends_on.push(format!("r{:02}", random(i)));
            }
            list.push(revision);
        }
        let g = Graph::new(list).unwrap();
        let plan = g.plan_upgrade(&rows(&[]), "heads").unwrap();
        assert_eq!(plan.len(), g.len());
        let mut done: BTreeSet<String> = BTreeSet::new();
        for step in &plan {
            let revision = g.revision(&step.revision).unwrap();
            assert!(revision.down.iter().chain(&revision.depends_on).all(|d| done.contains(d)));
            done.insert(step.revision.clone());
        }
        let top = replay(&[], &plan);
        assert_eq!(g.applied(&top).len(), g.len(), "the rows imply everything");
        let back = g.plan_downgrade(&top, "base").unwrap();
        assert_eq!(back.len(), g.len());
        let top: Vec<&str> = top.iter().map(String::as_str).collect();
        assert_eq!(replay(&top, &back), rows(&[]));
        assert_eq!(g.newest_first().len(), g.len());
    }
}

#[test]
fn refusals_say_what_mends_them() {
    let g = graph(&[("a", &[]), ("b1", &["a"]), ("b2", &["a"])]);
    let error = g.plan_upgrade(&rows(&[]), "head").unwrap_err();
    assert_eq!(error.remedy()[0], "backstay migrate merge -m \"merge heads\" b1 b2 joins them");
    let error = g.plan_upgrade(&rows(&["a", "b1"]), "heads").unwrap_err();
    assert_eq!(error.remedy()[0], "if everything below b1 is applied: backstay migrate stamp --purge b1");
    assert!(g.plan_upgrade(&rows(&["gone"]), "heads").unwrap_err().remedy()[1].contains("stamp --purge"));
    assert!(g.find("c").unwrap_err().remedy()[0].contains("history"));
}

#[test]
fn a_target_of_heads_that_need_each_other_is_refused() {
    let g = two_roots();
    let mut list: Vec<Revision> = g.revisions().cloned().collect();
    list.push(Revision { depends_on: vec!["y".into()], ..Revision::new("c", &["a"]) });
    let g = Graph::new(list).unwrap();
    assert!(matches!(g.plan_upgrade(&rows(&[]), "main@heads"), Err(TargetError::TargetsOverlap { .. })));
    assert!(matches!(g.plan_stamp(&rows(&[]), "main@heads", false), Err(TargetError::TargetsOverlap { .. })));
}

#[test]
fn a_stamp_is_named_not_counted() {
    let g = chain();
    for target in ["+1", "-1", "head-1", "a+1"] {
        let stamp = g.plan_stamp(&rows(&[]), target, true);
        assert!(matches!(stamp, Err(TargetError::RelativeStamp { .. })), "{target}");
    }
}

#[test]
fn dependencies_that_an_ancestor_has_are_dropped() {
    let with = |mut r: Revision, needed: &str| {
        r.depends_on = vec![needed.to_string()];
        r
    };
    let list = vec![
        Revision::new("x", &[]),
        with(Revision::new("a", &[]), "x"),
        Revision::new("b", &["a"]),
        with(Revision::new("c", &["b"]), "x"),
        with(Revision::new("d", &[]), "x"),
    ];
    let g = Graph::new(list).unwrap();
    let below = |id: &str| g.names(&g.nodes[g.by_id[id]].below);
    assert_eq!((below("a"), below("c"), below("d")), (vec!["x".into()], vec!["b".into()], vec!["x".into()]));
}

/// Shapes that make a naive walk quadratic: ten thousand each, up and down, in the time of a unit test.
#[test]
fn ten_thousand_revisions_are_no_trouble() {
    let name = |i: usize| format!("r{i}");
    type Parents = fn(usize) -> Vec<usize>;
    let shapes: [(&str, Parents); 4] = [
        ("chain", |i| i.checked_sub(1).into_iter().collect()),
        ("comb", |i| if i == 0 { vec![] } else { vec![0] }),
        ("ladder", |i| match i % 3 {
            0 => i.checked_sub(1).into_iter().chain(i.checked_sub(2)).collect(),
            1 => vec![i - 1],
            _ => vec![i - 2],
        }),
        ("stairs", |i| match i % 2 {
            0 => i.checked_sub(2).into_iter().collect(),
            _ => vec![i - 1],
        }),
    ];
    for (shape, parents) in shapes {
        let revision = |i: usize| {
            let down: Vec<String> = parents(i).into_iter().map(name).collect();
            Revision { down, ..Revision::new(&name(i), &[]) }
        };
        for backwards in [false, true] {
            let mut list: Vec<Revision> = (0..10_000).map(revision).collect();
            if backwards {
                list.reverse();
            }
            let g = Graph::new(list).unwrap();
            let up = g.plan_upgrade(&rows(&[]), "heads").unwrap();
            assert_eq!(up.len(), 10_000, "{shape}");
            let top = replay(&[], &up);
            let down = g.plan_downgrade(&top, "base").unwrap();
            assert_eq!(down.len(), 10_000, "{shape}");
            let top: Vec<&str> = top.iter().map(String::as_str).collect();
            assert_eq!(replay(&top, &down), rows(&[]), "{shape}");
        }
    }
}
