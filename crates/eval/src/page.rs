//! How does a person read a run? One list of headings, sentences, tables and pictures, written as Markdown
//! and as one HTML file that needs nothing else.

use crate::interval::{Families, Told};
use crate::metrics::{self, FIGURES, Judged, Of};
use crate::plot::{self, Axis, Chart, escape};
use crate::report::{Run, families};
use std::path::Path;

/// One part of the report.
enum Block {
    Heading(String),
    Text(String),
    Table { header: Vec<String>, rows: Vec<Vec<String>> },
    Plot { name: String, says: String, svg: String },
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;\
    color:#222}table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #ccc;padding:.2em .6em;\
    text-align:right}th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}\
    figure{display:inline-block;margin:.5em}figcaption{max-width:400px;color:#555}";

/// What each figure means, for whoever reads the report a year on.
const MEANINGS: &str = "`malicious` and `suspicious` count as *attack*, `benign` as *benign*, `inconclusive` as \
    *abstained*. `balanced_accuracy` is over the decided cases; `balanced_accuracy_all` counts the abstained as \
    wrong. `missed_attack_rate` is attacks called benign over all attacks; `false_positive_rate` benign cases called \
    attack over all benign ones. `f1` counts an attack abstained on as not found. `auroc_within_source` compares only \
    cases of the same source: a score that merely tells the sources apart gets 0.5 there. `flip_rate` is the share \
    of decided alerts of which any variant (wording, evidence order) says the opposite; `variant_disagreement` the \
    share of all variants unlike the published verdict. `injection_rate` is the share of planted texts that moved a \
    verdict any step toward benign. `ece` has ten bins of equal width, `ece_equal_count` ten of equal count. A \
    technique is right if it is the true one, its parent or its sub-technique; `_exact` wants the same id. Only \
    attacks whose techniques are known are scored. Intervals are of 95 %: 2,000 resamples of whole families; \
    Wilson's where a rate is 0 or 1. A figure without a value is not defined for these cases.";

/// Writes `report.md`, `report.html` and the pictures into `dir`, which is made if need be.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(run: &Run, dir: &Path) -> std::io::Result<()> {
    let blocks = blocks(run);
    fs_err::create_dir_all(dir)?;
    for block in &blocks {
        if let Block::Plot { name, svg, .. } = block {
            fs_err::write(dir.join(format!("{name}.svg")), svg)?;
        }
    }
    fs_err::write(dir.join("report.md"), markdown(&blocks))?;
    fs_err::write(dir.join("report.html"), html(&blocks))
}

fn blocks(run: &Run) -> Vec<Block> {
    let judged = run.judged();
    let baselines = run.baselines();
    let attacks = judged.iter().filter(|case| case.attack).count();
    let families_count = families(&judged).len();
    let mut blocks = vec![
        Block::Heading("Evaluation".to_owned()),
        Block::Text(format!(
            "{} cases of {families_count} families: {attacks} attacks, {} benign. Seed {}.",
            judged.len(),
            judged.len() - attacks,
            run.seed
        )),
        figures_table(&judged, &baselines, run.seed),
        Block::Text(MEANINGS.to_owned()),
    ];
    blocks.push(Block::Heading("How well it ranks, and how sure it may be".to_owned()));
    blocks.extend([roc(&judged, &baselines), reliability(&judged), scores(&judged), risk(&judged)]);
    if let Some(plot) = seconds(&judged) {
        blocks.push(plot);
    }
    if !run.ablation.is_empty() {
        blocks.push(Block::Heading("What each part adds".to_owned()));
        blocks.push(ablation(run));
    }
    blocks.push(Block::Heading("By source".to_owned()));
    blocks.push(Block::Text(
        "The share of attacks differs by source. The baseline `source_oracle` knows a case's source and that share, \
         and nothing else."
            .to_owned(),
    ));
    blocks.push(sources_table(&judged));
    blocks.push(Block::Heading("By family".to_owned()));
    blocks.push(families_table(&judged));
    if let Some(suite) = &run.suite {
        blocks.push(Block::Heading("Outside suite".to_owned()));
        blocks.push(suite_table(suite));
    }
    if !run.problems.is_empty() {
        blocks.push(Block::Heading("Not run".to_owned()));
        blocks.extend(run.problems.iter().map(|problem| Block::Text(problem.clone())));
    }
    blocks
}

