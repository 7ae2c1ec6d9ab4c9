//! `[notify]`: who is told of what, and how.

use reqwest::Url;

use crate::document::{Finding, Read, Value};
use crate::event::{NOTICES, ORDINARY};
use crate::redact;

/// `[notify]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// A program with its arguments.
    pub run: Option<Vec<String>>,
    /// The events that it is told, of [`NOTICES`].
    pub events: Vec<&'static str>,
    /// Addresses that are told too.
    pub webhooks: Vec<Webhook>,
}

/// One of `[[notify.webhook]]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address: whoever knows it can post there, so it is a secret.
    pub url: String,
    /// What the body is.
    pub format: WebhookFormat,
    /// The events that it is told, of [`NOTICES`].
    pub events: Vec<&'static str>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({:?}, {:?})", self.format, self.events)
    }
}

/// What the body of a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// `{"text": "…"}`, as Slack, Mattermost and many others take it.
    Slack,
    /// An object with a member for each thing that is known.
    Generic,
}

/// `[notify]`.
pub(super) fn notify(value: Value<'_>) -> Read<Notify> {
    value.table(|table| {
        let run = table.take("run", Value::command);
        let events = table.take("events", events);
        let webhooks = table.each("webhook", webhook);
        // A program that wakes people is not told of what is as it should be, unless it asks for that.
        let urgent = || NOTICES.into_iter().filter(|event| !ORDINARY.contains(event)).collect();
        Ok(Notify { run: run?, events: events?.unwrap_or_else(urgent), webhooks: webhooks? })
    })
}

fn webhook(value: Value<'_>) -> Read<Webhook> {
    value.table(|table| {
        let url = table.require("url", "url = \"${SLACK_WEBHOOK}\"", address);
        let format = table.require("format", "format = \"slack\"", |v| {
            v.word(&[("slack", WebhookFormat::Slack), ("generic", WebhookFormat::Generic)])
        });
        let events = table.take("events", events);
        Ok(Webhook { url: url?, format: format?, events: events?.unwrap_or_else(|| NOTICES.to_vec()) })
    })
}

fn events(value: Value<'_>) -> Read<Vec<&'static str>> {
    let words = NOTICES.map(|event| (event, event));
    value.list("a list of events", |event| event.word(&words))
}

/// A web address. All of it is a secret, also where it stands in the file as it is.
fn address(value: Value<'_>) -> Read<String> {
    let text = value.clone().line()?;
    redact::register(&text);
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        let finding = Finding::new("`url` must be a web address").label("this is none");
        return Err(
            value.wrong(finding.help("write it like \"${SLACK_WEBHOOK}\", and its value into the env file"))
        );
    };
    // Some messages have a part of it alone.
    redact::register(url.as_str());
    if url.path().len() > 8 {
        redact::register(url.path());
    }
    Ok(text)
}
