use super::*;

fn values(text: &str) -> String {
    match read(text) {
        Ok(written) => {
            written.values.iter().map(|(key, value)| format!("{key}='{value}'")).collect::<Vec<_>>().join(" ")
        }
        Err(problem) => format!("! {problem:?}"),
    }
}

/// The forms of libpq's own test (`src/interfaces/libpq/t/001_uri.pl`) that it takes.
#[test]
fn urls_mean_what_libpq_takes_them_for() {
    let cases = [
        (
            "postgresql://uri-user:secret@host:12345/db",
            "dbname='db' host='host' password='secret' port='12345' user='uri-user'",
        ),
        ("postgresql://uri-user@host:12345/db", "dbname='db' host='host' port='12345' user='uri-user'"),
        ("postgresql://uri-user@host/db", "dbname='db' host='host' user='uri-user'"),
        ("postgresql://host:12345/db", "dbname='db' host='host' port='12345'"),
        ("postgresql://host/db", "dbname='db' host='host'"),
        ("postgresql://uri-user@host:12345/", "host='host' port='12345' user='uri-user'"),
        ("postgresql://uri-user@host/", "host='host' user='uri-user'"),
        ("postgresql://uri-user@", "user='uri-user'"),
        ("postgresql://host:12345/", "host='host' port='12345'"),
        ("postgresql://host:12345", "host='host' port='12345'"),
        ("postgresql://host/", "host='host'"),
        ("postgresql://host", "host='host'"),
        ("postgresql://", ""),
        ("postgresql://?hostaddr=127.0.0.1", "hostaddr='127.0.0.1'"),
        ("postgresql://example.com?hostaddr=63.1.2.4", "host='example.com' hostaddr='63.1.2.4'"),
        ("postgresql://%68ost/", "host='host'"),
        ("postgresql://host/db?user=uri-user", "dbname='db' host='host' user='uri-user'"),
        (
            "postgresql://host/db?u%73er=someotheruser&port=12345",
            "dbname='db' host='host' port='12345' user='someotheruser'",
        ),
        ("postgresql://host:12345?user=uri-user", "host='host' port='12345' user='uri-user'"),
        ("postgresql://host?user=uri-user&port=12345", "host='host' port='12345' user='uri-user'"),
        ("postgresql:///?user=uri-user", "user='uri-user'"),
        ("postgresql:///dbname?host=/unix/socket", "dbname='dbname' host='/unix/socket'"),
        ("postgres://@host", "host='host'"),
        ("postgres://host:/", "host='host'"),
        ("postgres://:12345/", "port='12345'"),
        ("postgres://otheruser@?host=/no/such/directory", "host='/no/such/directory' user='otheruser'"),
        ("postgres://otheruser@:12345?host=/no/such", "host='/no/such' port='12345' user='otheruser'"),
        ("postgres://otheruser@:12345/db?host=/a", "dbname='db' host='/a' port='12345' user='otheruser'"),
        ("postgres://user:@host", "host='host' user='user'"),
        ("postgres://%2Fvar%2Flib%2Fpostgresql/dbname", "dbname='dbname' host='/var/lib/postgresql'"),
        ("postgresql://[::1]:12345/db", "dbname='db' host='::1' port='12345'"),
        ("postgresql://[2001:db8::1234]/", "host='2001:db8::1234'"),
        ("postgresql://[200z:db8::1234]/", "host='200z:db8::1234'"),
        ("postgresql://[::1]", "host='::1'"),
        ("postgres://[::1]?user=u", "host='::1' user='u'"),
        ("postgres://h1:1,h2:2,[::1]:3/db", "dbname='db' host='h1,h2,::1' port='1,2,3'"),
        ("postgres://h1,h2:2/db", "dbname='db' host='h1,h2' port=',2'"),
        ("postgres://u:p#w@h/db", "dbname='db' host='h' password='p#w' user='u'"),
        ("postgres://u:p?w@h/db", "dbname='db' host='h' password='p?w' user='u'"),
        ("postgres://u:p:w@h/db", "dbname='db' host='h' password='p:w' user='u'"),
        ("postgres://u%40x:p%40%2F%25@h/d%2Fb", "dbname='d/b' host='h' password='p@/%' user='u@x'"),
        ("postgres://h/db?ssl=true", "dbname='db' host='h' sslmode='require'"),
    ];
    for (url, expected) in cases {
        assert_eq!(values(url), expected, "{url}");
    }
}

