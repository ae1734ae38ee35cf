//! Connections: accepted, secured, bounded in number and time, and drained at the end.

use super::{
    listener::Listener,
    patience::{Arriving, Taken},
    tls::Tls,
};
use crate::auth::Handshake;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, header},
    middleware::{Next, from_fn},
    response::Response,
};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use rustix::process::{Resource, getrlimit};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// So many connections are open at once, where there are descriptors for them; whoever comes beyond that waits to be let in.
const MOST: usize = 4096;
/// So many descriptors are left to the databases, of which each call may open one, and to whatever else the process has open.
const OTHER_FILES: u64 = 512;
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

/// How many connections are open at once, of a process that may have so many descriptors. If they took the last one, no request that
/// was let in could open its database.
fn places(descriptors: Option<u64>) -> usize {
    let left = descriptors.map(|all| all.saturating_sub(OTHER_FILES).max(all / 4));
    left.and_then(|left| usize::try_from(left).ok()).unwrap_or(MOST).min(MOST)
}

pub async fn serve(listener: Listener, tls: Option<Tls>, router: Router, mut stopped: watch::Receiver<bool>) {
    let listener = match Waiting::at(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!("the server cannot wait for connections: {e}"),
    };
    let router = router.layer(from_fn(end_after_chunks));
    let room = Arc::new(Semaphore::new(places(getrlimit(Resource::Nofile).current)));
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
    // What is known of the connection goes with each of its requests. A layer of the router would be a router for each connection.
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Arriving::new(body)));
        request.extensions_mut().insert(handshake.clone());
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Taken::new(stream)), service);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;
    use axum::{
        body::Bytes,
        extract::rejection::BytesRejection,
        routing::{get, post},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    /// A connection to a server that is reached by nobody else.
    fn connection() -> DuplexStream {
        async fn answer(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Failure> {
            body.map_err(|rejection| Failure::unread(&rejection))
        }
        let router = Router::new().route("/echo", post(answer)).route("/long", get(|| async { vec![b'x'; 1 << 20] }));
        let (client, server) = duplex(4096);
        tokio::spawn(async move {
            let graceful = GracefulShutdown::new();
            requests(server, None, Handshake(None), router, graceful.watcher()).await;
        });
        client
    }

    /// Sends that and then `drip` each second, and what is answered until the connection is ended. The clock goes on by itself when
    /// nothing else can, so that it takes no time.
    async fn answered(sent: &str, drip: &'static str) -> String {
        let (mut taking, mut sending) = tokio::io::split(connection());
        sending.write_all(sent.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if sending.write_all(drip.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let mut all = String::new();
        taking.read_to_string(&mut all).await.unwrap();
        dripping.abort();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_go_on_with_a_request_is_ended() {
        const ASKED: &str = "POST /echo HTTP/1.1\r\nHost: localhost\r\n";
        for (sent, drip) in [
            (String::new(), ""),
            (String::new(), "P"),
            (String::new(), "\r\n"),
            (ASKED.to_owned(), ""),
            (ASKED.to_owned(), "x"),
            (ASKED.to_owned(), "X-More: a\r\n"),
        ] {
            assert_eq!(answered(&sent, drip).await, "", "{sent:?}, {drip:?}");
        }
        // One that was answered, and does not go on with the next.
        let whole = format!("{ASKED}Content-Length: 2\r\n\r\n{{}}");
        for drip in ["", "P"] {
            let told = answered(&whole, drip).await;
            assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("{}"), "{told}");
        }
        for (rest, drip) in [
            ("Content-Length: 1000\r\n\r\n{", ""),
            ("Content-Length: 1000\r\n\r\n{", " "),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", ""),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n"),
        ] {
            let told = answered(&format!("{ASKED}{rest}"), drip).await;
            assert!(told.starts_with("HTTP/1.1 408") && told.contains("\"TIMEOUT\""), "{rest:?}, {drip:?}: {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_ended_and_who_takes_it_slowly_is_not() {
        const ASKED: &[u8] = b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let began = Instant::now();
        let mut client = connection();
        client.write_all(ASKED).await.unwrap();
        // It is ended once nothing can be sent there any more.
        while client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
            assert!(began.elapsed() < Duration::from_secs(600));
        }
        let mut client = connection();
        client.write_all(ASKED).await.unwrap();
        let (mut taken, mut piece) = (0, vec![0; 64 << 10]);
        loop {
            sleep(Duration::from_secs(20)).await;
            match client.read(&mut piece).await.unwrap() {
                0 => break,
                more => taken += more,
            }
        }
        assert!(taken > 1 << 20, "{taken}");
    }

    #[test]
    fn connections_leave_descriptors_to_the_databases() {
        for (descriptors, expected) in [
            (Some(64), 16),
            (Some(600), 150),
            (Some(1024), 512),
            (Some(8192), MOST),
            (Some(u64::MAX), MOST),
            (None, MOST),
        ] {
            assert_eq!(places(descriptors), expected, "{descriptors:?}");
        }
    }
}
