//! The guides' checklists as expectations of a `verify` step.

use crate::project::churn_risk;

#[tokio::test]
async fn rows_of_the_checklists() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    let verify = |expectations: &str| {
        p.write("runbooks/look.toml", &format!("[[after]]\nstep = \"verify\"\n{expectations}"));
        p.run(&["run", "look", "--yes"])
    };
    let good = verify(
        "tables = { exactly = [\"tenants\", \"users\", \"integrations\", \"companies\", \"contacts\", \"tickets\", \
         \"ticket_topics\", \"ticket_topic_assignments\", \"churn_risk_cards\", \"churn_risk_comments\"] }\n\
         columns = { tenants = { id = \"uuid\", subdomain = \"character varying(63)\" } }\n\
         foreign_keys = [\"users_tenant_id_fkey\", \"contacts( company_id )->companies(id)\"]\n\
         indexes = [\"tenants_pkey\", \"tickets_priority\"]\nschema = \"as migrated\"\nround_trip = true\n",
    );
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.stderr.contains("the schema as migrated, round trip"), "{}", good.stderr);

    let session = p.session().await;
    session
        .batch_execute("ALTER TABLE users DROP CONSTRAINT users_tenant_id_fkey; CREATE TABLE mine ()")
        .await
        .unwrap();
    session.close().await;
    let script = "-- revision: odd\n-- revises: 20251117000000\n-- upgrade\nCREATE TABLE odd (i int);\n\
        -- downgrade\nSELECT 1;\n";
    p.write("migrations/odd.sql", script);
    let bad = verify(
        "tables = { exactly = [\"users\"] }\nforeign_keys = [\"users(tenant_id) -> tenants(id)\"]\n\
         schema = \"as migrated\"\nround_trip = true\n",
    );
    assert_eq!(bad.code, 7, "{bad:?}");
    for said in [
        "there is a table mine, which is not expected",
        "there is a table tenants, which is not expected",
        "there is no foreign key users(tenant_id) -> tenants(id)",
        "table public.mine: in the database, not in the migrations",
        "fk constraint public.users users_tenant_id_fkey: in the migrations, not in the database",
        "main: the downgrade of odd does not undo its upgrade",
    ] {
        assert!(bad.stderr.contains(said), "no {said:?} in {}", bad.stderr);
    }
    assert!(!bad.stderr.contains("a table alembic_version, which"), "{}", bad.stderr);
}

#[tokio::test]
async fn what_a_runbook_says_wrongly_is_shown_at_its_place() {
    let p = churn_risk("").await;
    for (expectation, said) in [
        ("foreign_keys = [\"a -> b(c)\"]", "`a -> b(c)` is no foreign key"),
        ("tables = { exact = [\"a\"] }", "`verify.tables` takes `exactly`"),
        ("schema = \"as is\"", "must be `as migrated`"),
        ("indexes = \"many\"", "a number of indexes, or a list of them"),
    ] {
        p.write("runbooks/look.toml", &format!("[[after]]\nstep = \"verify\"\n{expectation}\n"));
        p.expect(2, &["plan", "look"]).says(&[said, "runbooks/look.toml:3:"]);
    }
}
