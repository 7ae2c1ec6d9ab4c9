//! Taking a release back that has ended: which one, what was written since, and which ways there are. Chosen is before a
//! run begins; the run itself is one like any other, of the lines that [`Plan::of`](super::plan::Plan::of) makes of the order.
//!
//! | room | its job |
//! | --- | --- |
//! | `find` | the release that is meant, from the journals |
//! | `target` | what `--to` means, and where a downgrade leads |
//! | `survey` | what server and store have: the writes since, and each way with its cost |
//! | `advice` | the way that is recommended, and why. **Pure** |

mod advice;
mod find;
mod survey;
mod target;

pub use advice::Advice;
pub use find::Release;
pub use survey::{Survey, Way, Written, survey};
pub use target::Wanted;
