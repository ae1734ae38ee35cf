//! A server of its own: `kitedb serve`.

mod connections;
mod environment;
mod tls;

pub use environment::{ServeOptions, TlsFiles};

use crate::{AuthMode, ConfigError, access, node::Node, router_of, routes::guard};
use axum::middleware::from_fn_with_state;
use kitedb_core::{Database, OpenOptions};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tls::Tls;
use tokio::{runtime::Builder, sync::watch};

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
    address: SocketAddr,
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
        let node = match served {
            Served::Held(database) => Node::held(database),
            Served::Beside(path, with) => Node::beside(path, with),
        };
        options.require_safe()?;
        let mut router = router_of(node, &options.auth)?;
        if options.auth.effective_mode()? == AuthMode::None {
            let host: Arc<str> = options.host.as_str().into();
            router = router.layer(from_fn_with_state(host, guard::refuse_names));
        }
        let router = access::logged(router);
        let tls = options.tls.as_ref().map(Tls::new).transpose()?;
        let listen = |source| ServeError::Listen { address: format!("{}:{}", options.host, options.port), source };
        let listener = TcpListener::bind((options.host.as_str(), options.port)).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kitedb-serve")
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let (stop, stopped) = watch::channel(false);
        let secured = tls.is_some();
        let work = move || runtime.block_on(connections::serve(listener, tls, router, stopped));
        let thread = thread::Builder::new().name("kitedb-serve".to_owned()).spawn(work).map_err(ServeError::Start)?;
        Ok(Self { address, tls: secured, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let shown = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => format!("localhost:{}", self.address.port()),
            IpAddr::V6(ip) if ip.is_unspecified() => format!("localhost:{}", self.address.port()),
            _ => self.address.to_string(),
        };
        format!("{scheme}://{shown}")
    }

    /// Lets nobody in any more, waits for what is under way for at most 10 s, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server ended by a panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
