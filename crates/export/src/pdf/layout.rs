//! Where does what stand? Blocks of the document on pages, with what each is for those who cannot see it.

use super::font::{Face, Fonts};
use super::lines::{Color, Line, Styled, wrap};
use crate::document::{Block, Document, Row, Span, Table};
use casemate_investigate::Verdict;
use std::borrow::Cow;
use std::collections::HashMap;

/// A4 in points.
pub(super) const PAGE: (f32, f32) = (595.28, 841.89);
pub(super) const MARGIN: f32 = 46.0;
const TOP: f32 = 58.0;
const BOTTOM: f32 = 56.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const END: f32 = PAGE.1 - BOTTOM;

const INK: Color = Color(0x1a, 0x1d, 0x21);
pub(super) const QUIET: Color = Color(0x56, 0x5d, 0x66);
const LINK: Color = Color(0x0b, 0x57, 0xa4);
const SHADE: Color = Color(0xf2, 0xf4, 0xf6);
pub(super) const RULE: Color = Color(0xc9, 0xce, 0xd4);

const BODY: f32 = 9.0;
const CELL: f32 = 7.8;
const LOG: f32 = 7.0;
/// Distance of base lines, in parts of the size.
const LEADING: f32 = 1.34;
const PAD: f32 = 3.0;
/// Least room below a heading, or it goes to the next page.
const WITH_HEADING: f32 = 64.0;

/// What a part of the document is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Heading(u8, String),
    Paragraph,
    Note,
    List { numbered: bool },
    Item,
    Label,
    Body,
    Table,
    Head,
    Rows,
    Row,
    HeadCell,
    Cell,
    Link,
}

/// A part of the document and what it is made of, in the order of reading.
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Node(usize),
    /// Text on a page, by its number.
    Text(usize),
    /// A link's area on a page, by its number.
    Area(usize),
}

/// Something on a page.
pub(super) enum Item {
    Text { number: usize, x: f32, y: f32, piece: super::lines::Piece },
    Fill { x: f32, y: f32, width: f32, height: f32, color: Color },
    Area { number: usize, x: f32, y: f32, width: f32, height: f32, to: String, label: String },
}

/// A place on a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) page: usize,
    pub(super) y: f32,
}

/// Pages ready to be painted.
pub(super) struct Layout<'f> {
    fonts: &'f Fonts,
    pub(super) pages: Vec<Vec<Item>>,
    y: f32,
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<usize>,
    /// How many texts and areas there are.
    pub(super) texts: usize,
    pub(super) areas: usize,
    pub(super) anchors: HashMap<String, Place>,
    pub(super) headings: Vec<(u8, String, Place)>,
}

pub(super) fn lay_out<'f>(fonts: &'f Fonts, document: &Document) -> Layout<'f> {
    let mut layout = Layout {
        fonts,
        pages: vec![Vec::new()],
        y: TOP,
        nodes: Vec::new(),
        roots: Vec::new(),
        texts: 0,
        areas: 0,
        anchors: HashMap::new(),
        headings: Vec::new(),
    };
    layout.heading(1, &document.title);
    for block in &document.blocks {
        layout.block(block);
    }
    layout
}

/// How large headings are, by level, and how much room is above.
fn heading_size(level: u8) -> (f32, f32) {
    match level {
        1 => (16.0, 0.0),
        2 => (12.0, 14.0),
        _ => (10.0, 10.0),
    }
}

pub(super) fn verdict_color(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Malicious => Color(0xb3, 0x26, 0x1e),
        Verdict::Suspicious => Color(0x8a, 0x53, 0x00),
        Verdict::Benign => Color(0x1b, 0x6b, 0x3a),
        Verdict::Inconclusive => QUIET,
    }
}

fn styled(text: &str, face: Face, size: f32, color: Color) -> Styled<'_> {
    Styled { text: Cow::Borrowed(text), face, size, color, link: None }
}

