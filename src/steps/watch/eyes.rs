//! One look at everything that a watch looks at.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::activity;
use super::lag::Replicas;
use super::log::Log;
use super::tally::{Figures, Seen};
use crate::config::{HttpCheck, Replica, SqlCheck};
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, SessionOptions};
use crate::runbook::{ActivityLimits, RowLimits, WatchStep};
use crate::steps::{Site, health, verify};
use crate::time::show_duration;

/// A bound on a look at the server.
const BOUND: Duration = Duration::from_secs(10);

/// Counting takes at most this part of the time: it reads every table.
const PART: u32 = 10;

/// What a watch looks with.
pub(super) struct Eyes {
    health: Health,
    server: Server,
    logs: Vec<Log>,
    /// Rows are counted beside the looks.
    pub rows: Rows,
}

impl Eyes {
    /// Begins to listen; looks at nothing yet.
    ///
    /// # Errors
    /// There is no HTTP client, or production is not to be found.
    pub async fn open(step: &WatchStep, site: &Site<'_>) -> Result<Self, Failure> {
        // A program that follows a log is ended with the watch; should it hang, by its bound.
        let bound = step.lasts.saturating_add(Duration::from_secs(24 * 3600));
        Ok(Self {
            health: Health::of(step, site).await?,
            server: Server::of(step, site),
            logs: step.logs.iter().map(|log| Log::begin(log, bound, site)).collect(),
            rows: Rows::of(step, site).await?,
        })
    }

    /// Looks once; bounded by the checks' own timeouts.
    pub async fn look(&mut self) -> (Vec<Seen>, Figures) {
        let mut figures = Figures::default();
        let (healthy, (served, of_server)) = tokio::join!(self.health.look(), self.server.look());
        let mut seen = Vec::new();
        for (subject, result) in healthy {
            figures.latencies.extend(result.as_ref().ok().copied().flatten());
            seen.push(Seen::new(subject, result.err()));
        }
        seen.extend(served);
        figures = Figures { latencies: figures.latencies, ..of_server };
        for log in &mut self.logs {
            let (of_log, matches) = log.look().await;
            seen.extend(of_log);
            *figures.matches.get_or_insert(0) += matches;
        }
        tell_apart(&mut seen);
        (seen, figures)
    }
}

/// Numbers what is called the same, such as two checks of one address: each has its own row of bad looks.
fn tell_apart(seen: &mut [Seen]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in seen {
        let count = counts.entry(one.subject.clone()).or_default();
        *count += 1;
        if *count > 1 {
            one.subject = format!("{} ({count})", one.subject);
        }
    }
}

/// The health checks.
struct Health {
    client: Option<reqwest::Client>,
    http: Vec<HttpCheck>,
    sql: Vec<SqlCheck>,
    info: ConnInfo,
    options: SessionOptions,
}

impl Health {
    async fn of(step: &WatchStep, site: &Site<'_>) -> Result<Self, Failure> {
        let own = !step.http.is_empty() || !step.sql.is_empty();
        let configured = &site.config.health;
        let (http, sql) = match (step.health, own) {
            (false, _) => (Vec::new(), Vec::new()),
            (true, true) => (step.http.clone(), step.sql.clone()),
            (true, false) => (configured.http.clone(), configured.sql.clone()),
        };
        let client = if http.is_empty() { None } else { Some(health::client_for(&http)?) };
        let info = site.config.database.url.with_database(&site.present_name().await?);
        let options = SessionOptions { patience: Duration::ZERO, ..site.front_session("watch") };
        Ok(Self { client, http, sql, info, options })
    }

    /// Every check once, all at the same time; how long an HTTP check took, or what is wrong.
    async fn look(&self) -> Vec<(String, Result<Option<Duration>, String>)> {
        let http = join_all(self.http.iter().map(|check| async move {
            let subject = format!("health {}", check.url);
            let Some(client) = &self.client else { return (subject, Ok(None)) };
            (subject, health::attempt(client, check, check.timeout).await.map(Some))
        }));
        let sql = join_all(self.sql.iter().map(|check| async move {
            let asked = health::ask(&self.info, &self.options, check).await;
            (format!("health {}", check.expect), asked.map(|_| None).map_err(|failure| failure.to_string()))
        }));
        let (mut all, sql) = tokio::join!(http, sql);
        all.extend(sql);
        all
    }
}

/// What the server knows.
struct Server {
    info: ConnInfo,
    options: SessionOptions,
    oid: u32,
    activity: Option<ActivityLimits>,
    lag: Option<Duration>,
    replicas: Replicas,
}

