//! What does Casemate know when it judges, and what would it say if that were changed? Playbooks, rules and models in
//! use, how they fared, and what somebody has typed instead of them.
//!
//! Nothing here changes what is in use: the configuration is read at start and never written.

pub(crate) mod draft;
mod tally;
pub(crate) mod tries;

pub(crate) use tally::{Agreement, Raised, agrees};

use crate::headline::Headlines;
use crate::problem::Result;
use crate::state::{App, blocking};
use casemate_investigate::Investigator;
use casemate_store::ClosedAlert;
use std::path::PathBuf;
use std::sync::Arc;
use tally::Tally;
use tokio::sync::Semaphore;
use tries::Tries;

/// Latest decisions of people that figures are made of.
pub(crate) const DECISIONS: usize = 1000;

/// What is in use, and what is tried beside it.
pub(crate) struct Knowledge {
    /// As the worker's, with its playbooks.
    pub(crate) investigator: Investigator,
    pub(crate) tally: Arc<Tally>,
    pub(crate) tries: Arc<Tries>,
    /// Where tests of playbooks have stores of their own.
    scratch: PathBuf,
    /// Texts that are looked at, one at a time: each may cost a core for a while.
    checking: Arc<Semaphore>,
}

impl Knowledge {
    /// Starts the thread that tries.
    pub(crate) fn start(
        investigator: Investigator,
        headlines: Arc<Headlines>,
        judge: Option<tries::Judge>,
    ) -> crate::error::Result<Self> {
        let scratch = investigator.pipeline().data_dir().join("scratch");
        // What a test left behind that ended with the process.
        if scratch.is_dir()
            && let Err(error) = fs_err::remove_dir_all(&scratch)
        {
            tracing::warn!(%error, "stores of earlier tests of playbooks could not be removed");
        }
        let tally = Arc::new(Tally::default());
        let tools =
            tries::Tools { investigator: investigator.clone(), headlines, tally: Arc::clone(&tally), judge };
        let tries = Arc::new(Tries::start(tools)?);
        Ok(Self { investigator, tally, tries, scratch, checking: Arc::new(Semaphore::new(1)) })
    }

    /// Blocking work on a text that somebody typed, one after the other.
    pub(crate) async fn checking<T: Send + 'static>(
        &self,
        app: &Arc<App>,
        work: impl FnOnce(&App) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.checking).acquire_owned().await;
        blocking(app, move |app| {
            let _permit = permit;
            work(app)
        })
        .await
    }
}

/// The latest decisions of people.
pub(crate) fn decisions(app: &App) -> Result<Vec<ClosedAlert>> {
    Ok(app.pipeline.store().closed_alerts(DECISIONS)?)
}
