//! What may be typed to take events in and to find them: `ingest`, `search`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files and directories
    #[arg(required_unless_present = "retry_quarantine", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Decode quarantined records again, after an update or with a mapping added; those understood become events
    #[arg(long)]
    pub(crate) retry_quarantine: bool,
    /// Take in files again even if the same bytes were taken in before
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words and field:value terms, joined by AND unless OR is written; all events if left out
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// Only events that name one of these, written kind:value (host, user, ip, process, file, hash, domain,
    /// registry, asset, process_id)
    #[arg(long, value_name = "KIND:VALUE")]
    pub(crate) entity: Vec<String>,
    /// Only events at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<jiff::Timestamp>,
    /// Only events before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<jiff::Timestamp>,
    /// Most results to print
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Search message templates by meaning instead of events by words
    #[arg(long, conflicts_with_all = ["entity", "after", "before", "quarantine"], requires = "query")]
    pub(crate) semantic: bool,
    /// Take the query as plain words: find events by words, entities and meaning at once, and say how
    #[arg(long, conflicts_with_all = ["semantic", "quarantine"], requires = "query")]
    pub(crate) hybrid: bool,
    /// With --hybrid: only events that match this query
    #[arg(long, value_name = "QUERY", requires = "hybrid", default_value = "")]
    pub(crate) filter: String,
    /// Print each event as a document of the Elastic Common Schema (8.17), one a line
    #[arg(long, conflicts_with_all = ["semantic", "hybrid", "quarantine"])]
    pub(crate) ecs: bool,
    /// Follow new events that match as they come in, until Ctrl-C; also beside a running server. With --json each is a
    /// document on a line of its own
    #[arg(long, conflicts_with_all = ["semantic", "hybrid", "quarantine", "limit"])]
    pub(crate) tail: bool,
    /// List quarantined records instead; the query is then a text in the record or its source
    #[arg(long, conflicts_with_all = ["entity", "after", "before"])]
    pub(crate) quarantine: bool,
}
