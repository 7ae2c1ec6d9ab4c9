//! The three releases of the demo: what each brings, and how it must end. Only data.

use crate::failure::Verdict;

/// A file of a project's `migrations/`: name and text.
pub type File = (&'static str, &'static str);

/// What the shop is made of before the first release, and its application's version.
pub const FIRST: (u32, [File; 2]) = (
    1,
    [
        (
            "20250106090000_initial_schema.sql",
            include_str!("../../migrations/20250106090000_initial_schema.sql"),
        ),
        ("20250203141500_order_totals.sql", include_str!("../../migrations/20250203141500_order_totals.sql")),
    ],
);

/// One release.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// 1 to 3.
    pub number: u32,
    /// What it brings, in a few words.
    pub title: &'static str,
    /// What is about to happen, for a newcomer.
    pub story: &'static str,
    /// The migrations that it brings.
    pub migrations: &'static [File],
    /// The version of the application that it deploys.
    pub version: u32,
    /// How it must end.
    pub verdict: Verdict,
}

impl Release {
    /// Whether production is the new one afterwards.
    pub fn is_good(&self) -> bool {
        self.verdict == Verdict::Done
    }
}

/// The releases, in order. What a bad one brought is taken out of the project again.
pub const RELEASES: [Release; 3] = [
    Release {
        number: 1,
        title: "a good release",
        story: "Orders get a priority: one migration, and version 2 of the shop. Nothing is wrong with it.",
        migrations: &[(
            "20250317103000_order_priority.sql",
            include_str!("../../migrations/20250317103000_order_priority.sql"),
        )],
        version: 2,
        verdict: Verdict::Done,
    },
    Release {
        number: 2,
        title: "the third migration breaks half-way",
        story: "Three migrations. The first two commit, and one of them drops a column that customers wrote in. \
                The third runs outside a transaction: it has changed every price when its second statement \
                fails on two products of one name, and leaves an invalid index.",
        migrations: &[
            ("20250401_refunds.sql", include_str!("migrations/r2_1_refunds.sql")),
            ("20250402_drop_notes.sql", include_str!("migrations/r2_2_drop_notes.sql")),
            ("20250403_unique_names.sql", include_str!("migrations/r2_3_unique_names.sql")),
        ],
        version: 3,
        verdict: Verdict::PutBack,
    },
    Release {
        number: 3,
        title: "the new shop refuses the new schema",
        story: "Its migration passes: customers' names are split. But version 4 of the shop asks for given_name, \
                where the migration made first_name. The database is open again when the health check says so.",
        migrations: &[("20250501_split_names.sql", include_str!("migrations/r3_split_names.sql"))],
        version: 4,
        verdict: Verdict::PutBack,
    },
];
