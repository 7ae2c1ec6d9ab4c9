//! What a survey asks. Each question is a query that names what is in the way; none of them reads a user's table.
//!
//! What only a superuser may create is from the pages of the `CREATE` commands in PostgreSQL's manual.

use super::Stops;
use crate::backup::owned::OWNED;

/// One question.
pub(super) struct Question {
    /// What its findings stop.
    pub stops: Stops,
    /// What mends them.
    pub remedy: &'static str,
    /// The first `server_version_num` that knows what it asks of.
    pub since: u32,
    /// Nothing of it stops a superuser.
    pub spares_superusers: bool,
    /// Gives one text a row.
    query: &'static str,
}

impl Question {
    /// The whole query.
    pub fn sql(&self) -> String {
        format!("{} {}", SHARED.replace("@OWNED@", OWNED), self.query)
    }

    const fn backup(query: &'static str, remedy: &'static str) -> Self {
        Self { stops: Stops::Backup, remedy, since: 0, spares_superusers: false, query }
    }

    const fn restore(query: &'static str, remedy: &'static str) -> Self {
        Self { stops: Stops::Restore, spares_superusers: true, ..Self::backup(query, remedy) }
    }

    const fn worth_knowing(query: &'static str, remedy: &'static str) -> Self {
        Self { stops: Stops::Nothing, ..Self::backup(query, remedy) }
    }
}

/// What the queries share: who we are; the relations whose rows or state we carry (as in the catalog of the
/// backup); the users' objects that have an owner, without
/// what an extension or another object (a range's constructors) brings along.
const SHARED: &str = "WITH me AS MATERIALIZED (\
         SELECT r.*, CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000 \
             THEN 'SET' ELSE 'MEMBER' END AS becoming \
         FROM pg_catalog.pg_roles r WHERE r.rolname = current_user), \
     member AS MATERIALIZED (\
         SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'), \
     relation AS (\
         SELECT c.*, n.nspname, n.nspowner, pg_catalog.format('%I.%I', n.nspname, c.relname) AS named \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_extension x ON c.oid = ANY (x.extconfig) \
         WHERE c.relpersistence <> 't' AND (x.extname IS NOT NULL \
             OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM member d \
                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid))), \
     object AS (\
         SELECT o.*, pg_catalog.format('%I', pg_catalog.pg_get_userbyid(o.owner)) AS owned_by FROM (\
             @OWNED@) o \
         WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
             WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i')))";

/// Asked where a `pg_dump` from 15 on reads an older server: it takes the schema `public` of that one for one in
/// which, as since 15, nobody else may create, and so carries no word of it.
pub(super) const PUBLIC: Question = Question {
    spares_superusers: false,
    ..Question::restore(
        "SELECT 'that others may not create in schema public is not carried by this pg_dump' \
         FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public' AND n.nspacl IS NOT NULL AND NOT EXISTS (\
             SELECT FROM pg_catalog.aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE')",
        "install the pg_dump of the server's own version",
    )
};

