//! What may be typed behind `serve`: where it listens, who is let in, what it receives and keeps.

use super::ModelArgs;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: ADDRESS:PORT, or unix:PATH for a socket of this machine. What others can reach needs --tls
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8470")]
    pub(crate) listen: casemate_server::Address,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Investigate alerts only when asked to, instead of every one, the most urgent first
    #[arg(long)]
    pub(crate) only_when_asked: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) receive: ReceiveArgs,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
}

/// Who is let in to API and page, and how connections are protected.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct DoorArgs {
    /// Ask nobody who they are: whoever reaches the loopback address or socket may do everything
    #[arg(long)]
    pub(crate) no_auth: bool,
    /// Serve over TLS: with --tls-cert and --tls-key, or else a certificate made at first start, whose fingerprint is
    /// printed (tls/ in the data directory)
    #[arg(long)]
    pub(crate) tls: bool,
    /// Take certificates of clients signed by one of these, in PEM, as a proof of who they are (`casemate access`)
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) api_client_ca: Option<PathBuf>,
}

/// What `serve` keeps, and where it is copied.
#[derive(Debug, Args)]
#[command(next_help_heading = "Retention and backup")]
pub(crate) struct KeepArgs {
    /// Delete events this many days after they came in. Counted from then, not from the times they state; whole
    /// segments go, at most a day late
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) keep_days: Option<u32>,
    /// Delete the oldest events when segments take more than this many gigabytes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_gb: Option<u32>,
    /// Directory in which `POST /v1/backups` makes a backup while the server runs. A medium has to be mounted there
    /// when the server starts: what comes later is not the server's
    #[arg(long, value_name = "DIR")]
    pub(crate) backup_dir: Option<PathBuf>,
}

impl KeepArgs {
    pub(crate) fn retention(&self) -> casemate_store::Retention {
        casemate_store::Retention {
            max_age: self.keep_days.map(|days| jiff::SignedDuration::from_hours(24 * i64::from(days))),
            max_bytes: self.keep_gb.map(|gigabytes| u64::from(gigabytes) * 1_000_000_000),
        }
    }
}

/// What `serve` receives besides HTTP.
#[derive(Debug, Args)]
#[command(next_help_heading = "Receivers")]
pub(crate) struct ReceiveArgs {
    /// Receive syslog over UDP on this address and port; may be given several times. UDP can lose records; they
    /// are counted
    #[arg(long, value_name = "ADDR")]
    pub(crate) syslog_udp: Vec<SocketAddr>,
    /// Receive syslog over TCP (octet counting and newlines); may be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) syslog_tcp: Vec<SocketAddr>,
    /// Receive syslog over TLS; may be given several times
    #[arg(long, value_name = "ADDR", requires_all = ["tls_cert", "tls_key"])]
    pub(crate) syslog_tls: Vec<SocketAddr>,
    /// Certificate of this site, in PEM, then those that signed it
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Take syslog over TLS only from senders with a certificate signed by one of these, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Follow this file, or the files in this directory, as they grow; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(crate) watch: Vec<PathBuf>,
    /// Let the syslog receivers listen on addresses other than loopback. Syslog is not authenticated: whoever
    /// reaches the port can send any record, unless it is TLS with --tls-client-ca
    #[arg(long)]
    pub(crate) syslog_from_network: bool,
}
