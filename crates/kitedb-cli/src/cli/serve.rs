//! `kitedb serve`.

use super::DatabaseArgs;
use clap::Args;
use std::path::PathBuf;

pub const HELP: &str = "\
It works beside the process that writes: what is asked for is read from the files. What must write (pull, reseed, promote, batches of the graph) is done where
nobody has the database open for writing, and refused with LOCKED else; with --lead or --follow this process has it open for good.
Several databases are each at /db/NAME/, by the name of their file without its ending: /db/social/api/replication/status.

Variables (a blank one is as good as none):
  HOST, PORT                       where to listen [default: 127.0.0.1, 3000]; port 0 takes one that is free
  KITEDB_READY_MAX_LAG             /readyz: how many frames a replica may be behind its source [default: 10000]
  REPLICATION_ADMIN_AUTH_MODE      none, token, mtls, token_or_mtls, token_and_mtls [default: token where one or a
                                   file is set, else none]
  REPLICATION_ADMIN_TOKEN, REPLICATION_ADMIN_TOKEN_FILE
                                   the administrator's bearer token, or a file that holds it
  KITEDB_TOKENS_FILE               JSON: hashes of tokens, and subjects of certificates, with names and scopes
  REPLICATION_MTLS_HEADER          the header that tells the client's certificate [default: x-forwarded-client-cert]
  REPLICATION_MTLS_SUBJECT_REGEX   whose certificate: a pattern that matches whole attributes of the subject in that header
  REPLICATION_TRUSTED_PROXIES      from whom that header is believed: addresses, networks, loopback, any
                                   [default: loopback, while it listens there itself and without TLS]
  REPLICATION_MTLS_NATIVE_TLS      a certificate counts that the client showed to this server itself
  REPLICATION_MTLS_NATIVE_SUBJECT_REGEX   whose certificate of those: a pattern like that for the header
  PLAYGROUND_TLS_CERT_FILE, PLAYGROUND_TLS_KEY_FILE, PLAYGROUND_TLS_CA_FILE, PLAYGROUND_TLS_REQUEST_CERT,
  PLAYGROUND_TLS_REJECT_UNAUTHORIZED   TLS of its own, in PEM
  KITEDB_LOG, RUST_LOG             what it tells on standard error [default: warn]; kitedb::access=info is the access log
Files that hold tokens and certificates may change while it serves.";

#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// More databases to serve, read from their files
    #[arg(value_name = "DB", conflicts_with_all = ["lead", "follow", "sidecar"])]
    pub more: Vec<PathBuf>,
    /// Listen at this socket in place of HOST and PORT; only this account reaches it
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Have it open for writing, as the primary
    #[arg(long, conflicts_with = "follow")]
    pub lead: bool,
    /// Have it open for writing, as a replica that follows its source
    #[arg(long)]
    pub follow: bool,
    /// Serve whoever reaches it from other machines, though the authentication mode is none
    #[arg(long)]
    pub allow_anybody: bool,
    /// Let whoever reaches it change the graph (/api/graph/batch), though the authentication mode is none
    #[arg(long)]
    pub allow_writes: bool,
}
