//! What the JavaScript side holds, by number.
//!
//! A number stands for one thing for as long as the addon lives and is never given out again, so that whatever is used after
//! its end, or dropped in whatever order, is an error and nothing worse.

use kitedb::{
    BulkLoader, Database, Error, ErrorCode, ExportedSnapshot, Graph, Pending, Result, Transaction, TransactionHandle,
    ViewHandle, telemetry::Exporter,
};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Something that is used by one call at a time, until it is finished.
pub type Shared<T> = Arc<Mutex<Option<T>>>;

/// What a number stands for.
#[derive(Clone)]
pub enum Held {
    Database(Database),
    /// A database that was closed, and what its use is answered with. Nothing of it is in memory any more.
    Closed(Error),
    View(ViewHandle),
    Transaction(TransactionHandle),
    /// With the number of its database.
    Bulk(u64, Shared<BulkLoader>),
    Pending(Pending),
    Export(Arc<ExportedSnapshot>),
    /// Calls that flush it have it in hand, too, without keeping others from asking how it is.
    Exporter(Shared<Arc<Exporter>>),
}

/// All that one instance of the addon holds; each thread of Node has its own.
#[derive(Default)]
pub struct Handles(Mutex<Numbered>);

#[derive(Default)]
struct Numbered {
    last: u64,
    held: FxHashMap<u64, Held>,
}

impl Handles {
    pub fn add(&self, held: Held) -> u64 {
        let mut numbered = self.0.lock();
        numbered.last += 1;
        let number = numbered.last;
        numbered.held.insert(number, held);
        number
    }

    /// Puts back what was removed.
    pub fn restore(&self, number: u64, held: Held) {
        self.0.lock().held.insert(number, held);
    }

    pub fn get(&self, number: u64) -> Option<Held> {
        self.0.lock().held.get(&number).cloned()
    }

    /// Nothing happens for a number that is not there.
    pub fn remove(&self, number: u64) -> Option<Held> {
        self.0.lock().held.remove(&number)
    }

    pub fn len(&self) -> usize {
        self.0.lock().held.len()
    }

    pub fn database(&self, number: u64) -> Result<Database> {
        match self.get(number) {
            Some(Held::Database(db)) => Ok(db),
            Some(Held::Closed(e)) => Err(e),
            _ => Err(Error::new(ErrorCode::Closed, "Database is closed")),
        }
    }

    /// A database that was closed is closed again.
    pub fn closing(&self, number: u64) -> Option<Database> {
        match self.get(number) {
            Some(Held::Database(db)) => Some(db),
            _ => None,
        }
    }

    /// The database with that number is closed: what else is asked of it fails as the engine says, without keeping any of it.
    pub fn closed(&self, number: u64, db: &Database) {
        if let Err(e) = db.stats() {
            let mut numbered = self.0.lock();
            // The engine ends its views and transactions by itself.
            let of_it = |at: &u64, held: &Held| *at == number || matches!(held, Held::Bulk(of, _) if *of == number);
            let ended: Vec<Held> = numbered
                .held
                .iter_mut()
                .filter(|(at, held)| of_it(at, held))
                .map(|(_, held)| std::mem::replace(held, Held::Closed(e.clone())))
                .collect();
            // Dropped outside of the lock: what it ends may take its time.
            drop(numbered);
            drop(ended);
        }
    }

    pub fn view(&self, number: u64) -> Result<ViewHandle> {
        match self.get(number) {
            Some(Held::View(view)) => Ok(view),
            _ => Err(finished("view")),
        }
    }

    pub fn transaction(&self, number: u64) -> Result<TransactionHandle> {
        match self.get(number) {
            Some(Held::Transaction(tx)) => Ok(tx),
            _ => Err(finished("transaction")),
        }
    }

    pub fn bulk(&self, number: u64) -> Result<Shared<BulkLoader>> {
        match self.get(number) {
            Some(Held::Bulk(_, bulk)) => Ok(bulk),
            Some(Held::Closed(e)) => Err(e),
            _ => Err(finished("bulk load")),
        }
    }

    pub fn pending(&self, number: u64) -> Result<Pending> {
        match self.get(number) {
            Some(Held::Pending(pending)) => Ok(pending),
            _ => Err(finished("commit")),
        }
    }

    pub fn export(&self, number: u64) -> Result<Arc<ExportedSnapshot>> {
        match self.get(number) {
            Some(Held::Export(export)) => Ok(export),
            _ => Err(finished("exported snapshot")),
        }
    }

    pub fn exporter(&self, number: u64) -> Result<Shared<Arc<Exporter>>> {
        match self.get(number) {
            Some(Held::Exporter(exporter)) => Ok(exporter),
            _ => Err(finished("exporter")),
        }
    }

    /// Reads from what a number stands for: of a database, its newest state.
    pub fn read<T>(&self, number: u64, f: impl FnOnce(&dyn Graph) -> Result<T>) -> Result<T> {
        match self.get(number) {
            Some(Held::Database(db)) => f(&db.snapshot()?),
            Some(Held::Closed(e)) => Err(e),
            Some(Held::View(view)) => f(&*view.view()?),
            Some(Held::Transaction(tx)) => tx.with(|tx| f(tx)),
            Some(Held::Bulk(_, bulk)) => with(&bulk, "bulk load", |bulk| f(&**bulk)),
            _ => Err(finished("view or transaction")),
        }
    }

    /// Writes to a transaction, or to the batch of a bulk load.
    pub fn write<T>(&self, number: u64, f: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        match self.get(number) {
            Some(Held::Transaction(tx)) => tx.with(f),
            Some(Held::Bulk(_, bulk)) => with(&bulk, "bulk load", |bulk| f(bulk)),
            Some(Held::Closed(e)) => Err(e),
            _ => Err(finished("transaction")),
        }
    }
}

/// Lets `f` work with what is shared, if it is not finished.
pub fn with<T, U>(shared: &Shared<T>, what: &str, f: impl FnOnce(&mut T) -> Result<U>) -> Result<U> {
    // A call of another thread may work with it for long: this one may be the thread that nobody may block.
    let mut held = shared.try_lock().ok_or_else(|| in_use(what))?;
    f(held.as_mut().ok_or_else(|| finished(what))?)
}

/// Takes what is shared out of everybody's hands.
pub fn take<T>(shared: &Shared<T>, what: &str) -> Result<T> {
    shared.try_lock().ok_or_else(|| in_use(what))?.take().ok_or_else(|| finished(what))
}

pub fn in_use(what: &str) -> Error {
    Error::new(
        ErrorCode::Locked,
        format_args!("another call works with this {what}: wait until it is done, or begin another one"),
    )
}

pub fn finished(what: &str) -> Error {
    Error::new(ErrorCode::Finished, format_args!("this {what} is done with already: begin another one"))
}
