-- Tables of every shape.
SET search_path = public;
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 7);
CREATE TABLE lost_columns (a integer);
INSERT INTO lost_columns VALUES (1), (2);
ALTER TABLE lost_columns DROP COLUMN a;
CREATE TABLE only_generated (g integer GENERATED ALWAYS AS (42) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 3);
CREATE TABLE between (a integer, g text GENERATED ALWAYS AS (b || '!') STORED, b text, gone integer, c integer DEFAULT 3);
INSERT INTO between (a, b, gone) VALUES (1, 'one', 1), (2, NULL, 2);
ALTER TABLE between DROP COLUMN gone;
ALTER TABLE between ADD COLUMN "select" text DEFAULT 'late''s', ADD COLUMN volatile_default uuid DEFAULT gen_random_uuid();
-- SINCE 18
CREATE TABLE virtual (a integer, v integer GENERATED ALWAYS AS (a * 2) VIRTUAL, b integer);
INSERT INTO virtual (a, b) VALUES (1, 2), (3, 4);
CREATE TABLE unenforced (a integer CONSTRAINT known CHECK (a > 0) NOT ENFORCED, b integer);
ALTER TABLE unenforced ADD CONSTRAINT b_there NOT NULL b NOT VALID;
INSERT INTO unenforced VALUES (-1, 1);
-- END

-- Partitions: by range, list and hash, below each other, default, attached with another order of columns.
CREATE TABLE parted (id integer NOT NULL, at date NOT NULL, v text DEFAULT 'root') PARTITION BY RANGE (at);
COMMENT ON TABLE parted IS 'partitioned';
CREATE TABLE parted_old PARTITION OF parted (v DEFAULT 'old', CONSTRAINT old_v CHECK (v <> 'x')) FOR VALUES FROM (MINVALUE) TO ('2021-01-01');
CREATE TABLE parted_new (v text, dropped integer, at date NOT NULL, id integer NOT NULL);
ALTER TABLE parted_new DROP COLUMN dropped;
ALTER TABLE parted ATTACH PARTITION parted_new FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT PARTITION BY LIST (id);
CREATE TABLE parted_rest_some PARTITION OF parted_rest FOR VALUES IN (1, 2, 3, 1000);
CREATE TABLE parted_rest_all (v text, at date NOT NULL, id integer NOT NULL) PARTITION BY HASH (id, at);
ALTER TABLE parted_rest ATTACH PARTITION parted_rest_all DEFAULT;
CREATE TABLE parted_rest_h0 PARTITION OF parted_rest_all FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "parted rest; h1" PARTITION OF parted_rest_all FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT n, '2019-06-01'::date + n, 'v' || n FROM generate_series(1, 1800) n;
ALTER TABLE parted DROP COLUMN v, ADD COLUMN w numeric DEFAULT 1.50;
CREATE INDEX ON parted (id);
CREATE INDEX parted_only ON ONLY parted (w);
CREATE INDEX parted_new_w ON parted_new (w);
ALTER INDEX parted_only ATTACH PARTITION parted_new_w;
ALTER TABLE parted ADD PRIMARY KEY (id, at);
CREATE TABLE refers (id integer, at date, FOREIGN KEY (id, at) REFERENCES parted ON DELETE CASCADE DEFERRABLE);
INSERT INTO refers SELECT id, at FROM parted WHERE id % 100 = 0;
CREATE TABLE empty_parted (x text) PARTITION BY LIST (lower(x));
CREATE TABLE parted_null PARTITION OF empty_parted FOR VALUES IN (NULL, 'a;''b');
INSERT INTO empty_parted VALUES (NULL), ('A;''B');
CREATE TABLE detached (LIKE parted INCLUDING ALL);
INSERT INTO detached VALUES (1, '2020-01-01', 2);

