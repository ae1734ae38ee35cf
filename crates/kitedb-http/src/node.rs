//! The database that is served: one that this process has open, or a file that another one may have open.

use crate::{error::Failure, growth::Growth, kept::Kept, snapshots::Snapshots};
use kitedb_core::{Database, OpenOptions};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many calls of the engine run at once; whoever comes beyond that is told to come again.
pub(crate) const CALLS: usize = 64;

/// Where the database is.
#[derive(Debug, Clone)]
enum Place {
    /// Open here, for as long as the router lives.
    Held(Database),
    /// Looked at anew by each request, so that it shows what is published then; opened for writing by what must write.
    Beside(PathBuf, Box<OpenOptions>),
}

/// A database, and the calls that run on it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    place: Place,
    calls: Arc<Semaphore>,
    /// What the graph is read from, where it is not open here.
    kept: Arc<Kept>,
    /// How far its log has come.
    pub growth: Arc<Growth>,
    /// The copies of it that are fetched.
    pub snapshots: Snapshots,
}

impl Node {
    pub fn held(database: Database) -> Self {
        let growth = Growth::new(database.path().to_owned(), Box::default());
        Self::new(Place::Held(database), growth)
    }

    pub fn beside(path: PathBuf, options: Box<OpenOptions>) -> Self {
        let growth = Growth::new(path.clone(), options.clone());
        Self::new(Place::Beside(path, options), growth)
    }

    fn new(place: Place, growth: Arc<Growth>) -> Self {
        Self {
            place,
            calls: Arc::new(Semaphore::new(CALLS)),
            kept: Arc::default(),
            growth,
            snapshots: Snapshots::default(),
        }
    }

    /// The database, where it is open here.
    pub fn held_here(&self) -> Option<&Database> {
        match &self.place {
            Place::Held(database) => Some(database),
            Place::Beside(..) => None,
        }
    }

    /// Reads from it, in a thread that may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(self.permit()?, call, |options| options.read_only(true)).await
    }

    /// Reads its graph or its log, as all that is published by now has it. What it says of who follows it may be older.
    pub async fn read_graph<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.read_newest(self.permit()?, call).await
    }

    /// The same, in its turn: for who has waited and goes on to wait where as many calls run as may.
    pub async fn read_graph_in_turn<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.calls.clone().acquire_owned().await.map_err(|_| Failure::busy())?;
        self.read_newest(permit, call).await
    }

    async fn read_newest<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (place, kept) = (self.place.clone(), self.kept.clone());
        in_a_thread(permit, move || match place {
            Place::Held(database) => call(&database),
            Place::Beside(path, options) => call(&kept.newest(move || Database::open(path, options.read_only(true)))?),
        })
        .await
    }

    /// As [`Node::read_graph`], of what is little: in the thread that asks, where the database is open already. To hand such a call to
    /// another thread takes longer than the call.
    pub async fn read_little<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let open = match &self.place {
            Place::Held(database) => Some(database.clone()),
            Place::Beside(..) => self.kept.current(),
        };
        match open {
            Some(database) => {
                let _permit = self.permit()?;
                catch_unwind(AssertUnwindSafe(|| call(&database))).unwrap_or_else(|_| Err(Failure::panicked()))
            }
            None => self.read_graph(call).await,
        }
    }

    /// As [`Node::read`], in its turn.
    pub async fn read_in_turn<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.calls.clone().acquire_owned().await.map_err(|_| Failure::busy())?;
        self.run(permit, call, |options| options.read_only(true)).await
    }

    /// The same with one that writes. [`kitedb_core::ErrorCode::Locked`] where another process has it open for writing.
    pub async fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // No request makes a database.
        self.run(self.permit()?, call, |options| options.create_if_missing(false)).await
    }

    /// A place among the calls that may run at once, if there is one.
    fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.calls.clone().try_acquire_owned().map_err(|_| Failure::busy())
    }

    async fn run<T: Send + 'static>(
        &self,
        permit: OwnedSemaphorePermit,
        call: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
        with: fn(OpenOptions) -> OpenOptions,
    ) -> Result<T, Failure> {
        let place = self.place.clone();
        in_a_thread(permit, move || match place {
            Place::Held(database) => call(&database),
            Place::Beside(path, options) => {
                let database = Database::open(path, with(*options))?;
                let answer = call(&database);
                // What was written is told of by its own call; that the handle closed is no part of the answer.
                if let Err(e) = database.close() {
                    tracing::warn!("a database that was opened for a request did not close well: {e}");
                }
                answer
            }
        })
        .await
    }
}

/// Does what may wait, in a thread for that.
async fn in_a_thread<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::panicked()))
}
