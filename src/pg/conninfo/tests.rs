use super::*;

fn around(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        home: None,
        user: Some("me".into()),
        socket_folder: Some("/run/pg".into()),
    }
}

fn parse(text: &str) -> ConnInfo {
    ConnInfo::parse_in(text, &around(&[])).expect(text)
}

fn problem(text: &str, variables: &[(&str, &str)]) -> Problem {
    ConnInfo::parse_in(text, &around(variables)).expect_err(text).problem
}

#[test]
fn what_is_not_written_comes_from_variables_then_from_defaults() {
    let around = around(&[
        ("PGHOST", "envhost"),
        ("PGPORT", "7000"),
        ("PGUSER", "envuser"),
        ("PGPASSWORD", "envpassword"),
        ("PGDATABASE", "envdb"),
        ("PGSSLMODE", "require"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGOPTIONS", "-c geqo=off"),
    ]);
    let info = ConnInfo::parse_in("postgresql://", &around).unwrap();
    assert_eq!(info.describe(), "envdb on envhost:7000");
    assert_eq!(info.user(), "envuser");
    assert_eq!(info.password().map(Secret::reveal), Some("envpassword"));
    assert_eq!(info.tls.mode, SslMode::Require);
    assert_eq!(info.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(info.options.as_deref(), Some("-c geqo=off"));
    let info = ConnInfo::parse_in("postgresql://u:p@h:1/d?sslmode=disable", &around).unwrap();
    assert_eq!(info.describe(), "d on h:1");
    assert_eq!((info.user(), info.tls.mode), ("u", SslMode::Disable));
}

#[test]
fn the_last_defaults_are_the_systems_user_and_the_local_socket() {
    let info = parse("sslmode=prefer");
    assert_eq!(info.describe(), "me on /run/pg:5432");
    assert_eq!(info.endpoints[0].socket(), Some(PathBuf::from("/run/pg/.s.PGSQL.5432")));
    let mut bare = around(&[]);
    bare.socket_folder = None;
    assert_eq!(ConnInfo::parse_in("user=u", &bare).unwrap().describe(), "u on localhost:5432");
    bare.user = None;
    assert_eq!(ConnInfo::parse_in("host=h", &bare).unwrap_err().problem, Problem::NoUser);
}

#[test]
fn several_hosts_take_their_ports() {
    let info = parse("postgresql://a:1,b:2,[::1]:3/db");
    assert_eq!(info.describe(), "db on a:1,b:2,[::1]:3");
    assert_eq!(parse("host=a,b port=6000").describe(), "me on a:6000,b:6000");
    assert_eq!(parse("postgresql://a,b:2/db").describe(), "db on a:5432,b:2");
    assert!(matches!(problem("host=a,b,c port=1,2", &[]), Problem::Lists { hosts: 3, others: 2, .. }));
    assert!(matches!(problem("host=a,b hostaddr=127.0.0.1", &[]), Problem::Lists { .. }));
}

#[test]
fn bad_values_name_the_parameter_and_what_it_takes() {
    let text = |text: &str, variables: &[(&str, &str)]| problem(text, variables).to_string();
    assert_eq!(text("sslmode=requre", &[]), "`sslmode` must be `require`, as it seems");
    assert!(text("sslmode=x", &[]).contains("one of disable, allow, prefer"));
    assert_eq!(text("host=h", &[("PGPORT", "http")]), "`PGPORT` must be a number from 1 to 65535");
    assert_eq!(text("port=0", &[]), "`port` must be a number from 1 to 65535");
    assert_eq!(text("port=65536", &[]), "`port` must be a number from 1 to 65535");
    assert!(text("connect_timeout=soon", &[]).contains("`connect_timeout` must be a whole number"));
    assert!(text("hostaddr=example.org", &[]).contains("an IP address"));
    assert!(text("gssencmode=require", &[]).contains("GSSAPI"));
    assert!(text("host=h", &[("PGSERVICE", "x")]).contains("`PGSERVICE` is not supported"));
    assert!(text("sslrootcert=system sslmode=require", &[]).contains("verify-full"));
    assert_eq!(parse("sslrootcert=system").tls.mode, SslMode::VerifyFull);
}

/// Passwords that have broken somebody's deploy.
const NASTY: &[&str] = &[
    "p@ss/w#rd?x=1&y:z%20",
    "with space",
    "'single' \"double\" `back` \\slash\\",
    "$HOME ${HOME} $(id)",
    "пароль-密码-🔑",
    "[::1],a,b",
    "+plus+",
    "=a=b=",
    "\u{1}\u{7f}\t\n",
    "%",
    "%zz",
    "***",
    " leading and trailing ",
];

#[test]
fn a_url_of_ours_reads_back_as_it_was() {
    let places = [
        "host=db.example.org port=6432 sslmode=require",
        "host=::1 port=5432 options='-c search_path=\"a b\",public'",
        "host=/var/run/postgresql port=5433",
        "host=a,b port=1,2 target_session_attrs=read-write application_name='x y'",
        "host=h hostaddr=10.0.0.1 sslmode=verify-full sslrootcert='/a b/root.crt' channel_binding=require",
        "host=h keepalives_idle=5 tcp_user_timeout=7000 connect_timeout=4 sslcert=/c sslkey=/k",
    ];
    for place in places {
        for nasty in NASTY {
            let quoted = nasty.replace('\\', r"\\").replace('\'', r"\'");
            let text = format!("{place} user='{quoted}' password='{quoted}' dbname='{quoted}'");
            let info = parse(&text);
            assert_eq!(info.password().map(Secret::reveal), Some(*nasty));
            let mut back = parse(&info.to_url());
            back.scheme = None;
            assert_eq!(back, info, "{}", info.to_url());
        }
    }
}

/// The same over every single letter that a password may be made of, and many words of them.
#[test]
fn every_letter_survives_the_url() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut words: Vec<String> = (1..=0x24f_u32).filter_map(char::from_u32).map(|c| format!("{c}")).collect();
    for _ in 0..2000 {
        let length = next() % 12 + 1;
        words.push((0..length).filter_map(|_| char::from_u32((next() % 0x300) as u32 + 1)).collect());
    }
    let mut info = parse("host=h user=u dbname=d");
    for word in words {
        info.endpoints[0].password = Some(Secret(word.clone()));
        let written = text::read(&info.to_url()).unwrap();
        assert_eq!(written.values["password"], word);
    }
}

#[test]
fn urls_for_a_child_speak_its_drivers_dialect() {
    let url = parse("postgresql+asyncpg://u:p@h/db?ssl=require").with_database("db__w").to_url();
    assert_eq!(url, "postgresql+asyncpg://u:p@h:5432/db__w?ssl=require");
    let url = "postgresql+asyncpg://u:p@h:5432/db?ssl=disable&prepared_statement_cache_size=0";
    assert_eq!(parse(url).to_url(), url);
    assert_eq!(parse("postgresql+pg8000://u:p@h/db").to_url(), "postgresql+pg8000://u:p@h:5432/db");
    assert_eq!(
        parse("postgresql+psycopg2://u:p@h/db").to_url(),
        "postgresql+psycopg2://u:p@h:5432/db?sslmode=prefer"
    );
}

#[test]
fn a_plain_url_has_nothing_that_another_driver_would_choke_on() {
    let info = parse("postgresql://u:pa(ss$w%40rd@h/db?sslmode=require&application_name=x");
    assert_eq!(info.to_plain_url("postgresql+psycopg"), "postgresql+psycopg://u:pa(ss$w%40rd@h:5432/db");
    let env: Vec<String> =
        info.session_env().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["PGSSLMODE=require", "PGAPPNAME=x"]);
    let socket = parse("host=/var/run/postgresql user=u dbname=d");
    assert_eq!(socket.to_plain_url("postgresql"), "postgresql://u@/d?host=/var/run/postgresql&port=5432");
    let several = parse("host=a,b port=1,2 user=u dbname=d");
    assert_eq!(several.to_plain_url("postgresql"), "postgresql://u@/d?host=a,b&port=1,2");
    let own = parse("postgresql+asyncpg://u:p@h/db?ssl=require&prepared_statement_cache_size=0");
    let url = "postgresql+asyncpg://u:p@h:5432/db?prepared_statement_cache_size=0";
    assert_eq!(
        (own.to_plain_url("postgresql+asyncpg").as_str(), own.scheme()),
        (url, Some("postgresql+asyncpg"))
    );
    assert_eq!(own.to_plain_url("postgresql"), "postgresql://u:p@h:5432/db");
    for nasty in NASTY {
        let quoted = nasty.replace('\\', r"\\").replace('\'', r"\'");
        let info = parse(&format!("host=h user='{quoted}' password='{quoted}' dbname='{quoted}'"));
        let back = parse(&info.to_plain_url("postgresql"));
        assert_eq!((back.user(), back.database()), (*nasty, *nasty));
        assert_eq!(back.password().map(Secret::reveal), Some(*nasty));
    }
}