/// All of them; the first that answers a kind of trouble names it.
pub(super) const QUESTIONS: &[Question] = &[
    Question::backup(
        "SELECT pg_catalog.format('%s %s may not be read', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, \
             c.named) \
         FROM relation c WHERE c.relkind IN ('r', 'p', 'S') \
         AND NOT (pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND CASE c.relkind \
             WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
             ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END) ORDER BY 1",
        "GRANT SELECT on it (and USAGE on its schema) to this role",
    ),
    Question::backup(
        "SELECT pg_catalog.format('row-level security of table %s applies to this role', c.named) \
         FROM relation c, me WHERE c.relkind = 'r' AND c.relrowsecurity AND NOT me.rolsuper \
         AND NOT me.rolbypassrls AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')) \
         ORDER BY 1",
        "give the role BYPASSRLS, or back up as the table's owner without FORCE ROW LEVEL SECURITY: \
         a policy must not filter a backup",
    ),
    Question::backup(
        "SELECT 'the encoding MULE_INTERNAL' WHERE pg_catalog.getdatabaseencoding() = 'MULE_INTERNAL'",
        "no other encoding can be converted from it: convert the database to UTF8",
    ),
    Question::backup(
        "SELECT pg_catalog.format('large object %s may not be read', m.oid) \
         FROM pg_catalog.pg_largeobject_metadata m, me WHERE NOT me.rolsuper \
         AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') \
         AND NOT pg_catalog.current_setting('lo_compat_privileges')::boolean \
         AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' \
             AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) ORDER BY m.oid",
        "GRANT SELECT ON LARGE OBJECT to this role, or back up as a superuser",
    ),
    Question::backup(
        "SELECT pg_catalog.format('table %I.%I stands in a schema of the system, which pg_dump leaves out', \
             n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
         AND n.nspname IN ('pg_catalog', 'information_schema') AND NOT EXISTS (SELECT FROM member d \
             WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid) ORDER BY 1",
        "move it to a schema of your own: ALTER TABLE … SET SCHEMA",
    ),
    Question::backup(
        "SELECT pg_catalog.format('language %I has a handler that pg_dump does not carry', l.lanname) \
         FROM pg_catalog.pg_language l WHERE l.lanispl AND l.oid >= 16384 \
         AND NOT EXISTS (SELECT FROM member d \
             WHERE d.classid = 'pg_catalog.pg_language'::pg_catalog.regclass AND d.objid = l.oid) \
         AND (l.lanplcallfoid < 16384 OR EXISTS (SELECT FROM member d \
             WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = l.lanplcallfoid)) ORDER BY 1",
        "make it a language of an extension, or give it a handler function of its own",
    ),
    Question {
        spares_superusers: false,
        ..Question::restore(
            "SELECT pg_catalog.format('the files of extension %I are not on the server any more', e.extname) \
             FROM pg_catalog.pg_extension e WHERE NOT EXISTS (\
                 SELECT FROM pg_catalog.pg_available_extensions a WHERE a.name = e.extname) ORDER BY 1",
            "install the extension's package on the server again",
        )
    },
    Question::restore(
        "SELECT pg_catalog.format('role %I may not create databases', me.rolname) FROM me WHERE NOT me.rolcreatedb",
        "ALTER ROLE … CREATEDB, or restore by another role",
    ),
    Question::restore(
        "SELECT pg_catalog.format('extension %I needs a superuser to be created', e.extname) \
         FROM pg_catalog.pg_extension e WHERE e.extname <> 'plpgsql' AND NOT EXISTS (\
             SELECT FROM pg_catalog.pg_available_extension_versions v \
             WHERE v.name = e.extname AND v.version = e.extversion AND (v.trusted OR NOT v.superuser)) ORDER BY 1",
        "restore as a superuser, or make the extension trusted",
    ),
    Question::restore(
        "SELECT t.what FROM (\
         SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AS class, oid, \
             pg_catalog.format('event trigger %I', evtname) AS what FROM pg_catalog.pg_event_trigger \
         UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, \
             pg_catalog.format('publication %I is for all tables', pubname) \
             FROM pg_catalog.pg_publication WHERE puballtables \
         UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid, \
             pg_catalog.format('function %s is in an untrusted language', f.oid::pg_catalog.regprocedure) \
             FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_language l ON l.oid = f.prolang \
             WHERE NOT l.lanpltrusted AND f.prokind <> 'a' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
                 WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'i') \
         UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid, \
             pg_catalog.format('function %s is LEAKPROOF', f.oid::pg_catalog.regprocedure) \
             FROM pg_catalog.pg_proc f WHERE f.proleakproof \
         UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, a.aggfnoid, \
             pg_catalog.format('aggregate %s has a state of type internal', a.aggfnoid::pg_catalog.regprocedure) \
             FROM pg_catalog.pg_aggregate a WHERE a.aggtranstype = 'pg_catalog.internal'::pg_catalog.regtype \
         UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, \
             pg_catalog.format('base type %s', t.oid::pg_catalog.regtype) FROM pg_catalog.pg_type t \
             WHERE t.typtype = 'b' AND t.typelem = 0 \
         UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, c.oid, pg_catalog.format('cast from %s to %s \
             without a function', c.castsource::pg_catalog.regtype, c.casttarget::pg_catalog.regtype) \
             FROM pg_catalog.pg_cast c WHERE c.castmethod = 'b' \
         UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, \
             pg_catalog.format('operator class %I', opcname) FROM pg_catalog.pg_opclass \
         UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, \
             pg_catalog.format('operator family %I', opfname) FROM pg_catalog.pg_opfamily \
         UNION ALL SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid, \
             pg_catalog.format('access method %I', amname) FROM pg_catalog.pg_am \
         UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, \
             pg_catalog.format('language %I', lanname) FROM pg_catalog.pg_language \
         UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, \
             pg_catalog.format('foreign-data wrapper %I', fdwname) FROM pg_catalog.pg_foreign_data_wrapper \
         UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid, \
             pg_catalog.format('text search parser %I', prsname) FROM pg_catalog.pg_ts_parser \
         UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid, \
             pg_catalog.format('text search template %I', tmplname) FROM pg_catalog.pg_ts_template) t \
         WHERE t.oid >= 16384 AND NOT EXISTS (\
             SELECT FROM member d WHERE d.classid = t.class AND d.objid = t.oid) ORDER BY 1",
        "restore as a superuser: only one may create it",
    ),
    Question {
        since: 150_000,
        ..Question::restore(
            "SELECT pg_catalog.format('publication %I is for all tables of a schema', p.pubname) \
             FROM pg_catalog.pg_publication p WHERE EXISTS (\
                 SELECT FROM pg_catalog.pg_publication_namespace n WHERE n.pnpubid = p.oid) ORDER BY 1",
            "restore as a superuser: only one may create it",
        )
    },
    Question::restore(
        "SELECT DISTINCT pg_catalog.format('things that belong to role %I', o.rolname) FROM (\
             SELECT owner FROM object \
             UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database() \
             UNION SELECT defaclrole FROM pg_catalog.pg_default_acl) t \
         JOIN pg_catalog.pg_roles o ON o.oid = t.owner, me \
         WHERE NOT pg_catalog.pg_has_role(o.oid, me.becoming) ORDER BY 1",
        "GRANT that role to this one, or restore as a superuser",
    ),
    Question::restore(
        "SELECT DISTINCT pg_catalog.format('role %s owns things in schema %I and may create there only by a \
             privilege, which comes after them', o.owned_by, n.nspname) \
         FROM object o JOIN pg_catalog.pg_namespace n ON n.oid = o.schema, me WHERE o.owner <> me.oid \
         AND NOT pg_catalog.pg_has_role(o.owner, n.nspowner, 'USAGE') \
         AND NOT (n.nspname = 'public' AND pg_catalog.current_setting('server_version_num')::int < 150000) \
         ORDER BY 1",
        "make the role the schema's owner, or a member of it; or restore as a superuser",
    ),
    Question::restore(
        "SELECT DISTINCT pg_catalog.format('privileges on %s were granted by %I, not by the owner', \
             pg_catalog.pg_describe_object(o.class, o.oid, o.part), pg_catalog.pg_get_userbyid(a.grantor)) \
         FROM (SELECT class, oid, 0 AS part, owner, acl FROM object WHERE acl IS NOT NULL \
             UNION ALL SELECT r.class, r.oid, t.attnum, r.owner, t.attacl FROM object r \
                 JOIN pg_catalog.pg_attribute t ON t.attrelid = r.oid AND t.attacl IS NOT NULL \
                 WHERE r.class = 'pg_catalog.pg_class'::pg_catalog.regclass) o \
         CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a WHERE a.grantor <> o.owner ORDER BY 1",
        "restore as a superuser: only one may grant in another's name",
    ),
    Question::restore(
        "SELECT pg_catalog.format('privileges on %s of the system or an extension were changed', \
             pg_catalog.pg_describe_object(o.class, o.oid, 0)) \
         FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relacl AS acl, c.relowner AS owner, \
                 c.relnamespace AS schema FROM pg_catalog.pg_class c WHERE c.relacl IS NOT NULL \
             UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proacl, p.proowner, p.pronamespace \
                 FROM pg_catalog.pg_proc p WHERE p.proacl IS NOT NULL) o \
         WHERE (o.oid < 16384 AND o.schema = 'pg_catalog'::pg_catalog.regnamespace OR EXISTS (SELECT FROM member d WHERE d.classid = o.class AND d.objid = o.oid)) \
         AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE') \
         AND o.acl IS DISTINCT FROM (SELECT i.initprivs FROM pg_catalog.pg_init_privs i \
             WHERE i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = 0) ORDER BY 1",
        "restore as a superuser, or grant them again by hand",
    ),
    Question::restore(
        "SELECT pg_catalog.format('nothing may be created in tablespace %I', s.spcname) \
         FROM pg_catalog.pg_tablespace s WHERE NOT pg_catalog.has_tablespace_privilege(s.oid, 'CREATE') \
         AND s.oid IN (SELECT c.reltablespace FROM relation c \
             UNION SELECT d.dattablespace FROM pg_catalog.pg_database d \
                 WHERE d.datname = pg_catalog.current_database()) AND s.spcname <> 'pg_default' ORDER BY 1",
        "GRANT CREATE ON TABLESPACE to this role",
    ),
    Question::restore(
        "SELECT pg_catalog.format('the options of the user mapping for %s on server %I may not be read', \
             m.usename, m.srvname) \
         FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid, me \
         WHERE NOT CASE WHEN m.umuser = 0 THEN pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
             ELSE m.umuser = me.oid AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
                 OR pg_catalog.has_server_privilege(s.oid, 'USAGE')) END ORDER BY 1",
        "back up as a superuser, or set them again after a restore",
    ),
    Question::worth_knowing(
        "SELECT pg_catalog.format('%s %s stands in a schema of the system, which pg_dump leaves out', \
             t.kind, t.named) FROM (\
             SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, oid, 'function' AS kind, \
                 oid::pg_catalog.regprocedure::pg_catalog.text AS named, pronamespace AS schema \
                 FROM pg_catalog.pg_proc \
             UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, 'view', \
                 oid::pg_catalog.regclass::pg_catalog.text, relnamespace \
                 FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm', 'f')) t \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.schema \
         WHERE t.oid >= 16384 AND n.nspname IN ('pg_catalog', 'information_schema') \
         AND NOT EXISTS (SELECT FROM member d WHERE d.classid = t.class AND d.objid = t.oid) ORDER BY 1",
        "move it to a schema of your own if it is yours",
    ),
    Question::worth_knowing(
        "SELECT pg_catalog.format('the rows of foreign table %s stay on its server', c.named) \
         FROM relation c WHERE c.relkind = 'f' ORDER BY 1",
        "its definition is in the backup, as in a dump of pg_dump",
    ),
    Question::worth_knowing(
        "SELECT pg_catalog.format('subscription %I is kept in a file apart', s.subname) \
         FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() ORDER BY 1",
        "a restore does not create it: a restored subscription would take over the publisher's slot",
    ),
    Question::worth_knowing(
        "SELECT pg_catalog.format('%s security labels are of provider %s', pg_catalog.count(*), l.provider) \
         FROM pg_catalog.pg_seclabel l GROUP BY l.provider ORDER BY 1",
        "a restore needs that provider loaded; verify --level restore proves it",
    ),
];
