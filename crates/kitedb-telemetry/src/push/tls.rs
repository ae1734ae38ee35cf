//! Whom a push trusts, and as whom it appears: read from PEM files once, the same for both transports.

use crate::{
    endpoint::Endpoint,
    error::{Result, TelemetryError},
    options::OtlpTransport,
    settings::TlsFiles,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{fs::File, io::Read as _, path::Path, sync::Arc};
use tonic::transport::{ClientTlsConfig, Identity};

/// No PEM file is longer.
const FILE_LIMIT: u64 = 4 << 20;

/// The bundled roots, a custom CA beside them, and an identity, where they were given.
pub(crate) struct TlsMaterial {
    roots: RootCertStore,
    identity: Option<ClientIdentity>,
}

struct ClientIdentity {
    cert_pem: Vec<u8>,
    key_pem: Vec<u8>,
    certs: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsMaterial {
    /// Reads the files.
    ///
    /// # Errors
    /// `InvalidOption`, naming option and path, for one that is not there or does not hold what it should; for half
    /// an identity; for any of them with an endpoint that is not https.
    pub fn load(transport: OtlpTransport, endpoint: &Endpoint, files: &TlsFiles) -> Result<Self> {
        let invalid = |what: &str| TelemetryError::InvalidOption(what.to_owned());
        let identity = match (&files.client_cert, &files.client_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(invalid("mTLS requires both client_cert_pem_path and client_key_pem_path")),
        };
        if (identity.is_some() || files.ca.is_some()) && !endpoint.is_https() {
            return Err(invalid("custom TLS/mTLS configuration requires an https endpoint"));
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &files.ca {
            let file = PemFile { transport, option: "ca_cert_pem_path", path };
            let (trusted, _) = roots.add_parsable_certificates(file.certificates(&file.read()?)?);
            if trusted == 0 {
                return Err(file.invalid("No valid CA certificates found", ""));
            }
        }
        let identity = match identity {
            Some((cert, key)) => {
                let cert = PemFile { transport, option: "client_cert_pem_path", path: cert };
                let key = PemFile { transport, option: "client_key_pem_path", path: key };
                let (cert_pem, key_pem) = (cert.read()?, key.read()?);
                Some(ClientIdentity {
                    certs: cert.certificates(&cert_pem)?,
                    key: key.private_key(&key_pem)?,
                    cert_pem,
                    key_pem,
                })
            }
            None => None,
        };
        let material = Self { roots, identity };
        // A key that does not belong to the certificate shows here and not first at the handshake.
        material.rustls(true)?;
        Ok(material)
    }

    /// For HTTP: to the collector with the identity, to others without.
    pub fn rustls(&self, with_identity: bool) -> Result<ClientConfig> {
        let refused = |cause: rustls::Error| {
            TelemetryError::InvalidOption(format!("Invalid OTLP client certificate/key for mTLS: {cause}"))
        };
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(self.roots.clone());
        match self.identity.as_ref().filter(|_| with_identity) {
            Some(identity) => {
                config.with_client_auth_cert(identity.certs.clone(), identity.key.clone_key()).map_err(refused)
            }
            None => Ok(config.with_no_client_auth()),
        }
    }

    /// For gRPC.
    pub fn tonic(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().trust_anchors(self.roots.roots.iter().cloned());
        match &self.identity {
            Some(identity) => config.identity(Identity::from_pem(&identity.cert_pem, &identity.key_pem)),
            None => config,
        }
    }
}

/// One file of PEM, and how to tell what is wrong with it: each transport has phrases of its own.
struct PemFile<'a> {
    transport: OtlpTransport,
    option: &'static str,
    path: &'a Path,
}

impl PemFile<'_> {
    fn read(&self) -> Result<Vec<u8>> {
        let mut pem = Vec::new();
        let read = File::open(self.path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut pem));
        let grpc = self.transport == OtlpTransport::Grpc;
        if let Err(cause) = read {
            let phrase = if grpc { "Failed reading" } else { "Failed opening" };
            return Err(self.named(format!("{phrase} {} {}: {cause}", self.option, self.path.display())));
        }
        if grpc && pem.iter().all(u8::is_ascii_whitespace) {
            return Err(self.named(format!("{} {} is empty", self.option, self.path.display())));
        }
        Ok(pem)
    }

    fn certificates(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| self.invalid("Failed parsing certificates", &format!(": {cause}")))?;
        if certificates.is_empty() {
            return Err(self.invalid("No certificates found", ""));
        }
        Ok(certificates)
    }

    fn private_key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
        // The cause could quote the file, which is a secret.
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| self.invalid("No private key found", ""))
    }

    fn invalid(&self, phrase: &str, cause: &str) -> TelemetryError {
        let prefix = match self.transport {
            OtlpTransport::Grpc => "Invalid OTLP gRPC TLS configuration: ",
            _ => "",
        };
        self.named(format!("{prefix}{phrase} in {} {}{cause}", self.option, self.path.display()))
    }

    fn named(&self, text: String) -> TelemetryError {
        TelemetryError::InvalidOption(text)
    }
}
