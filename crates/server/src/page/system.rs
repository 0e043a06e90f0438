//! `GET /system`: how is the machine itself doing?

use super::parts::{When, age, percent, seconds, when};
use super::render;
use crate::api::about::System;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use casemate_investigate::drift::Week;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::Arc;

/// Weeks drawn.
const WEEKS: usize = 26;
/// The size of a chart, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 120.0;
/// Days before its end from which a certificate is pointed out.
const ENDS_SOON: i64 = 30;

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    version: &'static str,
    /// What should be looked at, worst first.
    warnings: Vec<String>,
    waiting: usize,
    capacity: usize,
    /// Share of the queue that is taken, for a bar of 100.
    taken: f64,
    overdue: usize,
    oldest: Option<String>,
    running: Option<u64>,
    waited: Option<String>,
    total: Option<StageRow>,
    stages: Vec<StageRow>,
    charts: Vec<Chart>,
    weeks: Vec<WeekRow>,
    closed: usize,
    attacks: usize,
    missed: usize,
    false_alarms: usize,
    sources: Vec<SourceRow>,
    more_sources: usize,
    silent: usize,
    events: u64,
    quarantined: Vec<(&'static str, u64)>,
    judges: Vec<JudgeRow>,
    sealed_by: Vec<String>,
    not_sealed: Vec<String>,
    disk: Vec<(&'static str, String)>,
    /// Share of the disk that is taken, for a bar of 100.
    used: Option<f64>,
    releases: Vec<ReleaseRow>,
    releases_unread: Option<String>,
    record_lines: u64,
    record_last: Option<When>,
    unrecorded: u64,
    certificate: Option<When>,
    sessions: u64,
    denied: u64,
    followers: usize,
}

struct StageRow {
    name: String,
    median: String,
    p95: String,
    count: usize,
    /// Share of the whole, for a bar of 100.
    bar: f64,
}

struct WeekRow {
    from: String,
    investigations: usize,
    convergence: String,
    abstained: String,
}

/// A line over weeks.
struct Chart {
    title: &'static str,
    class: &'static str,
    /// What it says, for those who do not see it.
    says: String,
    points: String,
    dots: Vec<Dot>,
    first: String,
    last: String,
}

struct Dot {
    x: f64,
    y: f64,
    says: String,
}

struct SourceRow {
    name: String,
    records: u64,
    rate: String,
    last: Option<When>,
    ago: String,
    silent: bool,
    quarantined: u64,
    dropped: u64,
}

struct JudgeRow {
    role: String,
    name: String,
    sha256: String,
    note: String,
}

struct ReleaseRow {
    number: u64,
    state: String,
    staged: When,
    parts: String,
    overrides: usize,
}

/// `GET /system`
pub(crate) async fn page(State(app): State<Arc<App>>) -> Result<Html<String>> {
    blocking(&app, |app| render(&SystemPage::new(System::look(app)?, Timestamp::now()))).await
}

impl SystemPage {
    fn new(system: System, now: Timestamp) -> Self {
        let mut warnings = warnings(&system, now);
        warnings.extend(system.verdicts.warnings.iter().cloned());
        let whole = system.stages.first().map_or(0.0, |stage| stage.median);
        let mut stages: Vec<StageRow> = system
            .stages
            .iter()
            .map(|stage| StageRow {
                name: stage.name.replace('_', " "),
                median: seconds(stage.median),
                p95: seconds(stage.p95),
                count: stage.count,
                bar: if whole > 0.0 { (100.0 * stage.median / whole).clamp(0.0, 100.0).round() } else { 0.0 },
            })
            .collect();
        let total = (!stages.is_empty()).then(|| stages.remove(0));
        let skipped = system.verdicts.weeks.len().saturating_sub(WEEKS);
        let weeks = &system.verdicts.weeks[skipped..];
        let charts = vec![
            Chart::new("Convergence", "converges", weeks, |week| week.convergence),
            Chart::new("Left inconclusive", "abstains", weeks, |week| week.abstained),
        ];
        let ago = |time: Option<Timestamp>| time.map(|time| age(now.duration_since(time)));
        Self {
            version: system.version,
            warnings,
            waiting: system.queue.waiting,
            capacity: system.queue.capacity,
            taken: share(system.queue.waiting as u64, system.queue.capacity as u64),
            overdue: system.queue.overdue,
            oldest: ago(system.queue.oldest),
            running: system.queue.running,
            waited: system
                .queue
                .waited_p95_seconds
                .map(|waited| age(SignedDuration::from_millis((waited * 1000.0) as i64))),
            total,
            stages,
            charts: if weeks.is_empty() { Vec::new() } else { charts },
            weeks: weeks
                .iter()
                .rev()
                .map(|week| WeekRow {
                    from: week.from.clone(),
                    investigations: week.investigations,
                    convergence: percent(week.convergence),
                    abstained: percent(week.abstained),
                })
                .collect(),
            closed: system.verdicts.closed,
            attacks: system.verdicts.attacks,
            missed: system.verdicts.missed,
            false_alarms: system.verdicts.false_alarms,
            more_sources: system.intake.all - system.intake.sources.len(),
            sources: system
                .intake
                .sources
                .into_iter()
                .map(|source| SourceRow {
                    rate: source.per_minute.map_or_else(|| "–".to_owned(), rate),
                    ago: ago(source.last_seen).unwrap_or_else(|| "never".to_owned()),
                    last: source.last_seen.map(when),
                    name: source.source,
                    records: source.records,
                    silent: source.silent,
                    quarantined: source.quarantined,
                    dropped: source.dropped,
                })
                .collect(),
            silent: system.intake.silent,
            events: system.intake.events,
            quarantined: system
                .intake
                .quarantined
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(reason, count)| (reason.name(), *count))
                .collect(),
            judges: system.judges.iter().map(JudgeRow::new).collect(),
            sealed_by: system.egress.sealed_by,
            not_sealed: system.egress.not_sealed,
            used: system
                .disk
                .free_bytes
                .zip(system.disk.all_bytes)
                .map(|(free, all)| share(all.saturating_sub(free), all)),
            disk: disk(&system.disk),
            releases: system
                .releases
                .into_iter()
                .map(|release| ReleaseRow {
                    number: release.number,
                    state: release.state,
                    staged: when(release.staged),
                    parts: release.parts.join(", "),
                    overrides: release.overrides,
                })
                .collect(),
            releases_unread: system.releases_unread,
            record_lines: system.record.lines,
            record_last: system.record.last.map(when),
            unrecorded: system.record.unrecorded,
            certificate: system.certificate_expires.map(when),
            sessions: system.sessions,
            denied: system.denied,
            followers: system.followers,
        }
    }
}

