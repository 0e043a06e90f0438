//! How does text become lines of a width? Words stay whole where they can; text that runs from right to left is put in
//! the order in which it is seen.

use super::font::{Face, Fonts, Set};
use crate::text::{cut, visible};
use std::borrow::Cow;
use unicode_bidi::{BidiInfo, Level};

/// Most characters of one piece of text: what is left out is counted in it.
const MAX_CHARS: usize = 2_000;

/// A piece of text in one look.
pub(super) struct Styled<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) face: Face,
    pub(super) size: f32,
    pub(super) color: Color,
    /// Name of the row that it leads to.
    pub(super) link: Option<&'a str>,
}

/// What colour text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Color(pub(super) u8, pub(super) u8, pub(super) u8);

/// Glyphs in one look, beside each other.
pub(super) struct Piece {
    /// From the beginning of the line.
    pub(super) x: f32,
    pub(super) width: f32,
    pub(super) face: Face,
    pub(super) size: f32,
    pub(super) color: Color,
    pub(super) link: Option<String>,
    pub(super) text: String,
    pub(super) glyphs: Vec<Set>,
}

/// Pieces on one base line.
pub(super) struct Line {
    pub(super) pieces: Vec<Piece>,
    /// Size of its largest text.
    pub(super) size: f32,
}

struct Atom {
    character: char,
    set: Set,
    width: f32,
    from: usize,
}

/// Breaks `texts` into lines of `width` points.
pub(super) fn wrap(fonts: &Fonts, texts: &[Styled<'_>], width: f32) -> Vec<Line> {
    let atoms = atoms(fonts, texts);
    let mut lines = Vec::new();
    let mut rest = atoms.as_slice();
    while !rest.is_empty() {
        let (line, after) = first_line(rest, width);
        lines.push(finish(line, texts));
        rest = after;
    }
    lines
}

fn atoms(fonts: &Fonts, texts: &[Styled<'_>]) -> Vec<Atom> {
    let mut atoms = Vec::new();
    for (from, text) in texts.iter().enumerate() {
        let shown = cut(&text.text, MAX_CHARS);
        let shown = visible(&shown);
        let mut add = |character: char| {
            let character = if matches!(character, '\n' | '\t') { ' ' } else { character };
            match fonts.set(text.face, character) {
                Some(set) => {
                    atoms.push(Atom { character, set, width: set.advance * text.size, from });
                    true
                }
                None => false,
            }
        };
        for character in shown.chars() {
            if !add(character) {
                format!("‹U+{:04X}›", u32::from(character)).chars().for_each(|one| {
                    add(one);
                });
            }
        }
    }
    atoms
}

/// As much as fits, up to a blank where there is one; at least one character.
fn first_line(atoms: &[Atom], width: f32) -> (&[Atom], &[Atom]) {
    let (mut used, mut after_blank) = (0.0, None);
    for (place, atom) in atoms.iter().enumerate() {
        used += atom.width;
        if used > width && place > 0 && atom.character != ' ' {
            let end = after_blank.unwrap_or(place);
            return atoms.split_at(end);
        }
        if atom.character == ' ' || matches!(atom.character, '\\' | '/' | ',' | ';' | '&' | '|') {
            after_blank = Some(place + 1);
        }
    }
    (atoms, &[])
}

fn finish(atoms: &[Atom], texts: &[Styled<'_>]) -> Line {
    let end = atoms.iter().rposition(|atom| atom.character != ' ').map_or(0, |last| last + 1);
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut x, mut last) = (0.0, None);
    for place in in_sight(&atoms[..end]) {
        let atom = &atoms[place];
        let style = &texts[atom.from];
        if last != Some((atom.from, atom.set.face)) {
            pieces.push(Piece {
                x,
                width: 0.0,
                face: atom.set.face,
                size: style.size,
                color: style.color,
                link: style.link.map(str::to_owned),
                text: String::new(),
                glyphs: Vec::new(),
            });
            last = Some((atom.from, atom.set.face));
        }
        if let Some(piece) = pieces.last_mut() {
            piece.text.push(atom.character);
            piece.glyphs.push(atom.set);
            piece.width += atom.width;
        }
        x += atom.width;
    }
    let size = atoms.iter().map(|atom| texts[atom.from].size).fold(0.0, f32::max);
    Line { pieces, size }
}

/// Places of the atoms from left to right.
fn in_sight(atoms: &[Atom]) -> Vec<usize> {
    // Below the Hebrew letters nothing runs from right to left.
    if atoms.iter().all(|atom| atom.character < '\u{590}') {
        return (0..atoms.len()).collect();
    }
    let text: String = atoms.iter().map(|atom| atom.character).collect();
    let bidi = BidiInfo::new(&text, Some(Level::ltr()));
    let levels: Vec<Level> = text.char_indices().map(|(byte, _)| bidi.levels[byte]).collect();
    BidiInfo::reorder_visual(&levels)
}
