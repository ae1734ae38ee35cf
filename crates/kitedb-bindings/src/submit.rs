//! Commits from a thread that others wait for: that of an event loop.

use kitedb_core::{Error, ErrorCode, Pending, Result, TransactionHandle};

/// So many bytes are put into the log in less than a millisecond.
const SMALL: usize = 64 << 10;

/// Submits a transaction if that takes next to no time: without waiting, and of at most 64 KiB of log.
///
/// # Errors
/// [`ErrorCode::WouldBlock`]: it would take longer, and the transaction is as before; those of [`TransactionHandle::submit`].
pub fn submit_at_once(tx: &TransactionHandle) -> Result<Pending> {
    let bytes = tx.with(|tx| Ok(tx.log_bytes()))?;
    if bytes > SMALL {
        let what = format_args!("a commit of {bytes} bytes takes a time: submit it from a thread that may wait");
        return Err(Error::new(ErrorCode::WouldBlock, what));
    }
    tx.try_submit()
}
