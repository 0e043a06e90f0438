//! What does a reader's inner state say of the evidence? Hidden states, one line of evidence at a time.
//!
//! Every line is read alone and without attacker-written text ([`crate::render::structural`]), and the states
//! of its tokens are averaged; the lines are pooled afterwards. So neither the order of the evidence nor words
//! planted in it can change the result, and leaving a line out costs nothing.

use crate::Error;
use crate::head::Pooling;
use casemate_inference::{Model, Ticket};

/// Most tokens of one line that are read.
const MAX_LINE_TOKENS: usize = 160;

/// The states of each line of evidence, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct States {
    /// The layer they were taken after.
    pub layer: usize,
    /// One state per line.
    pub lines: Vec<Vec<f32>>,
}

impl States {
    /// Reads every line and keeps its averaged state after `layer`.
    pub(crate) fn read(
        model: &Model,
        layer: usize,
        lines: &[String],
        ticket: &Ticket,
    ) -> Result<Self, Error> {
        let lead = model.tokens_of_data("Event: ")?;
        let mut states = Vec::with_capacity(lines.len());
        for line in lines {
            let mut tokens = lead.clone();
            tokens.extend(model.tokens_of_data(line)?);
            tokens.truncate(lead.len() + MAX_LINE_TOKENS);
            if tokens.len() == lead.len() {
                continue;
            }
            let mut session = model.session_with(tokens.len(), ticket.clone())?;
            let line = lead.len()..tokens.len();
            let pooled = session.read_pooled(&tokens, &[layer], std::slice::from_ref(&line))?;
            states.extend(pooled.into_iter().map(|pooled| pooled.mean));
        }
        Ok(Self { layer, lines: states })
    }

    /// The state of all lines but those `left_out`.
    pub fn pooled(&self, pooling: Pooling, left_out: &dyn Fn(usize) -> bool) -> Vec<f32> {
        let mut kept = self.lines.iter().enumerate().filter(|(index, _)| !left_out(*index));
        let Some((_, first)) = kept.next() else { return Vec::new() };
        let mut pooled = first.clone();
        let mut count = 1.0;
        for (_, state) in kept {
            count += 1.0;
            for (pooled, value) in pooled.iter_mut().zip(state) {
                match pooling {
                    Pooling::Mean => *pooled += value,
                    Pooling::Max => *pooled = pooled.max(*value),
                }
            }
        }
        if pooling == Pooling::Mean {
            pooled.iter_mut().for_each(|value| *value /= count);
        }
        pooled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> States {
        States { layer: 0, lines: vec![vec![1.0, -2.0], vec![3.0, 0.0], vec![2.0, 5.0]] }
    }

    #[test]
    fn lines_pool_in_any_order_and_without_some() {
        assert_eq!(states().pooled(Pooling::Max, &|_| false), [3.0, 5.0]);
        assert_eq!(states().pooled(Pooling::Mean, &|_| false), [2.0, 1.0]);
        assert_eq!(states().pooled(Pooling::Max, &|index| index == 2), [3.0, 0.0]);
        let mut turned = states();
        turned.lines.reverse();
        assert_eq!(turned.pooled(Pooling::Mean, &|_| false), [2.0, 1.0]);
        assert!(states().pooled(Pooling::Mean, &|_| true).is_empty());
    }
}
