-- A shop of about 1.5 GB: one table that is most of it, wide and narrow ones, text, jsonb, numerics, uuids.
-- psql variable "scale": 1000 is the full size.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SELECT setseed(0.42) \g /dev/null

CREATE FUNCTION words(seed bigint, n int) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg((ARRAY['harbour','mast','sail','rudder','anchor','keel','deck','hull','tide','wind','stern','bow',
        'galley','cabin','compass','chart','storm','calm','north','south','east','west','reef','buoy','jib','boom',
        'halyard','sheet','winch','cleat','fender','mooring','ballast','bilge','beam','draft','fathom','gale','knot',
        'lee','log','swell','tack','trim','wake','yaw','spar','shroud','stay','luff'])
        [1 + abs(hashint8(seed * 31 + i)) % 50], ' ') FROM generate_series(1::bigint, n) i
$$;

CREATE TABLE account (
    id bigint PRIMARY KEY, ref uuid NOT NULL, email text NOT NULL, name text NOT NULL, address text,
    balance numeric(14, 2) NOT NULL, settings jsonb, created timestamptz NOT NULL);
INSERT INTO account SELECT i, md5(i::text)::uuid, 'user' || i || '@example.org', words(i, 2), words(i + 7, 9),
    (random() * 100000)::numeric(14, 2), jsonb_build_object('theme', i % 5, 'mail', i % 2 = 0, 'tags', words(i, 3)),
    '2020-01-01'::timestamptz + i * interval '61 s'
    FROM generate_series(1::bigint, 200 * :scale) i;

CREATE TABLE event (
    id bigint NOT NULL, account_id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
    amount numeric(12, 2), ref uuid NOT NULL, payload jsonb NOT NULL, note text);
-- What an application writes repeats itself: two thousand sentences and a few browsers are shared out.
CREATE TEMP TABLE sentence AS
    SELECT i AS n, words(i * 13, (6 + i % 12)::int) || '.' AS text FROM generate_series(0::bigint, 1999) i;
CREATE TEMP TABLE browser AS SELECT i AS n, format('Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%s.0.0.0',
    (ARRAY['X11; Linux x86_64', 'Windows NT 10.0; Win64; x64', 'Macintosh; Intel Mac OS X 10_15_7'])[1 + i % 3], 120 + i)
    AS text FROM generate_series(0::bigint, 14) i;
INSERT INTO event SELECT i, 1 + (i * 7919) % (200 * :scale), '2026-01-01'::timestamptz + i * interval '17 s',
    (ARRAY['order', 'payment', 'refund', 'login', 'visit'])[1 + i % 5], (random() * 1000)::numeric(12, 2),
    md5((i * 3)::text)::uuid,
    jsonb_build_object('ip', '10.' || i % 251 || '.' || i % 13 || '.' || i % 199, 'agent', browser.text,
        'path', '/shop/item/' || (random() * 9999)::int, 'millis', (random() * 300)::int),
    sentence.text
    FROM generate_series(1::bigint, 2000 * :scale) i
    JOIN sentence ON sentence.n = abs(hashint8(i)) % 2000 JOIN browser ON browser.n = abs(hashint8(i * 7)) % 15 ORDER BY i;

CREATE TABLE reading (sensor int NOT NULL, at int NOT NULL, value real NOT NULL);
INSERT INTO reading SELECT i % 500, i / 500, (random() * 100)::numeric(6, 2) FROM generate_series(1::bigint, 2500 * :scale) i;

CREATE TABLE document (id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL);
INSERT INTO document SELECT i, words(i, 5), string_agg(sentence.text, ' ')
    FROM generate_series(1::bigint, 9 * :scale) i CROSS JOIN LATERAL generate_series(1, 20 + i % 40) part
    JOIN sentence ON sentence.n = abs(hashint8(i * 64 + part)) % 2000 GROUP BY i;

CREATE TABLE wide AS SELECT i AS id, i * 2 AS a1, i * 3 AS a2, i % 7 AS a3, i % 11 AS a4, random() AS b1, random() AS b2,
    (i % 97)::numeric AS c1, md5(i::text) AS c2, i % 2 = 0 AS d1, i % 3 = 0 AS d2, NULL::text AS e1, 'x' AS e2,
    now()::date + (i % 3000)::int AS f1, md5((i + 1)::text)::uuid AS g1 FROM generate_series(1::bigint, 300 * :scale) i;

DO $$ BEGIN FOR n IN 1..40 LOOP
    EXECUTE format('CREATE TABLE small_%s AS SELECT i AS id, words(i, 4) AS name FROM generate_series(1::bigint, 50) i', n);
    EXECUTE format('ALTER TABLE small_%s ADD PRIMARY KEY (id)', n);
END LOOP; END $$;

ALTER TABLE event ADD PRIMARY KEY (id);
CREATE INDEX ON event (account_id, at);
CREATE INDEX ON event (ref);
CREATE INDEX ON event (kind, at) WHERE amount > 500;
CREATE UNIQUE INDEX ON account (email);
CREATE INDEX ON account USING gin (settings);
CREATE INDEX ON reading (sensor, at);
ALTER TABLE wide ADD PRIMARY KEY (id);
ALTER TABLE event ADD FOREIGN KEY (account_id) REFERENCES account;
DROP FUNCTION words;
VACUUM ANALYZE;
