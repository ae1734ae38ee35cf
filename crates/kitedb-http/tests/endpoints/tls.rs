//! TLS of the server's own, with real handshakes: who has a certificate, and whose header is believed.

use super::{
    certificates::{Authority, Pair},
    server::primary,
    tokens::tokens_file,
};
use kitedb_core::Database;
use kitedb_http::{ServeError, ServeOptions, Served, Server};
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// The variables of a server whose certificates lie in `dir`, and more.
pub fn options(dir: &Path, more: &[(&str, &str)]) -> ServeOptions {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let mut variables = BTreeMap::from([
        ("PORT", "0".to_owned()),
        ("REPLICATION_ADMIN_AUTH_MODE", "mtls".to_owned()),
        ("PLAYGROUND_TLS_CERT_FILE", file("server.pem")),
        ("PLAYGROUND_TLS_KEY_FILE", file("server.key")),
        ("PLAYGROUND_TLS_CA_FILE", file("clients.pem")),
        ("PLAYGROUND_TLS_REQUEST_CERT", "true".to_owned()),
        ("REPLICATION_MTLS_NATIVE_TLS", "true".to_owned()),
    ]);
    variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    ServeOptions::from_variables(|name| variables.get(name).cloned()).unwrap()
}

/// A folder with a primary, and with certificates of the server and of the authority of its clients.
pub fn stage() -> (tempfile::TempDir, Database, Authority, Authority) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let Pair { cert, key } = servers.server();
    for (name, pem) in [("server.pem", &cert), ("server.key", &key), ("clients.pem", &clients.pem)] {
        fs::write(dir.path().join(name), pem).unwrap();
    }
    (dir, db, servers, clients)
}

/// A client that trusts these authorities, and shows that certificate.
pub fn client_of(servers: &[&Authority], pair: Option<&Pair>) -> ClientBuilder {
    let roots = servers.iter().map(|authority| Certificate::from_pem(authority.pem.as_bytes()).unwrap());
    let trusting = Client::builder().tls_certs_only(roots);
    match pair {
        Some(pair) => trusting.identity(Identity::from_pem(format!("{}{}", pair.cert, pair.key).as_bytes()).unwrap()),
        None => trusting,
    }
}

fn client(servers: &Authority, pair: Option<&Pair>) -> Client {
    client_of(&[servers], pair).build().unwrap()
}

async fn status(client: &Client, server: &Server, header: Option<&str>) -> Option<StatusCode> {
    let mut asked = client.get(format!("{}/metrics", server.url()));
    if let Some(subject) = header {
        asked = asked.header("x-forwarded-client-cert", subject);
    }
    asked.send().await.ok().map(|answer| answer.status())
}

#[tokio::test]
async fn a_certificate_is_checked_in_the_handshake() {
    let (dir, db, servers, clients) = stage();
    let server = Server::start(Served::Held(db), &options(dir.path(), &[])).unwrap();
    assert!(server.url().starts_with("https://"));
    let known = client(&servers, Some(&clients.client("admin")));
    assert_eq!(status(&known, &server, None).await, Some(StatusCode::OK));
    // Neither without one, nor with one of another authority, is anybody let in.
    assert_eq!(status(&client(&servers, None), &server, None).await, None);
    let stranger = client(&servers, Some(&Authority::new("others").client("admin")));
    assert_eq!(status(&stranger, &server, None).await, None);
    let url = server.url();
    server.stop();
    assert!(known.get(format!("{url}/metrics")).send().await.is_err());
}

