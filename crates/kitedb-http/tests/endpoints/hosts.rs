//! Names by which a server without authentication is asked.

use super::server::primary;
use kitedb_http::{AuthOptions, ServeOptions, Served, Server};
use reqwest::{Client, StatusCode};

#[tokio::test]
async fn a_server_that_asks_nobody_who_he_is_answers_to_no_foreign_name() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    for (auth, foreign) in
        [(AuthOptions::new(), StatusCode::MISDIRECTED_REQUEST), (AuthOptions::new().token("t"), StatusCode::OK)]
    {
        let mut options = ServeOptions::default();
        (options.port, options.auth) = (0, auth);
        let server = Server::start(Served::Held(db.clone()), &options).unwrap();
        let asked = async |host: &str| {
            let request = Client::new().get(format!("{}/metrics", server.url())).bearer_auth("t").header("host", host);
            request.send().await.unwrap().status()
        };
        for host in ["127.0.0.1", "localhost:3000", "[::1]:3000", "LOCALHOST"] {
            assert_eq!(asked(host).await, StatusCode::OK, "{host}");
        }
        for host in ["rebound.example", "rebound.example:3000", "127.0.0.1.rebound.example"] {
            assert_eq!(asked(host).await, foreign, "{host}");
        }
    }
}
