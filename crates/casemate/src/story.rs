//! How is an investigation told to somebody at a terminal? What is being done, as it is done; then verdict, why, what
//! happened, evidence, next steps.

use crate::output::{self, Bar, Style, printable};
use casemate_event::Alert;
use casemate_investigate::report::Method;
use casemate_investigate::{Investigation, Progress, Verdict};
use casemate_store::Store;
use indicatif::ProgressBar;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

/// Past investigations looked at for how long one takes.
const MOST_KNOWN: usize = 20;

/// How long investigations take here.
#[derive(Debug, Default)]
pub(crate) struct Pace(Vec<f64>);

/// What is read of a stored report.
#[derive(Debug, Deserialize)]
struct Took {
    model: Option<serde::de::IgnoredAny>,
    reused_from: Option<u64>,
    #[serde(default)]
    seconds: BTreeMap<String, f64>,
}

impl Pace {
    /// From the latest investigations, those with a model or those without.
    pub(crate) fn load(store: &Store, with_model: bool) -> casemate_store::Result<Self> {
        let mut pace = Self::default();
        for id in store.investigations()?.into_iter().rev().take(MOST_KNOWN) {
            let Some(json) = store.investigation(id)? else { continue };
            // A report of another version tells nothing of the time it took.
            if let Ok(took) = serde_json::from_slice::<Took>(&json)
                && took.model.is_some() == with_model
                && took.reused_from.is_none()
            {
                pace.0.extend(took.seconds.get("total"));
            }
        }
        Ok(pace)
    }

    fn add(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    /// Seconds that are left of one, and of `more` behind it.
    fn left(&self, passed: f64, more: usize) -> Option<f64> {
        if self.0.is_empty() {
            return None;
        }
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        Some((mean - passed).max(0.0) + mean * more as f64)
    }
}

/// Tells investigations one after another.
pub(crate) struct Story {
    style: Style,
    bar: ProgressBar,
    pace: Pace,
    total: usize,
    done: usize,
    started: Instant,
}

impl Story {
    pub(crate) fn new(total: usize, pace: Pace) -> Self {
        let bar = Bar::counting("investigate", total as u64);
        Self { style: Style::of_stdout(), bar, pace, total, done: 0, started: Instant::now() }
    }

    /// An investigation begins.
    pub(crate) fn begin(&mut self, alert: &Alert) -> io::Result<()> {
        self.started = Instant::now();
        let Alert { id, severity, title, event_count, first_time, last_time, .. } = alert;
        let title = self.style.bold(&printable(title));
        let span = output::span(*first_time, *last_time);
        self.say(&format!("alert {id}  {severity}  {title}"))?;
        self.say(&format!("  {event_count} events, {span}"))
    }

    /// A step of it.
    pub(crate) fn step(&mut self, progress: &Progress) -> io::Result<()> {
        let doing = match progress {
            Progress::Stage { name } => {
                let doing = stage(name);
                self.say(&self.style.dim(doing))?;
                doing.to_owned()
            }
            Progress::Evidence { count, candidates } => {
                return self.say(&format!("    {count} lines of evidence from {candidates} events"));
            }
            Progress::Fact { statement, weight, .. } => {
                return self.say(&format!("    {weight:+.1}  {}", printable(statement)));
            }
            Progress::Answer { question, answer, probability, .. } => {
                let (question, answer) = (printable(question), printable(answer));
                return self.say(&format!("    {question} {answer} ({probability:.2})"));
            }
            Progress::Reading { order, tokens } => {
                format!("reading {tokens} tokens, order {}", order + 1)
            }
            Progress::Verdict { verdict, .. } => format!("verdict {verdict}"),
            Progress::Sentence { .. } => "writing down what happened".to_owned(),
        };
        let left = self.pace.left(self.started.elapsed().as_secs_f64(), self.total - self.done - 1);
        self.bar.set_message(match left {
            Some(seconds) => format!("{doing}, about {} s left", seconds.ceil()),
            None => doing,
        });
        Ok(())
    }

    /// It has ended; this is what came of it.
    pub(crate) fn end(&mut self, found: &Investigation) -> io::Result<()> {
        self.done += 1;
        if found.reused_from.is_none() {
            self.pace.add(self.started.elapsed().as_secs_f64());
        }
        self.bar.inc(1);
        for line in told(found, self.style) {
            self.say(&line)?;
        }
        Ok(())
    }

    /// Clears what is drawn.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) -> io::Result<()> {
        self.bar.suspend(|| output::line(line))
    }
}

fn stage(name: &str) -> &str {
    match name {
        "retrieve" => "  looking for evidence",
        "facts" => "  establishing facts",
        "read" => "  reading the evidence",
        "first pass" => "  asking the playbook's questions of the facts",
        "ask" => "  asking the playbook's questions",
        "narrate" => "  writing down what happened",
        other => other,
    }
}

/// The report, line by line.
fn told(found: &Investigation, style: Style) -> Vec<String> {
    let verdict = style.verdict(found.verdict.name(), &found.verdict.name().to_uppercase());
    let figures = format!("confidence {:.2}, convergence {:.2}", found.confidence, found.convergence);
    let mut lines = vec![String::new(), format!("{verdict}  {figures}"), printable(&found.summary)];
    if let Method::FactsOnly(why) = &found.method {
        lines.push(format!("Reached without a model, from rules and facts alone: {}", printable(why)));
    }
    if let Some(earlier) = found.reused_from {
        lines.push(format!(
            "The verdict of investigation {earlier}: everything it rested on is the same here."
        ));
    }
    if found.verdict == Verdict::Inconclusive && found.missing.is_empty() {
        lines.push("Too little speaks for either side; a person has to look.".to_owned());
    }
    let mut part = |title: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            lines.push(String::new());
            lines.push(style.bold(title));
            lines.extend(rows.into_iter().map(|row| format!("  {row}")));
        }
    };
    let cited = |labels: &[String]| style.dim(&format!("[{}]", labels.join(", ")));
    part(
        "Why",
        found
            .facts
            .iter()
            .map(|fact| {
                format!("{:+.1}  {} {}", fact.weight, printable(&fact.statement), cited(&fact.evidence))
            })
            .collect(),
    );
    part(
        "What happened",
        found
            .narrative
            .iter()
            .map(|sentence| format!("{} {}", printable(&sentence.text), cited(&sentence.citations)))
            .collect(),
    );
    part(
        "Evidence",
        found
            .evidence
            .iter()
            .map(|line| {
                let times = if line.count > 1 { format!(" ({} times)", line.count) } else { String::new() };
                let place = style.dim(&format!("event {}", line.event));
                format!(
                    "{:>4}  {}  {}{times}  {place}",
                    line.label,
                    line.time.strftime("%Y-%m-%d"),
                    printable(&line.line)
                )
            })
            .collect(),
    );
    let techniques: Vec<&str> = found.techniques.iter().map(|technique| technique.id.as_str()).collect();
    part("Techniques", if techniques.is_empty() { Vec::new() } else { vec![techniques.join(", ")] });
    part("Missing", found.missing.iter().map(|text| printable(text)).collect());
    part("Next steps", found.next_steps.iter().map(|text| printable(text)).collect());
    lines.push(String::new());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_of_this_one_and_those_behind_it() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(3.0, 2), None);
        pace.add(10.0);
        pace.add(20.0);
        assert_eq!((pace.left(5.0, 0), pace.left(40.0, 2)), (Some(10.0), Some(30.0)));
    }
}
