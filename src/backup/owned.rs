//! Everything in a database that has an owner, as one query.

/// Gives of each object its catalog (`class`), `oid`, `owner`, privileges (`acl`) and `schema` (0 for none);
/// the system's own are among them.
pub(super) const OWNED: &str = "SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid, relowner AS owner, relacl AS acl, \
     relnamespace AS schema FROM pg_catalog.pg_class WHERE relkind IN ('r','p','v','m','S','f') \
     AND relpersistence <> 't' \
     UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proowner, proacl, pronamespace \
     FROM pg_catalog.pg_proc \
     UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner, t.typacl, t.typnamespace \
     FROM pg_catalog.pg_type t WHERE t.typelem = 0 AND (t.typrelid = 0 OR EXISTS (\
     SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')) \
     UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, nspowner, nspacl, 0 \
     FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' \
     UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprowner, NULL, oprnamespace \
     FROM pg_catalog.pg_operator \
     UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, conowner, NULL, connamespace \
     FROM pg_catalog.pg_conversion \
     UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collowner, NULL, collnamespace \
     FROM pg_catalog.pg_collation \
     UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictowner, NULL, dictnamespace \
     FROM pg_catalog.pg_ts_dict \
     UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgowner, NULL, cfgnamespace \
     FROM pg_catalog.pg_ts_config \
     UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxowner, NULL, stxnamespace \
     FROM pg_catalog.pg_statistic_ext \
     UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, srvowner, srvacl, 0 \
     FROM pg_catalog.pg_foreign_server \
     UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, pubowner, NULL, 0 \
     FROM pg_catalog.pg_publication \
     UNION ALL SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid, lomowner, lomacl, 0 \
     FROM pg_catalog.pg_largeobject_metadata \
     UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcowner, NULL, opcnamespace \
     FROM pg_catalog.pg_opclass \
     UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfowner, NULL, opfnamespace \
     FROM pg_catalog.pg_opfamily \
     UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, lanowner, lanacl, 0 \
     FROM pg_catalog.pg_language \
     UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, fdwowner, fdwacl, 0 \
     FROM pg_catalog.pg_foreign_data_wrapper \
     UNION ALL SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid, evtowner, NULL, 0 \
     FROM pg_catalog.pg_event_trigger";
