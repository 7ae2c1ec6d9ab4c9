//! The names of the databases that a run makes or renames. **Pure.**

/// PostgreSQL's bound on a name, in bytes (`NAMEDATALEN - 1`).
const LONGEST: usize = 63;

/// What a database of ours is for; a letter in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Production, fenced: `<db>__w_<run>_<epoch>`.
    Window,
    /// What production is put back from.
    Guard,
    /// What was swapped out; kept until pruned.
    Failed,
    /// Preflight's tiny rehearsal.
    Rehearsal,
    /// A backup restored to be compared.
    Side,
    /// Made for migrations to be tried in; the number of the server process of its maker is its epoch.
    Scratch,
}

/// A name of ours, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What it is for.
    pub role: Role,
    /// Whose it is.
    pub run: String,
    /// Under which driver it was made.
    pub epoch: u32,
}

const LETTERS: [(Role, &str); 6] = [
    (Role::Window, "w"),
    (Role::Guard, "g"),
    (Role::Failed, "f"),
    (Role::Rehearsal, "r"),
    (Role::Side, "s"),
    (Role::Scratch, "t"),
];

/// The name of `database`'s companion; the database's part is shortened where it is too long, never the run's.
pub fn companion(database: &str, role: Role, run: &str, epoch: u32) -> String {
    let suffix = format!("__{}_{run}_{epoch}", letter(role));
    format!("{}{suffix}", shortened(database, LONGEST.saturating_sub(suffix.len())))
}

/// Reads a name as a companion of `database`, if it is one.
pub fn trace(database: &str, name: &str) -> Option<Trace> {
    let (stem, rest) = name.rsplit_once("__")?;
    let (letter, rest) = rest.split_once('_')?;
    let (run, epoch) = rest.rsplit_once('_')?;
    let role = LETTERS.iter().find(|(_, l)| *l == letter)?.0;
    let trace = Trace { role, run: run.to_string(), epoch: epoch.parse().ok()? };
    (companion(database, role, run, trace.epoch) == name && database.starts_with(stem)).then_some(trace)
}

/// Whether `name` is a companion of `database` that is for `role`.
pub fn is(database: &str, name: &str, role: Role) -> bool {
    trace(database, name).is_some_and(|trace| trace.role == role)
}

/// The database that `name` is a companion of, as far as its name was kept; `name` itself if it is none.
pub fn origin(name: &str) -> &str {
    match name.rsplit_once("__") {
        Some((stem, _)) if trace(stem, name).is_some() => stem,
        _ => name,
    }
}

fn letter(role: Role) -> &'static str {
    LETTERS.iter().find(|(r, _)| *r == role).map_or("x", |(_, l)| l)
}

fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261120t230205z-k3f9";

    #[test]
    fn names_are_read_back() {
        for database in ["shop", "Shop 2", "a__w_b", &"ü".repeat(31), &"x".repeat(63)] {
            for (role, _) in LETTERS {
                let name = companion(database, role, RUN, 12);
                assert!(name.len() <= LONGEST, "{name}");
                let wanted = Trace { role, run: RUN.into(), epoch: 12 };
                assert_eq!(trace(database, &name), Some(wanted), "{name}");
                let again = companion(origin(&name), Role::Scratch, RUN, 12);
                assert!(trace(database, &again).is_some(), "a companion's companion: {again}");
            }
        }
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for name in ["shop", "shop__w", "shop__w_x", "other__w_20261120t230205z-k3f9_1", "shop__x_r_1"] {
            assert_eq!(trace("shop", name), None, "{name}");
        }
        assert_eq!((origin("shop"), origin("a__w_b"), origin("__w")), ("shop", "a__w_b", "__w"));
    }
}
