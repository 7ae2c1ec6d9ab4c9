//! The checklist: a runbook's steps and the lines that a person can forget, numbered in one list. **Pure.**

use crate::config::{Config, OnWrites};
use crate::event::{LineCard, LineId, Phase};
use crate::rollback::{By, Order};
use crate::runbook::{Runbook, Service, Step, StepKind, Undo};
use crate::steps::Action;
use crate::words::shell_line;

/// What a run is going to do, line by line, and the rules for going back.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The lines in order; the n-th has the id `Line(n + 1)`.
    pub lines: Vec<Line>,
    /// Whether an earlier application must be healthy after a put-back.
    pub first_deploy: bool,
    /// What a failure after `open` does when others wrote.
    pub on_writes: OnWrites,
    /// What a rollback was told.
    pub rollback: Option<Order>,
}

/// One line of the checklist.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number.
    pub id: LineId,
    /// The phase that it stands in.
    pub phase: Phase,
    /// Its name.
    pub name: String,
    /// What it does.
    pub action: Action,
}

impl Plan {
    /// Compiles `runbook`: its window becomes flag, close, guard, …, open, …, clear.
    pub fn compile(runbook: &Runbook, config: &Config) -> Self {
        Self::of(runbook, config, None)
    }

    /// As [`Plan::compile`], with what a rollback was told. Where another database takes production's place, no guard
    /// is taken: production stays as it is. Where there is none, there is nothing to close either.
    pub fn of(runbook: &Runbook, config: &Config, order: Option<&Order>) -> Self {
        let on_writes = config.window.on_writes;
        let mut plan = Plan { lines: Vec::new(), first_deploy: false, on_writes, rollback: order.cloned() };
        plan.extend(Phase::Before, &runbook.before);
        if let Some(window) = &runbook.window {
            plan.first_deploy = window.first_deploy;
            let raise = Action::RaiseFlag { max: window.max, put_back_after: window.put_back_after };
            plan.push(Phase::During, "raise the flag", raise);
            if !plan.is_one_way() {
                plan.push(Phase::During, "close the database", Action::Close);
            }
            if !plan.exchanges() {
                plan.push(Phase::During, guard_name(window.guard), Action::Guard(window.guard));
            }
            plan.extend(Phase::During, &window.during);
            plan.push(Phase::Open, "open the database", Action::Open);
            plan.extend(Phase::Open, &window.open);
            let healthy = !window.open.iter().any(|s| matches!(s.kind, StepKind::Health { .. }));
            plan.push(Phase::Open, "prove that production serves", Action::Prove { health: healthy });
            plan.push(Phase::Open, "clear the flag", Action::ClearFlag);
        }
        plan.extend(Phase::After, &runbook.after);
        plan
    }

    /// Whether another database takes production's place, and production itself is what a failure goes back to.
    pub fn exchanges(&self) -> bool {
        self.rollback.as_ref().is_some_and(Order::exchanges)
    }

    /// Whether there is nothing to go back to: a failure in the window is tried again.
    pub fn is_one_way(&self) -> bool {
        self.rollback.as_ref().is_some_and(|order| order.gone)
    }

    /// The line with this number.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// The only line of this kind.
    pub fn find(&self, wanted: impl Fn(&Action) -> bool) -> Option<&Line> {
        self.lines.iter().find(|line| wanted(&line.action))
    }

    /// The questions of its checklists, each with its line.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &Line)> {
        self.lines.iter().filter_map(|line| match &line.action {
            Action::Step(StepKind::Checklist { asks }) => Some((asks.first()?.as_str(), line)),
            _ => None,
        })
    }

    fn extend(&mut self, phase: Phase, steps: &[Step]) {
        for step in steps {
            match (&step.kind, self.rollback.clone()) {
                (StepKind::Checklist { asks }, _) => self.ask(phase, &step.name, asks),
                (StepKind::Rollback { .. }, Some(order)) => self.push_rollback(phase, &step.name, order),
                (kind, _) => self.push(phase, &step.name, Action::Step(kind.clone())),
            }
        }
    }

    /// A line for each question: an answer is journaled as any line's end is, and not asked for again.
    fn ask(&mut self, phase: Phase, name: &str, asks: &[String]) {
        for ask in asks {
            let name = if asks.len() == 1 { name } else { ask };
            self.push(phase, name, Action::Step(StepKind::Checklist { asks: vec![ask.clone()] }));
        }
    }

    fn push_rollback(&mut self, phase: Phase, name: &str, order: Order) {
        match (order.by, order.backup) {
            (By::Downgrade, _) => {
                let name = format!("{name} by downgrade");
                self.push(phase, &name, Action::Downgrade { targets: order.targets });
            }
            (By::Backup, Some(backup)) => {
                self.push(phase, "restore the backup aside", Action::RestoreAside { backup });
                self.push(phase, &format!("{name} by the backup"), Action::Exchange);
            }
            (by, _) => self.push(phase, &format!("{name} by the {by}"), Action::Exchange),
        }
    }

    fn push(&mut self, phase: Phase, name: &str, action: Action) {
        let id = LineId::Line(self.lines.len() as u32 + 1);
        self.lines.push(Line { id, phase, name: name.to_string(), action });
    }
}

/// The lines as they stand on the paper.
pub fn cards(lines: &[Line]) -> Vec<LineCard> {
    lines.iter().map(Line::card).collect()
}

impl Line {
    /// The line as it stands on the paper.
    pub fn card(&self) -> LineCard {
        LineCard { id: self.id, phase: self.phase, name: self.name.clone(), done: None }
    }

    /// Whether its start is `Clearing`: from there on production is not put back any more.
    pub fn clears_for_good(&self) -> bool {
        matches!((&self.action, self.id), (Action::ClearFlag, LineId::Line(_)))
    }

    /// Whether how long it takes is up to a person.
    pub fn is_a_persons(&self) -> bool {
        matches!(self.action, Action::Step(StepKind::Approve | StepKind::Checklist { .. }))
    }

    /// Its commands, if it is one of commands.
    pub fn commands(&self) -> Vec<Service> {
        match &self.action {
            Action::Step(kind) => kind.commands(),
            _ => Vec::new(),
        }
    }

    /// The commands that take this line back, if it is one of commands that have one.
    pub fn undos(&self) -> Vec<Vec<String>> {
        let undo = |service: Service| match service.command.undo {
            Undo::Run(argv) => Some(argv),
            Undo::None => None,
        };
        self.commands().into_iter().filter_map(undo).collect()
    }

    /// What it runs and what takes that back, as lines for a shell: `run: …`, `undo: …`.
    pub fn told_commands(&self) -> Vec<String> {
        let told = |Service { name, command }| {
            let of = if name.is_empty() { String::new() } else { format!(" {name}") };
            let undo = match &command.undo {
                Undo::Run(argv) => Some(format!("undo{of}: {}", shell_line(argv))),
                Undo::None => None,
            };
            std::iter::once(format!("run{of}: {}", shell_line(&command.run))).chain(undo)
        };
        self.commands().into_iter().flat_map(told).collect()
    }
}

fn guard_name(kind: crate::runbook::GuardKind) -> &'static str {
    match kind {
        crate::runbook::GuardKind::Clone => "clone the guard",
        crate::runbook::GuardKind::Backup => "dump the guard and restore it aside",
    }
}