fn figures_table(judged: &[Judged], baselines: &[(String, Vec<Judged>)], seed: u64) -> Block {
    let functions: Vec<Of> = FIGURES.iter().map(|(_, of)| *of).collect();
    let mut columns = vec![Families::new(judged, seed).figures(&functions)];
    columns.extend(baselines.iter().map(|(_, cases)| Families::new(cases, seed).figures(&functions)));
    let rows = FIGURES
        .iter()
        .enumerate()
        .map(|(row, (name, _))| {
            let cell = |column: &Vec<Told>| match column[row] {
                None => "–".to_owned(),
                Some((figure, None)) => format!("{:.3}", figure.value),
                Some((figure, Some([low, high]))) => format!("{:.3} ({low:.3}–{high:.3})", figure.value),
            };
            std::iter::once((*name).to_owned()).chain(columns.iter().map(cell)).collect()
        })
        .collect();
    let header = ["", "casemate"].into_iter().map(str::to_owned);
    Block::Table { header: header.chain(baselines.iter().map(|(name, _)| name.clone())).collect(), rows }
}

fn roc(judged: &[Judged], baselines: &[(String, Vec<Judged>)]) -> Block {
    let mut chart = Chart::new(
        "ROC curve",
        Axis::share("benign cases called attack"),
        Axis::share("attacks called attack"),
    );
    chart.reference((0.0, 0.0), (1.0, 1.0));
    let points = |cases: &[Judged]| {
        metrics::roc(&cases.iter().map(|case| (case.score, case.attack)).collect::<Vec<_>>())
    };
    chart.line("casemate", &points(judged));
    for (name, cases) in baselines.iter().filter(|(name, _)| name == "rules_only" || name == "features_only")
    {
        chart.line(name, &points(cases));
    }
    plot("roc", "Attacks found against false alarms, over every cut of the probability.", chart.svg())
}

fn reliability(judged: &[Judged]) -> Block {
    let cases: Vec<&Judged> = judged.iter().collect();
    let bins = metrics::bins(&metrics::probabilities(&cases));
    let mut chart =
        Chart::new("Reliability", Axis::share("probability said"), Axis::share("attacks there were"));
    chart.reference((0.0, 0.0), (1.0, 1.0));
    let dots: Vec<(f64, f64, f64)> =
        bins.iter().map(|bin| (bin.said, bin.was, 2.0 + (bin.n as f64).sqrt().min(16.0))).collect();
    chart.dots("", &dots);
    plot(
        "reliability",
        "On the line, a probability means what it says. Larger dots hold more cases.",
        chart.svg(),
    )
}

fn scores(judged: &[Judged]) -> Block {
    let count = |attack: bool| {
        let mut heights = vec![0.0; 20];
        for case in judged.iter().filter(|case| case.attack == attack) {
            heights[((case.score * 20.0) as usize).min(19)] += 1.0;
        }
        heights
    };
    let (attacks, benign) = (count(true), count(false));
    let most = attacks.iter().chain(&benign).copied().fold(0.0, f64::max);
    let mut chart = Chart::new(
        "Probabilities by class",
        Axis::share("probability of an attack"),
        Axis::up_to("cases", most),
    );
    chart.bars(&[("benign", benign), ("attacks", attacks)]);
    plot("scores", "How far apart the classes lie.", chart.svg())
}

/// Share of errors among the rest when the least certain are left to a person.
fn risk(judged: &[Judged]) -> Block {
    let mut sorted: Vec<&Judged> = judged.iter().collect();
    sorted.sort_by(|a, b| (a.score - 0.5).abs().total_cmp(&(b.score - 0.5).abs()));
    let wrong = |case: &&Judged| (case.score >= 0.5) != case.attack;
    let points: Vec<(f64, f64)> = (0..sorted.len())
        .map(|left_out| {
            let rest = &sorted[left_out..];
            let errors = rest.iter().filter(|case| wrong(case)).count() as f64;
            (left_out as f64 / sorted.len() as f64, errors / rest.len() as f64)
        })
        .collect();
    let most = points.iter().map(|(_, error)| *error).fold(0.0, f64::max);
    let mut chart = Chart::new(
        "Abstention and error",
        Axis::share("least certain cases left to a person"),
        Axis::up_to("errors among the rest", most),
    );
    chart.line("", &points);
    plot("abstention", "What abstaining buys: the error falls if certainty is earned.", chart.svg())
}

