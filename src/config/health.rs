//! Health checks, of an environment and of a runbook's own `health` steps.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::{Health, HttpCheck, SqlCheck};
use crate::document::{Finding, Read, Table, Value};

/// `[health]`: `[[health.http]]` and `[[health.sql]]`.
pub(super) fn checks(value: Value<'_>) -> Read<Health> {
    value.table(read)
}

/// The checks of any table that has `http` and `sql`.
pub(crate) fn read(table: &mut Table<'_>) -> Read<Health> {
    let http = table.each("http", http);
    let sql = table.each("sql", sql);
    Ok(Health { http: http?, sql: sql? })
}

fn http(value: Value<'_>) -> Read<HttpCheck> {
    value.table(|table| {
        let url = table.require("url", "url = \"http://127.0.0.1:8000/health\"", address);
        let headers = table.take("headers", |v| v.table(|headers| headers.every(header)));
        let status = table.require("status", "status = 200", |v| v.number(100..=599));
        let contains = table.take("contains", Value::filled);
        let json = table.take("json", |v| v.table(|pointers| pointers.every(pointer)));
        let latency = table.take("latency", Value::duration);
        let successes = table.require("successes", "successes = 1", |v| v.number(1..=1000));
        let interval = table.require("interval", "interval = \"1s\"", Value::duration_or_zero);
        let timeout = table.require("timeout", "timeout = \"5s\"", Value::duration);
        let deadline = table.require("deadline", "deadline = \"60s\"", Value::duration);
        Ok(HttpCheck {
            url: url?,
            headers: headers?.unwrap_or_default(),
            status: u16::try_from(status?).unwrap_or(200),
            contains: contains?,
            json: json?.unwrap_or_default(),
            latency: latency?,
            successes: u32::try_from(successes?).unwrap_or(1),
            interval: interval?,
            timeout: timeout?,
            deadline: deadline?,
        })
    })
}

fn sql(value: Value<'_>) -> Read<SqlCheck> {
    value.table(|table| {
        let expect = table.require("expect", "expect = \"select count(*) > 0 from users\"", Value::filled);
        let timeout = table.require("timeout", "timeout = \"10s\"", Value::duration);
        Ok(SqlCheck { expect: expect?, timeout: timeout? })
    })
}

fn address(value: Value<'_>) -> Read<String> {
    let text = value.clone().line()?;
    let usable =
        Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if usable {
        return Ok(text);
    }
    let finding = Finding::new(format!("`{}` must be a web address", value.key())).label("this is none");
    Err(value.wrong(finding.help("write it like \"http://127.0.0.1:8000/health\"")))
}

fn header(name: &str, value: Value<'_>) -> Read<(String, String)> {
    let text = value.clone().text()?;
    let problem = if HeaderName::from_bytes(name.as_bytes()).is_err() {
        format!("`{name}` can't be the name of a header")
    } else if HeaderValue::from_str(&text).is_err() {
        format!("the header `{name}` can't have this value")
    } else {
        return Ok((name.to_string(), text));
    };
    let finding = Finding::new(problem).label("here");
    Err(value
        .wrong(finding.help("write it like headers = { Accept = \"application/json\" }, on one line each")))
}

fn pointer(pointer: &str, value: Value<'_>) -> Read<(String, serde_json::Value)> {
    // RFC 6901: empty for the whole body, else a slash before each step; a tilde only as ~0 or ~1.
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (pointer.is_empty() || pointer.starts_with('/')) && escapes {
        return Ok((pointer.to_string(), value.json()?));
    }
    let finding = Finding::new(format!("`{pointer}` is no JSON pointer (RFC 6901)")).label("of this value");
    Err(value
        .wrong(finding.help("write it like json = { \"/status\" = \"ok\", \"/checks/0/name\" = \"db\" }")))
}
