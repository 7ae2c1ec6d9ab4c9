//! Questions to the catalog.

use backstay::pg::catalog::{
    SystemIdentifier, database_by_name, database_by_oid, server_version_num, system_identifier,
};
use backstay::pg::quote_ident;

use crate::common::{fresh_database, session};
use crate::server::{admin, info, start, try_to};

#[tokio::test]
async fn a_database_is_told_in_full() {
    let url = fresh_database().await;
    let name = info(&url).database().to_string();
    let owner = try_to(&url).await.unwrap();
    let hostile = format!("{name} \"x\" o'y");
    owner
        .batch_execute(&format!(
            "CREATE DATABASE {0} CONNECTION LIMIT 7 ENCODING 'UTF8' TEMPLATE template0",
            quote_ident(&hostile)
        ))
        .await
        .unwrap();
    owner.batch_execute(&format!("COMMENT ON DATABASE {} IS 'näme'", quote_ident(&hostile))).await.unwrap();
    let found = database_by_name(&owner, &hostile).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.owner.as_str()), (hostile.as_str(), name.as_str()));
    assert_eq!((found.encoding.as_str(), found.connection_limit), ("UTF8", 7));
    assert_eq!((found.tablespace.as_str(), found.comment.as_deref()), ("pg_default", Some("näme")));
    assert!(found.allow_connections && !found.is_template && !found.is_invalid);
    assert!(found.size_bytes.unwrap() > 1_000_000);
    assert_eq!(found.locale_provider, 'c');
    assert_eq!(found.privileges, None);
    assert_eq!(database_by_oid(&owner, found.oid).await.unwrap().as_ref(), Some(&found));
    assert_eq!(database_by_name(&owner, "no such").await.unwrap(), None);
    assert_eq!(database_by_name(&owner, &"x".repeat(70)).await.unwrap(), None);
    assert_eq!(database_by_oid(&owner, 1_999_999_999).await.unwrap(), None);
}

#[tokio::test]
async fn what_this_role_may_not_ask_is_left_out() {
    let cluster = start();
    let admin = admin(&cluster).await;
    admin.batch_execute("CREATE ROLE app LOGIN").await.unwrap();
    admin.batch_execute("CREATE DATABASE private").await.unwrap();
    admin.batch_execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC").await.unwrap();
    let app = try_to(&cluster.url("app", "postgres")).await.unwrap();
    let private = database_by_name(&app, "private").await.unwrap().unwrap();
    assert_eq!(private.size_bytes, None);
    assert!(private.privileges.is_some());

    let known = system_identifier(&app).await.unwrap();
    assert!(matches!(known, SystemIdentifier::Known(id) if id > 0), "{known:?}");
    assert_eq!(system_identifier(&admin).await.unwrap(), known);
    admin.batch_execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await.unwrap();
    let withheld = system_identifier(&app).await.unwrap();
    assert!(matches!(withheld, SystemIdentifier::Withheld(text) if text.contains("permission denied")));
}

/// Whoever may create objects must not be able to lead our questions astray.
#[tokio::test]
async fn a_hostile_search_path_changes_nothing() {
    let url = fresh_database().await;
    let owner = session(&url).await;
    owner
        .batch_execute(
            "CREATE SCHEMA evil; CREATE TABLE evil.pg_database (oid oid, datname name); \
             CREATE FUNCTION evil.no(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false'; \
             CREATE OPERATOR evil.= (FUNCTION = evil.no, LEFTARG = text, RIGHTARG = text); \
             CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$SELECT '1'::text$$; \
             SET search_path = evil, pg_catalog",
        )
        .await
        .unwrap();
    let name = info(&url).database().to_string();
    assert_eq!(database_by_name(&owner, &name).await.unwrap().map(|found| found.name), Some(name));
    assert_eq!(server_version_num(&owner).await.unwrap(), owner.server_version());
}
