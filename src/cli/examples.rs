//! Lines to type, for the end of each command's `--help` and for its manual page. A test parses every one.

use clap::Command;

/// What a line is for, and the line.
type Example = (&'static str, &'static str);

/// Every command that can be typed, by its words after `backstay`.
const EXAMPLES: &[(&str, &[Example])] = &[
    ("demo", &[("Three releases of a throw-away shop, two of them bad and put back", "backstay demo")]),
    (
        "init",
        &[
            ("Ask, and write config/production.toml and what else a release needs", "backstay init"),
            (
                "The same without questions, for an Alembic project whose URL is in DATABASE_URL",
                "backstay init --yes --tool alembic --url-env DATABASE_URL --health-url http://127.0.0.1:8000/health",
            ),
            ("A second environment", "backstay init --name staging"),
        ],
    ),
    (
        "doctor",
        &[
            ("Everything that stands in the way of a release", "backstay doctor -e production"),
            ("The same for another runbook, for a program", "backstay doctor maintenance-window --json"),
        ],
    ),
    ("plan", &[("The checklist and its SQL, before it runs", "backstay plan release -e production")]),
    (
        "run",
        &[
            ("A release, with its questions", "backstay run release -e production"),
            (
                "In CI: nobody is asked, and the log is plain",
                "backstay run release -e production --yes --plain",
            ),
            ("A runbook of your own", "backstay run ./runbooks/reindex.toml -e production"),
        ],
    ),
    (
        "resume",
        &[
            (
                "Go on with the unfinished run, or put it back, whichever is right",
                "backstay resume -e production",
            ),
            ("Put it back, and keep what others wrote since in the ledger", "backstay resume --put-back"),
        ],
    ),
    (
        "rollback",
        &[("What the last release changed, and the ways back; asks", "backstay rollback -e production")],
    ),
    (
        "status",
        &[("What is, and the command that mends what should not be", "backstay status -e production")],
    ),
    (
        "runs",
        &[
            ("All runs on the store, newest first", "backstay runs"),
            ("The last one, record by record", "backstay runs latest"),
        ],
    ),
    (
        "approve",
        &[
            ("See what a plan file holds, and agree to it", "backstay approve plan.json"),
            (
                "In a CI job that reviewers let through",
                "backstay approve plan.json --by \"$REVIEWERS\" --yes",
            ),
        ],
    ),
    (
        "schema",
        &[
            (
                "For an editor: the runbook's first line is #:schema ../runbook.schema.json",
                "backstay schema runbook > runbook.schema.json",
            ),
            ("Of every command's --json", "backstay schema output"),
            ("Of one", "backstay schema output migrate lint"),
        ],
    ),
    (
        "report",
        &[
            ("The newest run as one HTML page, report-<run>.html", "backstay report"),
            ("To standard output", "backstay report 20261121t03 --out -"),
            ("What the page tells, for programs", "backstay report latest --json"),
        ],
    ),
    (
        "cleanup",
        &[
            ("Drop guards and failed databases that are old enough; asks", "backstay cleanup -e production"),
            ("All that are older than an hour, without a question", "backstay cleanup --older-than 1h --yes"),
        ],
    ),
    ("maintenance on", &[("Show the maintenance page", "backstay maintenance on -e staging")]),
    ("maintenance off", &[("Take it down again", "backstay maintenance off -e staging")]),
    ("maintenance status", &[("Whether it is up, and for whom", "backstay maintenance status")]),
    ("migrate status", &[("Where the database is, and what is pending", "backstay migrate status")]),
    ("migrate current", &[("The revision, as Alembic says it", "backstay migrate current -v")]),
    (
        "migrate history",
        &[
            ("All revisions, the current one marked", "backstay migrate history -i"),
            ("The last three before the current one", "backstay migrate history -r -3:current"),
        ],
    ),
    ("migrate heads", &[("The revisions that nothing revises", "backstay migrate heads")]),
    ("migrate branches", &[("Where the history forks", "backstay migrate branches -v")]),
    ("migrate show", &[("One revision, by the beginning of its id", "backstay migrate show c080")]),
    (
        "migrate revision",
        &[("A new file on the only head", "backstay migrate revision -m \"Add priority to questions\"")],
    ),
    ("migrate merge", &[("Join two heads", "backstay migrate merge heads -m \"Merge\"")]),
    (
        "migrate import alembic",
        &[(
            "An Alembic project as SQL files, proven to make the same schema",
            "backstay migrate import alembic --from . --to migrations",
        )],
    ),
    (
        "migrate lint",
        &[("What is dangerous about the pending migrations", "backstay migrate lint -e production")],
    ),
    (
        "migrate check",
        &[("Whether somebody changed the schema by hand", "backstay migrate check -e production")],
    ),
    ("migrate test", &[("Up, down and up again, on a scratch database", "backstay migrate test")]),
    (
        "migrate upgrade",
        &[
            ("A development database", "backstay migrate upgrade head -e development"),
            ("The SQL of two revisions for somebody to read", "backstay migrate upgrade 989c:head --sql"),
        ],
    ),
    ("migrate downgrade", &[("Take the last one back", "backstay migrate downgrade -1 -e development")]),
    ("migrate reset", &[("A development database, made anew", "backstay migrate reset -e development")]),
    (
        "migrate stamp",
        &[(
            "Say that the database is at a revision already",
            "backstay migrate stamp 9fd62e8b1c04 --unguarded",
        )],
    ),
    (
        "backup create",
        &[
            ("A backup; production serves on", "backstay backup create -e production"),
            ("Each night, if nothing else made one", "backstay backup create -e production --if-older 20h"),
        ],
    ),
    ("backup list", &[("All of them, with what each is proven to", "backstay backup list")]),
    ("backup show", &[("What the last one holds", "backstay backup show latest")]),
    (
        "backup verify",
        &[(
            "Restore the last one beside production, compare, drop",
            "backstay backup verify latest -e production --level restore",
        )],
    ),
    (
        "backup restore",
        &[("The last one, to a look at it", "backstay backup restore latest --as shop_yesterday")],
    ),
    (
        "backup prune",
        &[("Keep a week of them; say first what would go", "backstay backup prune --keep 7 --dry-run")],
    ),
    (
        "completions",
        &[
            (
                "For the next bash",
                "backstay completions bash > ~/.local/share/bash-completion/completions/backstay",
            ),
            ("fish", "backstay completions fish > ~/.config/fish/completions/backstay.fish"),
        ],
    ),
];

