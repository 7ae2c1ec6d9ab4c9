-- A database with many kinds of objects, made by an owner without superuser rights.
-- @OTHER@ is a second role.

-- SINCE 15
COMMENT ON SCHEMA public IS 'the usual one; with a semicolon';
-- END
CREATE SCHEMA "Sch ema; ""quoted"" 'n'";
CREATE SCHEMA extra;
SET search_path = public;

CREATE TYPE mood AS ENUM ('sad', 'o''k', 'happy; really');
CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$') DEFAULT 'a@b';
CREATE TYPE pair AS (x integer, "y z" text);
CREATE TYPE price_range AS RANGE (subtype = numeric);
CREATE SEQUENCE loose INCREMENT 7 MINVALUE -100 START 3 CACHE 5;
SELECT nextval('loose'), nextval('loose');
CREATE SEQUENCE untouched;
CREATE SEQUENCE backwards INCREMENT -1;
SELECT nextval('backwards');
CREATE SEQUENCE "Sch ema; ""quoted"" 'n'"."S'eq ""x"" \ y";
SELECT setval('"Sch ema; ""quoted"" ''n''"."S''eq ""x"" \ y"', 41);

CREATE TABLE kinds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    n serial,
    m mood, e email, p pair, r price_range, ia integer[], ta text[][], j jsonb, b bytea,
    num numeric, d double precision, f real, t text, vc varchar(20), c char(5), bo boolean,
    ts timestamptz, tl timestamp, da date, ti time, iv interval, u uuid, inet inet, mo money, x xml,
    bits bit varying, pt point, tsv tsvector,
    doubled integer GENERATED ALWAYS AS (n * 2) STORED,
    CONSTRAINT vc_known CHECK (vc IN ('a', 'b', 'c'))
);
ALTER TABLE kinds DROP COLUMN ti;
ALTER TABLE kinds ADD COLUMN late text DEFAULT 'l';
INSERT INTO kinds (m, e, p, r, ia, ta, j, b, num, d, f, t, vc, c, bo, ts, tl, da, iv, u, inet, mo, x, bits, pt, tsv)
VALUES
 ('o''k', 'x@y', ROW(1, 'a"b,(c)'), '[1.5,2)', '{1,NULL,3}', '{{"a,b","{}"},{"\\","NULL"}}', '{"a": [1, "\\n"]}',
  '\x00ff5c0a09', 'NaN', 'Infinity', 1e-40, E'tab\t newline\n return\r backslash\\ N \\N \\. é 漢 \u0001', 'a', 'ab', true,
  '2026-01-01 00:00:00.123456+05', 'infinity', '0044-03-15 BC', '-1 mon +2 days -03:00:00.5',
  '00000000-0000-0000-0000-000000000001', '::1/64', '-12345.67', '<a>x</a>', B'101', '(1,2)', 'fat:1A cat:2'),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 ('sad', 'q@r', ROW(NULL, ''), 'empty', '{}', '{}', 'null', '', -0.00010, '-0', 'NaN', '', 'b', '', false,
  '-infinity', '2026-07-01 12:00', 'infinity', '0', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '10.0.0.1', 0,
  'text', B'', '(-0,1e300)', ''),
 ('sad', 'z@z', NULL, NULL, NULL, NULL, NULL, NULL, 1e100, 0.1, 0.1, E'\\.', 'c', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL);
COMMENT ON TABLE kinds IS E'a comment\nwith; a line\n-- and $$ dollars';
COMMENT ON COLUMN kinds.t IS 'text''s column';
CREATE INDEX kinds_expr ON kinds ((lower(t))) WHERE bo;
CREATE STATISTICS kinds_stats ON n, bo FROM kinds;

CREATE TABLE empty_one (id integer PRIMARY KEY REFERENCES kinds (id), t text NOT NULL);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 5);
CREATE TABLE only_generated (g integer GENERATED ALWAYS AS (42) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 3);

CREATE TABLE "Sch ema; ""quoted"" 'n'"."T'a\ble ""q"" ; $x$ -- é
second line" ("C'ol ""q"" \ ;" integer, "select" text, "%s $1 :x" text);
INSERT INTO "Sch ema; ""quoted"" 'n'"."T'a\ble ""q"" ; $x$ -- é
second line" VALUES (1, 'a', E'\\'), (2, NULL, '');
CREATE TABLE "a_name_that_is_exactly_sixty_three_bytes_long_xxxxxxxxxxxxxxxxx" (x integer);
INSERT INTO "a_name_that_is_exactly_sixty_three_bytes_long_xxxxxxxxxxxxxxxxx" VALUES (1);