-- Inheritance: added columns, several parents, other order, overridden defaults.
CREATE TABLE base (id integer CONSTRAINT base_id CHECK (id > 0) NO INHERIT, name text CONSTRAINT short CHECK (length(name) < 90));
CREATE TABLE other_base (extra integer DEFAULT 1, name text);
CREATE TABLE derived (own text) INHERITS (base, other_base);
ALTER TABLE base ADD COLUMN added integer DEFAULT 9;
ALTER TABLE derived ALTER COLUMN added SET DEFAULT 10;
CREATE TABLE derived_two (added integer, other text, id integer, name text, CONSTRAINT short CHECK (length(name) < 90));
ALTER TABLE derived_two INHERIT base;
CREATE TABLE grandchild () INHERITS (derived, derived_two);
ALTER TABLE other_base DROP COLUMN extra;
CREATE TABLE disowned () INHERITS (base);
ALTER TABLE disowned NO INHERIT base;
INSERT INTO base VALUES (1, 'base', 1);
INSERT INTO derived (id, name, own) VALUES (-2, 'derived', 'o');
INSERT INTO derived_two VALUES (7, 'other', 3, 'two');
INSERT INTO grandchild (id, name, own, other) VALUES (4, 'grand', 'o', 'p');
CREATE TYPE row_type AS (a integer, b text);
CREATE TABLE of_type OF row_type (a PRIMARY KEY, b DEFAULT 'q');
INSERT INTO of_type VALUES (1);

