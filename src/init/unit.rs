//! A systemd unit, as far as it tells how an application is started. **Pure.**

/// What a `.service` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its name without `.service`.
    pub name: String,
    /// Where it runs.
    pub directory: Option<String>,
    /// The command line that starts it.
    pub exec: String,
    /// Files of variables that it is given.
    pub env_files: Vec<String>,
    /// Variables that it is given.
    pub variables: Vec<(String, String)>,
}

/// Reads a unit's text. What is not understood is passed over: nothing here has to be right.
pub fn read(name: &str, text: &str) -> Unit {
    let mut unit = Unit { name: name.trim_end_matches(".service").to_string(), ..Unit::default() };
    let text = text.replace("\\\n", " ");
    let mut section = "";
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| section == "[Service]") else { continue };
        let value = value.trim();
        match key.trim() {
            "WorkingDirectory" => unit.directory = Some(value.trim_start_matches('-').to_string()),
            "ExecStart" => unit.exec = value.to_string(),
            "EnvironmentFile" => unit.env_files.push(value.trim_start_matches('-').to_string()),
            "Environment" => unit.variables.extend(assignments(value)),
            _ => {}
        }
    }
    unit
}

impl Unit {
    /// The port that its command line names: `--port 8000`, `-p 8000`, `--bind 127.0.0.1:8000`.
    pub fn port(&self) -> Option<u16> {
        let words: Vec<&str> = self.exec.split_whitespace().collect();
        let after = |flag: &str| {
            words.iter().enumerate().find_map(|(at, word)| {
                let rest = word.strip_prefix(flag)?;
                if rest.is_empty() { words.get(at + 1).copied() } else { rest.strip_prefix('=') }
            })
        };
        let number = |text: &str| text.rsplit(':').next().and_then(|port| port.parse().ok());
        ["--port", "-p", "--bind", "-b", "--listen"].iter().find_map(|flag| after(flag).and_then(number))
    }
}

/// `A=1 "B=two words"`.
fn assignments(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for c in text.chars().chain([' ']) {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ' | '\t', None) => {
                found.extend(word.split_once('=').map(|(name, value)| (name.to_string(), value.to_string())));
                word.clear();
            }
            (c, _) => word.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[Unit]\nDescription=The shop\n\n[Service]\n# WorkingDirectory=/old\nWorkingDirectory=/opt/shop\n\
        EnvironmentFile=-/etc/shop.env\nEnvironment=\"GREETING=hello you\" DATABASE_URL=postgresql://shop@db/shop\n\
        ExecStart=/opt/shop/.venv/bin/uvicorn shop:app \\\n    --host 127.0.0.1 --port 8000\n\n[Install]\nWantedBy=multi-user.target\n";

    #[test]
    fn a_unit_tells_where_and_how() {
        let unit = read("shop.service", TEXT);
        assert_eq!((unit.name.as_str(), unit.directory.as_deref()), ("shop", Some("/opt/shop")));
        assert_eq!(unit.env_files, ["/etc/shop.env"]);
        assert_eq!(unit.variables[0], ("GREETING".into(), "hello you".into()));
        assert_eq!(unit.variables[1].1, "postgresql://shop@db/shop");
        assert_eq!(unit.port(), Some(8000));
    }

    #[test]
    fn ports_are_written_in_several_ways() {
        let port = |exec: &str| Unit { exec: exec.into(), ..Unit::default() }.port();
        assert_eq!(port("gunicorn -b 0.0.0.0:9000 app"), Some(9000));
        assert_eq!(port("gunicorn --bind=127.0.0.1:9001 app"), Some(9001));
        assert_eq!(port("puma -p 3000"), Some(3000));
        assert_eq!(port("gunicorn --bind unix:/run/app.sock"), None);
        assert_eq!(port("shop"), None);
    }
}
