//! What may be typed to look after the machine: `bundle`, `backup`, `restore`, `support-bundle`, `manual`, `doctor`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    #[command(subcommand)]
    pub(crate) what: BundleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Pin the publisher's root: once, before the first bundle
    Trust {
        /// `N.root.json`, its signatures beside it
        root: PathBuf,
    },
    /// Check every signature, version, date and byte; write nothing
    Verify {
        #[arg(required = true, value_name = "VOLUME")]
        volumes: Vec<PathBuf>,
    },
    /// Verify, stage, judge and activate; volumes on several media one after another
    Apply(BundleApplyArgs),
    /// List releases: active, earlier, staged
    List,
    /// Make the release before the active one active again
    Rollback,
    /// Remove what is staged and not activated
    Discard,
}

#[derive(Debug, Args)]
pub(crate) struct BundleApplyArgs {
    #[arg(required = true, value_name = "VOLUME")]
    pub(crate) volumes: Vec<PathBuf>,
    /// Let in what has expired, or what a clock that was set back speaks against; noted with --reason
    #[arg(long, requires = "reason")]
    pub(crate) override_expiry: bool,
    /// Activate although the gate refuses; noted with --reason
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Model that answers while it is judged; answers weigh nothing in the head that ships
    #[arg(long, value_name = "NAME|PATH", default_value = "none")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Directory of the backup
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SupportArgs {
    /// File written, in JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// Directory for man/ and completions/
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Skip hashing the model files and reading all segments
    #[arg(long)]
    pub(crate) quick: bool,
    /// Hash what is active again, files that bundles brought among it, and verify the audit record
    #[arg(long, conflicts_with = "quick")]
    pub(crate) verify: bool,
    /// Make anew what is damaged in segments but the events themselves
    #[arg(long, conflicts_with = "quick")]
    pub(crate) repair: bool,
}
