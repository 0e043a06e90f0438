//! A line between two classes: logistic regression with an L2 penalty, the same for the same input.
//!
//! Nesterov's accelerated gradient on standardised columns; the weights that come back are those of the
//! columns as given.

/// A fitted line, in logits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) bias: f64,
    pub(crate) weights: Vec<f64>,
}

/// Most steps.
const STEPS: usize = 400;
/// Change of the weights from which on nothing more is gained.
const STILL: f64 = 1e-4;

impl Line {
    /// Logit of a row.
    pub(crate) fn logit(&self, row: &[f64]) -> f64 {
        self.bias + self.weights.iter().zip(row).map(|(weight, value)| weight * value).sum::<f64>()
    }
}

/// What sign a weight may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Any,
    NotNegative,
    NotPositive,
}

/// What is known of a weight before anything is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prior {
    pub(crate) sign: Sign,
    /// What it is while the rows say nothing of it: the penalty is on its distance from this.
    pub(crate) center: f64,
}

impl Sign {
    fn held(self, weight: f64) -> f64 {
        match self {
            Self::Any => weight,
            Self::NotNegative => weight.max(0.0),
            Self::NotPositive => weight.min(0.0),
        }
    }
}

/// Fits `rows` (all of the same length) with their class and importance; `penalty` is per row of importance 1.
pub(crate) fn fit(rows: &[&[f64]], positive: &[bool], importance: &[f64], penalty: f64) -> Line {
    fit_from(rows, positive, importance, penalty, &[])
}

/// As [`fit`], from what is known of each weight; of those beyond `priors` nothing is.
pub(crate) fn fit_from(
    rows: &[&[f64]],
    positive: &[bool],
    importance: &[f64],
    penalty: f64,
    priors: &[Prior],
) -> Line {
    let width = rows.first().map_or(0, |row| row.len());
    let total: f64 = importance.iter().sum();
    if total <= 0.0 {
        return Line { bias: 0.0, weights: vec![0.0; width] };
    }
    let column = Columns::of(rows, importance, total);
    let scaled: Vec<Vec<f64>> = rows.iter().map(|row| column.scaled(row)).collect();
    // The largest curvature of the loss is a quarter of the mean squared length of the rows.
    let length: f64 = scaled
        .iter()
        .zip(importance)
        .map(|(row, importance)| importance * (1.0 + row.iter().map(|value| value * value).sum::<f64>()))
        .sum();
    let step = 1.0 / (0.25 * length / total + penalty);
    let center = |index: usize| priors.get(index).map_or(0.0, |prior| prior.center * column.spread[index]);
    let mut at: Vec<f64> = (0..width).map(center).chain([0.0]).collect();
    let centers = at.clone();
    let mut ahead = at.clone();
    let mut momentum = 1.0_f64;
    for _ in 0..STEPS {
        let mut slope = vec![0.0; width + 1];
        for ((row, positive), importance) in scaled.iter().zip(positive).zip(importance) {
            let logit =
                ahead[width] + row.iter().zip(&ahead).map(|(value, weight)| value * weight).sum::<f64>();
            let error = importance / total * (logistic(logit) - f64::from(u8::from(*positive)));
            slope.iter_mut().zip(row).for_each(|(slope, value)| *slope += error * value);
            slope[width] += error;
        }
        for ((slope, weight), center) in slope.iter_mut().zip(&ahead).zip(&centers).take(width) {
            *slope += penalty * (weight - center);
        }
        let mut next: Vec<f64> =
            ahead.iter().zip(&slope).map(|(weight, slope)| weight - step * slope).collect();
        next.iter_mut()
            .take(width)
            .zip(priors)
            .for_each(|(weight, prior)| *weight = prior.sign.held(*weight));
        let faster = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
        let carry = (momentum - 1.0) / faster;
        ahead = next.iter().zip(&at).map(|(next, at)| next + carry * (next - at)).collect();
        let moved = next.iter().zip(&at).map(|(next, at)| (next - at).abs()).fold(0.0, f64::max);
        (at, momentum) = (next, faster);
        if moved < STILL {
            break;
        }
    }
    column.unscaled(&at)
}

