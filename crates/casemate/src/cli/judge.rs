//! What may be typed to see how well it judges, and how fast: `eval`, `playbook`, `plan`.

use super::ModelArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Labelled cases, one JSON object a line; without it, the shipped suite (`suite/` in --config)
    #[arg(long, value_name = "FILE")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Directory that the paths of the cases start from; without it, that of --scenarios
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Only cases of this split
    #[arg(long, value_name = "NAME", requires = "scenarios")]
    pub(crate) split: Option<String>,
    /// Only so many cases, chosen by --seed
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only this case; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Seed of intervals and samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write a report with plots (Markdown, HTML, SVG) into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Keep what was observed here: a second run of the same program over the same cases only scores
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Ask the model once in free form about so many cases, as a baseline; with --suite, let it pick among the
    /// candidates of so many questions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) free_form: usize,
    /// Plant so many texts of an attacker into each alert of an attack, one at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) canaries: usize,
    /// Cases run at once; with a model always one, so that seconds mean something
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Answer the questions of an outside suite instead, from its files under --root
    #[arg(long, value_name = "NAME", requires = "root", conflicts_with_all = ["scenarios", "gate", "fit"])]
    pub(crate) suite: Option<OutsideSuite>,
    /// Fit a head on the cases, write it to this file, and print the figures of its cross-validation: every case
    /// judged by a fit that did not see its family
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gate", "free_form"])]
    pub(crate) fit: Option<PathBuf>,
    /// Fit only on cases whose licence lets the head be shipped (MIT, Apache-2.0, BSD, CC0)
    #[arg(long, requires = "fit")]
    pub(crate) shippable: bool,
    /// Correct the head that judges now by the alerts that this site has closed, beside the cases
    #[arg(long, requires = "fit", conflicts_with_all = ["shippable", "layer"])]
    pub(crate) closed: bool,
    /// Model whose inner states the fitted head's probe reads; `none` for a head without a probe
    #[arg(long, value_name = "NAME|PATH", default_value = "tiny", requires = "fit")]
    pub(crate) reader: String,
    /// Layer after which the states are taken [default: half way up]
    #[arg(long, value_name = "N", requires = "fit")]
    pub(crate) layer: Option<usize>,
    /// Compare this model (name or GGUF file), head (.json) or directory of playbooks with what is active, on the
    /// shipped suite and the cases this site has closed, and refuse a regression
    #[arg(long, value_name = "CANDIDATE", conflicts_with_all = ["report", "free_form", "cache"])]
    pub(crate) gate: Option<String>,
    /// Accept the candidate all the same; noted in the record of decisions
    #[arg(long, requires = "gate")]
    pub(crate) force: bool,
    /// Who decides, for the record
    #[arg(long, value_name = "NAME", requires = "gate", env = "USER", default_value = "operator")]
    pub(crate) by: String,
}

/// A suite that others made.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum OutsideSuite {
    /// ExCyTIn-Bench: questions that the alert rows of its incidents answer
    Excytin,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Alerts on a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) alerts_per_day: u32,
    /// Seconds to measure for; at least one alert is measured
    #[arg(long, value_name = "N", default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) measure_seconds: u32,
    /// Measure on the sample incident even where the site has alerts
    #[arg(long)]
    pub(crate) sample: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlaybookArgs {
    #[command(subcommand)]
    pub(crate) command: PlaybookCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookCommand {
    /// Say whether playbooks are valid; a mistake is named with file, line, column, key and what to do
    #[command(
        after_help = "Exit status 2 if one is not.\n\nExample:\n  casemate playbook check config/playbooks/web.toml"
    )]
    Check {
        /// Files, and directories of them; those of --config if left out
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Run the tests written in playbooks: which playbook is chosen, what facts hold and what they answer
    #[command(after_help = "Exit status 1 if a test fails, 2 if a playbook is not valid.\n\n\
        Examples:\n  casemate playbook test\n  casemate playbook test my-playbook.toml --model small")]
    Test(PlaybookTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlaybookTestArgs {
    /// Files, and directories of them; those of --config if left out
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Model whose answers are compared too: `default`, `small`, `tiny` or the path of a GGUF file
    #[arg(long, value_name = "NAME|PATH", default_value = "none")]
    pub(crate) model: String,
}
