//! What does the report say, in which order? One document of an investigation or a case, which [`crate::markdown`] and
//! [`crate::html`] each render in their way.
//!
//! Texts here are as they were stored: how they are kept from becoming markup, or from hiding, is for each renderer.

use crate::dossier::{Dossier, labels_of};
use casemate_event::{Closing, Subject};
use casemate_investigate::report::{Answer, Evidence, Fact, Method, SentenceSource};
use casemate_investigate::{Investigation, SimilarCase, Verdict};
use jiff::Timestamp;

/// A whole report.
pub(crate) struct Document {
    pub(crate) title: String,
    /// The verdict that counts for all of it.
    pub(crate) verdict: Verdict,
    /// When it was made, and by which version.
    pub(crate) made: Timestamp,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a report, below the one before it.
pub(crate) enum Block {
    /// Level 2 is the first below the title.
    Heading {
        level: u8,
        text: String,
    },
    /// The verdict, its figures by name, and why in a sentence or two.
    Verdict {
        verdict: Verdict,
        figures: Vec<(&'static str, String)>,
        summary: String,
    },
    Paragraph(Vec<Span>),
    /// Something that has to be known to read the rest.
    Note(Vec<Span>),
    List {
        numbered: bool,
        items: Vec<Vec<Span>>,
    },
    Table(Table),
}

/// Rows of cells under a head.
pub(crate) struct Table {
    pub(crate) head: &'static [&'static str],
    /// Parts of the width, by column.
    pub(crate) widths: &'static [f32],
    pub(crate) rows: Vec<Row>,
}

/// A row of a table, and the name under which others cite it.
pub(crate) struct Row {
    pub(crate) anchor: Option<String>,
    pub(crate) cells: Vec<Vec<Span>>,
}

/// A piece of text.
pub(crate) enum Span {
    Plain(String),
    Strong(String),
    /// Said beside it.
    Quiet(String),
    /// What was logged.
    Log(String),
    /// Evidence that is named: its label, and the anchor of its row.
    Cite {
        label: String,
        anchor: String,
    },
}

fn plain(text: impl Into<String>) -> Vec<Span> {
    vec![Span::Plain(text.into())]
}

fn strong(text: impl Into<String>) -> Vec<Span> {
    vec![Span::Strong(text.into())]
}

/// A time for people: UTC, to the second, or to the millisecond where there are some.
pub(crate) fn when(time: Timestamp) -> String {
    let pattern = if time.subsec_nanosecond() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    time.strftime(pattern).to_string()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn signed(weight: f64) -> String {
    format!("{weight:+.2}").replace('-', "−")
}

impl Document {
    pub(crate) fn of(dossier: &Dossier) -> Self {
        let mut blocks = Vec::new();
        let title = match (dossier.subject, dossier.investigations.as_slice()) {
            (Subject::Alert(id), [one]) => {
                investigation(&mut blocks, one, 2, dossier.closing.as_ref());
                format!("Investigation {id}: {}", one.alert.title)
            }
            _ => {
                case(&mut blocks, dossier);
                let name = dossier.name();
                format!("{}{}: {}", name[..1].to_uppercase(), &name[1..], dossier.title())
            }
        };
        Self { title, verdict: dossier.verdict(), made: dossier.made, blocks }
    }
}

fn heading(out: &mut Vec<Block>, level: u8, text: impl Into<String>) {
    out.push(Block::Heading { level, text: text.into() });
}

fn list(out: &mut Vec<Block>, level: u8, title: &str, numbered: bool, items: Vec<Vec<Span>>) {
    if !items.is_empty() {
        heading(out, level, title);
        out.push(Block::List { numbered, items });
    }
}

fn case(out: &mut Vec<Block>, dossier: &Dossier) {
    let (first, last) = dossier.span();
    let count = |verdict| dossier.investigations.iter().filter(|case| case.verdict == verdict).count();
    let named = [Verdict::Malicious, Verdict::Suspicious, Verdict::Inconclusive, Verdict::Benign].into_iter();
    let counts: Vec<String> = named
        .filter(|verdict| count(*verdict) > 0)
        .map(|verdict| format!("{} {verdict}", count(verdict)))
        .collect();
    let gravest = dossier.gravest();
    out.push(Block::Verdict {
        verdict: dossier.verdict(),
        figures: vec![
            ("severity", dossier.severity().to_string()),
            ("investigations", counts.join(", ")),
            ("first event", when(first)),
            ("last event", when(last)),
        ],
        summary: gravest.map(|case| case.summary.clone()).unwrap_or_default(),
    });
    decision(out, dossier.closing.as_ref());
    heading(out, 2, "Investigations");
    let row = |one: &Investigation| Row {
        anchor: None,
        cells: vec![
            plain(one.id.to_string()),
            strong(one.verdict.name()),
            plain(one.alert.severity.name()),
            plain(when(one.alert.first_time)),
            plain(one.alert.title.clone()),
            plain(joined(dossier, one)),
        ],
    };
    out.push(Block::Table(Table {
        head: &["#", "Verdict", "Severity", "First event (UTC)", "Alert", "Part of the case by"],
        widths: &[0.5, 1.3, 1.2, 2.0, 4.0, 2.6],
        rows: dossier.investigations.iter().map(row).collect(),
    }));
    let waiting = |row: &crate::Waiting| plain(format!("alert {}: {}", row.alert, row.title));
    list(out, 2, "Not investigated", false, dossier.waiting.iter().map(waiting).collect());
    let techniques = dossier.techniques();
    let technique = |one: &casemate_investigate::report::Technique| {
        let named =
            dossier.investigations.iter().filter(|case| case.techniques.iter().any(|own| own.id == one.id));
        let ids: Vec<String> = named.map(|case| case.id.to_string()).collect();
        vec![Span::Strong(one.id.clone()), Span::Quiet(format!(" in {}", ids.join(", ")))]
    };
    list(out, 2, "ATT&CK", false, techniques.iter().map(technique).collect());
    if dossier.unread > 0 {
        out.push(Block::Note(plain(format!(
            "{} events of the evidence are not part of the exported files: more than are exported at once, or \
             deleted by now.",
            dossier.unread
        ))));
    }
    for one in &dossier.investigations {
        heading(out, 2, format!("Investigation {}: {}", one.id, one.alert.title));
        investigation(out, one, 3, None);
    }
}

fn joined(dossier: &Dossier, one: &Investigation) -> String {
    let members = dossier.case.iter().flat_map(|case| &case.alerts);
    match members.into_iter().find(|member| member.alert == one.id) {
        Some(member) if !member.joined.is_empty() => member.joined.clone(),
        _ => "the first".to_owned(),
    }
}

fn decision(out: &mut Vec<Block>, closing: Option<&Closing>) {
    let Some(closing) = closing else { return };
    out.push(Block::Note(vec![
        Span::Strong(format!("Closed as {}", closing.verdict)),
        Span::Plain(format!(" by {} on {}: {}", closing.by, when(closing.at), closing.reason)),
    ]));
}

fn investigation(out: &mut Vec<Block>, case: &Investigation, level: u8, closing: Option<&Closing>) {
    let events = case.alert.event_count;
    out.push(Block::Verdict {
        verdict: case.verdict,
        figures: vec![
            ("confidence", percent(case.confidence)),
            ("convergence", percent(case.convergence)),
            ("probability of an attack", percent(case.probability)),
            ("severity", case.alert.severity.to_string()),
            ("events", events.to_string()),
            ("first", when(case.alert.first_time)),
            ("last", when(case.alert.last_time)),
        ],
        summary: case.summary.clone(),
    });
    decision(out, closing);
    if let Method::FactsOnly(why) = &case.method {
        out.push(Block::Note(vec![
            Span::Strong("Reached without a model".to_owned()),
            Span::Plain(format!(", from rules and facts only: {why}")),
        ]));
    }
    if let Some(earlier) = case.reused_from {
        out.push(Block::Note(plain(format!(
            "Verdict of investigation {earlier}, used again: everything it rested on is the same here."
        ))));
    }
    story(out, case, level);
    evidence(out, case, level);
    reasons(out, case, level);
    context(out, case, level);
    list(out, level, "Similar closed cases", false, case.similar_closed.iter().map(similar).collect());
    let technique = |one: &casemate_investigate::report::Technique| {
        let mut spans = vec![
            Span::Strong(one.id.clone()),
            Span::Quiet(format!(" {} {:+.1} ", one.source.replace('_', " "), one.support)),
        ];
        spans.extend(cites(case, labels_of(case, one)));
        spans
    };
    list(out, level, "ATT&CK", false, case.techniques.iter().map(technique).collect());
    list(out, level, "Missing", false, case.missing.iter().map(plain).collect());
    list(out, level, "Next steps", true, case.next_steps.iter().map(plain).collect());
    let entity = |entity: &casemate_event::Entity| {
        vec![Span::Quiet(format!("{} ", entity.kind.name())), Span::Log(entity.value.clone())]
    };
    list(out, level, "About", false, case.entities.iter().map(entity).collect());
    provenance(out, case, level);
}

/// Anchors of two investigations of one case differ.
fn anchor(case: &Investigation, label: &str) -> String {
    format!("i{}-{label}", case.id)
}

fn cites<'a>(case: &Investigation, labels: impl IntoIterator<Item = &'a str>) -> Vec<Span> {
    let mut spans = Vec::new();
    for label in labels {
        if !spans.is_empty() {
            spans.push(Span::Plain(" ".to_owned()));
        }
        spans.push(Span::Cite { label: label.to_owned(), anchor: anchor(case, label) });
    }
    spans
}

fn story(out: &mut Vec<Block>, case: &Investigation, level: u8) {
    heading(out, level, "What happened");
    if case.narrative.is_empty() {
        out.push(Block::Paragraph(plain("There is no story: no fact was established.")));
    }
    let sentence = |sentence: &casemate_investigate::report::Sentence| {
        let mut spans = plain(format!("{} ", sentence.text));
        spans.extend(cites(case, sentence.citations.iter().map(String::as_str)));
        if sentence.source == SentenceSource::Template {
            spans.push(Span::Quiet(" (template)".to_owned()));
        }
        spans
    };
    let items: Vec<Vec<Span>> = case.narrative.iter().map(sentence).collect();
    if !items.is_empty() {
        out.push(Block::List { numbered: true, items });
    }
    if case.narrative_replaced > 0 {
        out.push(Block::Paragraph(plain(format!(
            "{} sentence(s) of the model were not supported by what they cited and were not used.",
            case.narrative_replaced
        ))));
    }
}

/// Evidence is in order of time: the table is the timeline, too.
fn evidence(out: &mut Vec<Block>, case: &Investigation, level: u8) {
    heading(out, level, "Timeline and evidence");
    let row = |item: &Evidence| Row {
        anchor: Some(anchor(case, &item.label)),
        cells: vec![
            strong(item.label.clone()),
            plain(when(item.time)),
            plain(item.host.clone()),
            vec![Span::Log(item.line.clone())],
            plain(item.why.clone()),
            plain(if item.count > 1 { format!("×{}", item.count) } else { String::new() }),
            plain(item.event.to_string()),
        ],
    };
    out.push(Block::Table(Table {
        head: &["", "Time (UTC)", "Host", "What was logged", "Why it is here", "Alike", "Event"],
        widths: &[0.6, 1.9, 1.1, 6.0, 1.7, 0.7, 0.9],
        rows: case.evidence.iter().map(row).collect(),
    }));
}

fn reasons(out: &mut Vec<Block>, case: &Investigation, level: u8) {
    heading(out, level, "Why this verdict");
    let fact = |fact: &Fact| Row {
        anchor: None,
        cells: vec![
            plain(fact.statement.clone()),
            plain(signed(fact.weight)),
            cites(case, fact.evidence.iter().chain(&fact.context).map(String::as_str)),
        ],
    };
    if !case.facts.is_empty() {
        out.push(Block::Table(Table {
            head: &["Fact, established by code", "Weight", "Evidence"],
            widths: &[6.0, 1.0, 2.0],
            rows: case.facts.iter().map(fact).collect(),
        }));
    }
    let answer = |answer: &Answer| Row {
        anchor: None,
        cells: vec![
            plain(answer.question.clone()),
            strong(answer.answer.clone()),
            plain(format!("{:.3}", answer.probability)),
            plain(spread(answer)),
            plain(format!("{:.3}", answer.threshold)),
            plain(signed(answer.weight)),
        ],
    };
    if !case.answers.is_empty() {
        out.push(Block::Table(Table {
            head: &["Question to the model", "Answer", "Probability", "Over wordings", "Threshold", "Weight"],
            widths: &[5.0, 1.5, 1.2, 1.5, 1.1, 1.0],
            rows: case.answers.iter().map(answer).collect(),
        }));
    }
    let term = |term: &casemate_investigate::report::Contribution| {
        format!("{} {}", term.name.replace('_', " "), signed(term.weight))
    };
    let terms: Vec<String> = case.contributions.iter().map(term).collect();
    out.push(Block::Paragraph(plain(format!(
        "Sum in logits: {} → probability of an attack {:.3}.",
        terms.join(", "),
        case.probability
    ))));
}

/// Least and most over wordings and orders.
fn spread(answer: &Answer) -> String {
    let all = || answer.variants.iter().map(|variant| variant.probability);
    match (all().reduce(f64::min), all().reduce(f64::max)) {
        (Some(least), Some(most)) => format!("{least:.2} – {most:.2}"),
        _ => String::new(),
    }
}

fn context(out: &mut Vec<Block>, case: &Investigation, level: u8) {
    if case.context.is_empty() {
        return;
    }
    heading(out, level, "Known of the site");
    let row = |item: &casemate_investigate::report::ContextItem| Row {
        anchor: Some(anchor(case, &item.label)),
        cells: vec![strong(item.label.clone()), plain(item.text.clone()), plain(item.rests_on.clone())],
    };
    out.push(Block::Table(Table {
        head: &["", "Statement", "Rests on"],
        widths: &[0.6, 6.0, 3.0],
        rows: case.context.iter().map(row).collect(),
    }));
}

fn similar(other: &SimilarCase) -> Vec<Span> {
    let rule = if other.same_rule { ", same rule" } else { "" };
    vec![
        Span::Strong(other.verdict.to_string()),
        Span::Plain(format!(" case {} (alert {})", other.case, other.alert)),
        Span::Quiet(format!(", {} alike{rule}, closed by {}: ", percent(other.similarity), other.by)),
        Span::Plain(other.reason.clone()),
    ]
}

fn provenance(out: &mut Vec<Block>, case: &Investigation, level: u8) {
    heading(out, level, "Provenance");
    let mut rows: Vec<(&str, String)> = vec![(
        "Playbook",
        format!("{} version {}, SHA-256 {}", case.playbook.name, case.playbook.version, case.playbook.sha256),
    )];
    rows.push((
        "Model",
        case.model
            .as_ref()
            .map_or_else(|| "none".to_owned(), |model| format!("{}, SHA-256 {}", model.name, model.sha256)),
    ));
    if let Some(head) = &case.head {
        rows.push(("Learned head", format!("{}, SHA-256 {}", head.name, head.sha256)));
    }
    let provenance = &case.provenance;
    let hashes = [
        ("Casemate", &provenance.version),
        ("Rules, SHA-256", &provenance.rules_sha256),
        ("Site, SHA-256", &provenance.site_sha256),
    ];
    rows.extend(
        hashes.into_iter().filter(|(_, hash)| !hash.is_empty()).map(|(name, hash)| (name, hash.clone())),
    );
    rows.extend(provenance.prompt_sha256.clone().map(|hash| ("Prompt, SHA-256", hash)));
    rows.push(("Tokens", format!("{} read, {} written", case.prompt_tokens, case.generated_tokens)));
    rows.push(("Report, SHA-256", case.sha256()));
    let row = |(name, value): (&str, String)| Row {
        anchor: None,
        cells: vec![plain(name), vec![Span::Log(value)]],
    };
    out.push(Block::Table(Table {
        head: &["What it rests on", ""],
        widths: &[2.0, 8.0],
        rows: rows.into_iter().map(row).collect(),
    }));
}
