-- Functions and everything that is made of them.
SET search_path = public;
CREATE FUNCTION plain(a integer, INOUT b text DEFAULT 'x;y', VARIADIC c integer[] DEFAULT '{}') LANGUAGE plpgsql
    COST 7 SECURITY DEFINER LEAKPROOF PARALLEL RESTRICTED SET search_path = pg_catalog, "odd, ""path""" SET work_mem = '5MB' AS $f$
BEGIN
    -- Name: fake; Type: TABLE; Schema: public; Owner: nobody
    b := $q$ $$ ; -- $q$ || E'\\';
END
$f$;
COMMENT ON FUNCTION plain IS E'a function''s\ncomment; \\';
CREATE FUNCTION "weird; ""name""
\restrict x"("an arg" text) RETURNS TABLE ("out; 1" integer, "b" text) LANGUAGE sql ROWS 3 STABLE AS '
--
-- Name: fake; Type: TABLE; Schema: public; Owner: nobody
--
/*
\restrict abc
*/ SELECT 1, ''x'' /*
\unrestrict abc
*/;
';
CREATE FUNCTION c_function(integer) RETURNS integer LANGUAGE internal STRICT IMMUTABLE AS 'int4abs';
-- SINCE 14
CREATE FUNCTION atomic(a integer) RETURNS integer LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END;
    SELECT a + 1;
END;
CREATE FUNCTION returned(begin integer) RETURNS integer LANGUAGE sql RETURN begin + 1;
CREATE PROCEDURE atomic_too(a integer, OUT b integer) LANGUAGE sql BEGIN ATOMIC INSERT INTO fleeting VALUES (a); SELECT 1; END;
-- END
CREATE PROCEDURE proceeding(INOUT a integer) LANGUAGE plpgsql AS 'BEGIN COMMIT; a := 1; END';
CREATE AGGREGATE concat_all(text) (SFUNC = textcat, STYPE = text, INITCOND = 'a;''b', PARALLEL = SAFE);
COMMENT ON AGGREGATE concat_all(text) IS 'an aggregate';
CREATE AGGREGATE moving(integer) (SFUNC = int4pl, STYPE = integer, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, SORTOP = <);
CREATE AGGREGATE ranked(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);

