BEGIN;

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL
);

-- Running upgrade  -> a

CREATE TABLE t (
    id INTEGER
);

-- a note
INSERT INTO t VALUES (1);

INSERT INTO alembic_version (version_num) VALUES ('a') RETURNING alembic_version.version_num;

-- Running upgrade a -> b

UPDATE t SET id = 2;

COMMIT;

CREATE INDEX CONCURRENTLY i ON t (id);

BEGIN;

UPDATE alembic_version SET version_num='b' WHERE alembic_version.version_num = 'a';

-- Running upgrade b, c -> m

DELETE FROM alembic_version WHERE x;

COMMIT;