impl Server {
    fn of(step: &WatchStep, site: &Site<'_>) -> Self {
        let config = site.config;
        let options = SessionOptions {
            patience: Duration::ZERO,
            statement_timeout: Some(BOUND),
            ..site.session("watch")
        };
        let declared = config.replicas.iter().map(|replica| Replica {
            name: replica.name.clone(),
            url: replica.url.with_database(&config.database.maintenance_database),
        });
        Self {
            info: config.database.maintenance(),
            options,
            oid: site.live_oid(),
            activity: step.activity,
            lag: step.lag,
            replicas: Replicas::new(declared.collect()),
        }
    }

    async fn look(&mut self) -> (Vec<Seen>, Figures) {
        let mut figures = Figures::default();
        if self.activity.is_none() && self.lag.is_none() {
            return (Vec::new(), figures);
        }
        let bound = BOUND + self.options.connect_timeout;
        let looked = timeout(bound, self.ask(&mut figures)).await;
        let looked = looked.unwrap_or_else(|_| {
            let bound = show_duration(bound);
            Err(Failure::failed("look at the server").because_of(format!("no answer within {bound}")))
        });
        let mut seen = looked.as_ref().cloned().unwrap_or_default();
        seen.push(Seen::new("looking at the server", looked.err().map(|failure| failure.to_string())));
        (seen, figures)
    }

    async fn ask(&mut self, figures: &mut Figures) -> Result<Vec<Seen>, Failure> {
        let session = pg::connect(&self.info, &self.options).await?;
        let mut seen = Vec::new();
        if let Some(limits) = &self.activity {
            seen.extend(activity::look(&session, self.oid, limits, figures).await?);
        }
        if let Some(limit) = self.lag {
            seen.extend(self.replicas.look(&session, &self.options, limit, figures).await?);
        }
        session.close().await;
        Ok(seen)
    }
}

/// Rows of all tables, counted beside the looks, and seldom where that takes long.
pub(super) struct Rows {
    before: BTreeMap<String, i64>,
    limits: RowLimits,
    info: ConnInfo,
    options: SessionOptions,
    every: Duration,
    next: Instant,
    began: Instant,
    counting: JoinSet<Result<BTreeMap<String, i64>, Failure>>,
}

impl Rows {
    async fn of(step: &WatchStep, site: &Site<'_>) -> Result<Self, Failure> {
        let limits = step.rows.clone();
        let before = site.recall.guard.as_ref().filter(|_| limits.is_some());
        let before = before.map(|guard| guard.rows.clone()).unwrap_or_default();
        let mut limits = limits.unwrap_or(RowLimits { asked: false, fall: 0, may_shrink: Vec::new() });
        limits.may_shrink.extend(site.outline.may_shrink.iter().cloned());
        Ok(Self {
            before,
            limits,
            info: site.live().await?,
            options: SessionOptions {
                patience: Duration::ZERO,
                statement_timeout: Some(step.lasts.max(BOUND)),
                ..site.session("count")
            },
            every: step.every,
            next: Instant::now(),
            began: Instant::now(),
            counting: JoinSet::new(),
        })
    }

    /// What a count that ended meanwhile saw; begins another when it is time.
    pub fn look(&mut self) -> Option<Vec<Seen>> {
        let counted = self.counting.try_join_next().and_then(Result::ok);
        if counted.is_some() {
            self.next = self.began + (self.began.elapsed() * PART).max(self.every);
        }
        if !self.before.is_empty() && self.counting.is_empty() && Instant::now() >= self.next {
            self.began = Instant::now();
            let (info, options) = (self.info.clone(), self.options.clone());
            self.counting.spawn(async move { verify::count_rows_at(&info, &options).await });
        }
        counted.map(|counted| self.judge(counted))
    }

    /// What the count that is under way sees, if it ends within `bound`.
    pub async fn last(&mut self, bound: Duration) -> Option<Vec<Seen>> {
        let counted = timeout(bound, self.counting.join_next()).await.ok()??.ok()?;
        Some(self.judge(counted))
    }

    fn judge(&self, counted: Result<BTreeMap<String, i64>, Failure>) -> Vec<Seen> {
        let counting = |wrong| Seen::new("counting rows", wrong);
        match counted {
            Err(failure) => vec![counting(Some(failure.to_string()))],
            Ok(now) => {
                let RowLimits { fall, may_shrink, .. } = &self.limits;
                let fallen = verify::shrunk(&self.before, &now, may_shrink, *fall);
                vec![counting(None), Seen::at_once("rows", (!fallen.is_empty()).then(|| fallen.join("; ")))]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_one_name_are_two() {
        let mut seen = ["health /", "log api.log", "health /", "health /"].map(|s| Seen::new(s, None));
        tell_apart(&mut seen);
        let subjects = seen.map(|one| one.subject);
        assert_eq!(subjects, ["health /", "log api.log", "health / (2)", "health / (3)"]);
    }
}
