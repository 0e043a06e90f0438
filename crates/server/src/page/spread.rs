//! Do wordings and orders change the answer? One dot for each time a question was asked, a row for each wording.

use super::ticks::place;
use casemate_investigate::report::Variant;

const WIDTH: f64 = 220.0;
const LEFT: f64 = 12.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 8.0;
const ROW: f64 = 11.0;
/// Wordings with a row of their own; further ones share the last.
const MAX_ROWS: usize = 6;

/// A strip plot laid out, from probability 0 on the left to 1 on the right.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    /// Where the axis lies.
    pub(crate) base: f64,
    /// Where the threshold lies.
    pub(crate) threshold: f64,
    pub(crate) dots: Vec<Dot>,
    /// What is drawn, in words.
    pub(crate) words: String,
}

/// A question asked once.
#[derive(Debug, PartialEq)]
pub(crate) struct Dot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Asked over the second order of the evidence: a square, not a circle.
    pub(crate) is_square: bool,
    /// On the side of the threshold that speaks for an attack.
    pub(crate) raises: bool,
    pub(crate) title: String,
}

/// Lays out how one question was answered; nothing to draw where it was not asked.
pub(crate) fn lay_out(variants: &[Variant], threshold: f64) -> Option<Strip> {
    if variants.is_empty() {
        return None;
    }
    let x = |share: f64| place(LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT));
    let rows = variants.iter().map(|variant| variant.wording + 1).max().unwrap_or(1).min(MAX_ROWS);
    let dots: Vec<Dot> = variants
        .iter()
        .map(|variant| Dot {
            x: x(variant.probability),
            y: TOP + ROW * (variant.wording.min(MAX_ROWS - 1) as f64 + 0.5),
            is_square: variant.order > 0,
            raises: variant.probability >= threshold,
            title: format!(
                "wording {}, order {}: {:.3}",
                variant.wording + 1,
                variant.order + 1,
                variant.probability
            ),
        })
        .collect();
    let raising = dots.iter().filter(|dot| dot.raises).count();
    let words = format!(
        "asked {} times, {raising} above the threshold of {threshold:.2}, {} below",
        dots.len(),
        dots.len() - raising
    );
    let base = TOP + ROW * rows as f64 + 2.0;
    Some(Strip {
        width: WIDTH,
        height: base + 15.0,
        left: LEFT,
        right: WIDTH - RIGHT,
        base,
        threshold: x(threshold),
        dots,
        words,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dots_stay_inside_and_tell_their_side() {
        let variants: Vec<Variant> = (0..9)
            .flat_map(|wording| {
                [(0, -1.0), (1, 2.0)].map(|(order, probability)| Variant { wording, order, probability })
            })
            .collect();
        let strip = lay_out(&variants, 0.5).unwrap();
        assert!(strip.dots.iter().all(|dot| (strip.left..=strip.right).contains(&dot.x)));
        assert!(strip.dots.iter().all(|dot| dot.y > 0.0 && dot.y < strip.base));
        assert_eq!(strip.words, "asked 18 times, 9 above the threshold of 0.50, 9 below");
        assert!(lay_out(&[], 0.5).is_none());
    }
}
