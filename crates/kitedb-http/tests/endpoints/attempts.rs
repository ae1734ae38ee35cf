//! Credentials that do not do, one after the other.

use super::server::{Server, TOKEN, by_token, primary, told};
use kitedb_http::{AuthMode, AuthOptions};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn who_guesses_is_told_to_wait_and_who_knows_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let server = Server::of(&db, by_token()).await;
    let status = async |route: &str, token: Option<&str>| {
        let asked = server.ask_as_anybody(Method::GET, route);
        let asked = if let Some(token) = token { asked.bearer_auth(token) } else { asked };
        asked.send().await.unwrap().status()
    };
    for guess in 0..20 {
        assert_eq!(status("/metrics", Some(&format!("guess-{guess}"))).await, StatusCode::UNAUTHORIZED);
    }
    let answer = server.ask_as_anybody(Method::GET, "/metrics").bearer_auth("guess").send().await.unwrap();
    let seconds: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let (code, body) = told(answer).await;
    assert_eq!(
        (code, &body["code"], &body["kind"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("TOO_MANY_ATTEMPTS"), &json!("retry_later"))
    );
    // Nor is the open status a place to guess at.
    assert_eq!(status("/api/replication/status", Some("guess")).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("/metrics", Some(TOKEN)).await, StatusCode::OK);
    // What is everybody's is answered, whatever is shown.
    for route in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(status(route, Some("guess")).await, StatusCode::OK, "{route}");
    }
    // Who shows nothing does not guess.
    assert_eq!(status("/metrics", None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status("/api/replication/status", None).await, StatusCode::OK);
}

#[tokio::test]
async fn where_two_credentials_are_asked_for_a_right_one_counts_as_a_guess_like_a_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    for (token, certificate) in [(TOKEN, None), ("wrong", None), ("wrong", Some("CN=admin")), (TOKEN, Some("CN=eve"))] {
        let auth = by_token().mode(AuthMode::TokenAndMtls).mtls_subject_regex("CN=admin");
        let server = Server::of(&db, auth).await;
        let mut statuses = Vec::new();
        for _ in 0..21 {
            let mut asked = server.ask_as_anybody(Method::GET, "/metrics").bearer_auth(token);
            if let Some(subject) = certificate {
                asked = asked.header("x-forwarded-client-cert", subject);
            }
            statuses.push(asked.send().await.unwrap().status());
        }
        assert!(statuses[..20].iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{statuses:?}");
        assert_eq!(statuses[20], StatusCode::TOO_MANY_REQUESTS, "{token} {certificate:?}");
    }
}

/// Where nobody is asked who he is, or not by a token, one is no guess.
#[tokio::test]
async fn what_is_not_asked_for_is_no_guess() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    for (auth, expected) in
        [(AuthOptions::new(), StatusCode::OK), (AuthOptions::new().mode(AuthMode::Mtls), StatusCode::UNAUTHORIZED)]
    {
        let server = Server::of(&db, auth).await;
        for _ in 0..25 {
            let asked = server.ask_as_anybody(Method::GET, "/metrics").bearer_auth("anything");
            assert_eq!(asked.send().await.unwrap().status(), expected);
        }
    }
}
