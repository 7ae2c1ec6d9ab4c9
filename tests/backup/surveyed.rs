//! What stands in the way is named before anything begins.

use backstay::backup::{self, Place};
use backstay::failure::Failure;
use backstay::pg::SessionOptions;

use crate::common;
use crate::world::{World, small};

#[tokio::test]
async fn rows_that_a_policy_hides_are_refused() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a VALUES ('x'), ('y'); ALTER TABLE a ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE a FORCE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (t = 'x')",
    )
    .await;
    let place = Place::fresh("production");
    let error = world.try_write(&place, &small()).await.unwrap_err();
    assert!(Failure::from(error).to_string().contains("row-level security"));
    let findings = backup::survey(&world.info, &SessionOptions::default()).await.unwrap();
    assert!(findings.iter().any(|f| f.stops_backup && f.what.contains("row-level security")), "{findings:?}");
}

#[tokio::test]
async fn a_survey_names_what_is_in_the_way() {
    let world = World::of_an_owner().await;
    assert_eq!(backup::survey(&world.info, &SessionOptions::default()).await.unwrap(), []);
    let url = common::cluster().url("postgres", &world.name);
    let session = common::session(&url).await;
    session.batch_execute("SET default_transaction_read_only = off; SET search_path = public").await.unwrap();
    session
        .batch_execute(
            "CREATE TABLE foreign_one (x int); CREATE EXTENSION pageinspect; \
             CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION ev(); \
             CREATE PUBLICATION every FOR ALL TABLES",
        )
        .await
        .unwrap();
    let findings = backup::survey(&world.info, &SessionOptions::default()).await.unwrap();
    for what in [
        "table public.foreign_one",
        "extension pageinspect",
        "event trigger ev",
        "publication every",
        "postgres",
    ] {
        assert!(findings.iter().any(|f| f.what.contains(what)), "{what} in {findings:?}");
    }
    let place = Place::fresh("production");
    let failure = Failure::from(world.try_write(&place, &small()).await.unwrap_err());
    assert!(failure.to_string().contains("foreign_one"), "{failure}");
}
