//! What reads and writes go to.

use crate::{
    calls::{self, caught},
    errors::{Outcome, finished, in_use},
};
use kitedb::{BulkLoader, Database, Error, ErrorCode, Graph, Result, Transaction, TransactionHandle, ViewHandle};
use parking_lot::Mutex;
use pyo3::Python;
use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

/// Something that is used by one call at a time, until it is finished.
pub type Shared<T> = Arc<Mutex<Option<T>>>;

/// A database, or a state that is held.
#[derive(Clone)]
pub enum Source {
    Database(Owned),
    /// With the database that it is of, which stays open for it.
    View(ViewHandle, Owned),
    Transaction(TransactionHandle),
    Bulk(Shared<BulkLoader>),
}

impl Source {
    /// Reads from it: of a database, its newest state.
    pub fn read<T>(&self, f: impl FnOnce(&dyn Graph) -> Outcome<T>) -> Outcome<T> {
        caught(|| match self {
            Self::Database(db) => f(&db.snapshot()?),
            Self::View(view, _) => f(&*view.view()?),
            Self::Transaction(tx) => tx.with(|tx| Ok(f(tx)))?,
            Self::Bulk(bulk) => with(bulk, "bulk load", |bulk| Ok(f(&**bulk)))?,
        })
    }

    /// Writes to it: to a database, as a transaction of its own.
    pub fn write<T: Send>(&self, py: Python<'_>, f: impl FnOnce(&mut Transaction) -> Result<T> + Send) -> Outcome<T> {
        match self {
            Self::Database(_) => py.detach(|| self.write_detached(f)),
            _ => self.write_detached(f),
        }
    }

    /// The same for who has given the GIL up already, or need not.
    pub fn write_detached<T>(&self, f: impl FnOnce(&mut Transaction) -> Result<T>) -> Outcome<T> {
        caught(|| {
            Ok(match self {
                Self::Database(db) => db.transaction(f)?,
                Self::View(..) => return Err(Error::new(ErrorCode::ReadOnly, "a snapshot is only read").into()),
                Self::Transaction(tx) => tx.with(f)?,
                Self::Bulk(bulk) => with(bulk, "bulk load", |bulk| f(bulk)).map_err(of_batch)?,
            })
        })
    }

    /// What reads the state that it shows now, for as long as that is held.
    pub fn held(&self) -> Outcome<Self> {
        calls::enter();
        Ok(match self {
            Self::Database(db) => Self::View(db.snapshot()?.with_origin(ORIGIN.clone()).into_handle(), db.clone()),
            other => other.clone(),
        })
    }
}

/// A batch grows until the next step: where it is too large, one who is told to use a bulk loader uses one already.
fn of_batch(e: Error) -> Error {
    if e.code() != ErrorCode::TransactionTooLarge {
        return e;
    }
    e.context("The batch of this bulk load is too large: write less by each call, and call step() between them")
}

/// What statistics call who holds a state here, unless he says otherwise.
static ORIGIN: LazyLock<Arc<str>> = LazyLock::new(|| "python".into());

/// Lets `f` work with what is shared, if it is not finished.
pub fn with<T, U>(shared: &Shared<T>, what: &str, f: impl FnOnce(&mut T) -> Result<U>) -> Result<U> {
    // A call of another thread may work with it for long, and without the GIL, which this one has.
    let mut held = shared.try_lock().ok_or_else(|| in_use(what))?;
    f(held.as_mut().ok_or_else(|| finished(what))?)
}

/// Takes what is shared out of everybody's hands.
pub fn take<T>(shared: &Shared<T>, what: &str) -> Result<T> {
    shared.try_lock().ok_or_else(|| in_use(what))?.take().ok_or_else(|| finished(what))
}

/// Drops what may take long, without the GIL.
pub fn let_go(held: impl Send) {
    // At the end of the interpreter there is no GIL to give up: then it is dropped with the closure, as it is.
    let _ = Python::try_attach(move |py| py.detach(move || drop(held)));
}

/// A database in the hands of Python. Its last handle closes it, which takes time.
#[derive(Clone)]
pub struct Owned(Option<Database>);

impl Owned {
    pub fn new(db: Database) -> Self {
        Self(Some(db))
    }
}

impl Deref for Owned {
    type Target = Database;

    fn deref(&self) -> &Database {
        let Some(db) = &self.0 else { unreachable!("only a drop takes it") };
        db
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let_go(self.0.take());
    }
}
