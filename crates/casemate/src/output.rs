//! How does the command line speak? Results on stdout (text or one JSON document), the rest on stderr.

use crate::cli::{Global, LogFormat};
use crate::machine;
use casemate_event::EventId;
use casemate_pipeline::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format};
use tracing_subscriber::registry::LookupSpan;

/// Sends log lines to stderr; `CASEMATE_LOG` overrides `-v`.
pub(crate) fn log_to_stderr(global: &Global) {
    let level = match global.verbose {
        0 => "warn,evtx=off,tantivy=warn",
        1 => "info,evtx=off,tantivy=warn",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CASEMATE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if global.log_format == LogFormat::Json {
        lines.json().init();
    } else if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.event_format(Journal(format().without_time().with_ansi(false))).init();
    } else {
        lines.with_ansi(io::stderr().is_terminal()).init();
    }
}

/// Lines for the journal, which has times of its own: each begins with how grave it is, as `sd-daemon(3)` says.
struct Journal<F>(F);

impl<S, N, F> FormatEvent<S, N> for Journal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// Prints one line on stdout. A reader that has gone away (`| head`) is no failure.
pub(crate) fn line(text: &str) -> io::Result<()> {
    ignore_broken_pipe(writeln!(io::stdout().lock(), "{text}"))
}

/// Log text as a terminal may see it: no control characters, which could rewrite what is on the screen, and none that
/// turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// An event as a line of a list.
pub(crate) fn event_line(id: EventId, time: Timestamp, message: &str) -> String {
    format!("{:>8}  {time:.3}  {}", id.0, printable(message))
}

/// A time in UTC, to the second, for people.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// From one time to another, the day said once where it is one.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    match (from == to, day(from) == day(to)) {
        (true, _) => format!("{} UTC", time(from)),
        (false, true) => format!("{} to {} UTC", time(from), to.strftime("%H:%M:%S")),
        (false, false) => format!("{} to {} UTC", time(from), time(to)),
    }
}

/// How text is set off: by colours on a terminal, else not at all. What colours say stands there in words as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    coloured: bool,
}

impl Style {
    /// As suits standard output. `NO_COLOR` (set, and not empty) and `TERM=dumb` keep it plain.
    pub(crate) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { coloured: io::stdout().is_terminal() && !unwanted }
    }

    fn set(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.set("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.set("2", text)
    }

    /// `text` in the colour of a verdict.
    pub(crate) fn verdict(self, verdict: &str, text: &str) -> String {
        let code = match verdict {
            "malicious" => "1;31",
            "suspicious" => "1;33",
            "benign" => "1;32",
            _ => "1;36",
        };
        self.set(code, text)
    }

    /// `text` in the colour of a severity.
    pub(crate) fn severity(self, severity: &str, text: &str) -> String {
        match severity {
            "critical" | "high" => self.set("31", text),
            "medium" => self.set("33", text),
            _ => text.to_owned(),
        }
    }
}

/// A JSON document with the cost of the command beside its result.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    seconds: f64,
    peak_rss_bytes: Option<u64>,
}

/// Prints `result` as the one JSON document on stdout.
pub(crate) fn json<T: Serialize>(result: &T, started: Instant) -> io::Result<()> {
    let document = Document { result, seconds: seconds(started), peak_rss_bytes: machine::peak_rss_bytes() };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &document)?;
    ignore_broken_pipe(writeln!(stdout))
}

/// Seconds since `started`, to the millisecond.
pub(crate) fn seconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// One bar on stderr that follows a stage; nothing is drawn where stderr is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    stage: Option<Stage>,
}

impl Bar {
    pub(crate) fn new() -> Self {
        Self { bar: ProgressBar::no_length(), stage: None }
    }

    /// Shows `done` of `total` in `stage`, about `what`.
    pub(crate) fn show(&mut self, stage: Stage, done: u64, total: u64, what: &str) {
        if self.stage != Some(stage) {
            self.stage = Some(stage);
            self.bar.reset();
            let counted = if stage == Stage::Ingest { "{bytes}/{total_bytes}" } else { "{pos}/{len}" };
            let template = format!("{{prefix:>8}} {{bar:32}} {counted} {{eta}} {{wide_msg}}");
            self.bar.set_style(
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_prefix(stage.to_string());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(what.to_owned());
    }

    /// A bar that counts `total` pieces of work named by messages.
    pub(crate) fn counting(prefix: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{prefix:>8} {bar:32} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(prefix.to_owned());
        bar
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