/// What is not as it should be.
fn warnings(system: &System, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if !system.queue.alive {
        warnings.push(
            "The thread that investigates has ended: start casemate again; its log says why.".to_owned(),
        );
    }
    if let Some(held) = &system.queue.held {
        warnings.push(format!("Nothing is investigated for now: {held}"));
    }
    if system.egress.sealed_by.is_empty() {
        warnings.push(
            "Nothing holds this process back from connecting but that it has no code to: leave --unsealed out, on a \
             kernel with seccomp and Landlock."
                .to_owned(),
        );
    }
    if system.record.unrecorded > 0 {
        warnings.push(format!(
            "The audit record could not take {} entries: is the disk full?",
            system.record.unrecorded
        ));
    }
    if let Some((free, all)) = system.disk.free_bytes.zip(system.disk.all_bytes)
        && free < all / 10
    {
        warnings.push(format!("The disk has {} left of {}.", bytes(free), bytes(all)));
    }
    if system.intake.detection_faults > 0 {
        warnings.push(format!(
            "Detection failed on {} events, which no rule says anything about: the log names them.",
            system.intake.detection_faults
        ));
    }
    if system.intake.silent > 0 {
        let s = if system.intake.silent == 1 { "source has" } else { "sources have" };
        warnings.push(format!("{} {s} fallen silent: see Intake.", system.intake.silent));
    }
    if system.queue.overdue > 0 {
        warnings.push(format!("{} alerts wait longer than they should.", system.queue.overdue));
    }
    if let Some(expires) = system.certificate_expires {
        let days = expires.duration_since(now).as_hours() / 24;
        if days < ENDS_SOON {
            warnings.push(format!("The certificate of this page ends in {days} days."));
        }
    }
    warnings
}