/// Where to begin, for the program itself.
const FIRST: &[Example] = &[
    ("See it work, on a database of its own", "backstay demo"),
    ("Set it up for an application", "backstay init"),
    ("What is in the way of a release, and what it would do", "backstay doctor"),
    ("Release", "backstay run release -e production"),
];

/// The command line with the examples behind each command's help.
pub(super) fn attach(program: Command) -> Command {
    with(below(program, ""), FIRST)
}

fn below(command: Command, words: &str) -> Command {
    command.mut_subcommands(|command| {
        let words = format!("{words} {}", command.get_name()).trim_start().to_string();
        let examples = of(&words);
        with(below(command, &words), examples)
    })
}

fn of(words: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(of, _)| *of == words).map_or(&[], |(_, examples)| examples)
}

fn with(command: Command, examples: &[Example]) -> Command {
    if examples.is_empty() {
        return command;
    }
    // The space before each line keeps it a line of its own on a manual page.
    let lines: Vec<String> = examples.iter().map(|(what, line)| format!("  # {what}\n  {line}")).collect();
    let said = command.get_after_help().map(|said| format!("\n\n{said}")).unwrap_or_default();
    command.after_help(format!("Examples:\n{}{said}", lines.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::{Arguments, command};
    use super::*;

    /// A line as a shell would split it, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                '>' | '|' if !quoted => break,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// The commands that do something, by their words; hidden ones are left out.
    fn leaves(command: &Command, above: &str) -> Vec<String> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        let found: Vec<String> = below
            .flat_map(|below| leaves(below, format!("{above} {}", below.get_name()).trim_start()))
            .collect();
        if found.is_empty() { vec![above.to_string()] } else { found }
    }

    #[test]
    fn every_command_has_an_example() {
        let without: Vec<String> =
            leaves(&command(), "").into_iter().filter(|words| of(words).is_empty()).collect();
        assert!(without.is_empty(), "{without:?} have no example");
    }

    #[test]
    fn every_example_has_a_command() {
        let leaves = leaves(&command(), "");
        for (words, _) in EXAMPLES {
            assert!(leaves.iter().any(|leaf| leaf == words), "there is no {words}");
        }
    }

    #[test]
    fn every_example_is_understood() {
        let there = leaves(&command(), "");
        let of_commands = EXAMPLES.iter().filter(|(words, _)| there.iter().any(|leaf| leaf == words));
        let all = of_commands.flat_map(|(words, examples)| examples.iter().map(move |e| (*words, e.1)));
        for (above, line) in all.chain(FIRST.iter().map(|(_, line)| ("", *line))) {
            let said = words(line);
            assert!(line.starts_with(format!("backstay {above}").trim_end()), "{line} is under {above}");
            Arguments::command()
                .try_get_matches_from(&said)
                .unwrap_or_else(|error| panic!("{line}\n{error}"));
        }
    }

    #[test]
    fn help_shows_them() {
        let mut program = command();
        program.build();
        let help = program.find_subcommand_mut("run").unwrap().render_long_help().to_string();
        insta::assert_snapshot!("help_of_run", help);
        assert!(command().render_long_help().to_string().contains("Exit codes: 0 done"));
    }
}
