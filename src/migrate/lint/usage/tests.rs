//! Uses told from what only looks like one.

use super::*;
use crate::migrate::lint::facts::Relation;

fn facts() -> Facts {
    let table = |columns: &[&str]| Relation {
        columns: columns.iter().map(|c| (c.to_string(), "text".to_string())).collect(),
        ..Relation::default()
    };
    let named = |schema: &str, name: &str| (schema.to_string(), name.to_string());
    Facts {
        search_path: vec!["public".into()],
        relations: [
            (named("public", "users"), table(&["id", "email", "name"])),
            (named("public", "orders"), table(&["id", "user_id", "email_sent"])),
            (named("public", "letters"), table(&["id", "email"])),
            (named("old", "users"), table(&["id", "email"])),
        ]
        .into(),
        ..Facts::default()
    }
}

const EMAIL: Wanted<'_> = Wanted { schema: "public", table: "users", column: Some("email") };
const USERS: Wanted<'_> = Wanted { schema: "public", table: "users", column: None };

#[test]
fn queries_that_use_the_column() {
    for text in [
        "SELECT email FROM users WHERE id = $1",
        "SELECT u.email FROM users u",
        "SELECT \"users\".\"email\" AS \"users_email\" FROM \"users\"",
        "SELECT users.EMAIL FROM public.users",
        "SELECT public.users.email FROM public.users",
        "SELECT (u).email FROM users AS u",
        "SELECT 1 FROM orders o JOIN users USING (email)",
        "SELECT o.id FROM orders o LEFT JOIN users u ON u.email = o.email_sent",
        "SELECT id FROM orders o WHERE EXISTS (SELECT $2 FROM users WHERE id = o.user_id AND email = $1)",
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM orders WHERE email_sent = email)",
        "WITH x AS (SELECT * FROM users) SELECT x.id FROM x JOIN users ON users.email = $1",
        "WITH users AS (SELECT email FROM users) SELECT 1 FROM users",
        "INSERT INTO users (id, email) VALUES ($1, $2)",
        "INSERT INTO users VALUES ($1, $2, $3)",
        "INSERT INTO users (id) VALUES ($1) ON CONFLICT (email) DO NOTHING",
        "INSERT INTO users AS u (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET name = excluded.email",
        "INSERT INTO orders (id) SELECT id FROM users WHERE email IS NULL",
        "UPDATE users SET email = $1",
        "UPDATE users SET (id, email) = ($1, $2)",
        "UPDATE users u SET name = $1 WHERE u.email = $2 RETURNING id",
        "DELETE FROM orders USING users WHERE users.email = $1",
        "MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN UPDATE SET email = $1",
        "SELECT count(*) FROM users GROUP BY email HAVING count(*) > $1 ORDER BY email",
        "COPY users (id, email) FROM STDIN",
        "SELECT id FROM ONLY users WHERE lower(email) LIKE $1 ORDER BY id LIMIT $2",
        "SELECT a.id FROM letters a, users b WHERE b.email > a.email",
        "(SELECT email FROM users) UNION ALL SELECT $1",
    ] {
        assert_eq!(of_query(text, EMAIL, &facts()), Usage::Named, "{text}");
    }
}

#[test]
fn queries_that_do_not() {
    for text in [
        "SELECT id, name FROM users",
        "SELECT 'email' FROM users",
        "SELECT id AS email FROM users ORDER BY email",
        "SELECT email FROM letters",
        "SELECT l.email FROM letters l, users u WHERE u.id = l.id",
        "SELECT email FROM old.users",
        "SELECT users.email FROM letters users",
        "SELECT email(id) FROM users",
        "SELECT id FROM users WHERE EXISTS (SELECT $1 FROM letters WHERE email = $2)",
        "WITH users AS (SELECT id, email FROM letters) SELECT users.email FROM users",
        "INSERT INTO users (id, name) VALUES ($1, $2)",
        "INSERT INTO users DEFAULT VALUES",
        "UPDATE letters SET email = $1 FROM users WHERE users.id = letters.id",
        "COPY users (id, email) TO STDOUT",
        "COPY public.users (id, email, name) FROM STDIN",
        "COPY users FROM STDIN",
        "ALTER TABLE users ADD COLUMN email text",
        "CREATE INDEX ON users (email)",
        "-- SELECT email FROM users\nSELECT 1",
        "SELECT email FROM users WHERE (",
        "",
    ] {
        let usage = of_query(text, EMAIL, &facts());
        let broken = text.ends_with('(');
        assert!(usage == Usage::None || broken, "{text}: {usage:?}");
    }
}

#[test]
fn a_star_takes_what_there_is() {
    for text in
        ["SELECT * FROM users", "SELECT u.* FROM users u, orders", "SELECT o.id FROM (SELECT * FROM users) o"]
    {
        assert_eq!(of_query(text, EMAIL, &facts()), Usage::Star, "{text}");
    }
    assert_eq!(of_query("SELECT o.*, u.id FROM users u, orders o", EMAIL, &facts()), Usage::None);
}

#[test]
fn tables_are_told_from_their_namesakes() {
    for text in [
        "SELECT 1 FROM users",
        "INSERT INTO public.users (id) VALUES ($1)",
        "DELETE FROM users u WHERE u.id = $1",
    ] {
        assert_eq!(of_query(text, USERS, &facts()), Usage::Named, "{text}");
    }
    for text in [
        "SELECT 1 FROM old.users",
        "SELECT users FROM orders users",
        "WITH users AS (SELECT 1) SELECT * FROM users",
        "SELECT 'users'",
        "SELECT pg_catalog.count(*) FROM users",
        "COPY public.users (id, email, name) FROM STDIN",
    ] {
        assert_eq!(of_query(text, USERS, &facts()), Usage::None, "{text}");
    }
    // An application's search path may be another.
    let elsewhere = Wanted { schema: "app", table: "things", column: None };
    assert_eq!(of_query("SELECT 1 FROM things", elsewhere, &facts()), Usage::Named);
}

#[test]
fn bodies_of_routines_are_read() {
    let sql = |body| of_body(body, false, false, EMAIL, &facts());
    assert_eq!(sql("SELECT id FROM users WHERE email = $1; SELECT 1"), Usage::Named);
    assert_eq!(sql("SELECT id FROM users"), Usage::None);
    let pl = |body| of_body(body, true, false, EMAIL, &facts());
    for body in [
        "begin update users set email = null; end",
        "declare v users.email%type; begin null; end",
        "declare v text; begin select email into v from users where id = 1; return v; end",
        "begin perform 1 from users where email = 'x'; end",
        "begin for r in select u.email from users u loop null; end loop; end",
        "begin execute 'delete from users where email is null'; end",
        "begin if exists (select from users where email = 'x') then null; end if; end",
        "begin return query select name, email from users; end",
    ] {
        assert_eq!(pl(body), Usage::Named, "{body}");
    }
    for body in [
        "declare email text; begin email := 'users'; end",
        "begin new.email := null; return new; end",
        "garbage users email",
    ] {
        assert_eq!(pl(body), Usage::None, "{body}");
    }
}

#[test]
fn trigger_rows_are_rows_of_the_table() {
    let of = |body| of_body(body, true, true, EMAIL, &facts());
    for body in [
        "begin new.email := lower(new.email); return new; end",
        "begin new.email = 'x'; return new; end",
        "begin if old.email is distinct from new.name then raise 'x'; end if; return new; end",
        "begin insert into letters (email) values (NEW.email); return null; end",
    ] {
        assert_eq!(of(body), Usage::Named, "{body}");
    }
    assert_eq!(of("begin new.name := 'email'; return new; end"), Usage::None);
}
