//! A server in a process of its own, which is this program again.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use axum::{Router, body::Bytes, http::header, routing::get};
use kitedb_core::OpenOptions;
use kitedb_http::AuthOptions;
use tokio::net::TcpListener;

use crate::Res;
use crate::engines::Sync;

/// What everybody who asks has.
pub const TOKEN: &str = "the-token-of-a-benchmark";

/// See the [module documentation](self). It ends with its handle.
pub struct Server {
    process: Child,
    // Its end is what ends the process.
    _held: ChildStdin,
    address: String,
}

impl Server {
    /// Starts one that does the task `what` with the file at `path`, and waits until it listens.
    pub fn start(what: &str, path: &Path) -> Res<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["child", what, "-"]).arg(path).args(["--count", "0"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let held = process.stdin.take().ok_or("a process without an input")?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().ok_or("a process without an output")?).read_line(&mut address)?;
        Ok(Self { process, _held: held, address: address.trim().to_owned() })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is at `route` there.
    pub fn url(&self, route: &str) -> String {
        format!("http://{}{route}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the child: serves until nobody holds its input any more.
pub fn child(task: &str, path: &Path) -> Res<()> {
    let auth = AuthOptions::new().token(TOKEN);
    let router = match task {
        "http-held" => kitedb_http::router(super::primary(path, Sync::Normal)?, &auth)?,
        "http-beside" => kitedb_http::router_beside(path, OpenOptions::new(), &auth)?,
        "http-bare" => {
            let body = Bytes::from(std::fs::read(path)?);
            let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body.clone()) };
            Router::new().route("/api/graph/node", get(answer))
        }
        "http-file" => {
            let path = path.to_owned();
            Router::new().route("/", get(move || async move { std::fs::read(path).map_err(|e| e.to_string()) }))
        }
        _ => return Err(format!("no task {task}").into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}
