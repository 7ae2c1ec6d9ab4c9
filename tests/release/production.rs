//! What production is: schema, content, and the attributes of the database.

use backstay::backup::TableName;
use backstay::backup::fingerprint::Content;

use crate::common::project::Project;
use crate::common::{cluster, session};
use crate::storm;

/// Production as somebody who knows nothing of backstay sees it.
pub struct Production {
    /// The schema as `pg_dump` has it.
    pub schema: String,
    /// Every row and sequence, but for the storm's own.
    pub content: Content,
    /// What belongs to the database itself.
    pub attributes: String,
}

/// Looks at it now.
pub async fn look(project: &Project) -> Production {
    let (schema, mut content) = project.state().await;
    content.tables.remove(&TableName::new("public", storm::TABLE));
    Production { schema, content, attributes: attributes(&project.name).await }
}

/// Everything that belongs to the database itself, asked of the catalogs in words of our own.
async fn attributes(database: &str) -> String {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let query = "SELECT concat_ws(E'\\n', datdba::regrole, datallowconn, datistemplate, datconnlimit, \
             pg_encoding_to_char(encoding), datcollate, datctype, dattablespace, shobj_description(d.oid, 'pg_database'), \
             (SELECT string_agg(concat_ws(' ', grantor::regrole, grantee::regrole, privilege_type, is_grantable), E'\\n' \
                 ORDER BY 1, grantee, privilege_type) FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))), \
             (SELECT string_agg(concat_ws(' ', setrole, setting), E'\\n' ORDER BY setrole, setting) \
                 FROM pg_db_role_setting s, unnest(setconfig) setting WHERE setdatabase = d.oid)) \
         FROM pg_database d WHERE datname = $1";
    admin.query_one(query, &[&database]).await.expect("the attributes").get(0)
}