pub(crate) fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Mean and spread of each column.
struct Columns {
    mean: Vec<f64>,
    spread: Vec<f64>,
}

impl Columns {
    fn of(rows: &[&[f64]], importance: &[f64], total: f64) -> Self {
        let width = rows.first().map_or(0, |row| row.len());
        let average = |of: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
            (0..width)
                .map(|index| {
                    let sum: f64 = rows.iter().zip(importance).map(|(row, own)| own * of(row, index)).sum();
                    sum / total
                })
                .collect()
        };
        let mean = average(&|row, index| row[index]);
        let variance = average(&|row, index| (row[index] - mean[index]).powi(2));
        // A column that never changes says nothing, and one that hardly does must not be blown up.
        let spread = variance.iter().map(|variance| variance.sqrt().max(0.05)).collect();
        Self { mean, spread }
    }

    fn scaled(&self, row: &[f64]) -> Vec<f64> {
        row.iter()
            .zip(&self.mean)
            .zip(&self.spread)
            .map(|((value, mean), spread)| (value - mean) / spread)
            .collect()
    }

    fn unscaled(&self, scaled: &[f64]) -> Line {
        let width = self.mean.len();
        let weights: Vec<f64> =
            scaled[..width].iter().zip(&self.spread).map(|(weight, spread)| weight / spread).collect();
        let shift: f64 = weights.iter().zip(&self.mean).map(|(weight, mean)| weight * mean).sum();
        Line { bias: scaled[width] - shift, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_column_gives_the_log_odds() {
        // 3 of 4 positive where the column is 1, 1 of 4 where it is 0: weight ln 9, bias -ln 3.
        let rows: Vec<Vec<f64>> = (0..8).map(|index| vec![f64::from(u8::from(index < 4))]).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let positive = [true, true, true, false, true, false, false, false];
        let line = fit(&rows, &positive, &[1.0; 8], 0.0);
        assert!((line.weights[0] - 9.0_f64.ln()).abs() < 1e-2, "{line:?}");
        assert!((line.bias + 3.0_f64.ln()).abs() < 1e-2, "{line:?}");
    }

    #[test]
    fn importance_counts_like_copies() {
        let rows: [&[f64]; 3] = [&[0.0, 1.0], &[1.0, 0.5], &[2.0, -1.0]];
        let twice: [&[f64]; 4] = [rows[0], rows[0], rows[1], rows[2]];
        let once = fit(&rows, &[false, true, true], &[2.0, 1.0, 1.0], 0.1);
        let copied = fit(&twice, &[false, false, true, true], &[1.0; 4], 0.1);
        for (a, b) in once.weights.iter().zip(&copied.weights) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn signs_hold_and_what_rows_do_not_say_stays() {
        let rows: [&[f64]; 4] = [&[0.0, 0.0], &[1.0, 0.0], &[0.0, 0.0], &[1.0, 0.0]];
        let positive = [true, false, true, false];
        let free = fit(&rows, &positive, &[1.0; 4], 0.1);
        assert!(free.weights[0] < -0.1);
        let prior = |sign, center| Prior { sign, center };
        let priors = [prior(Sign::NotNegative, 0.0), prior(Sign::Any, 0.7)];
        let held = fit_from(&rows, &positive, &[1.0; 4], 0.1, &priors);
        assert_eq!(held.weights[0], 0.0);
        assert!((held.weights[1] - 0.7).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_fit_is_no_line() {
        assert_eq!(fit(&[], &[], &[], 1.0), Line { bias: 0.0, weights: Vec::new() });
        let constant: [&[f64]; 2] = [&[3.0], &[3.0]];
        let line = fit(&constant, &[true, false], &[1.0; 2], 0.1);
        assert!(line.logit(&[3.0]).abs() < 1e-6);
    }
}
