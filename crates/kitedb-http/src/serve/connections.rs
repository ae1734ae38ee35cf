//! Connections: accepted, secured, bounded in number and time, and drained at the end.

use super::{listener::Listener, tls::Tls};
use crate::auth::Handshake;
use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, header},
    middleware::{Next, from_fn},
    response::Response,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// So many connections are open at once; whoever comes beyond that waits to be let in.
const MOST: usize = 4096;
/// So long a handshake may take, and the head of a request to arrive.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(10);
/// So long nobody is let in after that failed for want of something, such as open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// So long requests under way keep a stop waiting.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the head of a request at most.
const MAX_HEAD: usize = 64 << 10;

/// Somebody who connected.
enum Accepted {
    /// To the port, from there.
    Port(TcpStream, SocketAddr),
    /// To the socket: from this machine, by an account that may.
    Socket(UnixStream),
}

enum Waiting {
    Port(TcpListener),
    Socket(UnixListener),
}

impl Waiting {
    fn at(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Port(listener) => Self::Port(TcpListener::from_std(listener)?),
            Listener::Socket(listener) => Self::Socket(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Port(listener) => {
                let (stream, peer) = listener.accept().await?;
                Accepted::Port(stream, peer)
            }
            Self::Socket(listener) => Accepted::Socket(listener.accept().await?.0),
        })
    }
}

pub async fn serve(listener: Listener, tls: Option<Tls>, router: Router, mut stopped: watch::Receiver<bool>) {
    let listener = match Waiting::at(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("the server cannot wait for connections: {e}"),
    };
    let room = Arc::new(Semaphore::new(MOST));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("a connection was not accepted: {e}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, router, watcher) = (tls.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            match accepted {
                Accepted::Port(stream, peer) => connected(stream, peer, tls, router, watcher).await,
                Accepted::Socket(stream) => requests(stream, None, Handshake(None), router, watcher).await,
            }
        });
    }
    drop(listener);
    if timeout(STOP_PATIENCE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests under way were cut off");
    }
}

async fn connected(stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, router: Router, watcher: Watcher) {
    // What is answered is written at once, and whole.
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, Some(peer), Handshake(None), router, watcher).await,
        Some(tls) => match timeout(ARRIVAL_PATIENCE, tls.accept(stream)).await {
            Ok(Ok((stream, shown))) => {
                requests(stream, Some(peer), Handshake(shown.map(Arc::new)), router, watcher).await
            }
            Ok(Err(e)) => tracing::debug!(%peer, "a TLS handshake failed: {e}"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        },
    }
}

async fn requests<S>(stream: S, peer: Option<SocketAddr>, handshake: Handshake, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = match peer {
        Some(peer) => router.layer(axum::Extension(ConnectInfo(peer))),
        None => router,
    };
    let service = router.layer(axum::Extension(handshake)).layer(from_fn(end_after_chunks));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(e) = watcher.watch(connection).await {
        tracing::debug!(?peer, "a connection ended: {e}");
    }
}

/// A proxy that takes the length of such a body from `Content-Length` forwards a request within it, which would be read here as one of
/// the proxy's own. Nothing that comes after it is read.
async fn end_after_chunks(request: Request, next: Next) -> Response {
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if is_chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