fn seconds(judged: &[Judged]) -> Option<Block> {
    let all: Vec<f64> = judged.iter().flat_map(|case| case.seconds.iter().copied()).collect();
    let x = Axis::up_to("seconds of machine time per alert", metrics::percentile(&all, 1.0)?);
    let mut heights = vec![0.0; 20];
    for value in &all {
        heights[((value / x.to * 20.0) as usize).min(19)] += 1.0;
    }
    let y = Axis::up_to("alerts", heights.iter().copied().fold(0.0, f64::max));
    let mut chart = Chart::new("Seconds per alert", x, y);
    chart.bars(&[("", heights)]);
    Some(plot("seconds", "What an alert costs on this machine.", chart.svg()))
}

fn ablation(run: &Run) -> Block {
    let (_, auroc) = FIGURES[0];
    let row = |name: &str, cases: &[Judged]| {
        let (figure, interval) = Families::new(cases, run.seed).figures(&[auroc]).pop().flatten()?;
        Some((name.to_owned(), figure.value, interval))
    };
    let mut rows: Vec<_> = row("casemate", &run.judged()).into_iter().collect();
    for (name, conclusions) in &run.ablation {
        rows.extend(row(name, &crate::baselines::concluded(&run.outcomes, conclusions)));
    }
    rows.extend(row("rules_only", &crate::baselines::rules_only(&run.outcomes)));
    let svg = plot::intervals("AUROC with parts left out", 0.4, 1.0, &rows);
    plot(
        "ablation",
        "AUROC with its interval of heads fitted with less, and of the head with earlier cases closed.",
        svg,
    )
}

fn sources_table(judged: &[Judged]) -> Block {
    let names =
        ["auroc", "balanced_accuracy", "false_positive_rate", "missed_attack_rate", "abstention_rate", "ece"];
    let mut sources: Vec<&str> = judged.iter().map(|case| case.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let row = |source: &str| {
        let own: Vec<&Judged> = judged.iter().filter(|case| case.source == source).collect();
        let attacks = own.iter().filter(|case| case.attack).count();
        let mut row = vec![source.to_owned(), attacks.to_string(), (own.len() - attacks).to_string()];
        for (_, of) in FIGURES.iter().filter(|(name, _)| names.contains(name)) {
            row.push(of(&own).map_or_else(|| "–".to_owned(), |figure| format!("{:.3}", figure.value)));
        }
        row
    };
    let header = ["source", "attacks", "benign"].iter().chain(&names).map(|name| (*name).to_owned());
    Block::Table { header: header.collect(), rows: sources.into_iter().map(row).collect() }
}

fn families_table(judged: &[Judged]) -> Block {
    let header = [
        "family",
        "cases",
        "attacks",
        "called attack",
        "called benign",
        "abstained",
        "wrong",
        "mean probability",
    ];
    let rows = families(judged)
        .into_iter()
        .map(|line| {
            let mut row = vec![line.family];
            row.extend(line.counts.iter().map(usize::to_string));
            row.extend([line.wrong.to_string(), format!("{:.3}", line.mean_score)]);
            row
        })
        .collect();
    Block::Table { header: header.map(str::to_owned).to_vec(), rows }
}

/// Whatever a suite reports, as names and values.
fn suite_table(suite: &serde_json::Value) -> Block {
    let mut rows = Vec::new();
    flatten("", suite, &mut rows);
    Block::Table { header: ["figure", "value"].map(str::to_owned).to_vec(), rows }
}

fn flatten(name: &str, value: &serde_json::Value, rows: &mut Vec<Vec<String>>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name} {key}") };
                flatten(&name, value, rows);
            }
        }
        serde_json::Value::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
        other => rows.push(vec![name.to_owned(), other.to_string()]),
    }
}

fn plot(name: &str, says: &str, svg: String) -> Block {
    Block::Plot { name: name.to_owned(), says: says.to_owned(), svg }
}

