//! Who is admitted where.

use super::server::{Server, TOKEN, by_token, primary, told};
use kitedb_http::{AuthMode, AuthOptions, TrustedProxies};
use reqwest::{Method, StatusCode};
use serde_json::json;

const GUARDED: [(&str, &str); 9] = [
    ("GET", "/metrics"),
    ("GET", "/api/replication/metrics"),
    ("GET", "/api/replication/snapshot/latest"),
    ("GET", "/api/replication/log"),
    ("GET", "/api/replication/transport/snapshot"),
    ("GET", "/api/replication/transport/log"),
    ("POST", "/api/replication/pull"),
    ("POST", "/api/replication/reseed"),
    ("POST", "/api/replication/promote"),
];

#[tokio::test]
async fn without_the_token_nothing_but_the_status_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 3);
    for (method, route) in GUARDED {
        // One each, so that none is asked too often by who is not admitted.
        let server = Server::of(&db, by_token()).await;
        let ask = || server.ask_as_anybody(method.parse().unwrap(), route);
        for asked in [
            ask(),
            ask().bearer_auth(format!("{TOKEN}x")),
            ask().header("authorization", format!("bearer {TOKEN}")),
            ask().header("authorization", format!("Bearer  {TOKEN}")),
            ask().header("authorization", format!("Bearer {TOKEN}")).header("authorization", "Bearer x"),
            ask().header("x-forwarded-client-cert", "CN=admin"),
        ] {
            let response = asked.body("{").send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"kitedb replication\"", "{route}");
            let (status, body) = told(response).await;
            assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")), "{route}");
            assert!(body["error"].as_str().unwrap().starts_with("Unauthorized: replication admin auth mode 'token'"));
        }
    }
    let server = Server::of(&db, by_token()).await;
    let status = server.ask_as_anybody(Method::GET, "/api/replication/status").send().await.unwrap();
    let (code, body) = told(status).await;
    assert_eq!(
        (code, &body["connected"], &body["authEnabled"], &body["role"]),
        (StatusCode::OK, &json!(true), &json!(true), &json!("primary"))
    );
    assert_eq!((&body["primary"]["headLogIndex"], &body["replica"]), (&json!(3), &json!(null)));
    assert!(!body.to_string().contains(dir.path().to_str().unwrap()), "{body}");
    let (_, body) = server.get("/api/replication/status").await;
    assert!(body["primary"]["sidecarPath"].as_str().unwrap().starts_with(path.to_str().unwrap()));
}

/// A file that is not there is told by its path, but not to everybody.
#[tokio::test]
async fn a_status_that_fails_tells_paths_to_whom_it_admits_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let server = Server::beside(&path, by_token()).await;
    let (code, body) = told(server.ask_as_anybody(Method::GET, "/api/replication/status").send().await.unwrap()).await;
    assert_eq!((code, &body["code"], &body["success"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND"), &json!(false)));
    assert!(!body.to_string().contains("p.kitedb"), "{body}");
    let (_, body) = server.get("/api/replication/status").await;
    assert!(body["path"].as_str().unwrap().ends_with("p.kitedb"), "{body}");
}

#[tokio::test]
async fn each_mode_asks_for_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    // Mode; with nothing, the token, the certificate, both; with the certificate of somebody else.
    for (mode, expected) in [
        (AuthMode::None, [200, 200, 200, 200, 200]),
        (AuthMode::Token, [401, 200, 401, 200, 401]),
        (AuthMode::Mtls, [401, 401, 200, 200, 403]),
        (AuthMode::TokenOrMtls, [401, 200, 200, 200, 401]),
        (AuthMode::TokenAndMtls, [401, 401, 401, 200, 401]),
    ] {
        let auth = by_token().mode(mode).mtls_header("x-client-cert").mtls_subject_regex("CN=allowed-client");
        let server = Server::of(&db, auth).await;
        let ask = || server.ask_as_anybody(Method::GET, "/metrics");
        let shown = "CN=allowed-client,O=RayDB";
        let all = [
            ask(),
            ask().bearer_auth(TOKEN),
            ask().header("x-client-cert", shown),
            ask().header("x-client-cert", shown).bearer_auth(TOKEN),
            ask().header("x-client-cert", "CN=allowed-clients,O=RayDB"),
        ];
        for (asked, status) in all.into_iter().zip(expected) {
            assert_eq!(asked.send().await.unwrap().status(), status, "{mode}");
        }
        let twice = ask().header("x-client-cert", shown).header("x-client-cert", shown);
        let admits_anybody = mode == AuthMode::None;
        assert_eq!(twice.send().await.unwrap().status() == StatusCode::OK, admits_anybody, "{mode}");
    }
}

#[tokio::test]
async fn a_certificate_is_believed_of_the_proxies_only() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    for (proxies, status) in
        [("loopback", 200), ("any", 200), ("127.0.0.0/8,10.0.0.7", 200), ("10.0.0.7,fd00::/8", 401)]
    {
        let auth = AuthOptions::new().mode(AuthMode::Mtls).trusted_proxies(proxies.parse().unwrap());
        let server = Server::of(&db, auth).await;
        let asked = server.ask_as_anybody(Method::GET, "/metrics").header("x-forwarded-client-cert", "CN=a");
        assert_eq!(asked.header("x-forwarded-for", "10.0.0.7").send().await.unwrap().status(), status, "{proxies}");
    }
}

#[test]
fn what_cannot_be_meant_is_served_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    for (auth, says) in [
        (AuthOptions::new().mode(AuthMode::Token), "requires a non-empty token"),
        (AuthOptions::new().mode(AuthMode::TokenAndMtls).token(" "), "requires a non-empty token"),
        (AuthOptions::new().token("t\u{fc}r"), "visible ASCII"),
        (AuthOptions::new().mtls_header("x-client-cert"), "Invalid replication admin auth mode"),
        (AuthOptions::new().mode(AuthMode::Mtls).mtls_header("a b"), "no name of a header"),
        (AuthOptions::new().mode(AuthMode::Mtls).mtls_header("Authorization"), "no name of a header"),
        (AuthOptions::new().mode(AuthMode::Mtls).mtls_header("Host"), "'host' comes with every request"),
        (AuthOptions::new().mode(AuthMode::Mtls).mtls_header("Sec-Fetch-Site"), "comes with every request"),
        (AuthOptions::new().mode(AuthMode::None).mtls_subject_regex(".*"), "admits everybody"),
    ] {
        let error = kitedb_http::router(db.clone(), &auth).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for (proxies, says) in
        [("", "and not ''"), ("10.0.0", "and not '10.0.0'"), ("0.0.0.0/0", "every address"), ("any,10.0.0.7", "'any'")]
    {
        let error = proxies.parse::<TrustedProxies>().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(
        "tokens".parse::<AuthMode>().unwrap_err().to_string().contains("Invalid replication admin auth mode 'tokens'")
    );
    assert_eq!(" Token_Or_mTLS ".parse(), Ok(AuthMode::TokenOrMtls));
    assert!(!format!("{:?}", by_token()).contains(TOKEN));
}
