//! `kitedb serve`.

use super::DatabaseArgs;
use clap::Args;

pub const HELP: &str = "\
It works beside the process that writes: what is asked for is read from the files. What must write (pull, reseed, promote, batches of the graph) is done where
nobody has the database open for writing, and refused with LOCKED else; with --lead or --follow this process has it open for good.

Variables (a blank one is as good as none):
  HOST, PORT                       where to listen [default: 127.0.0.1, 3000]; port 0 takes one that is free
  REPLICATION_ADMIN_AUTH_MODE      none, token, mtls, token_or_mtls, token_and_mtls [default: token where one is set, else none]
  REPLICATION_ADMIN_TOKEN          the bearer token
  REPLICATION_MTLS_HEADER          the header that tells the client's certificate [default: x-forwarded-client-cert]
  REPLICATION_MTLS_SUBJECT_REGEX   whose certificate: a pattern that matches whole attributes of the subject in that header
  REPLICATION_TRUSTED_PROXIES      from whom that header is believed: addresses, networks, loopback, any
                                   [default: loopback, while it listens there itself and without TLS]
  REPLICATION_MTLS_NATIVE_TLS      a certificate counts that the client showed to this server itself
  PLAYGROUND_TLS_CERT_FILE, PLAYGROUND_TLS_KEY_FILE, PLAYGROUND_TLS_CA_FILE, PLAYGROUND_TLS_REQUEST_CERT,
  PLAYGROUND_TLS_REJECT_UNAUTHORIZED   TLS of its own, in PEM";

#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
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
