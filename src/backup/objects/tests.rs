use super::*;

const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n\nSET statement_timeout = 0;\n";
const FOOT: &str = "\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

fn entry(heading: &str, body: &str) -> String {
    format!("\n--\n-- Name: {heading}\n--\n\n{body}\n\n")
}

fn text(entries: &[String]) -> String {
    format!("{HEAD}{}{FOOT}", entries.concat())
}

fn function() -> String {
    let body = "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql\n    AS $$ SELECT 1 $$;\n\n\n\
        SET default_tablespace = '';\n\nSET default_table_access_method = heap;";
    entry("f(); Type: FUNCTION; Schema: public; Owner: -", body)
}

fn table(columns: &[&str]) -> String {
    let body = format!("CREATE TABLE public.users (\n    {}\n);", columns.join(",\n    "));
    entry("users; Type: TABLE; Schema: public; Owner: -", &body)
}

#[test]
fn objects_have_their_kind_schema_and_name() {
    let key = entry(
        "users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -",
        "ALTER TABLE ONLY public.users\n    ADD CONSTRAINT users_pkey PRIMARY KEY (id);",
    );
    let extension = entry("citext; Type: EXTENSION; Schema: -; Owner: -", "CREATE EXTENSION citext;");
    let found = objects(&text(&[extension, function(), table(&["id integer"]), key]));
    let names: Vec<String> = found.iter().map(Object::to_string).collect();
    let wanted = [
        "extension citext",
        "function public.f()",
        "table public.users",
        "constraint public.users users_pkey",
    ];
    assert_eq!(names, wanted);
    assert!(found[1].definition.ends_with("$$ SELECT 1 $$;"), "{}", found[1].definition);
    assert_eq!(found[2].definition, "CREATE TABLE public.users (\n    id integer\n);");
    assert!(found[3].definition.ends_with("PRIMARY KEY (id);"), "{}", found[3].definition);
}

#[test]
fn hostile_names_are_kept_whole() {
    let name = "a; Type: VIEW; Schema: x; Owner: y";
    let heading = format!("{name}; Type: TABLE; Schema: my \"schema\"; Owner: -; Tablespace: fast");
    let found = objects(&text(&[entry(&heading, "CREATE TABLE x ();")]));
    let wanted = Object {
        kind: "TABLE".into(),
        schema: Some("my \"schema\"".into()),
        name: name.into(),
        definition: "-- in tablespace fast\nCREATE TABLE x ();".into(),
    };
    assert_eq!(found, [wanted]);
}

#[test]
fn what_makes_nothing_is_no_object() {
    let body = "-- *not* creating schema, since initdb creates it";
    assert!(objects(&text(&[entry("public; Type: SCHEMA; Schema: -; Owner: -", body)])).is_empty());
    assert!(objects("").is_empty());
    assert!(objects(HEAD).is_empty());
}

#[test]
fn a_setting_belongs_to_the_objects_after_it() {
    // The same table, with and without a function before it that the settings stand behind.
    let with = objects(&text(&[function(), table(&["id integer"])]));
    let without = objects(&text(&[table(&["id integer"])]));
    assert_eq!(
        compare(without.clone(), with),
        [Difference::Unexpected(objects(&text(&[function()])).remove(0))]
    );
    let columnar = function().replace("= heap", "= columnar");
    let other = objects(&text(&[columnar, table(&["id integer"])]));
    assert!(other[1].definition.starts_with("SET default_table_access_method = columnar;\nCREATE"));
    let Difference::Changed { nature, .. } = &compare(vec![without[0].clone()], vec![other[1].clone()])[0]
    else {
        panic!("no change");
    };
    assert_eq!(*nature, Nature::Content);
}

#[test]
fn differences_are_told_by_object() {
    let expected = objects(&text(&[table(&["id integer", "email text"]), function()]));
    let view = entry("v; Type: VIEW; Schema: public; Owner: -", "CREATE VIEW public.v AS\n SELECT 1;");
    let found = objects(&text(&[view, table(&["id integer", "email character varying(20)"])]));
    let differences = compare(expected, found);
    assert_eq!(differences.len(), 3);
    assert_eq!(differences[0].object().to_string(), "table public.users");
    assert_eq!(
        differences[0].lines(),
        [
            "  CREATE TABLE public.users (",
            "      id integer,",
            "-     email text",
            "+     email character varying(20)",
            "  );"
        ]
    );
    assert!(matches!(&differences[1], Difference::Missing(object) if object.kind == "FUNCTION"));
    assert!(matches!(&differences[2], Difference::Unexpected(object) if object.kind == "VIEW"));
    assert_eq!(differences[2].lines(), ["+ CREATE VIEW public.v AS", "+  SELECT 1;"]);
}

#[test]
fn the_order_of_columns_is_a_difference_of_its_own() {
    let one = objects(&text(&[table(&["a integer", "b text"])]));
    let two = objects(&text(&[table(&["b text", "a integer"])]));
    assert_eq!(compare(one, two)[0].nature(), Nature::Order);
}

#[test]
fn what_postgresql_rewrites_is_a_difference_of_spelling() {
    let one = "s text CHECK (((s)::text = ANY ((ARRAY['a'::character varying])::text[])))";
    let two = "s text CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text])))";
    let compared =
        |two: &str| compare(objects(&text(&[table(&[one])])), objects(&text(&[table(&[two])])))[0].nature();
    assert_eq!(compared(two), Nature::Spelling);
    assert_eq!(compared(&two.replace("'a'", "'b'")), Nature::Content);
}

#[test]
fn one_name_twice_is_matched_by_content_first() {
    let object = |body: &str| entry("x; Type: ACL; Schema: public; Owner: -", body);
    let (a, b, c) = (object("GRANT a;"), object("GRANT b;"), object("GRANT c;"));
    let one = objects(&text(&[a.clone(), b.clone()]));
    let two = objects(&text(&[b, c]));
    let differences = compare(one, two);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].lines(), ["- GRANT a;", "+ GRANT c;"]);
    assert!(compare(objects(&text(std::slice::from_ref(&a))), objects(&text(&[a]))).is_empty());
}
