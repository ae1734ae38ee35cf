//! Who may do what: each mode, with each token and each certificate, at each endpoint, by a model that is as simple as can be.

use super::{
    server::{TOKEN, by_token, primary},
    tokens::tokens_file,
};
use kitedb_http::AuthMode;
use reqwest::Client;
use serde_json::Value;
use std::{collections::BTreeSet, net::SocketAddr};
use tokio::net::TcpListener;

const SCOPES: [&str; 6] = ["metrics", "follow", "fence", "read", "write", "admin"];

/// Method, path, and the scope that it needs.
const ENDPOINTS: [(&str, &str, &str); 9] = [
    ("GET", "/metrics", "metrics"),
    ("GET", "/api/replication/metrics", "metrics"),
    ("GET", "/api/replication/snapshot/latest", "follow"),
    ("GET", "/api/replication/log", "follow"),
    ("GET", "/api/replication/transport/snapshot", "follow"),
    ("GET", "/api/replication/transport/log", "follow"),
    ("POST", "/api/replication/pull", "admin"),
    ("POST", "/api/replication/reseed", "admin"),
    ("POST", "/api/replication/promote", "admin"),
];

/// What a credential is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Credential {
    None,
    Wrong,
    Good(BTreeSet<&'static str>),
}

use Credential::{Good, None as Nothing, Wrong};

/// What is shown, and what that is good for; `administrator` is who needs no file for it.
fn credentials(administrator: &'static str) -> Vec<(Option<&'static str>, Credential)> {
    let everything = BTreeSet::from(SCOPES);
    let mut all = vec![(None, Nothing), (Some("stranger"), Wrong), (Some(administrator), Good(everything.clone()))];
    all.extend(SCOPES.map(|scope| {
        let good_for = if scope == "admin" { everything.clone() } else { BTreeSet::from([scope]) };
        (Some(scope), Good(good_for))
    }));
    all
}

/// Certificates that a header tells, what they are good for, and the proxy that is believed: of any other a header says nothing.
fn certificates() -> Vec<(Option<&'static str>, Credential, &'static str)> {
    let of_proxy = credentials("administrator").into_iter().map(|(name, good_for)| (name, good_for, "loopback"));
    let spoofed = ["administrator", "admin", "stranger"].map(|name| (Some(name), Nothing, "10.0.0.7"));
    of_proxy.chain(spoofed).collect()
}

/// What somebody may do, or the status with which he is turned away.
fn model(mode: AuthMode, token: &Credential, certificate: &Credential) -> Result<BTreeSet<&'static str>, u16> {
    match (mode, token, certificate) {
        (AuthMode::None, ..) => Ok(BTreeSet::from(SCOPES)),
        (AuthMode::Token, Good(scopes), _) => Ok(scopes.clone()),
        (AuthMode::Mtls, _, Good(scopes)) => Ok(scopes.clone()),
        (AuthMode::Mtls, _, Wrong) => Err(403),
        (AuthMode::TokenOrMtls, Good(one), Good(other)) => Ok(one | other),
        (AuthMode::TokenOrMtls, Good(one), _) | (AuthMode::TokenOrMtls, _, Good(one)) => Ok(one.clone()),
        (AuthMode::TokenAndMtls, Good(one), Good(other)) => Ok(one & other),
        _ => Err(401),
    }
}

#[tokio::test]
async fn each_mode_and_credential_opens_each_endpoint_as_a_simple_model_says() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let file = tokens_file(dir.path(), &SCOPES);
    let client = Client::new();
    for mode in AuthMode::ALL {
        for (token, token_is) in credentials(TOKEN) {
            for (certificate, certificate_is, proxy) in certificates() {
                // A server of its own, that has not seen anybody fail.
                let auth = by_token().mode(mode).tokens_file(&file).mtls_subject_regex("CN=administrator");
                let auth = auth.trusted_proxies(proxy.parse().unwrap());
                let router = kitedb_http::router(db.clone(), &auth).unwrap();
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let base = format!("http://{}", listener.local_addr().unwrap());
                let service = router.into_make_service_with_connect_info::<SocketAddr>();
                let server = tokio::spawn(async move { axum::serve(listener, service).await });
                let ask = async |method: &str, path: &str| {
                    let mut asked = client.request(method.parse().unwrap(), format!("{base}{path}"));
                    if let Some(token) = token {
                        asked = asked.bearer_auth(token);
                    }
                    if let Some(name) = certificate {
                        asked = asked.header("x-forwarded-client-cert", format!("CN={name},O=KiteDB"));
                    }
                    let answer = asked.send().await.unwrap();
                    (answer.status().as_u16(), answer.text().await.unwrap())
                };
                let may = model(mode, &token_is, &certificate_is);
                for (method, path, scope) in ENDPOINTS {
                    let (status, body) = ask(method, path).await;
                    let said = format!(
                        "{mode}, token {token:?}, certificate {certificate:?} by {proxy}, {path}: {status} {body}"
                    );
                    match &may {
                        Ok(scopes) if scopes.contains(scope) => assert!(![401, 403, 429].contains(&status), "{said}"),
                        Ok(_) => {
                            assert_eq!(status, 403, "{said}");
                            assert!(body.contains(&format!("the scope '{scope}'")), "{said}");
                        }
                        Err(expected) => assert_eq!(status, *expected, "{said}"),
                    }
                }
                let (status, body) = ask("GET", "/api/replication/status").await;
                let body: Value = serde_json::from_str(&body).unwrap();
                let all =
                    may.is_ok_and(|scopes| ["metrics", "follow", "admin"].iter().any(|scope| scopes.contains(scope)));
                assert_eq!(
                    (status, body["primary"].get("sidecarPath").is_some()),
                    (200, all),
                    "{mode}, token {token:?}, certificate {certificate:?} by {proxy}: {body}"
                );
                server.abort();
            }
        }
    }
}