CREATE FUNCTION text_same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 OPERATOR(pg_catalog.=) $2';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = text_same, COMMUTATOR = ===, NEGATOR = !==, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE FUNCTION text_other(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 OPERATOR(pg_catalog.<>) $2';
CREATE OPERATOR !== (LEFTARG = text, RIGHTARG = text, FUNCTION = text_other, COMMUTATOR = !==, NEGATOR = ===);
COMMENT ON OPERATOR === (text, text) IS 'an operator';
CREATE OPERATOR @#@ (RIGHTARG = bigint, FUNCTION = int8abs);
CREATE OPERATOR FAMILY family USING btree;
CREATE OPERATOR CLASS odd_ints FOR TYPE integer USING btree FAMILY family AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(integer, integer);
ALTER OPERATOR FAMILY family USING btree ADD OPERATOR 3 = (integer, bigint);
COMMENT ON OPERATOR CLASS odd_ints USING btree IS 'an operator class';
CREATE INDEX by_odd ON keys (c odd_ints);
CREATE CAST (mood AS positive) WITH INOUT;
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.x::text';
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS ASSIGNMENT;
CREATE CAST (bigint AS mood) WITH INOUT AS IMPLICIT;
COMMENT ON CAST (pair AS text) IS 'a cast';
CREATE CONVERSION "own conv" FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION "own conv" IS 'a conversion';
CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION "any case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
COMMENT ON COLLATION "any case" IS 'a collation';
CREATE TABLE collated (t text COLLATE "any case" PRIMARY KEY, g text COLLATE german);
INSERT INTO collated VALUES ('A', 'Ä'), ('b', 'ß');
-- SINCE 16
CREATE COLLATION ruled (provider = icu, locale = 'und', rules = '&V << w <<< W');
-- END
CREATE TEXT SEARCH DICTIONARY own_dict (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION own_search (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION own_search ALTER MAPPING FOR word, asciiword WITH own_dict, english_stem;
CREATE TEXT SEARCH TEMPLATE own_template (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH PARSER own_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
COMMENT ON TEXT SEARCH CONFIGURATION own_search IS 'a search';
CREATE INDEX searched ON texts USING gin (to_tsvector('own_search', t));
CREATE ACCESS METHOD own_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD own_btree TYPE INDEX HANDLER bthandler;
COMMENT ON ACCESS METHOD own_heap IS 'an access method';
CREATE TABLE other_method (x integer) USING own_heap;
INSERT INTO other_method SELECT generate_series(1, 5000);
CREATE FUNCTION to_external(internal) RETURNS internal LANGUAGE internal AS 'textout';
CREATE FUNCTION own_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION own_inline(internal) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE TRUSTED LANGUAGE plown HANDLER own_handler INLINE own_inline;
COMMENT ON LANGUAGE plown IS 'a language';
CREATE FUNCTION in_own() RETURNS integer LANGUAGE plown AS 'BEGIN RETURN 1; END';
CREATE TRANSFORM FOR hstore LANGUAGE plown (FROM SQL WITH FUNCTION prsd_lextype(internal));
COMMENT ON TRANSFORM FOR hstore LANGUAGE plown IS 'a transform';

CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER "touch; it" BEFORE INSERT OR UPDATE OF b ON keys FOR EACH ROW WHEN (NEW.b > 5) EXECUTE FUNCTION touched('an; arg', 'it''s \\ "x"');
CREATE TRIGGER off AFTER DELETE ON keys FOR EACH STATEMENT EXECUTE FUNCTION touched();
ALTER TABLE keys DISABLE TRIGGER off;
CREATE TRIGGER on_replica AFTER TRUNCATE ON keys EXECUTE FUNCTION touched();
ALTER TABLE keys ENABLE REPLICA TRIGGER on_replica;
CREATE TRIGGER on_always AFTER UPDATE ON keys REFERENCING OLD TABLE AS old_rows NEW TABLE AS "new rows" FOR EACH STATEMENT EXECUTE FUNCTION touched();
ALTER TABLE keys ENABLE ALWAYS TRIGGER on_always;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON keys FROM ring_a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER instead INSTEAD OF INSERT ON checked FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER on_parts AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION touched();
ALTER TABLE parted_old DISABLE TRIGGER on_parts;
COMMENT ON TRIGGER off ON keys IS 'a trigger';
CREATE RULE quiet AS ON DELETE TO fleeting WHERE OLD.x > 1 DO INSTEAD (SELECT 1; UPDATE fleeting SET x = 2);
CREATE RULE tells AS ON UPDATE TO fleeting DO ALSO NOTIFY gone;
CREATE RULE sleeping AS ON INSERT TO fleeting DO ALSO NOTHING;
ALTER TABLE fleeting DISABLE RULE sleeping;
COMMENT ON RULE quiet ON fleeting IS 'a rule';
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE EVENT TRIGGER drops ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP VIEW') EXECUTE FUNCTION on_event();
CREATE EVENT TRIGGER rewrites ON table_rewrite EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER rewrites ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER drops IS 'an event trigger';

CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER "far; away" TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'it''s', port '1');
CREATE FOREIGN TABLE far (id integer OPTIONS (column_name 'ID'), t text NOT NULL DEFAULT 'x', CONSTRAINT far_id CHECK (id > 0)) SERVER "far; away" OPTIONS (table_name 'there');
CREATE FOREIGN TABLE parted_far PARTITION OF empty_parted FOR VALUES IN ('far') SERVER "far; away";
CREATE FOREIGN TABLE far_child () INHERITS (base) SERVER "far; away";
CREATE USER MAPPING FOR PUBLIC SERVER "far; away" OPTIONS (user 'a', password 'b''c');
COMMENT ON SERVER files IS 'a server';
COMMENT ON FOREIGN TABLE far IS 'a foreign table';
CREATE FOREIGN DATA WRAPPER own_wrapper OPTIONS (a 'b');
