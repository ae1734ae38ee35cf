//! TLS of the server's own, with client certificates where they are asked for.

use super::environment::TlsFiles;
use crate::{
    ConfigError,
    auth::ClientCertificate,
    owned::read_owned,
    regular::{open_regular, read_bounded},
    watched::Watched,
};
use std::{fmt, io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

/// Its files may change: who comes then is answered by what they say then, and connections that are there go on.
#[derive(Clone)]
pub(super) struct Tls(Watched<TlsAcceptor>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(...)")
    }
}

impl Tls {
    pub fn new(files: &TlsFiles) -> Result<Self, ConfigError> {
        let watched = [Some(&files.certificate), Some(&files.key), files.client_roots.as_ref()];
        let (watched, files) = (watched.into_iter().flatten().cloned().collect(), files.clone());
        Ok(Self(Watched::new(watched, move || acceptor_of(&files))?))
    }

    /// The stream, and the certificate that the client has shown and that verified. A session that is resumed has that of its
    /// beginning.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Option<ClientCertificate>)> {
        self.0.look().await;
        let stream = self.0.current().accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.map(|certificate| ClientCertificate::of(certificate));
        Ok((stream, shown))
    }
}

fn acceptor_of(files: &TlsFiles) -> Result<TlsAcceptor, ConfigError> {
    let certificates = certificates_of(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read_owned(&files.key, "the private key")?)
        .map_err(|e| ConfigError::new(format!("{} has no private key in PEM: {e}", files.key.display())))?;
    let provider = Arc::new(ring::default_provider());
    let unusable = |e: &dyn fmt::Display| {
        ConfigError::new(format!("{} and {} cannot be served: {e}", files.certificate.display(), files.key.display()))
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(&e))?;
    let builder = match &files.client_roots {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates_of(path)? {
                roots.add(root).map_err(|e| ConfigError::new(format!("{}: {e}", path.display())))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if files.reject_unauthorized { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier.build();
            builder
                .with_client_cert_verifier(verifier.map_err(|e| ConfigError::new(format!("{}: {e}", path.display())))?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let wrong =
        |what: &dyn fmt::Display| ConfigError::new(format!("{} has no certificate in PEM{what}", path.display()));
    let all = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|e| wrong(&format_args!(": {e}")))?;
    if all.is_empty() { Err(wrong(&"")) } else { Ok(all) }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let read = open_regular(path).and_then(|(file, _)| read_bounded(file));
    read.map_err(|e| ConfigError::new(format!("cannot read {}: {e}", path.display())))
}