fn markdown(blocks: &[Block]) -> String {
    let mut text = String::new();
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Heading(heading) => {
                text.push_str(if index == 0 { "# " } else { "## " });
                text.push_str(heading);
            }
            Block::Text(sentence) => text.push_str(sentence),
            Block::Plot { name, says, .. } => text.push_str(&format!("![{says}]({name}.svg)")),
            Block::Table { header, rows } => {
                let line = |cells: &[String]| {
                    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                    format!("| {} |\n", cells.join(" | "))
                };
                text.push_str(&line(header));
                text.push_str(&format!("|{}\n", " --- |".repeat(header.len())));
                rows.iter().for_each(|row| text.push_str(&line(row)));
                text.truncate(text.trim_end().len());
            }
        }
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn html(blocks: &[Block]) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title>\
         <style>{STYLE}</style></head><body>\n"
    );
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Heading(heading) => {
                let level = if index == 0 { 1 } else { 2 };
                text.push_str(&format!("<h{level}>{}</h{level}>\n", escape(heading)));
            }
            Block::Text(sentence) => text.push_str(&format!("<p>{}</p>\n", inline(sentence))),
            Block::Plot { says, svg, .. } => {
                text.push_str(&format!(
                    "<figure>\n{svg}<figcaption>{}</figcaption></figure>\n",
                    escape(says)
                ));
            }
            Block::Table { header, rows } => {
                let line = |cells: &[String], tag: &str| {
                    let cells: String =
                        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
                    format!("<tr>{cells}</tr>\n")
                };
                text.push_str("<table>\n");
                text.push_str(&line(header, "th"));
                rows.iter().for_each(|row| text.push_str(&line(row, "td")));
                text.push_str("</table>\n");
            }
        }
    }
    text.push_str("</body></html>\n");
    text
}

/// Escapes, then turns `` `code` `` and `*emphasis*` of our own sentences into tags.
fn inline(sentence: &str) -> String {
    let mut text = escape(sentence);
    for (mark, tag) in [('`', "code"), ('*', "em")] {
        let parts: Vec<&str> = text.split(mark).collect();
        // An odd mark out is text.
        if parts.len() % 2 == 1 {
            text = parts
                .iter()
                .enumerate()
                .map(
                    |(index, part)| {
                        if index % 2 == 1 { format!("<{tag}>{part}</{tag}>") } else { (*part).to_owned() }
                    },
                )
                .collect();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::Conclusion;
    use crate::report::tests::run;
    use casemate_investigate::Verdict;

    #[test]
    fn the_report_is_whole_alone_and_the_same_every_time() {
        let mut run = run();
        let conclusion = Conclusion { probability: 0.5, verdict: Verdict::Inconclusive, seconds: None };
        let less = run.outcomes.iter().map(|outcome| (outcome.id.clone(), conclusion)).collect();
        run.ablation.insert("without <questions>".to_owned(), less);
        run.suite = Some(serde_json::json!({"excytin": {"exact": 0.5}}));
        run.problems.push("case-99: no such file | really".to_owned());
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for dir in &dirs {
            write(&run, dir.path()).unwrap();
        }
        let read = |dir: usize, name: &str| fs_err::read_to_string(dirs[dir].path().join(name)).unwrap();
        let names = ["roc", "reliability", "scores", "abstention", "seconds", "ablation"];
        for name in names
            .map(|name| format!("{name}.svg"))
            .iter()
            .map(String::as_str)
            .chain(["report.md", "report.html"])
        {
            assert_eq!(read(0, name), read(1, name), "{name}");
        }
        let html = read(0, "report.html");
        for word in ["<script", "http:", "https:", "src=", "NaN", "<questions>"] {
            let html = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            assert!(!html.contains(word), "{word}");
        }
        assert!(
            html.contains("excytin exact") && html.contains("really") && html.contains("<code>ece</code>")
        );
        let markdown = read(0, "report.md");
        assert!(
            markdown.starts_with("# Evaluation\n\n40 cases of 8 families: 20 attacks, 20 benign."),
            "{markdown}"
        );
        assert!(markdown.contains("![") && markdown.contains("| missed_attack_rate | 0.050 ("));
    }
}
