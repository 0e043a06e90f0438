//! How much may one alert cost? Seconds of machine time, and tokens that the model reads and writes.
//!
//! [`Meter`] is asked before each step that costs something: `reader::read` asks before every order of the
//! evidence and before the narrative. Once a step does not fit, the model's work is left out as a whole, and the
//! report is the one that rules and facts give, with the reason in its method: half an answer would depend on
//! how busy the machine was.

use crate::Error;
use casemate_inference::Ticket;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What one investigation may cost. Nothing is bounded by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Seconds of machine time from the start of the investigation on. A step that has begun is finished.
    pub seconds: Option<u32>,
    /// Tokens read and written by the model.
    pub tokens: Option<u64>,
}

/// What of a budget is spent.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    started: Instant,
    tokens: u64,
    ticket: Ticket,
}

impl Meter {
    /// Counts from now on.
    pub(crate) fn start(budget: Budget, ticket: Ticket) -> Self {
        Self { budget, started: Instant::now(), tokens: 0, ticket }
    }

    /// With what the models are asked.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// Whether a step of `tokens` may begin; it then counts as spent.
    ///
    /// # Errors
    /// [`Error::OverBudget`], which names the limit and never the time taken: a report holds it.
    pub(crate) fn spend(&mut self, tokens: u64) -> Result<(), Error> {
        if let Some(limit) = self.budget.seconds
            && self.started.elapsed().as_secs() >= u64::from(limit)
        {
            return Err(Error::OverBudget { limit: u64::from(limit), unit: "seconds" });
        }
        self.tokens += tokens;
        match self.budget.tokens {
            Some(limit) if self.tokens > limit => Err(Error::OverBudget { limit, unit: "tokens" }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit() {
        let mut meter = Meter::start(Budget { seconds: None, tokens: Some(100) }, Ticket::default());
        assert!(meter.spend(60).is_ok() && meter.spend(40).is_ok());
        let error = meter.spend(1).unwrap_err().to_string();
        assert!(error.contains("100 tokens"), "{error}");
        let mut none_left = Meter::start(Budget { seconds: Some(0), tokens: None }, Ticket::default());
        assert!(none_left.spend(0).unwrap_err().to_string().contains("0 seconds"));
        let mut unbounded = Meter::start(Budget::default(), Ticket::default());
        assert!(unbounded.spend(u64::MAX / 2).is_ok());
    }
}
