//! Asking a person. The run waits for the answer, the screen does not: what else happens meanwhile
//! (a signal, a deadline, another driver) is still taken in.

use std::fmt;
use std::io::IsTerminal;

use console::Term;
use dialoguer::Input;
use dialoguer::theme::Theme;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::look::{Ink, Look};

/// A question that stands on the terminal.
///
/// Dropping it gives it up and puts the terminal back as it was; the thread that reads the keys stays
/// behind in its read, so a process asks no second question after that.
pub(super) struct Prompt {
    answer: oneshot::Receiver<Option<String>>,
    before: Option<Termios>,
    over: bool,
}

impl Prompt {
    /// Asks for `expects` to be typed on the terminal that standard input is. `None` if it is none:
    /// then nobody can answer.
    pub fn ask(expects: &str, look: Look) -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok();
        let (sender, answer) = oneshot::channel();
        let expects = expects.to_string();
        // A thread of its own, not one of the runtime's: a runtime that ends waits for its blocking
        // threads, and this one may wait for a key for ever.
        let asking = move || {
            let _ = sender.send(read(&expects, look));
        };
        std::thread::Builder::new().name("prompt".into()).spawn(asking).ok()?;
        Some(Self { answer, before, over: false })
    }

    /// What was typed. `None` for no answer: nothing was typed, or Ctrl-C. Safe to be cancelled and
    /// called again until it has answered.
    pub async fn answered(&mut self) -> Option<String> {
        let answer = (&mut self.answer).await.ok().flatten();
        self.over = true;
        answer
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
        let _ = Term::stderr().write_line("");
    }
}

fn read(expects: &str, look: Look) -> Option<String> {
    let theme = Asking { look };
    let typed = Input::<String>::with_theme(&theme)
        .with_prompt(format!("type {expects} to go on, or {} to stop:", refusal(expects)))
        .allow_empty(true)
        .report(false)
        // A slip of the finger at three in the morning is asked again; only an empty answer stops.
        .validate_with(|typed: &String| match typed.trim() {
            "" => Ok(()),
            typed if typed == expects || typed == refusal(expects) => Ok(()),
            _ => Err(format!("that is not {expects}")),
        })
        .interact_text_on(&Term::stderr());
    if typed.is_err() {
        // Ctrl-C leaves the cursor behind the question.
        let _ = Term::stderr().write_line("");
    }
    let typed = typed.ok()?;
    Some(typed.trim().to_string()).filter(|typed| !typed.is_empty())
}

/// What is typed for a no, beside nothing: a question that wants a plain yes takes a plain no.
fn refusal(expects: &str) -> &'static str {
    if expects == "yes" { "no" } else { "nothing" }
}

/// The prompt as the rest of the screen looks.
struct Asking {
    look: Look,
}

impl Theme for Asking {
    fn format_input_prompt(&self, f: &mut dyn fmt::Write, prompt: &str, _: Option<&str>) -> fmt::Result {
        let prompt = self.look.last_pass(prompt);
        write!(
            f,
            "  {} {} ",
            self.look.paint(Ink::Warn, self.look.marks().ask),
            self.look.paint(Ink::Strong, &prompt)
        )
    }

    fn format_error(&self, f: &mut dyn fmt::Write, error: &str) -> fmt::Result {
        let error = self.look.last_pass(error);
        write!(
            f,
            "  {} {}",
            self.look.paint(Ink::Bad, self.look.marks().note),
            self.look.paint(Ink::Bad, &error)
        )
    }
}
