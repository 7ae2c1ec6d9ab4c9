//! The projects of the guides, as SQL files.

use std::path::Path;

use crate::common::command_line::CommandLine;

pub const INITIAL: &str = "c08085465bad";
pub const PRIORITY: &str = "989ceebf408f";
pub const INDEX: &str = "20251117000000";

/// Guide 1's: ten tables in one revision, and two small ones of guide 3's kind on top.
pub async fn churn_risk(toml: &str) -> CommandLine {
    let project = CommandLine::new(toml).await;
    write_migrations(&project.path().join("migrations"));
    project
}

/// Its migrations.
pub fn write_migrations(folder: &Path) {
    for (file, text) in files() {
        std::fs::write(folder.join(file), text).expect("a migration");
    }
}

fn files() -> [(&'static str, String); 3] {
    let tables = [
        ("tenants", "subdomain varchar(63) NOT NULL UNIQUE, plan_tier varchar(20) NOT NULL"),
        (
            "users",
            "tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE, email varchar(255) NOT NULL",
        ),
        ("integrations", "tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE"),
        ("companies", "tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE, name text"),
        ("contacts", "company_id uuid REFERENCES companies ON DELETE CASCADE"),
        (
            "tickets",
            "contact_id uuid REFERENCES contacts ON DELETE CASCADE, status varchar(20) CHECK (status IN ('open', 'closed'))",
        ),
        ("ticket_topics", "tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE"),
        (
            "ticket_topic_assignments",
            "ticket_id uuid REFERENCES tickets ON DELETE CASCADE, topic_id uuid REFERENCES ticket_topics ON DELETE CASCADE",
        ),
        ("churn_risk_cards", "company_id uuid REFERENCES companies ON DELETE CASCADE"),
        ("churn_risk_comments", "card_id uuid REFERENCES churn_risk_cards ON DELETE CASCADE"),
    ];
    let create =
        |(name, rest): &(&str, &str)| format!("CREATE TABLE {name} (id uuid PRIMARY KEY, {rest});\n");
    let up: String = tables.iter().map(create).collect();
    let down: String = tables.iter().rev().map(|(name, _)| format!("DROP TABLE {name};\n")).collect();
    [
        (
            "1_initial_schema.sql",
            format!("-- revision: {INITIAL}\n-- Initial schema\n\n-- upgrade\n{up}-- downgrade\n{down}"),
        ),
        (
            "2_add_priority.sql",
            format!(
                "-- revision: {PRIORITY}\n-- revises: {INITIAL}\n-- Add priority to questions\n\n-- upgrade\n\
                 ALTER TABLE tickets ADD priority integer;\n-- downgrade\nALTER TABLE tickets DROP priority;\n"
            ),
        ),
        (
            "20251117000000_index.sql",
            format!(
                "-- revision: {INDEX}\n-- revises: {PRIORITY}\n-- Tier 4: Advanced capabilities\n\n-- upgrade\n\
                 CREATE INDEX tickets_priority ON tickets (priority);\n-- downgrade\nDROP INDEX tickets_priority;\n"
            ),
        ),
    ]
}
