//! What limits, reports and ends long reads and writes of the file.

use crate::error::Result;

/// Called with the length of each piece after it was written, or before it is read: waits to limit the rate, does more
/// urgent work, or fails to give the work up.
pub type Pace<'a> = dyn FnMut(u64) -> Result<()> + 'a;
