//! The report as PDF: paged, with bookmarks, links from claims to evidence, and text that can be selected and read out.
//! PDF/A-2a and PDF/UA-1, held by the writer itself: what does not conform is refused.
//!
//! [`lines`] breaks text, [`layout`] puts it on pages, and here it is painted and told what it is. Characters that no
//! font of ours has are written by their numbers.

mod font;
mod layout;
mod lines;

use crate::Dossier;
use crate::document::{Document, when};
use crate::text::line;
use font::{Face, Fonts};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use krilla::annotation::{Annotation, LinkAnnotation, Target};
use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, Configuration, ConfigurationBuilder};
use krilla::destination::{Destination, XyzDestination};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::{Page, PageSettings};
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, ListNumbering, Node, SpanTag, TableHeaderScope, Tag,
    TagGroup, TagKind, TagTree,
};
use krilla::text::KrillaGlyph;
use krilla::{Document as Pdf, SerializeSettings};
use layout::{Item, Kind, Layout, MARGIN, PAGE, Part, Place, QUIET};
use lines::{Color, Piece, Styled, wrap};
use std::borrow::Cow;
use std::num::NonZeroU16;

/// Longest title among the bookmarks and in the properties.
const MAX_TITLE: usize = 200;

pub(crate) fn of(dossier: &Dossier) -> Result<Vec<u8>, String> {
    let document = Document::of(dossier);
    let fonts = Fonts::get().ok_or("the fonts of the program cannot be read")?;
    let layout = layout::lay_out(fonts, &document);
    let settings =
        SerializeSettings { configuration: standards()?, enable_tagging: true, ..Default::default() };
    let mut pdf = Pdf::new_with(settings);
    let title = short(&document.title);
    pdf.set_metadata(
        Metadata::new()
            .title(title.clone())
            .language("en".to_owned())
            .creator(format!("Casemate {}", env!("CARGO_PKG_VERSION")))
            .creation_date(date(document.made)),
    );
    let mut painted = Painted {
        texts: vec![None; layout.texts],
        areas: vec![None; layout.areas],
        footer: format!("Casemate {} · made {} UTC", env!("CARGO_PKG_VERSION"), when(document.made)),
        title,
    };
    for number in 0..layout.pages.len() {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or("the size of a page is none")?;
        painted.page(fonts, &layout, number, pdf.start_page_with(settings));
    }
    pdf.set_outline(outline(&layout));
    let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
    for root in &layout.roots {
        tree.push(painted.group(&layout, *root));
    }
    pdf.set_tag_tree(tree);
    pdf.finish().map_err(|error| format!("{error:?}"))
}

fn standards() -> Result<Configuration, String> {
    let both = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_A)
        .with_accessibility_validator(Accessibility::UA1);
    both.finish().map_err(|error| format!("{error:?}"))
}

fn short(text: &str) -> String {
    line(text).chars().take(MAX_TITLE).collect()
}

fn date(time: Timestamp) -> DateTime {
    let zoned = time.to_zoned(TimeZone::UTC);
    DateTime::new(u16::try_from(zoned.year()).unwrap_or(0))
        .month(zoned.month().unsigned_abs())
        .day(zoned.day().unsigned_abs())
        .hour(zoned.hour().unsigned_abs())
        .minute(zoned.minute().unsigned_abs())
        .second(zoned.second().unsigned_abs())
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

fn destination(place: Place) -> XyzDestination {
    XyzDestination::new(place.page, Point::from_xy(0.0, (place.y - 10.0).max(0.0)))
}

/// Bookmarks by level.
fn outline(layout: &Layout<'_>) -> Outline {
    let mut outline = Outline::new();
    let mut open: Option<OutlineNode> = None;
    for (level, text, place) in &layout.headings {
        let node = OutlineNode::new(short(text), destination(*place));
        match (&mut open, *level) {
            (Some(parent), 3..) => parent.push_child(node),
            (parent, _) => {
                if let Some(done) = parent.replace(node) {
                    outline.push_child(done);
                }
            }
        }
    }
    if let Some(done) = open {
        outline.push_child(done);
    }
    outline
}

/// What has been painted, by the numbers that the layout gave.
struct Painted {
    texts: Vec<Option<Identifier>>,
    areas: Vec<Option<Identifier>>,
    footer: String,
    title: String,
}

impl Painted {
    fn page(&mut self, fonts: &Fonts, layout: &Layout<'_>, number: usize, mut page: Page<'_>) {
        let items = layout.pages.get(number).map(Vec::as_slice).unwrap_or_default();
        let mut surface = page.surface();
        for item in items {
            match item {
                Item::Fill { x, y, width, height, color } => {
                    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
                    fill(&mut surface, (*x, *y, *width, *height), *color);
                    surface.end_tagged();
                }
                Item::Text { number, x, y, piece } => {
                    let repeated = *number == usize::MAX;
                    let tag = if repeated {
                        ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther))
                    } else {
                        ContentTag::Span(SpanTag::empty())
                    };
                    let identifier = surface.start_tagged(tag);
                    text(&mut surface, fonts, piece, *x, *y);
                    surface.end_tagged();
                    if !repeated {
                        self.texts[*number] = Some(identifier);
                    }
                }
                Item::Area { .. } => {}
            }
        }
        self.edges(&mut surface, fonts, number, layout.pages.len());
        surface.finish();
        for item in items {
            if let Item::Area { number, x, y, width, height, to, label } = item
                && let Some(place) = layout.anchors.get(to)
                && let Some(rect) = Rect::from_xywh(*x, *y, width.max(1.0), *height)
            {
                let target = Target::Destination(Destination::Xyz(destination(*place)));
                let link = LinkAnnotation::new(rect, target);
                let annotation = Annotation::new_link(link, Some(format!("Evidence {label}")));
                self.areas[*number] = Some(page.add_tagged_annotation(annotation));
            }
        }
        page.finish();
    }

    /// What stands at the edge of each page.
    fn edges(&self, surface: &mut Surface<'_>, fonts: &Fonts, number: usize, pages: usize) {
        let count = format!("Page {} of {pages}", number + 1);
        let first = |text: &str, width| {
            let text = Cow::Borrowed(text);
            let small = Styled { text, face: Face::Sans, size: 7.0, color: QUIET, link: None };
            wrap(fonts, &[small], width).into_iter().next()
        };
        let foot = PAGE.1 - 30.0;
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Footer)));
        fill(surface, (MARGIN, foot - 12.0, PAGE.0 - 2.0 * MARGIN, 0.4), layout::RULE);
        for piece in first(&self.footer, 400.0).into_iter().flat_map(|line| line.pieces) {
            text(surface, fonts, &piece, MARGIN + piece.x, foot);
        }
        if let Some(line) = first(&count, 200.0) {
            let width: f32 = line.pieces.iter().map(|piece| piece.width).sum();
            for piece in line.pieces {
                text(surface, fonts, &piece, PAGE.0 - MARGIN - width + piece.x, foot);
            }
        }
        surface.end_tagged();
        if number > 0 {
            surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Header)));
            for piece in first(&self.title, PAGE.0 - 2.0 * MARGIN).into_iter().flat_map(|line| line.pieces) {
                text(surface, fonts, &piece, MARGIN + piece.x, 36.0);
            }
            surface.end_tagged();
        }
    }

    fn group(&self, layout: &Layout<'_>, number: usize) -> TagGroup {
        let node = &layout.nodes[number];
        let mut group = TagGroup::new(kind(&node.kind));
        for part in &node.parts {
            match part {
                Part::Node(child) => group.push(self.group(layout, *child)),
                Part::Text(number) => group.push_some(self.texts.get(*number)),
                Part::Area(number) => group.push_some(self.areas.get(*number)),
            }
        }
        group
    }
}

