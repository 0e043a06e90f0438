//! What may be typed about alerts and cases: `investigate`, `mcp`, `ask`, `cases`, `export`.

use super::ModelArgs;
use casemate_export::Format;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct InvestigateArgs {
    /// Numbers of the alerts
    #[arg(required_unless_present_any = ["all", "event"], value_name = "ALERT")]
    pub(crate) alerts: Vec<u64>,
    /// Every alert that has no investigation yet
    #[arg(long, conflicts_with = "alerts")]
    pub(crate) all: bool,
    /// An event that no rule made an alert of: raises one about it and investigates that; several go together
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["alerts", "all"])]
    pub(crate) event: Vec<u64>,
    /// Make these investigations again from what was retrieved for them then, store nothing, and say whether they come
    /// out the same byte for byte; exit status 1 if not
    #[arg(long, conflicts_with_all = ["all", "event"])]
    pub(crate) replay: bool,
    /// Print the reports in Markdown, as tickets take them
    #[arg(long, conflicts_with_all = ["replay", "json"])]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The question
    #[arg(required_unless_present = "eval", value_name = "QUESTION")]
    pub(crate) question: Option<String>,
    /// Number of the case that it is about
    #[arg(long, value_name = "N", conflicts_with = "alert")]
    pub(crate) case: Option<u64>,
    /// Number of the alert, and of its investigation, that it is about
    #[arg(long, value_name = "N")]
    pub(crate) alert: Option<u64>,
    /// Only events not earlier than this (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<jiff::Timestamp>,
    /// Only events not later than this
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<jiff::Timestamp>,
    /// Ask the questions of this file (JSON lines, as tests/data/ask/README.md says), and print how many are answered rightly
    #[arg(long, value_name = "FILE", conflicts_with_all = ["question", "case", "alert", "after", "before"])]
    pub(crate) eval: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CasesArgs {
    /// Only cases that are open
    #[arg(long)]
    pub(crate) open: bool,
    /// Most cases to list, newest first [default: 50; with --json all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    #[command(subcommand)]
    pub(crate) command: Option<CasesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesCommand {
    /// One case, its alerts, and why each is part of it
    Show {
        /// Number of the case
        id: u64,
    },
    /// Say what a case was. It then helps to judge alerts like it, and no later alert becomes part of it
    Close {
        #[command(flatten)]
        which: WhichArgs,
        /// What it was
        #[arg(long)]
        verdict: ClosedAs,
        /// Why, for colleagues
        #[arg(long)]
        reason: String,
    },
    /// Open a closed case again
    Reopen {
        #[command(flatten)]
        which: WhichArgs,
    },
}

/// Which case or alert, and who says so.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Number of the case, or of the alert with --alert
    pub(crate) id: u64,
    /// The number is that of one alert
    #[arg(long)]
    pub(crate) alert: bool,
    /// Who you are, for the record
    #[arg(long, env = "USER")]
    pub(crate) by: String,
}

/// What a closed case was.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ClosedAs {
    /// An attack
    Malicious,
    /// No attack
    Benign,
}

impl From<ClosedAs> for casemate_event::Disposition {
    fn from(verdict: ClosedAs) -> Self {
        match verdict {
            ClosedAs::Malicious => Self::Malicious,
            ClosedAs::Benign => Self::Benign,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What is written
    pub(crate) what: Exported,
    /// Number of the alert that was investigated, or of the case
    pub(crate) id: u64,
    /// In which formats, separated by commas
    #[arg(long, value_name = "FORMAT", required = true, value_delimiter = ',', value_parser = format_parser())]
    pub(crate) format: Vec<Format>,
    /// File, or a directory for files named after what they are; several formats need a directory [default: standard
    /// output]
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Exported {
    /// The investigation of one alert
    Investigation,
    /// A case with all its investigations
    Case,
}

/// Formats by their extensions.
fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::extension)).try_map(|extension| {
        Format::of_extension(&extension).ok_or_else(|| format!("there is no format {extension}"))
    })
}
