//! A collector over gRPC: tonic's server, and one that speaks just enough HTTP/2 to leave a call hanging.

use super::certificates::Pair;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    metrics_service_server::{MetricsService, MetricsServiceServer},
};
use std::{
    future,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

/// What becomes of a call.
#[derive(Clone)]
pub enum Answer {
    Ok,
    /// Taken but for so many points, with this message.
    Partial(i64, String),
    Fail(Status),
    /// Nothing, not even headers.
    Hang,
}

/// A call as it came.
#[derive(Debug, Clone)]
pub struct Call {
    pub metadata: MetadataMap,
    pub request: ExportMetricsServiceRequest,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().unwrap())
    }
}

/// How the service is offered.
#[derive(Default)]
pub struct Offer {
    pub tls: Option<Pair>,
    /// The authority of clients that are let in.
    pub clients: Option<String>,
    /// Whether it understands and speaks gzip.
    pub gzip: bool,
}

/// It listens until it is dropped. After the script it takes everything.
pub struct MetricsServer {
    port: u16,
    https: bool,
    service: Service,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Clone)]
struct Service {
    script: Arc<Mutex<std::vec::IntoIter<Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.calls.lock().unwrap().push(Call { metadata, request });
        let answer = self.script.lock().unwrap().next().unwrap_or(Answer::Ok);
        let partial_success = match answer {
            Answer::Ok => None,
            Answer::Partial(rejected_data_points, error_message) => {
                Some(ExportMetricsPartialSuccess { rejected_data_points, error_message })
            }
            Answer::Fail(status) => return Err(status),
            Answer::Hang => future::pending().await,
        };
        Ok(Response::new(ExportMetricsServiceResponse { partial_success }))
    }
}

impl MetricsServer {
    pub fn start(script: Vec<Answer>) -> Self {
        Self::offer(script, Offer::default())
    }

    pub fn offer(script: Vec<Answer>, offer: Offer) -> Self {
        let service =
            Service { script: Arc::new(Mutex::new(script.into_iter())), calls: Arc::new(Mutex::new(Vec::new())) };
        let (stop, stopped) = oneshot::channel();
        let (bound, port) = mpsc::channel();
        let https = offer.tls.is_some();
        let served = service.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                bound.send(incoming.local_addr().unwrap().port()).unwrap();
                let mut service = MetricsServiceServer::new(served).max_encoding_message_size(usize::MAX);
                if offer.gzip {
                    service =
                        service.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Gzip);
                }
                let mut server = Server::builder();
                if let Some(pair) = offer.tls {
                    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(pair.cert, pair.key));
                    if let Some(clients) = offer.clients {
                        tls = tls.client_ca_root(Certificate::from_pem(clients));
                    }
                    server = server.tls_config(tls).unwrap();
                }
                let serving = server.add_service(service).serve_with_incoming(incoming);
                tokio::select! {
                    served = serving => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { port: port.recv().unwrap(), https, service, stop: Some(stop), thread: Some(thread) }
    }

    /// With a path, which gRPC does not look at.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}/ignored", if self.https { "https" } else { "http" }, self.port)
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.service.calls.lock().unwrap().clone()
    }

    /// The only call so far.
    pub fn only(&self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1);
        calls.remove(0)
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers each call with the headers of a success, and never ends it: no message, no trailers.
pub struct WithoutTrailers {
    port: u16,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl WithoutTrailers {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = connections.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                thread::spawn(move || {
                    // Frames: length, type, flags, stream. SETTINGS, its acknowledgement, and HEADERS of stream 1 with
                    // `:status: 200` and `content-type: application/grpc`.
                    stream.read_exact(&mut [0; 24])?;
                    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])?;
                    stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0])?;
                    // The call must have begun before it can be answered.
                    let mut frame = [0; 9];
                    while frame[3] != 1 {
                        stream.read_exact(&mut frame)?;
                        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
                        stream.read_exact(&mut vec![0; length as usize])?;
                    }
                    stream.write_all(&[0, 0, 19, 1, 4, 0, 0, 0, 1, 0x88, 0x5f, 16])?;
                    stream.write_all(b"application/grpc")?;
                    while stream.read(&mut [0; 64])? > 0 {}
                    Ok::<_, std::io::Error>(())
                });
            }
        });
        Self { port, connections }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

impl Drop for WithoutTrailers {
    fn drop(&mut self) {
        for connection in self.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}