trait PushSome {
    fn push_some(&mut self, identifier: Option<&Option<Identifier>>);
}

impl PushSome for TagGroup {
    fn push_some(&mut self, identifier: Option<&Option<Identifier>>) {
        if let Some(Some(identifier)) = identifier {
            self.push(Node::Leaf(*identifier));
        }
    }
}

fn kind(kind: &Kind) -> TagKind {
    match kind {
        Kind::Heading(level, title) => {
            let level = NonZeroU16::new(u16::from(*level)).unwrap_or(NonZeroU16::MIN);
            Tag::Hn(level, Some(title.chars().take(MAX_TITLE).collect())).into()
        }
        Kind::Paragraph | Kind::Note => Tag::P.into(),
        Kind::List { numbered: true } => Tag::L(ListNumbering::Decimal).into(),
        Kind::List { numbered: false } => Tag::L(ListNumbering::Disc).into(),
        Kind::Item => Tag::LI.into(),
        Kind::Label => Tag::Lbl.into(),
        Kind::Body => Tag::LBody.into(),
        Kind::Table => Tag::Table.into(),
        Kind::Head => Tag::THead.into(),
        Kind::Rows => Tag::TBody.into(),
        Kind::Row => Tag::TR.into(),
        Kind::HeadCell => Tag::TH(TableHeaderScope::Column).into(),
        Kind::Cell => Tag::TD.into(),
        Kind::Link => Tag::Link.into(),
    }
}

fn paint(color: Color) -> Fill {
    Fill { paint: rgb::Color::new(color.0, color.1, color.2).into(), ..Fill::default() }
}

fn fill(surface: &mut Surface<'_>, (x, y, width, height): (f32, f32, f32, f32), color: Color) {
    let Some(rect) = Rect::from_xywh(x, y, width, height) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(rect);
    if let Some(path) = path.finish() {
        surface.set_fill(Some(paint(color)));
        surface.draw_path(&path);
    }
}

fn text(surface: &mut Surface<'_>, fonts: &Fonts, piece: &Piece, x: f32, y: f32) {
    let glyphs: Vec<KrillaGlyph> = piece
        .text
        .char_indices()
        .zip(&piece.glyphs)
        .map(|((at, character), set)| {
            KrillaGlyph::new(set.glyph, set.advance, 0.0, 0.0, 0.0, at..at + character.len_utf8(), None)
        })
        .collect();
    surface.set_fill(Some(paint(piece.color)));
    let font = fonts.font(piece.face).clone();
    surface.draw_glyphs(Point::from_xy(x, y), &glyphs, font, &piece.text, piece.size, false);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{case, dossier, hostile};
    use proptest::prelude::*;

    #[test]
    fn a_report_conforms_and_is_the_same_every_time() {
        let pdf = of(&dossier()).unwrap();
        assert!(pdf.starts_with(b"%PDF-1.7"));
        assert_eq!(of(&dossier()).unwrap(), pdf);
        let text = String::from_utf8_lossy(&pdf);
        for part in ["<pdfaid:part>2", "<pdfaid:conformance>A", "<pdfuaid:part>1"] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn a_case_has_all_its_investigations() {
        let (one, ten) = (of(&case(1)).unwrap(), of(&case(10)).unwrap());
        assert!(ten.len() > one.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_text_can_be_set(text in hostile()) {
            let found = of(&dossier().masked(&|_| text.clone()));
            prop_assert!(found.is_ok(), "{:?}", found.map(|pdf| pdf.len()));
        }
    }
}