/// Spans in the looks of text of this size.
fn looks(spans: &[Span], size: f32) -> Vec<Styled<'_>> {
    fn one(span: &Span, size: f32) -> Styled<'_> {
        match span {
            Span::Plain(text) => styled(text, Face::Sans, size, INK),
            Span::Strong(text) => styled(text, Face::Bold, size, INK),
            Span::Quiet(text) => styled(text, Face::Sans, size, QUIET),
            Span::Log(text) => styled(text, Face::Mono, size * LOG / CELL, INK),
            Span::Cite { label, anchor } => {
                Styled { link: Some(anchor), ..styled(label, Face::Sans, size, LINK) }
            }
        }
    }
    spans.iter().map(|span| one(span, size)).collect()
}

fn height(lines: &[Line]) -> f32 {
    lines.iter().map(|line| line.size * LEADING).sum()
}

impl Layout<'_> {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading { level, text } => self.heading(*level, text),
            Block::Verdict { verdict, figures, summary } => self.verdict(*verdict, figures, summary),
            Block::Paragraph(spans) => {
                let node = self.root(Kind::Paragraph);
                self.text(node, &looks(spans, BODY), MARGIN, WIDTH);
                self.y += 5.0;
            }
            Block::Note(spans) => {
                let node = self.root(Kind::Note);
                let from = self.place();
                self.text(node, &looks(spans, BODY), MARGIN + 9.0, WIDTH - 9.0);
                // A note that goes over a page has its bar on the last alone.
                let top = if from.page + 1 == self.pages.len() { from.y } else { TOP };
                self.fill(MARGIN, top, 2.0, self.y - top, RULE);
                self.y += 6.0;
            }
            Block::List { numbered, items } => self.list(*numbered, items),
            Block::Table(table) => self.table(table),
        }
    }

    fn place(&self) -> Place {
        Place { page: self.pages.len() - 1, y: self.y }
    }

    fn next_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = TOP;
    }

    /// Goes to the next page where less than `height` is left on this one.
    fn room(&mut self, height: f32) {
        if self.y + height > END && self.y > TOP {
            self.next_page();
        }
    }

    fn item(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.push(item);
        }
    }

    fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.item(Item::Fill { x, y, width, height, color });
    }

    fn node(&mut self, kind: Kind) -> usize {
        self.nodes.push(Node { kind, parts: Vec::new() });
        self.nodes.len() - 1
    }

    fn root(&mut self, kind: Kind) -> usize {
        let node = self.node(kind);
        self.roots.push(node);
        node
    }

    fn child(&mut self, of: usize, kind: Kind) -> usize {
        let node = self.node(kind);
        self.nodes[of].parts.push(Part::Node(node));
        node
    }

    fn heading(&mut self, level: u8, text: &str) {
        let (size, above) = heading_size(level);
        let lines = wrap(self.fonts, &[styled(text, Face::Bold, size, INK)], WIDTH);
        if self.y > TOP {
            self.y += above;
        }
        self.room(height(&lines) + WITH_HEADING);
        let shown = crate::text::line(text);
        let node = self.root(Kind::Heading(level, shown.clone()));
        self.headings.push((level, shown, self.place()));
        self.lines(node, lines, MARGIN);
        if level <= 2 {
            self.fill(MARGIN, self.y + 1.0, WIDTH, 0.7, RULE);
        }
        self.y += 6.0;
    }

    /// Text of a part, from page to page.
    fn text(&mut self, node: usize, texts: &[Styled<'_>], x: f32, width: f32) {
        let lines = wrap(self.fonts, texts, width);
        self.lines(node, lines, x);
    }

    fn lines(&mut self, node: usize, lines: Vec<Line>, x: f32) {
        for line in lines {
            let height = line.size * LEADING;
            self.room(height);
            let y = self.y;
            self.line(node, line, x, y);
            self.y = y + height;
        }
    }

    /// One line with its top at `y` of this page.
    fn line(&mut self, node: usize, line: Line, x: f32, y: f32) {
        let base = y + line.size * 1.02;
        for piece in line.pieces {
            let (left, width, size) = (x + piece.x, piece.width, piece.size);
            let number = self.texts;
            self.texts += 1;
            match piece.link.clone() {
                Some(to) => {
                    let link = self.child(node, Kind::Link);
                    let area = self.areas;
                    self.areas += 1;
                    self.nodes[link].parts.extend([Part::Text(number), Part::Area(area)]);
                    let label = piece.text.clone();
                    let (y, height) = (base - size, size * 1.3);
                    self.item(Item::Area { number: area, x: left, y, width, height, to, label });
                }
                None => self.nodes[node].parts.push(Part::Text(number)),
            }
            self.item(Item::Text { number, x: left, y: base, piece });
        }
    }

    fn verdict(&mut self, verdict: Verdict, figures: &[(&'static str, String)], summary: &str) {
        const SIDE: f32 = 12.0;
        let color = verdict_color(verdict);
        let inner = WIDTH - 2.0 * SIDE;
        let mut word = verdict.name().to_owned();
        word[..1].make_ascii_uppercase();
        let word = wrap(self.fonts, &[styled(&word, Face::Bold, 14.0, color)], inner);
        let cells: Vec<(Vec<Line>, Vec<Line>, f32)> = figures
            .iter()
            .map(|(name, value)| {
                let name = wrap(self.fonts, &[styled(name, Face::Sans, 7.0, QUIET)], inner);
                let value = wrap(self.fonts, &[styled(value, Face::Bold, BODY, INK)], inner);
                let end = |lines: &[Line]| {
                    let pieces = lines.iter().flat_map(|line| line.pieces.last());
                    pieces.map(|piece| piece.x + piece.width).fold(0.0, f32::max)
                };
                let width = end(&name).max(end(&value));
                (name, value, width)
            })
            .collect();
        let summary = wrap(self.fonts, &[styled(summary, Face::Sans, 9.5, INK)], inner);
        let row = (7.0 + BODY) * LEADING + 4.0;
        let mut rows = 1.0;
        let mut x = 0.0;
        for (_, _, width) in &cells {
            if x > 0.0 && x + width > inner {
                (x, rows) = (0.0, rows + 1.0);
            }
            x += width + 16.0;
        }
        let whole = height(&word) + rows * row + height(&summary) + 20.0;
        self.room(whole);
        self.fill(MARGIN, self.y, WIDTH, whole, SHADE);
        self.fill(MARGIN, self.y, 4.0, whole, color);
        self.y += 8.0;
        let node = self.root(Kind::Paragraph);
        self.lines(node, word, MARGIN + SIDE);
        let node = self.root(Kind::Paragraph);
        let (mut x, mut top) = (0.0, self.y + 2.0);
        for (name, value, width) in cells {
            if x > 0.0 && x + width > inner {
                (x, top) = (0.0, top + row);
            }
            let left = MARGIN + SIDE + x;
            for line in name {
                self.line(node, line, left, top);
            }
            for line in value {
                self.line(node, line, left, top + 7.0 * LEADING);
            }
            x += width + 16.0;
        }
        self.y = top + row + 2.0;
        let node = self.root(Kind::Paragraph);
        self.lines(node, summary, MARGIN + SIDE);
        self.y += 14.0;
    }

    fn list(&mut self, numbered: bool, items: &[Vec<Span>]) {
        const INDENT: f32 = 16.0;
        let list = self.root(Kind::List { numbered });
        for (place, item) in items.iter().enumerate() {
            let mark = if numbered { format!("{}.", place + 1) } else { "•".to_owned() };
            let lines = wrap(self.fonts, &looks(item, BODY), WIDTH - INDENT);
            self.room(lines.first().map_or(BODY, |line| line.size) * LEADING);
            let node = self.child(list, Kind::Item);
            let label = self.child(node, Kind::Label);
            let top = self.y;
            for line in wrap(self.fonts, &[styled(&mark, Face::Sans, BODY, QUIET)], INDENT) {
                self.line(label, line, MARGIN, top);
            }
            let body = self.child(node, Kind::Body);
            self.lines(body, lines, MARGIN + INDENT);
            self.y = self.y.max(top + BODY * LEADING) + 1.5;
        }
        self.y += 4.0;
    }

    fn table(&mut self, table: &Table) {
        let whole: f32 = table.widths.iter().sum();
        let widths: Vec<f32> = table.widths.iter().map(|part| part / whole * WIDTH).collect();
        let node = self.root(Kind::Table);
        let head = self.child(node, Kind::Head);
        self.head(head, table.head, &widths, true);
        let rows = self.child(node, Kind::Rows);
        for row in &table.rows {
            self.row(rows, row, table.head, &widths);
        }
        self.y += 6.0;
    }

    /// The names of the columns; on further pages they are repeated for the eye alone.
    fn head(&mut self, of: usize, names: &[&'static str], widths: &[f32], first: bool) {
        self.room(40.0);
        let row = if first { self.child(of, Kind::Row) } else { of };
        let top = self.y;
        let mut x = MARGIN;
        let mut deepest = 0.0_f32;
        for (name, width) in names.iter().zip(widths) {
            let name = if name.is_empty() { "#" } else { name };
            let lines = wrap(self.fonts, &[styled(name, Face::Bold, 7.0, QUIET)], width - 2.0 * PAD);
            deepest = deepest.max(height(&lines));
            let cell = if first { self.child(row, Kind::HeadCell) } else { of };
            let mut y = top + PAD;
            for line in lines {
                let next = y + line.size * LEADING;
                if first {
                    self.line(cell, line, x + PAD, y);
                } else {
                    self.repeated(line, x + PAD, y);
                }
                y = next;
            }
            x += width;
        }
        self.y = top + deepest + 2.0 * PAD;
        self.fill(MARGIN, self.y, WIDTH, 0.8, RULE);
        self.y += 1.0;
    }

    /// A line that nobody reads twice.
    fn repeated(&mut self, line: Line, x: f32, y: f32) {
        let base = y + line.size * 1.02;
        for piece in line.pieces {
            let left = x + piece.x;
            self.item(Item::Text { number: usize::MAX, x: left, y: base, piece });
        }
    }

    /// A row stays whole unless it is longer than a page.
    fn row(&mut self, of: usize, row: &Row, names: &[&'static str], widths: &[f32]) {
        let cells: Vec<Vec<Line>> = row
            .cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| wrap(self.fonts, &looks(cell, CELL), width - 2.0 * PAD))
            .collect();
        let deepest = cells.iter().map(|lines| height(lines)).fold(0.0, f32::max) + 2.0 * PAD;
        if self.y + deepest > END && self.y > TOP + 60.0 {
            self.next_page();
            self.head(of, names, widths, false);
        }
        if let Some(anchor) = &row.anchor {
            let place = self.place();
            self.anchors.entry(anchor.clone()).or_insert(place);
        }
        let node = self.child(of, Kind::Row);
        let nodes: Vec<usize> = cells.iter().map(|_| self.child(node, Kind::Cell)).collect();
        let mut left: Vec<std::vec::IntoIter<Line>> = cells.into_iter().map(Vec::into_iter).collect();
        let mut pending: Vec<Option<Line>> = left.iter_mut().map(Iterator::next).collect();
        loop {
            let top = self.y + PAD;
            let mut x = MARGIN;
            let mut deepest = top;
            for (column, width) in widths.iter().enumerate().take(nodes.len()) {
                let mut y = top;
                while let Some(line) = pending[column].take() {
                    let next = y + line.size * LEADING;
                    if next > END && y > top {
                        pending[column] = Some(line);
                        break;
                    }
                    self.line(nodes[column], line, x + PAD, y);
                    pending[column] = left[column].next();
                    y = next;
                }
                deepest = deepest.max(y);
                x += width;
            }
            self.y = deepest + PAD;
            self.fill(MARGIN, self.y, WIDTH, 0.4, RULE);
            self.y += 0.6;
            if pending.iter().all(Option::is_none) {
                break;
            }
            self.next_page();
            self.head(of, names, widths, false);
        }
    }
}
