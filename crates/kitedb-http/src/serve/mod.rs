//! A server of its own: `kitedb serve`.

mod connections;
mod environment;
mod listener;
mod patience;
mod several;
mod tls;

pub use environment::{ServeOptions, TlsFiles};

use crate::{
    AuthMode, ConfigError,
    auth::Authorizer,
    node::{CALLS, Node},
    routes::{self, App, Parts, guard},
};
use axum::Router;
use kitedb_core::{Database, OpenOptions};
use listener::{Listener, Place};
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tls::Tls;
use tokio::{runtime::Builder, sync::watch};

/// So many threads read what is sent by parts, beside those of calls.
const OTHER_THREADS: usize = 16;
/// So many threads wait for files at most, however many databases there are.
const MOST_THREADS: usize = 512;

/// What is served.
#[derive(Debug)]
#[non_exhaustive]
pub enum Served {
    /// A database that this process has open.
    Held(Database),
    /// A file that another process may have open: see [`router_beside`](crate::router_beside).
    Beside(PathBuf, Box<OpenOptions>),
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Options that cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port cannot be listened at.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// `host:port`.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// There are no threads for it.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
}

/// A server, until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    place: Place,
    tls: bool,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and serves from threads of its own. All options are looked over before.
    ///
    /// # Errors
    /// Of the options, of the port.
    pub fn start(served: Served, options: &ServeOptions) -> Result<Self, ServeError> {
        Self::serving(options, 1, |app| Ok(routes::routes(app(served))))
    }

    /// The same with several databases, each at `/db/NAME/`: `/db/social/api/replication/status`. `/healthz` and `/readyz` are those
    /// of all.
    ///
    /// # Errors
    /// Two of one name, or a name that is empty; those of [`Server::start`].
    pub fn start_several(served: Vec<(String, Served)>, options: &ServeOptions) -> Result<Self, ServeError> {
        several::require_names(&served)?;
        Self::serving(options, served.len(), |app| {
            let all = served.into_iter().map(|(name, served)| (name, app(served)));
            Ok(several::routes(all.collect()))
        })
    }

    fn serving(
        options: &ServeOptions,
        databases: usize,
        router_of: impl FnOnce(&dyn Fn(Served) -> App) -> Result<Router, ServeError>,
    ) -> Result<Self, ServeError> {
        let inherited = if options.inherited { listener::inherited()? } else { None };
        let only_here = match (&inherited, &options.socket) {
            (Some((_, place)), _) => place.is_only_here(),
            (None, Some(_)) => true,
            (None, None) => environment::is_loopback(&options.host),
        };
        options.require_safe(inherited.is_some(), only_here)?;
        let authorizer = Arc::new(Authorizer::new(&options.auth)?);
        let (stop, stopped) = watch::channel(false);
        let app = |served| {
            let node = match served {
                Served::Held(database) => {
                    warn_if_fenced(&database);
                    Node::held(database)
                }
                Served::Beside(path, with) => Node::beside(path, with),
            };
            let stopping = Some(stopped.clone());
            Parts { node, authorizer: authorizer.clone(), ready_lag: options.ready_lag, stopping }.into()
        };
        let router = router_of(&app)?;
        let at_socket = match &inherited {
            Some((_, place)) => place.is_socket(),
            None => options.socket.is_some(),
        };
        // No page reaches a socket in the file system.
        let named = options.auth.effective_mode()? == AuthMode::None && !at_socket;
        let router = guard::front(router, named.then(|| options.host.as_str().into()));
        let tls = options.tls.as_ref().map(Tls::new).transpose()?;
        let (listener, place) = match (inherited, &options.socket) {
            (Some(inherited), _) => inherited,
            (None, Some(path)) => Listener::at_socket(path)?,
            (None, None) => Listener::at_port(&options.host, options.port)?,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            // A call gives its place to the next one a little before its thread is free for that: without a bound, each commit that many
            // wait for would begin hundreds of threads.
            .max_blocking_threads((CALLS * databases + OTHER_THREADS).min(MOST_THREADS))
            .thread_name("kitedb-serve")
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let secured = tls.is_some();
        let work = move || runtime.block_on(connections::serve(listener, tls, router, stopped));
        let thread = thread::Builder::new().name("kitedb-serve".to_owned()).spawn(work).map_err(ServeError::Start)?;
        Ok(Self { place, tls: secured, stop, thread: Some(thread) })
    }

    /// Where it listens: `http://127.0.0.1:3000`, `unix:/run/kitedb.sock`.
    pub fn url(&self) -> String {
        self.place.url(self.tls)
    }

    /// Lets nobody in any more, waits for what is under way for at most 10 s, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the server ended by a panic");
            }
            self.place.leave();
        }
    }
}

/// Says at once what would be found out by the first commit that is refused.
fn warn_if_fenced(database: &Database) {
    let status = database.primary_replication_status().ok().flatten();
    if let Some(fence) = status.filter(|status| status.fenced).and_then(|status| status.fence) {
        tracing::warn!(
            epoch = fence.epoch,
            "another node took over from this primary: it only reads until it follows that one"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
