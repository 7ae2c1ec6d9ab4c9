//! A compose file, as far as it tells which services there are. **Pure.** It reads the usual shape by its
//! indentation and is no reader of YAML: what it does not understand it passes over, and a person is asked.

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The image that it runs.
    pub image: Option<String>,
    /// It is built here: the application, most likely.
    pub built: bool,
    /// Ports of this machine that lead to it.
    pub ports: Vec<u16>,
    /// Variables that it is given.
    pub variables: Vec<(String, String)>,
}

impl Service {
    /// Whether it is a PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.image.as_deref().is_some_and(|image| {
            let name = image.rsplit('/').next().unwrap_or(image);
            ["postgres", "postgis", "timescaledb", "pgvector"].iter().any(|known| name.starts_with(known))
        })
    }
}

struct Row<'t> {
    indent: usize,
    text: &'t str,
}

/// The services of a compose file, in its order.
pub fn services(text: &str) -> Vec<Service> {
    let rows: Vec<Row<'_>> = text.lines().filter_map(row).collect();
    let Some(start) = rows.iter().position(|row| row.indent == 0 && row.text == "services:") else {
        return Vec::new();
    };
    let body = below(&rows[start + 1..], 0);
    let level = body.first().map_or(0, |row| row.indent);
    heads(body, level)
        .into_iter()
        .filter_map(|(head, inner)| head.text.strip_suffix(':').map(|name| service(unquoted(name), inner)))
        .collect()
}

fn row(line: &str) -> Option<Row<'_>> {
    let text = line.split(" #").next().unwrap_or(line).trim_end();
    let said = text.trim_start();
    (!said.is_empty() && !said.starts_with('#')).then(|| Row { indent: text.len() - said.len(), text: said })
}

/// The rows that stand deeper than `indent`; a list may stand as deep as its key.
fn below<'r, 't>(rows: &'r [Row<'t>], indent: usize) -> &'r [Row<'t>] {
    let end = rows
        .iter()
        .position(|row| row.indent < indent || (row.indent == indent && !row.text.starts_with("- ")));
    &rows[..end.unwrap_or(rows.len())]
}

/// The rows at `level`, each with what stands below it.
fn heads<'r, 't>(rows: &'r [Row<'t>], level: usize) -> Vec<(&'r Row<'t>, &'r [Row<'t>])> {
    let at = rows.iter().enumerate().filter(|(_, row)| row.indent == level && !row.text.starts_with("- "));
    at.map(|(at, row)| (row, below(&rows[at + 1..], level))).collect()
}

fn service(name: &str, rows: &[Row<'_>]) -> Service {
    let mut service = Service { name: name.to_string(), ..Service::default() };
    let level = rows.first().map_or(0, |row| row.indent);
    for (head, inner) in heads(rows, level) {
        let Some((key, value)) = head.text.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "image" => service.image = Some(unquoted(value).to_string()),
            "build" => service.built = true,
            "ports" => service.ports = items(value, inner).iter().filter_map(|item| port(item)).collect(),
            "environment" => service.variables = inner.iter().filter_map(|row| variable(row.text)).collect(),
            _ => {}
        }
    }
    service
}

/// The items of a list: `["a", "b"]`, or one a row.
fn items<'t>(value: &'t str, rows: &[Row<'t>]) -> Vec<&'t str> {
    match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.split(',').map(|item| unquoted(item.trim())).collect(),
        None => rows.iter().map(|row| unquoted(row.text.trim_start_matches("- "))).collect(),
    }
}

/// The port of this machine in `8000:80`, `127.0.0.1:8000:80/tcp`, `published: 8000`; none in `80`.
fn port(item: &str) -> Option<u16> {
    if let Some(published) = item.strip_prefix("published:") {
        return unquoted(published.trim()).parse().ok();
    }
    let (before, _) = item.rsplit_once(':')?;
    before.rsplit(':').next()?.parse().ok()
}

/// `NAME: value`, or `- NAME=value`.
fn variable(text: &str) -> Option<(String, String)> {
    let (name, value) = match text.strip_prefix("- ") {
        Some(item) => unquoted(item).split_once('=')?,
        None => text.split_once(':')?,
    };
    Some((name.trim().to_string(), unquoted(value.trim()).to_string()))
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The shop\nversion: \"3.9\"\nservices:\n  db:\n    image: postgres:15-alpine   # as production's\n\
        \x20   ports:\n    - \"127.0.0.1:5433:5432\"\n    environment:\n      POSTGRES_PASSWORD: hunter2\n\n  web:\n    build: .\n\
        \x20   depends_on:\n      - db\n    ports: [\"8000:80/tcp\", 9000]\n    environment:\n      - DATABASE_URL=postgresql://shop:pw@db:5432/shop\n\
        \x20     - \"GREETING=hello: you\"\n  queue:\n    image: \"redis:7\"\n    ports:\n      - target: 6379\n        published: 6380\n\
        volumes:\n  data:\n    driver: local\n";

    #[test]
    fn services_are_read_by_their_indentation() {
        let found = services(TEXT);
        let names: Vec<&str> = found.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["db", "web", "queue"]);
        let [db, web, queue] = &found[..] else { panic!("{found:?}") };
        assert!(db.is_postgres() && !db.built && !queue.is_postgres() && web.built);
        assert_eq!(
            (&db.ports[..], &web.ports[..], &queue.ports[..]),
            (&[5433][..], &[8000][..], &[6380][..])
        );
        assert_eq!(db.variables, [("POSTGRES_PASSWORD".to_string(), "hunter2".to_string())]);
        assert_eq!(web.variables[0].1, "postgresql://shop:pw@db:5432/shop");
        assert_eq!(web.variables[1], ("GREETING".into(), "hello: you".into()));
    }

    #[test]
    fn what_is_no_compose_file_has_no_services() {
        for text in
            ["", "services:\n", "services: {}\n", "- a\n- b\n", "\u{0}:\n  :\n :", "services:\n  - db\n"]
        {
            assert_eq!(services(text), [], "{text:?}");
        }
    }
}
