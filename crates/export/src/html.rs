//! The report as one HTML page: its style inside, nothing loaded, nothing run, made for reading and for printing.

use crate::Dossier;
use crate::document::{Block, Document, Span, Table, when};
use crate::text::{line, visible};
use std::fmt;

const STYLE: &str = include_str!("report.css");

pub(crate) fn of(dossier: &Dossier) -> String {
    Html(Document::of(dossier)).to_string()
}

struct Html(Document);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.0)
    }
}

fn write(out: &mut fmt::Formatter<'_>, document: &Document) -> fmt::Result {
    let title = escape(&document.title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{verdict}: {title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n",
        verdict = document.verdict,
    )?;
    contents(out, document)?;
    let mut place = 0;
    for block in &document.blocks {
        match block {
            Block::Heading { level, text } => {
                place += 1;
                writeln!(out, "<h{level} id=\"h{place}\">{}</h{level}>", escape(text))?;
            }
            Block::Verdict { verdict, figures, summary } => {
                writeln!(out, "<section class=\"verdict {verdict}\" aria-label=\"Verdict\">")?;
                writeln!(out, "<p class=\"call\">{verdict}</p>\n<dl>")?;
                for (name, value) in figures {
                    writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value))?;
                }
                writeln!(out, "</dl>\n<p>{}</p>\n</section>", escape(summary))?;
            }
            Block::Paragraph(spans) => writeln!(out, "<p>{}</p>", inline(spans))?,
            Block::Note(spans) => writeln!(out, "<p class=\"note\">{}</p>", inline(spans))?,
            Block::List { numbered, items } => {
                let tag = if *numbered { "ol" } else { "ul" };
                writeln!(out, "<{tag}>")?;
                for item in items {
                    writeln!(out, "<li>{}</li>", inline(item))?;
                }
                writeln!(out, "</{tag}>")?;
            }
            Block::Table(table) => rows(out, table)?,
        }
    }
    writeln!(
        out,
        "<footer>Casemate {}, made {} UTC</footer>\n</main>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
        when(document.made)
    )
}

/// Of a long report what it holds, to go there.
fn contents(out: &mut fmt::Formatter<'_>, document: &Document) -> fmt::Result {
    let headings = document.blocks.iter().filter_map(|block| match block {
        Block::Heading { level, text } => Some((*level, text)),
        _ => None,
    });
    writeln!(out, "<nav aria-label=\"Contents\"><ul>")?;
    for (place, (level, text)) in (1..).zip(headings) {
        if level == 2 {
            writeln!(out, "<li><a href=\"#h{place}\">{}</a></li>", escape(text))?;
        }
    }
    writeln!(out, "</ul></nav>")
}

fn rows(out: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    writeln!(out, "<div class=\"wide\"><table>\n<colgroup>")?;
    let whole: f32 = table.widths.iter().sum();
    for width in table.widths {
        write!(out, "<col style=\"width:{:.0}%\">", width / whole * 100.0)?;
    }
    writeln!(out, "</colgroup>\n<thead><tr>")?;
    for name in table.head {
        // A column without a name holds labels.
        let name = if name.is_empty() { "Label" } else { name };
        write!(out, "<th scope=\"col\">{name}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in &table.rows {
        match &row.anchor {
            Some(anchor) => write!(out, "<tr id=\"{}\">", name(anchor))?,
            None => write!(out, "<tr>")?,
        }
        for cell in &row.cells {
            write!(out, "<td>{}</td>", inline(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn inline(spans: &[Span]) -> String {
    let one = |span: &Span| match span {
        Span::Plain(text) => escape(text),
        Span::Strong(text) => format!("<strong>{}</strong>", escape(text)),
        Span::Quiet(text) => format!("<span class=\"quiet\">{}</span>", escape(text)),
        Span::Log(text) => format!("<code>{}</code>", escape(&line(text))),
        Span::Cite { label, anchor } => format!("<a href=\"#{}\">{}</a>", name(anchor), escape(label)),
    };
    spans.iter().map(one).collect()
}

/// A name for an element: what else an anchor may hold is left out.
fn name(anchor: &str) -> String {
    anchor.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

fn escape(text: &str) -> String {
    let shown = visible(text);
    let mut escaped = String::with_capacity(shown.len());
    for c in shown.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dossier, hostile};
    use proptest::prelude::*;

    #[test]
    fn a_page_of_its_own_loads_and_links_to_nothing() {
        let page = of(&dossier());
        assert!(page.contains("<tr id=\"i3-E1\">") && page.contains("<a href=\"#i3-E1\">E1</a>"));
        assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; invoice‹U+202E›gpj.exe"));
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in hostile()) {
            let tags = |page: &str| page.matches('<').count();
            let plain = of(&dossier().masked(&|_| "x".to_owned()));
            let found = of(&dossier().masked(&|_| text.clone()));
            prop_assert_eq!(tags(&found), tags(&plain));
            prop_assert!(!found.chars().any(crate::text::is_hidden));
        }
    }
}
