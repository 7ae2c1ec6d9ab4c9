-- Owners, privileges, policies. @OTHER@ and @GROUP@ are roles.
SET search_path = public;
CREATE SCHEMA theirs AUTHORIZATION @OTHER@;
COMMENT ON SCHEMA theirs IS 'another role''s';
CREATE SCHEMA "Sch ema; ""quoted"" 'n'";
CREATE TABLE theirs.owned (a integer, b text);
INSERT INTO theirs.owned SELECT n, md5(n::text) FROM generate_series(1, 2000) n;
ALTER TABLE theirs.owned OWNER TO @OTHER@;
CREATE FUNCTION theirs.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION theirs.f() OWNER TO @GROUP@;
CREATE TYPE theirs.t AS ENUM ();
ALTER TYPE theirs.t OWNER TO @OTHER@;
GRANT SELECT, UPDATE (t) ON texts TO @OTHER@ WITH GRANT OPTION;
SET ROLE @OTHER@;
GRANT SELECT ON public.texts TO @GROUP@;
RESET ROLE;
REVOKE ALL ON theirs.owned FROM @OTHER@;
GRANT TRUNCATE, REFERENCES (a), INSERT (b) ON theirs.owned TO PUBLIC;
REVOKE EXECUTE ON FUNCTION plain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plain TO @GROUP@;
GRANT USAGE ON SEQUENCE small TO PUBLIC;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
REVOKE USAGE ON LANGUAGE sql FROM PUBLIC;
GRANT USAGE ON FOREIGN SERVER "far; away" TO @OTHER@ WITH GRANT OPTION;
GRANT USAGE ON FOREIGN DATA WRAPPER own_wrapper TO @GROUP@;
CREATE USER MAPPING FOR @GROUP@ SERVER "far; away" OPTIONS (user 'g');
GRANT SELECT ON pg_catalog.pg_authid TO @GROUP@;
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hstore_in TO @GROUP@;
-- A newer pg_dump takes an older server's public for a new one's, and does not carry this.
-- SINCE 15
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- END
GRANT CREATE ON SCHEMA public TO @GROUP@;
GRANT USAGE ON SCHEMA public TO @OTHER@;
ALTER DEFAULT PRIVILEGES FOR ROLE @OTHER@ IN SCHEMA theirs GRANT SELECT ON TABLES TO @GROUP@ WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE @OTHER@ REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO @GROUP@;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;

CREATE TABLE secured (id integer, who name DEFAULT current_user);
INSERT INTO secured SELECT n, 'somebody' FROM generate_series(1, 100) n;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (who = current_user);
CREATE POLICY "restricts; all" ON secured AS RESTRICTIVE FOR UPDATE TO @GROUP@, @OTHER@ USING (id > 0) WITH CHECK (id < 5);
COMMENT ON POLICY own ON secured IS 'a policy';
CREATE TABLE only_forced (x integer);
INSERT INTO only_forced VALUES (1);
ALTER TABLE only_forced FORCE ROW LEVEL SECURITY;

CREATE TABLE "T'a\ble ""q"" ; $x$ -- é
second line" ("C'ol ""q"" \ ;" integer, "select" text, "%s $1 :x" text, "\N" text, " " integer, "日本語" text, "a
b" integer, "Ünï" text);
INSERT INTO "T'a\ble ""q"" ; $x$ -- é
second line" VALUES (1, 'a', E'\\', '\N', 2, '漢', 3, 'x');
COMMENT ON COLUMN "T'a\ble ""q"" ; $x$ -- é
second line"."select" IS E'multi\nline; -- comment \\';
CREATE INDEX "in'dex ""q"" ; %" ON "T'a\ble ""q"" ; $x$ -- é
second line" ("C'ol ""q"" \ ;") WHERE "select" <> E'a;\\''';
CREATE TABLE "a_name_that_is_exactly_sixty_three_bytes_long_xxxxxxxxxxxxxxxxx" ("another_name_of_exactly_sixty_three_bytes_xxxxxxxxxxxxxxxxxxxx63" integer PRIMARY KEY);
INSERT INTO "a_name_that_is_exactly_sixty_three_bytes_long_xxxxxxxxxxxxxxxxx" VALUES (1);
CREATE TABLE "user" ("order" integer, "table" text, "from" integer DEFAULT 1);
INSERT INTO "user" VALUES (1, '');
CREATE TABLE "Sch ema; ""quoted"" 'n'"."select" ("group" integer);
INSERT INTO "Sch ema; ""quoted"" 'n'"."select" VALUES (1), (NULL);
CREATE VIEW "Sch ema; ""quoted"" 'n'"."v;" AS SELECT "group" AS "a;b" FROM "Sch ema; ""quoted"" 'n'"."select";
CREATE SEQUENCE "Sch ema; ""quoted"" 'n'"."S'eq ""x"" \ y";
SELECT setval('"Sch ema; ""quoted"" ''n''"."S''eq ""x"" \ y"', 41);
CREATE TABLE "pg_like" ("ctid;" integer);
CREATE TABLE "\." (x integer);
INSERT INTO "\." VALUES (1);

SELECT lo_from_bytea(424242, '\x00010203');
SELECT lo_from_bytea(424243, decode(repeat('ab', 2500000), 'hex'));
SELECT lo_create(7);
-- A hole in the middle.
SELECT lo_put(lo_create(8), 5000000, '\x01');
ALTER LARGE OBJECT 424242 OWNER TO @OTHER@;
COMMENT ON LARGE OBJECT 424242 IS 'an object; large';
GRANT SELECT ON LARGE OBJECT 424242 TO @GROUP@;
GRANT UPDATE ON LARGE OBJECT 7 TO PUBLIC;

CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION "some; p" FOR TABLE keys, ONLY base WITH (publish = 'insert, truncate');
CREATE PUBLICATION by_root FOR TABLE parted WITH (publish_via_partition_root);
CREATE PUBLICATION nothing_yet;
-- SINCE 15
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA theirs, public;
CREATE PUBLICATION filtered FOR TABLE keys (a, b) WHERE (a > 5 AND b IS NOT NULL), texts WHERE (t <> 'x;');
-- END
COMMENT ON PUBLICATION "some; p" IS 'a publication';
CREATE SUBSCRIPTION "sub; s" CONNECTION 'host=nowhere password=secret_word dbname=x' PUBLICATION a, "b;c"
    WITH (connect = false, slot_name = 'it_s_slot', synchronous_commit = 'off');
COMMENT ON SUBSCRIPTION "sub; s" IS 'a subscription';
