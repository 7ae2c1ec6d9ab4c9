//! `backstay schema`: JSON Schemas of what people write and what programs read.

use clap::{Args, ValueEnum};

use super::{Shell, Trouble};
use crate::failure::{Failure, Verdict};
use crate::schema;
use crate::words::spell_out;

/// JSON Schemas: of the files that people write, and of what programs read
#[derive(Debug, Args)]
pub struct Schema {
    /// Of what
    #[arg(value_enum)]
    of: Of,
    /// With `output`: of which command
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// runbooks/NAME.toml
    Runbook,
    /// config/ENV.toml
    Config,
    /// One line of a run's --json
    Event,
    /// manifest.json of a backup
    Manifest,
    /// One record of a run's journal
    Record,
    /// The file of `plan --out`
    Plan,
    /// The one document of every other command's --json
    Output,
}

pub(super) fn run(shell: &Shell, order: &Schema) -> Result<Verdict, Trouble> {
    let command = (!order.command.is_empty()).then(|| order.command.join(" "));
    if command.is_some() && order.of != Of::Output {
        return Err(Failure::usage("choose a schema").because_of("only `output` takes a command").into());
    }
    let schema = match order.of {
        Of::Runbook => schema::runbook(),
        Of::Config => schema::config(),
        Of::Event => schema::event(),
        Of::Manifest => schema::manifest(),
        Of::Record => schema::record(),
        Of::Plan => schema::plan(),
        Of::Output => schema::output(command.as_deref()).ok_or_else(|| no_such(command.as_deref()))?,
    };
    let pretty = serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::internal("write a schema").caused_by(&error))?;
    shell.tell(&pretty, schema);
    Ok(Verdict::Done)
}

fn no_such(command: Option<&str>) -> Failure {
    Failure::usage(format!("find the schema of `{}`", command.unwrap_or_default()))
        .because_of("no command of that name prints one document")
        .then(format!("there is {}", spell_out(&schema::commands())))
        .then("of `run` and `resume`: backstay schema event")
}
