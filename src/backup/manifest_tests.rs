use super::*;

fn object(name: &str) -> Object {
    Object { name: name.into(), raw_bytes: 3, stored_bytes: 30, sha256: "ab".repeat(32) }
}

fn manifest() -> Manifest {
    let one = TableContent { rows: 2, fingerprint: Fingerprint::try_from("0f".repeat(16)).unwrap() };
    let mut sum = one;
    sum += one;
    let chunk = |object: &str| Chunk {
        object: object.into(),
        from: 0,
        bytes: 3,
        rows: one.rows,
        fingerprint: one.fingerprint,
    };
    Manifest {
        format: FORMAT,
        checksum: String::new(),
        tool: "backstay 0.1.0".into(),
        id: "20260101t000000z-aaaa".into(),
        environment: "production".into(),
        server: Server { version: 150_018, name: "15.18".into(), pg_dump: "15.18".into() },
        database: DatabaseAttributes {
            name: "shop \"x\"".into(),
            owner: "shop".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            provider: "libc".into(),
            locale: None,
            icu_rules: None,
            tablespace: "pg_default".into(),
            connection_limit: -1,
            is_template: false,
            settings: vec![],
            privileges: None,
            comment: None,
        },
        snapshot: Snapshot { lsn: "0/1".into(), at: "2026-01-01T00:00:00Z".parse().unwrap() },
        codec: Codec::Gzip { level: 4 },
        roles: vec!["shop".into()],
        extensions: vec![Extension { name: "plpgsql".into(), version: "1.0".into() }],
        objects: ["data/1.copy.gz", "data/2.copy.gz", name::POST_DATA, name::PRE_DATA].map(object).to_vec(),
        tables: vec![Table {
            table: TableName::new("public", "a"),
            columns: vec!["x".into()],
            condition: None,
            through: None,
            wave: 0,
            rows: sum.rows,
            fingerprint: sum.fingerprint,
            chunks: vec![chunk("data/1.copy.gz"), chunk("data/2.copy.gz")],
        }],
        sequences: vec![Sequence {
            sequence: TableName::new("public", "s"),
            last_value: -5,
            is_called: true,
        }],
        large_objects: None,
    }
}

#[test]
fn what_is_written_is_read() {
    let bytes = manifest().to_bytes().unwrap();
    let read = Manifest::parse(&bytes).unwrap();
    assert_eq!(Manifest { checksum: String::new(), ..read.clone() }, manifest());
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert!(bytes.starts_with(b"{\n  \"format\": 1,\n  \"checksum\": \""));
}

#[test]
fn any_changed_byte_is_refused() {
    let bytes = manifest().to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Manifest::parse(&changed).is_err(), "byte {at} flipped");
        let mut cut = bytes.clone();
        cut.remove(at);
        assert!(Manifest::parse(&cut).is_err(), "byte {at} cut out");
        let mut more = bytes.clone();
        more.insert(at, b' ');
        assert!(Manifest::parse(&more).is_err(), "a space at byte {at}");
        assert!(Manifest::parse(&bytes[..at]).is_err(), "cut at byte {at}");
    }
}

#[test]
fn an_unknown_format_or_key_is_refused() {
    let newer = Manifest { format: 2, ..manifest() }.to_bytes().unwrap();
    assert!(matches!(Manifest::parse(&newer), Err(ManifestError::Format(2))));
    let text = String::from_utf8(manifest().to_bytes().unwrap()).unwrap();
    let unknown = text.replacen("\"tool\"", "\"colour\": 1,\n  \"tool\"", 1);
    assert!(matches!(Manifest::parse(unknown.as_bytes()), Err(ManifestError::Json(_))));
}

/// A manifest changed by someone who also mends its checksum still has to agree with itself.
#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 7] = [
        ("rows", |m| m.tables[0].rows += 1),
        ("fingerprint", |m| m.tables[0].fingerprint = Fingerprint::default()),
        ("chunk left out", |m| drop(m.tables[0].chunks.pop())),
        ("object left out", |m| drop(m.objects.remove(0))),
        ("object twice", |m| m.objects.push(object("data/1.copy.gz"))),
        ("no post-data", |m| m.objects.retain(|o| o.name != name::POST_DATA)),
        ("table twice", |m| m.tables.push(Table { chunks: vec![], ..m.tables[0].clone() })),
    ];
    for (what, change) in changes {
        let mut changed = manifest();
        change(&mut changed);
        assert!(Manifest::parse(&changed.to_bytes().unwrap()).is_err(), "{what}");
    }
}
