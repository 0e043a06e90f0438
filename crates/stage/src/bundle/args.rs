//! What may be typed after `casemate-stage bundle`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Make a pair of minisign keys
    #[command(
        after_help = "Root keys belong on media that are in no machine. Keys are minisign's own: `minisign` reads \
        them.\n\n\
        Example:\n  casemate-stage bundle keygen --role root /media/safe"
    )]
    Keygen(KeygenArgs),
    /// Make root.json, which says whose signatures count, or its next version
    #[command(
        after_help = "A new version must be signed by the threshold of root keys of the old one and of its \
        own.\n\n\
        Examples:\n  casemate-stage bundle root --root-key r1.pub r2.pub r3.pub --root-threshold 2 \\\n    \
        --snapshot-key s.pub --targets-key t1.pub t2.pub --targets-threshold 2 \\\n    \
        --expires 2029-01-01 --out roots\n  \
        casemate-stage bundle root --previous roots/1.root.json --targets-key t3.pub t4.pub \\\n    \
        --expires 2030-01-01 --out roots"
    )]
    Root(RootArgs),
    /// Add signatures to a root.json, snapshot.json or targets.json
    #[command(after_help = "Says what is signed before it signs. The signature goes beside the document as \
        FILE.KEYID.minisig; `minisign -Vm FILE -x FILE.KEYID.minisig` verifies it.\n\n\
        Example:\n  casemate-stage bundle sign roots/1.root.json --key /media/safe/root-0123456789ABCDEF.key")]
    Sign(SignArgs),
    /// Build the volumes of a bundle
    #[command(
        after_help = "Where not enough signatures are there yet, it writes targets.json and snapshot.json and says \
        who must sign; run again, it goes on. Volumes that are finished are kept. FAT takes files below 4 GiB: \
        --volume-size 4095M.\n\n\
        Example:\n  casemate-stage bundle build --root roots/1.root.json --name rules --version 7 \\\n    \
        --expires 2027-06-01 --models models --config config \\\n    \
        --component config/rules models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf \\\n    \
        --key s.key t1.key t2.key --volume-size 4095M --out /media/usb"
    )]
    Build(BuildArgs),
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// Says who else may sign; offline
    Root,
    /// Says which targets.json is the newest
    Snapshot,
    /// Says which files there are
    Targets,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// What the key is for; names the files
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: KeyRole,
    /// Leave the secret key unprotected: whoever reads the file can sign
    #[arg(long, conflicts_with = "password_stdin")]
    pub(crate) no_password: bool,
    /// Read the password from the first line of stdin instead of asking
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory for ROLE-KEYID.key and ROLE-KEYID.pub
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// Root before this one; what is not said is taken from it
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,
    /// Public keys that may sign roots
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub(crate) root_key: Vec<PathBuf>,
    /// Public keys that may sign snapshot.json
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub(crate) snapshot_key: Vec<PathBuf>,
    /// Public keys that may sign targets.json
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub(crate) targets_key: Vec<PathBuf>,
    /// Signatures a root needs [default: as before, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) root_threshold: Option<usize>,
    /// Signatures a snapshot.json needs [default: as before, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) snapshot_threshold: Option<usize>,
    /// Signatures a targets.json needs [default: as before, else 1]
    #[arg(long, value_name = "N")]
    pub(crate) targets_threshold: Option<usize>,
    /// Last day, or moment, of its validity
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: String,
    /// Secret keys to sign with now; `bundle sign` adds more
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    /// Read passwords of keys from stdin, a line each, instead of asking
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory for N.root.json
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// root.json, snapshot.json or targets.json
    pub(crate) file: PathBuf,
    /// Secret keys to sign with
    #[arg(long, value_name = "KEY", num_args = 1.., required = true)]
    pub(crate) key: Vec<PathBuf>,
    /// Read passwords of keys from stdin, a line each, instead of asking
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Roots with their signatures beside them, from the oldest that a site may have pinned to the newest
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) root: Vec<PathBuf>,
    /// Name of the bundle, for people and file names
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// What people should know about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) notes: String,
    /// Version of the bundle; higher than any before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) version: u64,
    /// Last day, or moment, of its validity
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: String,
    /// Oldest version of casemate that can use it, such as 0.2.0
    #[arg(long, value_name = "VERSION")]
    pub(crate) requires: Option<String>,
    /// Directory that components under models/ come from [default: $CASEMATE_MODELS, else `models/` of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Directory that components under config/ come from [default: `config/` of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
    /// What the bundle replaces: models/NAME, config/rules, config/playbooks, config/heads, config/mappings, config/suite
    #[arg(long, value_name = "COMPONENT", num_args = 1..)]
    pub(crate) component: Vec<String>,
    /// Components that the bundle removes
    #[arg(long, value_name = "COMPONENT", num_args = 1..)]
    pub(crate) remove: Vec<String>,
    /// Results that it was released with, such as the JSON of `casemate eval`
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) evaluation: Vec<PathBuf>,
    /// Secret keys to sign with now
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    /// Read passwords of keys from stdin, a line each, instead of asking
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Largest volume, in bytes or with K, M, G (powers of 1024) [default: one volume for all]
    #[arg(long, value_name = "SIZE", value_parser = super::volumes::size)]
    pub(crate) volume_size: Option<u64>,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory for volumes, documents, SBOM and ML-BOM
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