-- Constraints.
CREATE EXTENSION btree_gist;
CREATE TABLE rooms (room integer, during tsrange, note text,
    CONSTRAINT "no two; at once" EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (note IS NULL) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO rooms VALUES (1, '[2020-01-01,2020-01-02)'), (1, '[2020-01-02,)');
CREATE TABLE keys (a integer PRIMARY KEY DEFERRABLE, b integer NOT NULL, c integer, UNIQUE (b, c) INCLUDE (a), CONSTRAINT c_check CHECK (c > 0) NOT VALID);
INSERT INTO keys SELECT n, n, n FROM generate_series(1, 50) n;
COMMENT ON CONSTRAINT c_check ON keys IS 'on a constraint';
CREATE TABLE self_ref (id integer PRIMARY KEY, parent integer REFERENCES self_ref ON UPDATE SET NULL NOT DEFERRABLE);
INSERT INTO self_ref SELECT n, 201 - n FROM generate_series(1, 200) n;
CREATE TABLE ring_a (id integer PRIMARY KEY, b integer);
CREATE TABLE ring_b (id integer PRIMARY KEY, a integer CONSTRAINT "to a" REFERENCES ring_a DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b (id) MATCH FULL;
INSERT INTO ring_a VALUES (1, NULL); INSERT INTO ring_b VALUES (1, 1); UPDATE ring_a SET b = 1;
CREATE TABLE doubtful (id integer, k integer);
INSERT INTO doubtful VALUES (-1, 99);
ALTER TABLE doubtful ADD CONSTRAINT positive_one CHECK (id > 0) NOT VALID;
ALTER TABLE doubtful ADD CONSTRAINT somewhere FOREIGN KEY (k) REFERENCES ring_a NOT VALID;
-- SINCE 15
CREATE TABLE one_null (a integer UNIQUE NULLS NOT DISTINCT, b integer, FOREIGN KEY (a) REFERENCES ring_a ON DELETE SET NULL (a));
INSERT INTO one_null VALUES (NULL, 1);
-- END
-- SINCE 18
CREATE TABLE temporal (id integer, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
INSERT INTO temporal VALUES (1, '[2020-01-01,2020-02-01)'), (1, '[2020-02-01,)');
-- END

-- How they are kept.
CREATE UNLOGGED TABLE fleeting (x integer) WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = off);
INSERT INTO fleeting VALUES (1), (2);
CREATE TABLE stored (a text, b text, c jsonb, d integer);
ALTER TABLE stored ALTER COLUMN b SET STORAGE PLAIN, ALTER COLUMN a SET STORAGE EXTERNAL, ALTER COLUMN a SET STATISTICS 500, ALTER COLUMN d SET (n_distinct = -0.5), ALTER COLUMN c SET STORAGE MAIN;
INSERT INTO stored SELECT repeat(md5(n::text), 400), md5(n::text), jsonb_build_object('n', repeat('x', n)), n FROM generate_series(1, 300) n;
-- SINCE 14
ALTER TABLE stored ALTER COLUMN a SET COMPRESSION pglz;
-- END
CREATE INDEX stored_d ON stored (d DESC NULLS LAST) WITH (fillfactor = 50);
CREATE INDEX stored_expr ON stored ((c ->> 'n') text_pattern_ops, (d + 1)) WHERE d > 10;
ALTER INDEX stored_expr ALTER COLUMN 2 SET STATISTICS 200;
COMMENT ON INDEX stored_d IS 'an index';
ALTER TABLE stored CLUSTER ON stored_d;
CREATE UNIQUE INDEX stored_u ON keys (b);
ALTER TABLE keys REPLICA IDENTITY USING INDEX stored_u;
ALTER TABLE ring_a REPLICA IDENTITY FULL;
ALTER TABLE ring_b REPLICA IDENTITY NOTHING;
CREATE STATISTICS stored_stats (ndistinct, mcv) ON a, d FROM stored;
ALTER STATISTICS stored_stats SET STATISTICS 17;
COMMENT ON STATISTICS stored_stats IS 'statistics';
-- SINCE 14
CREATE STATISTICS expr_stats ON (lower(a)), (d % 3) FROM stored;
-- END
CREATE TABLE in_space (x integer PRIMARY KEY USING INDEX TABLESPACE @SPACE@) TABLESPACE @SPACE@;
INSERT INTO in_space VALUES (1);
CREATE TEMPORARY TABLE not_carried AS SELECT 1 AS x;

-- Views, in the order in which they need each other.
CREATE VIEW grouped AS SELECT id, m, p FROM typed WHERE id > 0;
ALTER VIEW grouped ALTER COLUMN m SET DEFAULT 'sad';
COMMENT ON COLUMN grouped.m IS 'of a view';
CREATE VIEW by_key AS SELECT s.*, count(*) AS n FROM self_ref s GROUP BY s.id;
CREATE VIEW checked WITH (security_barrier) AS SELECT * FROM keys WHERE a > 0 WITH LOCAL CHECK OPTION;
CREATE VIEW checked_more AS SELECT * FROM checked WHERE b > 0 WITH CASCADED CHECK OPTION;
-- SINCE 15
CREATE VIEW invoked WITH (security_invoker = true) AS SELECT 1 AS one;
-- END
CREATE RECURSIVE VIEW nums (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM nums WHERE n < 5;
CREATE VIEW circle_a AS SELECT 1 AS x;
CREATE VIEW circle_b AS SELECT x FROM circle_a;
CREATE OR REPLACE VIEW circle_a AS SELECT 1 AS x WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'none such');
CREATE MATERIALIZED VIEW z_first WITH (fillfactor = 80) AS SELECT id, w FROM parted WHERE id < 100;
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE SET search_path = public AS 'SELECT count(*) FROM z_first';
CREATE UNIQUE INDEX z_first_id ON z_first (id);
ALTER MATERIALIZED VIEW z_first CLUSTER ON z_first_id;
CREATE MATERIALIZED VIEW a_second AS SELECT count(*) AS n, max(w) AS w FROM z_first;
CREATE MATERIALIZED VIEW a_first_by_function AS SELECT f FROM (SELECT public.counted() AS f FROM z_first LIMIT 1) s;
CREATE MATERIALIZED VIEW never_filled AS SELECT x FROM in_space WITH NO DATA;
CREATE MATERIALIZED VIEW on_never_filled AS SELECT x FROM never_filled WITH NO DATA;
COMMENT ON MATERIALIZED VIEW a_second IS 'filled';
