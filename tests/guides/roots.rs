//! Several roots in one environment, as guide 4 has them: main and ai.

use serde_json::json;

use crate::common::command_line::CommandLine;

const TOML: &str = "[[migrations]]\nname = \"main\"\ndirectory = \"main\"\n\
    [[migrations]]\nname = \"ai\"\ndirectory = \"ai\"\nversion_table = \"alembic_version_ai\"\n";

async fn project() -> CommandLine {
    let p = CommandLine::new(TOML).await;
    p.write("main/1.sql", "-- revision: 001\n-- Create CRM schemas\n-- upgrade\nCREATE TABLE users (id int PRIMARY KEY);\n-- downgrade\nDROP TABLE users;\n");
    // It stands on the other root's table.
    p.write("ai/1.sql", "-- revision: 56d701c\n-- upgrade\nCREATE TABLE chats (user_id int REFERENCES users);\n-- downgrade\nDROP TABLE chats;\n");
    p
}

#[tokio::test]
async fn the_heads_of_all_roots_in_the_order_of_the_config() {
    let p = project().await;
    for target in ["001", "+1", "base"] {
        p.expect(2, &["migrate", "upgrade", target]).says(&["there are several: main, ai", "--name main"]);
    }
    p.expect(2, &["migrate", "downgrade", "base"]).says(&["there are several"]);
    p.expect(2, &["migrate", "stamp", "head"]).says(&["there are several"]);
    p.expect(2, &["migrate", "upgrade", "head", "--sql"]).says(&["there are several"]);
    let done = p.json(0, &["migrate", "upgrade", "head"]);
    assert_eq!(done["migrations"][0]["name"], "main");
    assert_eq!(done["migrations"][1]["revisions"][0]["revision"], "56d701c");
    assert_eq!(
        p.expect(0, &["migrate", "upgrade", "heads"]).stdout,
        "main: nothing to upgrade\nai: nothing to upgrade\n"
    );
    p.expect(0, &["migrate", "check"]);
    let tried = p.json(0, &["migrate", "test"]);
    assert_eq!(
        (&tried["current"], &tried["expected_tables"]),
        (&json!({"main": ["001"], "ai": ["56d701c"]}), &json!(2))
    );
    // Only one of them: those before it are applied first.
    let said = p.expect(0, &["migrate", "test", "-n", "ai"]).stdout;
    assert!(said.contains("✓ 1 table: chats\n") && !said.contains("001"), "{said}");
    p.expect(0, &["migrate", "reset", "--yes"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "main: 001 (head)\nai: 56d701c (head)\n");
}

#[tokio::test]
async fn what_the_roots_before_a_failure_have_done_is_told() {
    let p = project().await;
    p.write("ai/1.sql", "-- revision: 56d701c\n-- upgrade\nSELECT 1/0;\n");
    let answer = p.expect(7, &["migrate", "upgrade", "head"]);
    answer.says(&["division by zero", "committed before it: 001 of main"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "main: 001 (head)\n");
    // The second time nothing is.
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["nothing of 56d701c is left"]);
}
