//! What moved the verdict, and how far? Signed bars around zero, longest first.

use crate::page::parts::shorten;
use crate::page::ticks::place;

const WIDTH: f64 = 640.0;
const NAME_WIDTH: f64 = 250.0;
const VALUE_WIDTH: f64 = 56.0;
const ROW_HEIGHT: f64 = 26.0;
const NAME_CHARS: usize = 36;
const MAX_BARS: usize = 24;

/// A bar chart laid out.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) zero: f64,
    pub(crate) bars: Vec<Bar>,
    /// Smaller ones that are not drawn.
    pub(crate) left_out: usize,
}

/// One contribution.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) short: String,
    pub(crate) value: String,
    pub(crate) y: f64,
    pub(crate) middle: f64,
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) value_x: f64,
    pub(crate) value_anchor: &'static str,
    pub(crate) for_malicious: bool,
}

/// Lays out contributions (name, weight); positive ones speak for malicious.
pub(crate) fn lay_out(contributions: &[(String, f64)]) -> Option<Bars> {
    let mut sorted: Vec<&(String, f64)> =
        contributions.iter().filter(|(_, weight)| weight.is_finite() && *weight != 0.0).collect();
    sorted.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let largest = sorted.first()?.1.abs();
    let left_out = sorted.len().saturating_sub(MAX_BARS);
    sorted.truncate(MAX_BARS);
    let half = (WIDTH - NAME_WIDTH) / 2.0;
    let zero = NAME_WIDTH + half;
    let bars: Vec<Bar> = sorted
        .iter()
        .enumerate()
        .map(|(index, (name, weight))| {
            let width = place((weight.abs() / largest * (half - VALUE_WIDTH)).max(2.0));
            let for_malicious = *weight > 0.0;
            let y = index as f64 * ROW_HEIGHT;
            Bar {
                name: name.clone(),
                short: shorten(name, NAME_CHARS),
                // U+2212: as wide as the plus sign.
                value: format!("{weight:+.2}").replace('-', "−"),
                y: y + 5.0,
                middle: y + ROW_HEIGHT / 2.0,
                x: if for_malicious { zero } else { zero - width },
                width,
                value_x: if for_malicious { zero + width + 6.0 } else { zero - width - 6.0 },
                value_anchor: if for_malicious { "start" } else { "end" },
                for_malicious,
            }
        })
        .collect();
    Some(Bars { width: WIDTH, height: bars.len() as f64 * ROW_HEIGHT, zero, bars, left_out })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(weights: &[f64], expected: &[&str]) {
        let named: Vec<(String, f64)> = weights.iter().map(|weight| ("n".to_owned(), *weight)).collect();
        let bars = lay_out(&named).map_or_else(Vec::new, |bars| bars.bars);
        let values: Vec<&str> = bars.iter().map(|bar| bar.value.as_str()).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn bars_are_signed_and_sorted() {
        check(&[0.5, -2.0, 0.0, f64::NAN], &["−2.00", "+0.50"]);
        check(&[], &[]);
        check(&[0.0], &[]);
    }

    #[test]
    fn bars_stay_inside() {
        let bars = lay_out(&[("a".to_owned(), -3.0), ("b".to_owned(), 3.0)]).unwrap();
        assert!(bars.bars.iter().all(|bar| bar.x >= NAME_WIDTH && bar.x + bar.width <= WIDTH));
        assert!(!bars.bars[0].for_malicious && bars.bars[1].for_malicious);
    }
}
