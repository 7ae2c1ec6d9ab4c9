//! The file of `plan --out`, `approve` and `run --plan`.

use std::path::Path;

use crate::engine::proposal::{FORMAT, Proposal};
use crate::failure::Failure;
use crate::whole;

/// Reads a plan file.
///
/// # Errors
/// It can't be read, is no plan, or one of a newer backstay (all exit 2); it was changed after it was approved
/// (exit 3).
pub(super) fn read(path: &Path) -> Result<Proposal, Failure> {
    let what = || format!("read the plan file {}", path.display());
    let again = "make one with: backstay plan RUNBOOK --out FILE";
    let text = std::fs::read(path).map_err(|error| Failure::usage(what()).caused_by(&error).then(again))?;
    let document: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(what()).because_of("it is no JSON").caused_by(&error).then(again))?;
    let format = document["format"].as_u64();
    if let Some(format) = format.filter(|format| *format > u64::from(FORMAT)) {
        return Err(Failure::usage(what())
            .because_of(format!("it has format {format}, and this version reads {FORMAT}"))
            .then("use the version of backstay that made it"));
    }
    let proposal: Proposal = serde_json::from_value(document).map_err(|error| {
        Failure::usage(what()).because_of("it is no plan file").caused_by(&error).then(again)
    })?;
    if proposal.is_as_approved() {
        return Ok(proposal);
    }
    Err(Failure::refused(what())
        .because_of("it is not what was approved: something in it was changed afterwards")
        .leaving("nothing was changed")
        .then("plan again with --out, and have that approved"))
}

/// Writes a plan file, whole or not at all.
///
/// # Errors
/// What the system says.
pub(super) fn write(path: &Path, proposal: &Proposal) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(proposal)
        .map_err(|error| Failure::internal("write a plan as JSON").caused_by(&error))?;
    whole::replace(path, format!("{text}\n").as_bytes(), 0o600)
        .map_err(|error| Failure::failed(format!("write the plan file {}", path.display())).caused_by(&error))
}
