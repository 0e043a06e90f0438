//! The report as Markdown, for tickets and terminals.

use super::{Fact, Investigation, Method, SentenceSource};
use crate::SimilarCase;
use std::fmt::{self, Write};

/// Renders an investigation as Markdown. Values from logs stand in code spans or are escaped.
pub fn markdown(investigation: &Investigation) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, investigation);
    text
}

fn write(out: &mut String, case: &Investigation) -> fmt::Result {
    writeln!(out, "# Investigation {}: {}\n", case.id, escape(&case.alert.title))?;
    writeln!(
        out,
        "**{}** · confidence {:.2} · convergence {:.2} · severity {} · {} to {}\n",
        case.verdict,
        case.confidence,
        case.convergence,
        case.alert.severity,
        case.alert.first_time,
        case.alert.last_time
    )?;
    writeln!(out, "{}\n", escape(&case.summary))?;
    if let Method::FactsOnly(why) = &case.method {
        writeln!(out, "> Reached without a model, from rules and facts only: {}\n", escape(why))?;
    }
    if let Some(earlier) = case.reused_from {
        writeln!(
            out,
            "> Verdict of investigation {earlier}, used again: everything it rested on is the same here.\n"
        )?;
    }
    narrative(out, case)?;
    evidence(out, case)?;
    context(out, case)?;
    reasons(out, case)?;
    list(out, "Similar closed cases", case.similar_closed.iter().map(similar))?;
    list(
        out,
        "Techniques",
        case.techniques.iter().map(|technique| format!("{} ({})", technique.id, technique.source)),
    )?;
    list(out, "Missing", case.missing.iter().map(|line| escape(line)))?;
    list(out, "Next steps", case.next_steps.iter().map(|line| escape(line)))?;
    provenance(out, case)
}

fn similar(case: &SimilarCase) -> String {
    format!(
        "case {} (alert {}): {}, similarity {:.2}{}, closed by {}: {}",
        case.case,
        case.alert,
        case.verdict,
        case.similarity,
        if case.same_rule { ", same rule" } else { "" },
        escape(&case.by),
        escape(&case.reason)
    )
}

fn narrative(out: &mut String, case: &Investigation) -> fmt::Result {
    writeln!(out, "## What happened\n")?;
    for sentence in &case.narrative {
        let mark = if sentence.source == SentenceSource::Model { "" } else { " *(template)*" };
        writeln!(out, "- {} [{}]{mark}", escape(&sentence.text), sentence.citations.join(", "))?;
    }
    if case.narrative_replaced > 0 {
        writeln!(
            out,
            "\n{} sentence(s) of the model were not supported by what they cited and were not used.",
            case.narrative_replaced
        )?;
    }
    writeln!(out)
}

fn evidence(out: &mut String, case: &Investigation) -> fmt::Result {
    writeln!(out, "## Evidence\n\n| | event | time | what | why | count |\n|---|---|---|---|---|---|")?;
    for item in &case.evidence {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            item.label,
            item.event,
            item.time,
            code(&item.line),
            item.why,
            item.count
        )?;
    }
    writeln!(out)
}

fn context(out: &mut String, case: &Investigation) -> fmt::Result {
    if case.context.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Known of the site\n\n| | statement | rests on |\n|---|---|---|")?;
    for item in &case.context {
        writeln!(out, "| {} | {} | {} |", item.label, escape(&item.text), escape(&item.rests_on))?;
    }
    writeln!(out)
}

fn reasons(out: &mut String, case: &Investigation) -> fmt::Result {
    writeln!(out, "## Why\n\n| fact | weight | evidence |\n|---|---|---|")?;
    for fact in &case.facts {
        writeln!(out, "| {} | {:+.2} | {} |", escape(&fact.statement), fact.weight, labels(fact))?;
    }
    if !case.answers.is_empty() {
        writeln!(
            out,
            "\n| question to the model | answer | probability | threshold | weight |\n|---|---|---|---|---|"
        )?;
        for answer in &case.answers {
            writeln!(
                out,
                "| {} | {} | {:.3} | {:.3} | {:+.2} |",
                escape(&answer.question),
                answer.answer,
                answer.probability,
                answer.threshold,
                answer.weight
            )?;
        }
    }
    let terms: Vec<String> =
        case.contributions.iter().map(|term| format!("{} {:+.2}", term.name, term.weight)).collect();
    writeln!(
        out,
        "\nSum in logits: {} → probability of an attack {:.3}.\n",
        terms.join(", "),
        case.probability
    )
}

fn list(out: &mut String, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "## {title}\n")?;
    for line in lines {
        writeln!(out, "- {line}")?;
    }
    writeln!(out)
}

fn provenance(out: &mut String, case: &Investigation) -> fmt::Result {
    let model = match &case.model {
        Some(model) => format!("{} (SHA-256 {})", escape(&model.name), model.sha256),
        None => "none".to_owned(),
    };
    writeln!(
        out,
        "---\nPlaybook {} version {} (SHA-256 {}) · model {model} · {} prompt tokens",
        case.playbook.name, case.playbook.version, case.playbook.sha256, case.prompt_tokens
    )
}

/// What a fact rests on.
fn labels(fact: &Fact) -> String {
    let labels: Vec<&str> = fact.evidence.iter().chain(&fact.context).map(String::as_str).collect();
    labels.join(", ")
}

/// Log text may not become markup: what Markdown or HTML would interpret is escaped.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A code span inside a table cell: no backtick may end it, no bar the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "¦"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_text_is_not_markup() {
        let check = |text, expected: &str| assert_eq!(escape(text), expected);
        check("<script>", "&lt;script&gt;");
        check("[a](b)", r"\[a\](b)");
        check("a|b\nc", r"a\|b c");
        assert_eq!(code("a`b|c"), "`a'b¦c`");
    }
}
