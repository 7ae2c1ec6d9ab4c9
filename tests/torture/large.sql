-- Many columns, and rows that are large.
SET search_path = public;
SELECT format('CREATE TABLE widest (%s)', string_agg(format('c%s %s', n, CASE n % 3 WHEN 0 THEN 'boolean' WHEN 1 THEN 'smallint' ELSE 'integer' END), ', '))
FROM generate_series(1, 1600) n \gexec
INSERT INTO widest (c1, c2, c3, c1600) VALUES (1, 2, true, 3), (NULL, NULL, NULL, NULL);
SELECT format('INSERT INTO widest SELECT %s FROM generate_series(1, 50) n', string_agg(CASE n % 3 WHEN 0 THEN 'n % 2 = 0' ELSE 'n' END, ', '))
FROM generate_series(1, 1600) n \gexec
CREATE TABLE heavy (id integer PRIMARY KEY, t text, b bytea);
ALTER TABLE heavy ALTER t SET STORAGE EXTERNAL;
INSERT INTO heavy SELECT 1, repeat(E'x\n\\\t', @MEGABYTES@ * 262144 / 2), NULL;
INSERT INTO heavy SELECT 2, NULL, decode(repeat('00ff5c', @MEGABYTES@ * 349525 / 4), 'hex');
INSERT INTO heavy SELECT n, 'light' FROM generate_series(3, 400) n;
