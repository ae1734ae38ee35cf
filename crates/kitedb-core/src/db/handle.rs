//! Views and transactions for who cannot say when he is done with them: what they hold is freed all the same, once it was
//! held for too long, and when the database is closed.

use super::{dyn_graph::expired, pending::Pending, transaction::Transaction, view::View};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Token,
    state::{Lent, Withdrawn},
};
use std::{cell::RefCell, sync::Arc};

/// A [`View`] that the database can take back. A `View` lends out references into what it shows, so that it holds that until
/// it is dropped; this holds it until it was held for [`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms), until
/// [`ViewHandle::release`], or until the database is closed. For bindings to languages in which nobody has to drop
/// anything, servers, and caches of views. Cheap to clone: its clones are the same view.
///
/// ```
/// use kitedb_core::{Database, ErrorCode, GraphRead, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let handle = db.snapshot()?.with_origin("GET /people").into_handle();
/// assert_eq!(handle.view()?.count_nodes(), 0);
/// db.close()?;
/// assert_eq!(handle.view().unwrap_err().code(), ErrorCode::Closed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ViewHandle(Arc<Lent<Arc<View>>>);

impl View {
    /// The same view, for who cannot say when he is done with it. That of a database that is closed is gone at once.
    pub fn into_handle(self) -> ViewHandle {
        ViewHandle(Lent::new(Arc::new(self), |view| &view.hold))
    }
}

impl ViewHandle {
    /// The view, to read from it. Hold what is returned for as short as can be: what it shows stays for as long.
    ///
    /// # Errors
    /// [`ErrorCode::SnapshotExpired`]: it was held for too long; [`ErrorCode::Closed`]: the database is closed;
    /// [`ErrorCode::Finished`]: this was released.
    pub fn view(&self) -> Result<Arc<View>> {
        self.0.get().map_err(|why| gone(why, "view"))
    }

    /// Frees what it holds, as far as nobody reads from it. Nothing happens the second time.
    pub fn release(&self) {
        self.0.release();
    }
}

/// A [`Transaction`] that the database can take back, as [`ViewHandle`] is a view: then its changes are given up. One caller
/// at a time works with it.
#[derive(Debug, Clone)]
pub struct TransactionHandle(Arc<Lent<Transaction>>);

impl Transaction {
    /// The same transaction, for who cannot say when he is done with it.
    pub fn into_handle(self) -> TransactionHandle {
        TransactionHandle(Lent::new(self, |tx| &tx.hold))
    }
}

impl TransactionHandle {
    /// Lets `f` work with the transaction. If `f` panics, the changes are given up.
    ///
    /// # Errors
    /// Those of `f`. [`ErrorCode::SnapshotExpired`]: it was held for too long; [`ErrorCode::Closed`]: the database is
    /// closed; [`ErrorCode::Finished`]: the transaction was committed or rolled back; [`ErrorCode::Locked`]: a call of another thread
    /// works with it; [`ErrorCode::InvalidArgument`]: `f` calls this handle.
    pub fn with<T>(&self, f: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut tx = self.take()?;
        let out = Out(Some(&self.0));
        let within = Within::enter(self.address());
        let result = f(&mut tx);
        drop(within);
        out.put_back(tx);
        result
    }

    /// As [`Transaction::commit`]. Nothing is left to commit then, whatever the result is.
    ///
    /// # Errors
    /// Those of [`Transaction::commit`], and of [`TransactionHandle::with`].
    pub fn commit(&self) -> Result<Token> {
        let tx = self.take()?;
        self.0.spend();
        tx.commit()
    }

    /// As [`Transaction::submit`]. Nothing is left to submit then, whatever the result is.
    ///
    /// # Errors
    /// Those of [`Transaction::submit`], and of [`TransactionHandle::with`].
    pub fn submit(&self) -> Result<Pending> {
        let tx = self.take()?;
        self.0.spend();
        tx.submit()
    }

    /// As [`Transaction::try_submit`]. Where that would have had to wait, the transaction is in this handle as before; otherwise
    /// nothing is left to submit.
    ///
    /// # Errors
    /// [`ErrorCode::WouldBlock`]; those of [`TransactionHandle::submit`].
    pub fn try_submit(&self) -> Result<Pending> {
        let tx = self.take()?;
        let out = Out(Some(&self.0));
        tx.try_submit().map_err(|refused| {
            let (error, tx) = refused.into_parts();
            if let Some(tx) = tx {
                out.put_back(tx);
            }
            error
        })
    }

    fn take(&self) -> Result<Transaction> {
        self.0.take().map_err(|why| match why {
            Withdrawn::InUse if Within::is_in(self.address()) => Error::invalid(
                "this transaction is used within a call that works with it already: work with what that call was given",
            ),
            why => gone(why, "transaction"),
        })
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }

    /// Gives the changes up. Nothing happens the second time, nor after a commit.
    pub fn rollback(&self) {
        self.0.release();
    }
}

thread_local! {
    /// The handles that this thread works with, by their addresses.
    static WITHIN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// This thread works with a handle.
struct Within;

impl Within {
    fn enter(address: usize) -> Self {
        WITHIN.with_borrow_mut(|within| within.push(address));
        Self
    }

    fn is_in(address: usize) -> bool {
        WITHIN.with_borrow(|within| within.contains(&address))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.with_borrow_mut(Vec::pop);
    }
}

/// A transaction is in the hands of a caller: one that panics does not put it back.
struct Out<'a>(Option<&'a Lent<Transaction>>);

impl Out<'_> {
    fn put_back(mut self, tx: Transaction) {
        if let Some(lent) = self.0.take() {
            lent.put_back(tx);
        }
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if let Some(lent) = self.0 {
            lent.spend();
        }
    }
}

#[cold]
fn gone(why: Withdrawn, what: &str) -> Error {
    match why {
        Withdrawn::Expired => expired(),
        Withdrawn::Closed => Error::new(
            ErrorCode::Closed,
            format_args!("the database of this {what} is closed: open it again, and begin another one"),
        ),
        Withdrawn::Released => {
            Error::new(ErrorCode::Finished, format_args!("this {what} is done with already: begin another one"))
        }
        Withdrawn::InUse => Error::new(
            ErrorCode::Locked,
            format_args!("another call works with this {what}: wait until it is done, or begin another one"),
        ),
    }
}
