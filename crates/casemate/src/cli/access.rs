//! What may be typed about who is let in and what they did: `user`, `token`, `access`, `audit`.

use casemate_access::{Role, Scopes};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) what: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List all
    List,
    /// Add a user, with a password of at least 12 characters
    Add {
        name: String,
        #[arg(long)]
        role: Role,
    },
    /// Set another password; sessions end
    Password { name: String },
    /// Set what a user may do; sessions end
    Role {
        name: String,
        #[arg(long)]
        role: Role,
    },
    /// Mask personal data for a user (`redaction.toml` in --config says what that is)
    Redact {
        name: String,
        /// Mask nothing any more
        #[arg(long)]
        off: bool,
    },
    /// Keep a user out until enabled again; sessions end
    Disable { name: String },
    /// Let a disabled user in again
    Enable { name: String },
    /// Remove a user for good
    Remove { name: String },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) what: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List all, without their secrets, which nobody knows any more
    List,
    /// Make one; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may do, by the name of a role
        #[arg(long, conflicts_with = "scopes")]
        role: Option<Role>,
        /// What it may do: ingest, read, investigate, manage, audit, admin; separated by commas
        #[arg(long)]
        scopes: Option<Scopes>,
        /// Days until it ends by itself
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// Mask personal data for its holder
        #[arg(long)]
        redact: bool,
    },
    /// Let it in no more, from the next second on
    Revoke {
        /// Its id or name
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    pub(crate) what: AccessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List everybody who is let in
    List,
    /// Let in the holder of this certificate
    AddCertificate {
        name: String,
        #[arg(long)]
        role: Role,
        /// Mask personal data for its holder
        #[arg(long)]
        redact: bool,
        /// The certificate, in PEM
        #[arg(long)]
        file: PathBuf,
    },
    /// Let it in no more
    RemoveCertificate { name: String },
    /// Let in a user or group of this machine, by the Unix socket
    AddPeer {
        name: String,
        #[arg(long)]
        role: Role,
        /// Mask personal data for them
        #[arg(long)]
        redact: bool,
        #[arg(long, conflicts_with = "gid")]
        uid: Option<u32>,
        #[arg(long)]
        gid: Option<u32>,
    },
    /// Let them in no more
    RemovePeer { name: String },
    /// Take the word of an identity provider of the site
    SetProvider {
        /// What is known of it, in JSON
        file: PathBuf,
    },
    /// Take its word no more
    RemoveProvider,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) what: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every number, hash and signature; works beside a running server
    Verify {
        /// A checkpoint kept elsewhere, written N:HASH; may be given several times
        #[arg(long, value_name = "N:HASH")]
        checkpoint: Vec<casemate_audit::Head>,
        /// Public key kept elsewhere
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Directory of a record, such as one of a backup [default: audit/ of the data directory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the newest lines, newest first
    Show {
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only lines numbered below this one
        #[arg(long, value_name = "N")]
        before: Option<u64>,
    },
    /// Sign the record as far as it goes, and print what is to be kept elsewhere
    Checkpoint,
    /// Have a new key sign from here on; the old one signs it
    RotateKey,
}
