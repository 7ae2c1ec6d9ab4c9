//! `backstay report`: one run as a page that needs nothing but itself.
//!
//! A reader of the store. Three rooms, one way through them: [`gather`] reads what a run left ([`Evidence`]),
//! [`Report::of`] makes of it what is to be told, [`page`] and [`Report::document`] tell it. Only the first does I/O.
//! A run that goes on, or whose journal is damaged, is told as far as it can be read.
//!
//! | room | its job |
//! | --- | --- |
//! | `evidence` | what a run left on the store, as it is there |
//! | `model`, `told` | what the page tells, and how it is made of the evidence; the `--json` document |
//! | `fold`, `lines`, `facts`, `flag` | records to lines with their tries, to what lines left, to when the flag was up, and to what else happened. **Pure** |
//! | `outcome`, `next` | how the run ended or stands, in words; what to do next. The decisions are the engine's. **Pure** |
//! | `spoken` | what commands printed, out of the log, within bounds. **Pure** |
//! | `size` | what of long texts a page shows. **Pure** |
//! | `html`, `timeline`, `checklist`, `sections`, `people`, `sql` | the page. **Pure**; every text of others passes one function that escapes it |

mod checklist;
mod escape;
mod evidence;
mod facts;
mod flag;
mod fold;
mod html;
mod lines;
mod model;
mod next;
mod outcome;
mod people;
mod sections;
mod size;
mod spoken;
mod sql;
mod timeline;
mod told;
mod words;

pub use evidence::{BackupSeen, Evidence, Kept, gather};
pub use html::page;
pub use model::Report;