impl Chart {
    fn new(title: &'static str, class: &'static str, weeks: &[Week], value: impl Fn(&Week) -> f64) -> Self {
        let step = WIDTH / (weeks.len().max(2) - 1) as f64;
        let dots: Vec<Dot> = weeks
            .iter()
            .enumerate()
            .map(|(n, week)| Dot {
                x: round(n as f64 * step),
                y: round(HEIGHT * (1.0 - value(week).clamp(0.0, 1.0))),
                says: format!(
                    "week of {}: {}, {} investigations",
                    week.from,
                    percent(value(week)),
                    week.investigations
                ),
            })
            .collect();
        let points: Vec<String> = dots.iter().map(|dot| format!("{},{}", dot.x, dot.y)).collect();
        let of = |week: Option<&Week>| week.map(|week| week.from.clone()).unwrap_or_default();
        let says = weeks.last().map(|week| {
            let (n, s) = (weeks.len(), if weeks.len() == 1 { "" } else { "s" });
            format!("{title} over {n} week{s}; {} in the week of {}", percent(value(week)), week.from)
        });
        Self {
            title,
            class,
            says: says.unwrap_or_default(),
            points: points.join(" "),
            first: of(weeks.first()),
            last: if weeks.len() > 1 { of(weeks.last()) } else { String::new() },
            dots,
        }
    }
}

impl JudgeRow {
    fn new(listed: &Value) -> Self {
        let text = |name: &str| listed[name].as_str().unwrap_or_default().to_owned();
        Self { role: text("role"), name: text("name"), sha256: text("sha256"), note: text("note") }
    }
}

fn disk(disk: &crate::api::about::Disk) -> Vec<(&'static str, String)> {
    let mut rows =
        vec![("Taken by the data", bytes(disk.bytes)), ("Logs as received", bytes(disk.raw_bytes))];
    if let Some((free, all)) = disk.free_bytes.zip(disk.all_bytes) {
        rows.push(("Left on the disk", format!("{} of {}", bytes(free), bytes(all))));
    }
    let kept = match (disk.keep_days, disk.keep_bytes) {
        (None, None) => "all events, for good".to_owned(),
        (Some(days), None) => format!("{days} days"),
        (None, Some(most)) => format!("the latest {}", bytes(most)),
        (Some(days), Some(most)) => format!("{days} days, and no more than {}", bytes(most)),
    };
    rows.push(("Kept", kept));
    if let Some(first) = disk.first_event {
        rows.push(("Earliest event", when(first).shown));
    }
    rows
}

/// Part of a whole, of 100.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (100.0 * part as f64 / whole as f64).clamp(0.0, 100.0).round() }
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn rate(per_minute: f64) -> String {
    if per_minute >= 10.0 || per_minute == 0.0 {
        format!("{per_minute:.0}")
    } else {
        format!("{per_minute:.1}")
    }
}

/// Bytes for people.
fn bytes(bytes: u64) -> String {
    let of = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", of(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", of(1e6)),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", of(1e9)),
        _ => format!("{:.1} TB", of(1e12)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(from: &str, convergence: f64) -> Week {
        Week { from: from.to_owned(), investigations: 3, abstained: 0.0, convergence }
    }

    #[test]
    fn charts_are_lines_over_weeks() {
        let weeks = [week("2026-01-05", 1.0), week("2026-01-12", 0.5), week("2026-01-19", 0.75)];
        let chart = Chart::new("Convergence", "c", &weeks, |week| week.convergence);
        assert_eq!(chart.points, "0,0 240,60 480,30");
        assert_eq!((chart.first.as_str(), chart.last.as_str()), ("2026-01-05", "2026-01-19"));
        assert_eq!(chart.says, "Convergence over 3 weeks; 75 % in the week of 2026-01-19");
        assert_eq!(Chart::new("C", "c", &weeks[..1], |week| week.convergence).points, "0,0");
        assert!(Chart::new("C", "c", &[], |week| week.convergence).dots.is_empty());
    }

    #[test]
    fn bytes_are_readable() {
        let shown: Vec<String> = [999, 1_500, 2_500_000, 3_210_000_000, 4_000_000_000_000].map(bytes).into();
        assert_eq!(shown, ["999 B", "2 kB", "2.5 MB", "3.2 GB", "4.0 TB"]);
    }
}