CREATE TABLE parted (id integer NOT NULL, at date NOT NULL, v text) PARTITION BY RANGE (at);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parted_new (v text, dropped integer, at date NOT NULL, id integer NOT NULL);
ALTER TABLE parted_new DROP COLUMN dropped;
ALTER TABLE parted ATTACH PARTITION parted_new FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT PARTITION BY LIST (id);
CREATE TABLE parted_rest_all PARTITION OF parted_rest DEFAULT;
INSERT INTO parted SELECT n, '2019-06-01'::date + n, 'v' || n FROM generate_series(1, 1200) n;
CREATE INDEX ON parted (id);
ALTER TABLE parted ADD PRIMARY KEY (id, at);

CREATE TABLE base (id integer, name text);
CREATE TABLE derived (own text) INHERITS (base);
ALTER TABLE base ADD COLUMN added integer DEFAULT 9;
CREATE TABLE derived_two (added integer, other text, id integer, name text);
ALTER TABLE derived_two INHERIT base;
INSERT INTO base VALUES (1, 'base');
INSERT INTO derived (id, name, own) VALUES (2, 'derived', 'o');
INSERT INTO derived_two VALUES (7, 'other', 3, 'two');

CREATE UNLOGGED TABLE fleeting (x integer);
INSERT INTO fleeting VALUES (1), (2);

CREATE VIEW grouped AS SELECT id, n, m FROM kinds GROUP BY id;
CREATE VIEW checked WITH (security_barrier) AS SELECT * FROM kinds WHERE n > 0 WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW z_first AS SELECT id, v FROM parted WHERE id < 100;
CREATE UNIQUE INDEX ON z_first (id);
CREATE MATERIALIZED VIEW a_second AS SELECT count(*) AS n, max(v) AS v FROM z_first;
CREATE MATERIALIZED VIEW never_filled AS SELECT 1 AS x WITH NO DATA;
CREATE RECURSIVE VIEW nums (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM nums WHERE n < 5;

CREATE FUNCTION plain(a integer, b text DEFAULT 'x;y') RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    -- Name: fake; Type: TABLE; Schema: public; Owner: nobody
    RETURN $q$ $$ ; -- $q$ || b || E'\\';
END
$f$;
CREATE FUNCTION hostile() RETURNS text LANGUAGE sql AS '
--
-- Name: fake; Type: TABLE; Schema: public; Owner: nobody
--

/*
\restrict abc
*/ SELECT ''x'' /*
\unrestrict abc
*/;
';
-- SINCE 14
CREATE FUNCTION atomic(a integer) RETURNS integer LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END;
    SELECT a + 1;
END;
CREATE PROCEDURE atomic_too(a integer) LANGUAGE sql BEGIN ATOMIC INSERT INTO fleeting VALUES (a); END;
-- END
CREATE AGGREGATE concat_all(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.late := ''touched''; RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION touched();
ALTER TABLE kinds DISABLE TRIGGER touch;
CREATE RULE quiet AS ON DELETE TO fleeting DO INSTEAD (SELECT 1; NOTIFY gone);

CREATE TABLE secured (id integer, who name DEFAULT current_user);
INSERT INTO secured VALUES (1, 'a'), (2, 'b');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (who = current_user);
CREATE TABLE doubtful (id integer);
INSERT INTO doubtful VALUES (-1);
ALTER TABLE doubtful ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;
CREATE TABLE ring_a (id integer PRIMARY KEY, b integer);
CREATE TABLE ring_b (id integer PRIMARY KEY, a integer REFERENCES ring_a DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b;
INSERT INTO ring_a VALUES (1, NULL);
INSERT INTO ring_b VALUES (1, 1);
UPDATE ring_a SET b = 1;
CREATE PUBLICATION "Some p" FOR TABLE kinds, ring_a;

GRANT SELECT, UPDATE (t) ON kinds TO @OTHER@ WITH GRANT OPTION;
GRANT USAGE ON SCHEMA extra TO @OTHER@;
REVOKE EXECUTE ON FUNCTION plain(integer, text) FROM PUBLIC;
GRANT USAGE ON SEQUENCE loose TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA extra GRANT SELECT ON TABLES TO @OTHER@;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE EXTENSION pgcrypto SCHEMA extra;
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE TEXT SEARCH CONFIGURATION plain_search (COPY = simple);

SELECT lo_from_bytea(424242, '\x00010203');
SELECT lo_from_bytea(0, decode(repeat('ab', 2500000), 'hex'));
SELECT lo_create(7);
COMMENT ON LARGE OBJECT 424242 IS 'an object; large';
GRANT SELECT ON LARGE OBJECT 424242 TO @OTHER@;
