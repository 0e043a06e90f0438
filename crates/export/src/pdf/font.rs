//! Which glyph shows a character, and how wide is it? Three faces; what a face lacks another shows, and what all lack is
//! written by its number.

use krilla::text::{Font, GlyphId};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use std::collections::HashMap;
use std::sync::OnceLock;

const FILES: [&[u8]; 3] = [
    include_bytes!("../../fonts/DejaVuSans.ttf"),
    include_bytes!("../../fonts/DejaVuSans-Bold.ttf"),
    include_bytes!("../../fonts/DejaVuSansMono.ttf"),
];

/// A face of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Sans,
    Bold,
    Mono,
}

/// A character as it is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) face: Face,
    pub(super) glyph: GlyphId,
    /// In parts of the size of the font.
    pub(super) advance: f32,
}

/// The faces, each with its glyphs by character.
pub(super) struct Fonts {
    fonts: [Font; 3],
    glyphs: [HashMap<char, (GlyphId, f32)>; 3],
}

impl Fonts {
    /// The faces that are part of the program; nothing, if those could not be read.
    pub(super) fn get() -> Option<&'static Self> {
        static FONTS: OnceLock<Option<Fonts>> = OnceLock::new();
        FONTS.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let [sans, bold, mono] = FILES;
        let font = |file: &'static [u8]| Font::new(file.into(), 0);
        Some(Self {
            fonts: [font(sans)?, font(bold)?, font(mono)?],
            glyphs: [glyphs(sans)?, glyphs(bold)?, glyphs(mono)?],
        })
    }

    pub(super) fn font(&self, face: Face) -> &Font {
        &self.fonts[face as usize]
    }

    /// How `character` is set in `face`, or else in another.
    pub(super) fn set(&self, face: Face, character: char) -> Option<Set> {
        [face, Face::Sans, Face::Mono].into_iter().find_map(|face| {
            let (glyph, advance) = *self.glyphs[face as usize].get(&character)?;
            Some(Set { face, glyph, advance })
        })
    }
}

fn glyphs(file: &'static [u8]) -> Option<HashMap<char, (GlyphId, f32)>> {
    let font = FontRef::new(file).ok()?;
    let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
    let per_em = f32::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em);
    let glyphs = font.charmap().mappings().filter_map(|(code, glyph)| {
        let advance = metrics.advance_width(glyph)? / per_em;
        Some((char::from_u32(code)?, (GlyphId::new(glyph.to_u32()), advance)))
    });
    Some(glyphs.collect())
}