#[tokio::test]
async fn a_header_beside_a_certificate_counts_from_a_proxy_that_is_named_and_from_nobody_else() {
    let (dir, db, servers, clients) = stage();
    let by_header = [("REPLICATION_MTLS_SUBJECT_REGEX", "CN=admin")];
    let server = Server::start(Served::Held(db.clone()), &options(dir.path(), &by_header)).unwrap();
    let anybody = client(&servers, Some(&clients.client("eve")));
    // The subject is asked of a header, and there is nobody whose header is believed.
    assert_eq!(status(&anybody, &server, None).await, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(status(&anybody, &server, Some("CN=admin")).await, Some(StatusCode::UNAUTHORIZED));
    let proxied = [by_header[0], ("REPLICATION_TRUSTED_PROXIES", "loopback")];
    let server = Server::start(Served::Held(db), &options(dir.path(), &proxied)).unwrap();
    assert_eq!(status(&anybody, &server, Some("CN=admin")).await, Some(StatusCode::OK));
    assert_eq!(status(&anybody, &server, Some("CN=eve")).await, Some(StatusCode::FORBIDDEN));
    assert_eq!(status(&anybody, &server, None).await, Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn the_subject_of_the_certificate_itself_says_who_is_admitted() {
    let (dir, db, servers, clients) = stage();
    let file = tokens_file(dir.path(), &["metrics", "follow"]);
    let by_subject = [("REPLICATION_MTLS_NATIVE_SUBJECT_REGEX", "CN=admin")];
    let beside_file = [by_subject[0], ("KITEDB_TOKENS_FILE", file.to_str().unwrap())];
    let only_file = [("KITEDB_TOKENS_FILE", file.to_str().unwrap())];
    for (variables, name, expected) in [
        (&by_subject[..], "admin", StatusCode::OK),
        (&by_subject, "administrator", StatusCode::FORBIDDEN),
        (&by_subject, "eve,CN=admin", StatusCode::FORBIDDEN),
        (&by_subject, "metrics", StatusCode::FORBIDDEN),
        (&beside_file, "admin", StatusCode::OK),
        (&beside_file, "metrics", StatusCode::OK),
        (&beside_file, "follow", StatusCode::FORBIDDEN),
        (&beside_file, "eve", StatusCode::FORBIDDEN),
        (&only_file, "metrics", StatusCode::OK),
        (&only_file, "admin", StatusCode::FORBIDDEN),
    ] {
        let server = Server::start(Served::Held(db.clone()), &options(dir.path(), variables)).unwrap();
        let client = client(&servers, Some(&clients.client(name)));
        assert_eq!(status(&client, &server, None).await, Some(expected), "{variables:?} {name}");
        // A header says nothing, whatever it says.
        assert_eq!(status(&client, &server, Some("CN=admin")).await, Some(expected), "{variables:?} {name}");
        assert_eq!(status(&client, &server, Some("CN=eve")).await, Some(expected), "{variables:?} {name}");
    }
}

#[test]
fn files_that_hold_something_else_are_served_to_nobody() {
    let (dir, db, _, _) = stage();
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    // One that nobody writes to is not waited for, and one without an end is not read.
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe.pem")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("endless.pem")).unwrap();
    fs::copy(dir.path().join("server.key"), dir.path().join("open.key")).unwrap();
    fs::set_permissions(dir.path().join("open.key"), Permissions::from_mode(0o666)).unwrap();
    for (variable, file, says) in [
        ("PLAYGROUND_TLS_CERT_FILE", "none.pem", "cannot read"),
        ("PLAYGROUND_TLS_CERT_FILE", "pipe.pem", "no regular file"),
        ("PLAYGROUND_TLS_KEY_FILE", "endless.pem", "no regular file"),
        ("PLAYGROUND_TLS_CERT_FILE", "empty.pem", "has no certificate"),
        ("PLAYGROUND_TLS_KEY_FILE", "server.pem", "has no private key"),
        ("PLAYGROUND_TLS_KEY_FILE", "open.key", "may be written to by others"),
        ("PLAYGROUND_TLS_CA_FILE", "empty.pem", "has no certificate"),
        ("PLAYGROUND_TLS_CERT_FILE", "clients.pem", "cannot be served"),
    ] {
        let path = dir.path().join(file);
        let error =
            Server::start(Served::Held(db.clone()), &options(dir.path(), &[(variable, path.to_str().unwrap())]))
                .unwrap_err();
        assert!(matches!(error, ServeError::Config(_)) && error.to_string().contains(says), "{error}");
    }
}
