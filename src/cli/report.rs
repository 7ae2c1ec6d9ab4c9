//! `backstay report [RUN]`: one run as a page that needs nothing but itself.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Shell, Trouble, output};
use crate::engine::standing;
use crate::failure::{Failure, Verdict};
use crate::report::{self, gather, page};
use crate::time;
use crate::words::shell_path;

/// A run as one self-contained HTML page
#[derive(Debug, Args)]
pub struct Report {
    /// The run: an id, a unique prefix of one, or latest
    #[arg(default_value = "latest")]
    run: String,
    /// Where to write the page; `-` is standard output [default: report-RUN.html in this folder; with --json nowhere]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(shell: &Shell, command: &Report) -> Result<Verdict, Trouble> {
    let to_stdout = command.out.as_deref() == Some(Path::new("-"));
    if to_stdout && shell.json() {
        return Err(Failure::usage("write both the page and its JSON to standard output")
            .then("give --json without --out, or --out a file")
            .into());
    }
    let config = shell.config()?;
    let store = shell.store(&config);
    let run = standing::named(&*store, &command.run).await?;
    let evidence = gather(&*store, &run, &config.environment, time::now()).await.map_err(Failure::from)?;
    let report = report::Report::of(&evidence);
    if to_stdout {
        output::pass(&page(&report));
        return Ok(Verdict::Done);
    }
    let mut document = report.document();
    let default = (!shell.json()).then(|| PathBuf::from(format!("report-{run}.html")));
    let file = command.out.clone().or(default);
    if let Some(file) = &file {
        write(file, &page(&report))?;
        document["file"] = file.display().to_string().into();
    }
    let text = file.map(|file| shell_path(&file)).unwrap_or_default();
    shell.tell(&text, document);
    Ok(Verdict::Done)
}

/// Writes the page in the place of one that may be there. A crash leaves a part of it: make it again.
fn write(file: &Path, page: &str) -> Result<(), Failure> {
    std::fs::write(file, page).map_err(|error| {
        Failure::refused(format!("write {}", file.display()))
            .caused_by(&error)
            .then("give another place with --out FILE")
    })
}