/// The forms of the same test that it refuses.
#[test]
fn broken_urls_are_refused() {
    let cases = [
        ("postgresql://host/db?u%7aer=someotheruser&port=12345", "UnknownKey"),
        ("postgresql://host?uzer=", "UnknownKey"),
        ("postgre://", "Scheme"),
        ("postgres://[::1", "Bracket"),
        ("postgres://[]", "Bracket"),
        ("postgres://[::1]z", "Bracket"),
        ("postgresql://host?zzz", "Query"),
        ("postgresql://host?value1&value2", "Query"),
        ("postgresql://host?key=key=value", "Query"),
        ("postgres://host?dbname=%XXfoo", "Percent"),
        ("postgresql://a%00b", "NotText"),
        ("postgresql://%zz", "Percent"),
        ("postgresql://%1", "Percent"),
        ("postgresql://%", "Percent"),
        ("postgresql://u:%ff@h", "NotText"),
        ("postgresql://h:port/db", "Value"),
        ("mysql://h/db", "Scheme"),
        ("postgresql+mysqldb://h/db", "Driver"),
        ("\"postgresql://h/db\"", "Quoted"),
        ("   ", "Empty"),
        ("shop", "Shape"),
    ];
    for (url, expected) in cases {
        let got = values(url);
        assert!(got.starts_with(&format!("! {expected}")), "{url}: {got}");
    }
}

#[test]
fn a_password_that_was_not_escaped_is_recognised_and_not_shown() {
    for password in [
        "hunter@2secret",
        "hunter/2secret",
        "a/hunter?2secret",
        "hun/ter@2?se=cret",
        "%hunter@2secret",
        "1/hunter2",
    ] {
        let url = format!("postgresql://app:{password}@db.example.org:5432/shop?sslmode=require");
        let error = super::super::ConnInfo::parse(&url).expect_err(password);
        let failure = crate::failure::Failure::from(error.clone());
        for text in [error.to_string(), format!("{error:?}"), format!("{failure} {:?}", failure.next)] {
            for piece in ["hunter", "secret", "ter@", "2?se", "cret"] {
                assert!(!text.contains(piece), "{password}: {text}");
            }
        }
        assert!(failure.next[0].contains("%40"), "{failure:?}");
    }
}

#[test]
fn key_value_strings() {
    let cases = [
        ("host=h port=5433 dbname=shop", "dbname='shop' host='h' port='5433'"),
        ("host = h   dbname= 'my shop' ", "dbname='my shop' host='h'"),
        (r"password='it\'s \\ here' user=a\ b", r"password='it's \ here' user='a b'"),
        ("password='' user=u", "password='' user='u'"),
        ("password=p@/#%ä user=ü", "password='p@/#%ä' user='ü'"),
        ("user=u password=a=b", "password='a=b' user='u'"),
        ("user='x'port=1", "port='1' user='x'"),
        ("host=/var/run/postgresql\n\tuser=u", "host='/var/run/postgresql' user='u'"),
        ("password=http://x user=u", "password='http://x' user='u'"),
        ("host=h port", "! NoEquals { word: 2 }"),
        ("host=h password='open", "! OpenQuote { key: \"password\" }"),
        ("hots=h", "! UnknownKey { key: Some(\"hots\"), nearest: Some(\"host\") }"),
        ("password=my =x", "! UnknownKey { key: None, nearest: None }"),
        ("password=my secret=x", "! UnknownKey { key: None, nearest: None }"),
        (
            "service=prod",
            "! Unsupported { name: \"service\", why: \"backstay reads no service file; write its lines as parameters of the connection\" }",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(values(text), expected, "{text}");
    }
}

#[test]
fn urls_of_sqlalchemy() {
    let written = read("postgresql+asyncpg://u:p@h/db?ssl=require").unwrap();
    assert_eq!(written.dialect, Dialect::Asyncpg);
    assert_eq!(written.values["sslmode"], "require");
    assert_eq!(read("postgresql+psycopg2://u@h/db").unwrap().dialect, Dialect::Libpq);
    assert_eq!(read("postgres+psycopg://u@h/db").unwrap().dialect, Dialect::Libpq);
    assert_eq!(read("postgresql+pg8000://u@h/db").unwrap().dialect, Dialect::Pg8000);
    assert_eq!(
        values("postgresql+psycopg2://u:p@/db?host=a:5432&host=b:5433"),
        "dbname='db' host='a,b' password='p' port='5432,5433' user='u'"
    );
}