#[test]
fn tools_get_everything_by_environment() {
    let info = parse("postgresql://u:p%40ss@a:1,b:2/db?sslmode=verify-ca&sslrootcert=/r.crt&options=-cx%3Dy");
    let env: std::collections::BTreeMap<_, _> = info.tool_env().into_iter().collect();
    let expected = [
        ("PGHOST", "a,b"),
        ("PGPORT", "1,2"),
        ("PGUSER", "u"),
        ("PGPASSWORD", "p@ss"),
        ("PGDATABASE", "db"),
        ("PGSSLMODE", "verify-ca"),
        ("PGSSLROOTCERT", "/r.crt"),
        ("PGOPTIONS", "-cx=y"),
    ];
    for (name, value) in expected {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn nothing_shows_the_password() {
    let info = parse("postgresql://u:correct-horse@h/db");
    for text in [format!("{info:?}"), format!("{info:#?}"), info.describe()] {
        assert!(!text.contains("correct-horse"), "{text}");
    }
    assert!(!crate::redact::redact("it is correct-horse").contains("horse"));
}

#[test]
fn the_password_file_is_asked_for_each_host() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".pgpass");
    std::fs::write(&path, "a:1:db:u:of-a-host\n*:2:*:u:of-b-host\nlocalhost:5432:*:*:of-socket\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut around = around(&[]);
    around.home = Some(home.path().into());
    let info = ConnInfo::parse_in("postgresql://u@a:1,b:2/db", &around).unwrap();
    let all: Vec<_> = info.endpoints.iter().map(|p| p.password.as_ref().map(Secret::reveal)).collect();
    assert_eq!(all, [Some("of-a-host"), Some("of-b-host")]);
    let local = ConnInfo::parse_in("dbname=x", &around).unwrap();
    assert_eq!(local.password().map(Secret::reveal), Some("of-socket"));
    assert!(!crate::redact::redact("of-a-host").contains("host"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let info = ConnInfo::parse_in("postgresql://u@a:1,b:2/db", &around).unwrap();
    assert_eq!(info.password(), None);
    assert!(info.notes()[0].contains("chmod 0600"), "{:?}", info.notes());
}
