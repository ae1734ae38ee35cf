//! A file of tokens and certificates with scopes.

use super::server::{Server, TOKEN, by_token, primary, told};
use kitedb_http::{AuthMode, AuthOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What `printf %s TOKEN | sha256sum` prints.
pub fn hash_of(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a file in the place of another one, at once.
pub fn put(path: &Path, content: &str) {
    let beside = path.with_extension("beside");
    fs::write(&beside, content).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// A tokens file in which each of these has the scope of its own name: `metrics` is the token and the name of who may `metrics`, and
/// so is the certificate `CN=metrics`.
pub fn tokens_file(dir: &Path, names: &[&str]) -> PathBuf {
    let entry = |name: &str| json!({ "name": name, "scopes": [name] });
    let tokens: Value = names.iter().map(|name| (hash_of(name), entry(name))).collect();
    let subjects: Value = names.iter().map(|name| (format!("CN={name}"), entry(name))).collect();
    let path = dir.join("tokens.json");
    put(&path, &json!({ "tokens": tokens, "subjects": subjects }).to_string());
    path
}

#[tokio::test]
async fn a_token_of_the_file_does_what_its_scopes_say_and_the_administrators_does_all() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    // A mode is not given: a file asks for tokens.
    let server = Server::of(&db, by_token().tokens_file(tokens_file(dir.path(), &["metrics", "follow"]))).await;
    let asked = async |token: &str, route: &str| {
        told(server.ask_as_anybody(Method::POST, route).bearer_auth(token).send().await.unwrap()).await
    };
    let (status, body) = asked("metrics", "/api/replication/promote").await;
    assert_eq!((status, &body["code"], &body["success"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN"), &json!(false)));
    assert!(body["error"].as_str().unwrap().contains("the scope 'admin'"), "{body}");
    assert_eq!(asked(TOKEN, "/api/replication/promote").await.0, StatusCode::OK);
    assert_eq!(asked("nobody", "/api/replication/promote").await.0, StatusCode::UNAUTHORIZED);
    // A hash is no token.
    assert_eq!(asked(&hash_of("metrics"), "/api/replication/promote").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn beside_a_file_no_certificate_is_an_administrators_that_no_pattern_names() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let auth = AuthOptions::new().mode(AuthMode::Mtls);
    let alone = Server::of(&db, auth.clone()).await;
    let beside = Server::of(&db, auth.tokens_file(tokens_file(dir.path(), &["metrics"]))).await;
    for (server, subject, expected) in [
        (&alone, "CN=anybody", StatusCode::OK),
        (&beside, "CN=anybody", StatusCode::FORBIDDEN),
        (&beside, "CN=metrics", StatusCode::OK),
        (&beside, "CN=metrics,CN=anybody", StatusCode::FORBIDDEN),
    ] {
        let asked = server.ask_as_anybody(Method::GET, "/metrics").header("x-forwarded-client-cert", subject);
        assert_eq!(asked.send().await.unwrap().status(), expected, "{subject}");
    }
}

#[test]
fn a_file_that_cannot_be_meant_is_served_to_nobody_and_told_without_its_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let path = dir.path().join("tokens.json");
    let refused = |auth: AuthOptions| kitedb_http::router(db.clone(), &auth).unwrap_err().to_string();
    let hash = hash_of("secret");
    for (content, says) in [
        ("{", "it is no JSON"),
        (
            &json!({ "tokens": { &hash: { "name": "p", "scopes": ["all"] } } }).to_string(),
            "scope 1 of entry 1 of tokens is none of",
        ),
        (&json!({ "tokens": { "secret": { "name": "p", "scopes": ["admin"] } } }).to_string(), "entry 1 of tokens"),
        (&json!({ "token": {} }).to_string(), "member 1 of the file is none of tokens, subjects"),
        (r#"{"tokens":{}}"#, "requires a non-empty token"),
    ] {
        put(&path, content);
        let error = refused(AuthOptions::new().tokens_file(&path));
        assert!(error.contains(says) && !error.contains("secret") && !error.contains(&hash), "{error}");
    }
    put(&path, &json!({ "tokens": { &hash: { "name": "p", "scopes": ["admin"] } } }).to_string());
    let error = refused(AuthOptions::new().mode(AuthMode::Mtls).tokens_file(&path));
    assert!(error.contains("asks for certificates"), "{error}");
    assert!(kitedb_http::router(db.clone(), &AuthOptions::new().tokens_file(&path)).is_ok());
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = refused(AuthOptions::new().tokens_file(&path));
        assert!(error.contains("chmod go-w"), "{error}");
        let error = refused(AuthOptions::new().token_file(&path));
        assert!(error.contains("chmod go-w"), "{error}");
    }
    assert!(refused(AuthOptions::new().tokens_file(dir.path())).contains("is no regular file"));
    // A pipe that nobody writes to is not waited for, whichever file it stands for.
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for options in [AuthOptions::new().tokens_file(&pipe), AuthOptions::new().token_file(&pipe)] {
        assert!(refused(options).contains("is no regular file"));
    }
    assert!(refused(AuthOptions::new().tokens_file(dir.path().join("none"))).contains("cannot be read"));
    put(&path, " \n");
    assert!(refused(AuthOptions::new().token_file(&path)).contains("the file is empty"));
    assert!(refused(by_token().token_file(&path)).contains("told twice"));
}
