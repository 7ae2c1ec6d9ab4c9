//! An Alembic project: where it is, how it is run, and whether it takes the URL that it is given.

use std::path::{Path, PathBuf};

use super::{Places, from_root, names_a_url, read};
use crate::migrate::alembic::{Project, Settings};

/// An Alembic project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alembic {
    /// Where `alembic.ini` is, from the root; empty for the root itself.
    pub directory: String,
    /// How it is run.
    pub command: Vec<String>,
    /// The variable from which its `env.py` takes the URL, where that can be seen.
    pub url_env: Option<String>,
    /// Its `env.py`, from the root, where nothing in it takes the URL from outside of `alembic.ini`.
    pub deaf: Option<String>,
    /// How many revisions it has.
    pub revisions: usize,
}

/// The project in `folder`, if there is one.
pub(super) fn find(places: &Places<'_>, folder: &Path) -> Option<Alembic> {
    let ini = read(&folder.join("alembic.ini"))?;
    let mut found = Alembic {
        directory: from_root(places, folder),
        command: command(places, folder),
        ..Alembic::default()
    };
    // A project that can't be read is told by `doctor`, with the place.
    if let Ok(project) = Project::read(&Settings::of(folder.to_path_buf())) {
        found.revisions = project.chain().graph().len();
        let text = read(&project.env_py()).unwrap_or_default();
        found.url_env = url_variable(&text);
        if !heeds_others(&text, &ini) {
            found.deaf = Some(from_root(places, &project.env_py()));
        }
    }
    Some(found)
}

/// How Alembic is run here: by the tool whose lock file lies beside it, or out of a virtual environment.
fn command(places: &Places<'_>, folder: &Path) -> Vec<String> {
    let runs = |tool: &str| {
        let path = places.variables.get("PATH").cloned().unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    let words = |text: &str| text.split(' ').map(String::from).collect();
    let near: Vec<(PathBuf, &str)> = match folder == places.root {
        true => vec![(folder.to_path_buf(), "")],
        false => vec![(folder.to_path_buf(), ""), (places.root.to_path_buf(), "../")],
    };
    for (lock, tool) in [("uv.lock", "uv"), ("poetry.lock", "poetry"), ("Pipfile.lock", "pipenv")] {
        if near.iter().any(|(folder, _)| folder.join(lock).is_file()) && runs(tool) {
            return words(&format!("{tool} run alembic"));
        }
    }
    for (folder, up) in &near {
        for venv in [".venv", "venv"] {
            if folder.join(venv).join("bin/alembic").is_file() {
                return vec![format!("{up}{venv}/bin/alembic")];
            }
        }
    }
    words("alembic")
}

/// The variable that `env.py` reads, by its name a URL's.
fn url_variable(text: &str) -> Option<String> {
    let calls = ["environ[", "environ.get(", "getenv("];
    let mut names =
        calls.iter().flat_map(|call| text.match_indices(call).map(|(at, call)| &text[at + call.len()..]));
    names.find_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (name, _) = rest[1..].split_once(quote)?;
        names_a_url(name).then(|| name.to_string())
    })
}

/// Whether anything could lead the URL into `env.py`: the environment, settings of the application's, a line of ours.
fn heeds_others(text: &str, ini: &str) -> bool {
    let hints = ["environ", "getenv", "dotenv", "ettings", "set_main_option", "get_url", "DATABASE_URL"];
    text.is_empty() || hints.iter().any(|hint| text.contains(hint)) || ini.contains("%(DATABASE_URL)s")
}
