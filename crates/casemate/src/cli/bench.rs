//! What may be typed behind `bench`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The decoder: tokens per second, memory, load; with --quality its distance from exact arithmetic
    #[command(after_help = "Example:\n  casemate bench inference --rows prefill_2048,decode_512 --isa avx2")]
    Inference(InferenceBenchArgs),
    /// The embedder: texts per second, and its distance from exact arithmetic
    #[command(after_help = "Example:\n  casemate bench embedding --peer stock-candle --json")]
    Embedding(EmbeddingBenchArgs),
    /// Intake: records per second parsed, and made durable and searchable; disk and memory
    #[command(after_help = "Example:\n  casemate bench ingest --data logs/ --peer tantivy --json")]
    Ingest(IngestBenchArgs),
    /// The vector index: queries per second at a recall of 0.95, opening, memory and disk
    #[command(
        after_help = "Example:\n  casemate bench vector --data logs/ --peer usearch --peer-python /opt/peers/bin/python"
    )]
    Vector(VectorBenchArgs),
    /// The pages: how long until their first byte, and until they can be used, beside many events and an investigation
    #[command(
        after_help = "Example:\n  casemate bench page --keep /var/tmp/site --browser node_modules/.. --json"
    )]
    Page(PageArgs),
    /// The whole server for a time: events, alerts and readers at once; how long reads wait, whether memory grows
    #[command(
        after_help = "Example:\n  casemate bench soak --minutes 30 --events-per-second 5000 --alerts-per-day 3000"
    )]
    Soak(SoakArgs),
    /// Our side of `bench vector`, in a process of its own
    #[command(hide = true)]
    VectorWorker(VectorWorkerArgs),
    /// A measurement of `bench ingest`, in a process of its own
    #[command(hide = true)]
    IngestWorker(IngestWorkerArgs),
    /// Our side of the row `sigma_evtx`, in a process of its own
    #[command(hide = true)]
    SigmaWorker(SigmaWorkerArgs),
    /// Our side of `bench inference`, in a process of its own
    #[command(hide = true)]
    Worker(WorkerArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Events in the store
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) events: u64,
    /// Intrusions among them, each of which raises alerts
    #[arg(long, default_value_t = 1000)]
    pub(crate) intrusions: u64,
    /// Times each page is asked for
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: usize,
    /// Keep the store here, and go on with the one that is here
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Folder whose `node_modules` hold playwright-core: pages are opened in Chromium too
    #[arg(long, value_name = "DIR")]
    pub(crate) browser: Option<PathBuf>,
    /// Model that investigates meanwhile: `default`, `small`, `tiny`, the path of a GGUF file, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// Minutes measured
    #[arg(long, default_value_t = 30)]
    pub(crate) minutes: u64,
    /// Minutes before that: until the model keeps as many read prompts as it may, memory grows
    #[arg(long, default_value_t = 10)]
    pub(crate) warm_up: u64,
    #[arg(long, default_value_t = 5000)]
    pub(crate) events_per_second: u64,
    #[arg(long, default_value_t = 3000)]
    pub(crate) alerts_per_day: u32,
    /// Model that investigates: `default`, `small`, `tiny`, the path of a GGUF file, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
pub(crate) struct InferenceBenchArgs {
    /// Model measured: `default`, `small`, `tiny` or the path of a GGUF file
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub(crate) model: String,
    /// Model of the row `prefill_2048_tiny` and of the second pair of quality rows, or `none`
    #[arg(long, value_name = "NAME|PATH", default_value = "tiny")]
    pub(crate) tiny: String,
    /// Engines measured beside ours: llama.cpp, openvino; with --quality also stock-candle
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Python in which the peers are installed (llama-cpp-python, openvino-genai)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "quality")]
    pub(crate) rows: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Instruction set of our kernels instead of the best: portable, neon, avx2, avx512-vnni, amx
    #[arg(long, value_name = "NAME")]
    pub(crate) isa: Option<casemate_inference::Isa>,
    /// Threads instead of one per core
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Compare next-token distributions with those of exact arithmetic instead
    #[arg(long)]
    pub(crate) quality: bool,
    /// Directory of log files whose text --quality is measured on
    #[arg(long, value_name = "DIR", default_value = "tests/data")]
    pub(crate) text: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EmbeddingBenchArgs {
    /// Engine measured beside ours: stock-candle
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// Directory of log files whose lines are embedded
    #[arg(long, value_name = "DIR", default_value = "tests/data")]
    pub(crate) text: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VectorBenchArgs {
    /// Directory of real logs whose templates and lines are embedded
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub(crate) data: PathBuf,
    /// Vectors in the index; those beyond the real ones are real ones with small changes
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(crate) vectors: usize,
    /// Texts embedded at most
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) real: usize,
    /// Lines held out as queries
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Measure opening an index of so many, too: made from the others by small changes, and built in minutes and 6 GB
    /// of memory per million
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) open_vectors: usize,
    /// Links of a point on the upper layers, half of those on the lowest
    #[arg(long, value_name = "N", default_value_t = casemate_vector::Params::default().m)]
    pub(crate) m: usize,
    /// Engine measured beside ours: usearch
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Python in which the peer is installed (usearch, numpy)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Directory for what is written while measuring; the embeddings are kept there for the next run
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VectorWorkerArgs {
    /// Directory of vectors and queries
    pub(crate) scratch: PathBuf,
    pub(crate) dimension: usize,
    pub(crate) k: usize,
    #[arg(long)]
    pub(crate) m: usize,
}

#[derive(Debug, Args)]
pub(crate) struct IngestBenchArgs {
    /// Directory of real logs that is measured on: linux/, vendor-syslog/, loghub/, windows-json/, zeek/,
    /// evtx/, sigma/
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub(crate) data: PathBuf,
    /// Records of each measurement
    #[arg(long, value_name = "N", default_value_t = 400_000)]
    pub(crate) events: u64,
    /// Engines beside ours: tantivy; in the row `sigma_evtx` rsigma, and pysigma, with which hits are compared
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Only these rows
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Measurements of each, whose median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// The `rsigma` command (0.23) that the peer rsigma is
    #[arg(long, value_name = "PATH", default_value = "rsigma")]
    pub(crate) rsigma: PathBuf,
    /// Python in which the peer pysigma is installed (pysigma-backend-sqlite, pysigma-pipeline-sysmon,
    /// pysigma-pipeline-windows, evtx)
    #[arg(long, value_name = "PATH")]
    pub(crate) peer_python: Option<PathBuf>,
    /// Directory for what is written while measuring
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Fill a data directory with so many events, open it and ask it, instead of the usual rows
    #[arg(long, value_name = "N")]
    pub(crate) scale: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestWorkerArgs {
    pub(crate) work: IngestWork,
    pub(crate) files: Vec<PathBuf>,
    /// Directory written to
    #[arg(long)]
    pub(crate) into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum IngestWork {
    Parse,
    Durable,
    Tantivy,
    Search,
    Hybrid,
}

impl IngestWork {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Durable => "durable",
            Self::Tantivy => "tantivy",
            Self::Search => "search",
            Self::Hybrid => "hybrid",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SigmaWorkerArgs {
    /// Event logs
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Rules
    #[arg(long, value_name = "DIR")]
    pub(crate) sigma: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// GGUF file
    pub(crate) model: PathBuf,
    #[arg(long)]
    pub(crate) isa: Option<casemate_inference::Isa>,
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}
