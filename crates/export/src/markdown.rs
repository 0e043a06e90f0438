//! The report as Markdown, for tickets and terminals.

use crate::document::{Block, Document, Span, Table};
use crate::text::visible;
use crate::{Dossier, text};
use casemate_event::Subject;
use casemate_investigate::Investigation;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

/// An investigation as Markdown. Values from logs stand in code spans or are escaped.
pub fn markdown(investigation: &Investigation) -> String {
    of(&Dossier {
        subject: Subject::Alert(investigation.id),
        investigations: vec![investigation.clone()],
        case: None,
        waiting: Vec::new(),
        closing: None,
        events: BTreeMap::new(),
        unread: 0,
        made: Timestamp::UNIX_EPOCH,
    })
}

pub(crate) fn of(dossier: &Dossier) -> String {
    Markdown(Document::of(dossier)).to_string()
}

struct Markdown(Document);

impl fmt::Display for Markdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.0)
    }
}

fn write(out: &mut fmt::Formatter<'_>, document: &Document) -> fmt::Result {
    writeln!(out, "# {}\n", escape(&document.title))?;
    for block in &document.blocks {
        match block {
            Block::Heading { level, text } => {
                writeln!(out, "{} {}\n", "#".repeat(usize::from(*level)), escape(text))?;
            }
            Block::Verdict { verdict, figures, summary } => {
                let figures: Vec<String> =
                    figures.iter().map(|(name, value)| format!("{name} {}", escape(value))).collect();
                writeln!(out, "**{verdict}** · {}\n\n{}\n", figures.join(" · "), escape(summary).trim())?;
            }
            Block::Paragraph(spans) => writeln!(out, "{}\n", inline(spans, false))?,
            Block::Note(spans) => writeln!(out, "> {}\n", inline(spans, false))?,
            Block::List { numbered, items } => {
                for (place, item) in items.iter().enumerate() {
                    let mark = if *numbered { format!("{}.", place + 1) } else { "-".to_owned() };
                    writeln!(out, "{mark} {}", inline(item, false))?;
                }
                writeln!(out)?;
            }
            Block::Table(table) => rows(out, table)?,
        }
    }
    Ok(())
}

fn rows(out: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    writeln!(out, "| {} |", table.head.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(table.head.len()))?;
    for row in &table.rows {
        let cells: Vec<String> = row.cells.iter().map(|cell| inline(cell, true)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

fn inline(spans: &[Span], in_table: bool) -> String {
    let one = |span: &Span| match span {
        Span::Plain(text) | Span::Quiet(text) => escape(text),
        Span::Strong(text) if text.is_empty() => String::new(),
        Span::Strong(text) => format!("**{}**", escape(text.trim())),
        Span::Log(text) => code(text, in_table),
        Span::Cite { label, .. } => format!("\\[{}\\]", escape(label)),
    };
    spans.iter().map(one).collect::<String>().trim().to_owned()
}

/// Log text may not become markup: what Markdown or HTML would interpret is escaped, what hides is shown.
fn escape(text: &str) -> String {
    let shown = visible(text);
    let mut escaped = String::with_capacity(shown.len());
    let mut at_start = true;
    let mut digits = false;
    for c in shown.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' | '$' | '@' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // A bare address would become a link.
            '/' if escaped.ends_with(':') => escaped.push_str("\\/"),
            '.' if ends_with_www(&escaped) => escaped.push_str("\\."),
            // What begins a list, a rule or a heading at the beginning of a line.
            '-' | '+' | '=' if at_start => {
                escaped.push('\\');
                escaped.push(c);
            }
            '.' | ')' if digits => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\t' => escaped.push(' '),
            c => escaped.push(c),
        }
        digits = c.is_ascii_digit() && (at_start || digits);
        at_start = at_start && c.is_whitespace();
    }
    escaped
}

/// What some renderers take for the beginning of an address.
fn ends_with_www(text: &str) -> bool {
    text.len() >= 3 && text.as_bytes()[text.len() - 3..].eq_ignore_ascii_case(b"www")
}

/// A code span, which no backtick of the text ends, nor a bar the cell of a table.
fn code(text: &str, in_table: bool) -> String {
    let line = text::line(text);
    if line.is_empty() {
        return String::new();
    }
    // Longer than any run of backticks inside.
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let blank = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    let line = if in_table { line.replace('|', "¦") } else { line };
    format!("{fence}{blank}{line}{blank}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{case, dossier, hostile};
    use proptest::prelude::*;

    #[test]
    fn log_text_is_not_markup() {
        let check = |text, expected: &str| assert_eq!(escape(text), expected);
        check("<script>", "&lt;script&gt;");
        check("[a](b)", r"\[a\](b)");
        check("a|b\nc", r"a\|b c");
        check("- x", r"\- x");
        check("12. x", r"12\. x");
        check("v1.2 of 10.0.0.5", "v1.2 of 10.0.0.5");
        check("https://evil.example/", r"https:\//evil.example/");
        check("WWW.evil.example", r"WWW\.evil.example");
        assert_eq!(code("a`b|c", true), "``a`b¦c``");
        assert_eq!(code("``x", false), "``` ``x ```");
        assert_eq!(code("", true), "");
    }

    #[test]
    fn the_report_says_what_was_found() {
        let text = of(&dossier());
        for part in [
            "# Investigation 3: PowerShell with an encoded command",
            "**malicious** · confidence 91 %",
            "> **Closed as malicious** by mira",
            "## Timeline and evidence",
            "| **E3** | 2026-03-02 09:15:30.007 | ws5 | `comsvcs.dll MiniDump` |",
            "`echo <script>alert(1)</script> invoice‹U+202E›gpj.exe`",
            "- **T1059.001** office child +0.8 \\[E1\\]",
            "1. Isolate ws5",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let whole = of(&case(3));
        assert_eq!(whole.matches("\n### What happened").count(), 3);
        assert!(whole.contains("- alert 99: another alert"));
    }

    proptest! {
        #[test]
        fn no_text_adds_a_line_or_a_cell(text in hostile()) {
            let shape = |text: &str| -> Vec<(bool, usize)> {
                let bars = |line: &str| match line.starts_with('|') {
                    true => line.replace("\\|", "").matches('|').count(),
                    false => 0,
                };
                text.lines().map(|line| (line.starts_with('#'), bars(line))).collect()
            };
            let plain = of(&dossier().masked(&|_| "x".to_owned()));
            let found = of(&dossier().masked(&|_| text.clone()));
            prop_assert_eq!(shape(&found), shape(&plain));
            prop_assert!(!found.chars().any(text::is_hidden));
        }
    }
}
