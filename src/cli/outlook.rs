//! What `plan` tells of the time: the schedule as it stands, and how long the run is likely to take.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shell;
use crate::config::Config;
use crate::engine::admission;
use crate::engine::history;
use crate::engine::plan::{Line, Plan};
use crate::engine::state::State;
use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::runbook::Runbook;
use crate::time::{now, show_duration};
use crate::ui::Look;
use crate::ui::layout::hang;

/// See the module.
pub(super) struct Outlook {
    forecast: Result<Forecast, Failure>,
    look: Look,
    /// What the schedule says of a run now; nothing, if there is none, or it has nothing to say of this runbook.
    pub when: Option<String>,
    /// The schedule as JSON has it; null, if there is none or the runbook is not bound by one.
    pub schedule: Value,
}

impl Outlook {
    /// Reads the journals of earlier runs. A store that is out of reach is told, and stops nothing.
    pub async fn of(shell: &Shell, config: &Config, runbook: &Runbook, plan: &Plan) -> Self {
        // The spool is not needed, but its bound on every call is: a store that hangs must not hold a plan.
        let (store, anew) = (shell.spool(config), State::default());
        let forecast = history::forecast(&*store, &config.environment, plan, &anew).await;
        let mut outlook = Self {
            forecast: forecast.map_err(Failure::from),
            look: shell.look,
            when: None,
            schedule: Value::Null,
        };
        if admission::is_bound(runbook, plan, &anew) {
            outlook.read_schedule(config, plan);
        }
        outlook
    }

    fn read_schedule(&mut self, config: &Config, plan: &Plan) {
        let at = now();
        let known = self.forecast.clone().unwrap_or_default();
        let schedule = config.schedule.as_ref();
        let refused = admission::admit(plan, schedule, &known, at).err();
        let refused = refused.map(|not_now| not_now.words(&known, at));
        if let Some(schedule) = schedule {
            let admitted = schedule.admit(at, known.until_clear());
            let next = admitted.as_ref().err().and_then(|refusal| refusal.next);
            let told = match (&admitted, &refused) {
                (Ok(until), _) => schedule.show_open(*until, at),
                (Err(_), why) => {
                    format!("{}; {}", why.clone().unwrap_or_default(), schedule.show_next(next, at))
                }
            };
            self.when = Some(self.folded("schedule: ", &told));
            self.schedule = json!({
                "windows": schedule.to_string(), "open": admitted.is_ok(), "until": admitted.ok().flatten(),
                "opens": next.map(|span| span.from), "why": refused,
            });
        } else if let Some(refused) = refused {
            self.when = Some(self.folded("a run would be refused: ", &refused));
        }
    }

    fn folded(&self, lead: &str, text: &str) -> String {
        hang(lead, text, self.look.width).join("\n")
    }

    /// When and how long, with an empty line behind.
    pub fn text(&self) -> String {
        let estimate = match &self.forecast {
            Ok(forecast) => {
                forecast.words().unwrap_or_else(|| "not known: no earlier run had these lines".to_string())
            }
            Err(failure) => format!("not known: {failure}"),
        };
        let when = self.when.as_ref().map(|when| format!("{when}\n")).unwrap_or_default();
        format!("{when}{}\n\n", self.folded("estimate: ", &estimate))
    }

    /// `   (about 41 s)`, of what takes a while.
    pub fn about(&self, line: &Line) -> String {
        const A_WHILE: Duration = Duration::from_secs(1);
        let figures = self.forecast.as_ref().ok().and_then(|forecast| forecast.lines.get(&line.id));
        let figures = figures.filter(|figures| figures.likely >= A_WHILE);
        figures.map(|figures| format!("   (about {})", show_duration(figures.likely))).unwrap_or_default()
    }

    /// A line's figures as JSON has them.
    pub fn of_line(&self, line: &Line) -> Option<Value> {
        self.forecast.as_ref().ok()?.lines.get(&line.id).map(|figures| figures.document())
    }

    /// The whole of them; null, if nothing is known.
    pub fn estimate(&self) -> Option<Value> {
        self.forecast.as_ref().ok().filter(|forecast| forecast.is_known()).map(Forecast::document)
    }
}
