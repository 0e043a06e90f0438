//! What did people decide about alerts and cases, what may a model do by itself, and what may be used again?

use crate::findings::{Act, AlertState, Changed, ClosedAlert, Finished, Gate, Raise, SavedEvidence, Saving};
use crate::{Result, Store};
use casemate_event::{Alert, AlertId, Case, CaseId, Closing, EventId, Stored, Subject};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

impl Store {
    /// Case `id`, if there is one.
    ///
    /// # Errors
    /// The tables cannot be read; as for everything here.
    pub fn case(&self, id: CaseId) -> Result<Option<Case>> {
        self.inner.findings.case(id)
    }

    /// All cases, newest id last.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn cases(&self) -> Result<Vec<Case>> {
        self.inner.findings.cases()
    }

    /// The cases with these numbers, in this order; those that are not there are left out.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn cases_of(&self, ids: &[CaseId]) -> Result<Vec<Case>> {
        self.inner.findings.cases_of(ids)
    }

    /// The case that an alert is part of.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn case_of(&self, alert: AlertId) -> Result<Option<CaseId>> {
        self.inner.findings.case_of(alert)
    }

    /// How an alert was closed, by itself or with its case; `None` while it is open.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn closing(&self, alert: AlertId) -> Result<Option<Closing>> {
        self.inner.findings.closing(alert)
    }

    /// Closes a case or an alert, in place of an earlier decision, and notes it in the record. A closed case is
    /// joined by no alert, and a closed alert folds none in: what comes later is looked at.
    ///
    /// Returns the earlier decision inside, and `None` if there is no such case or alert.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn conclude(&self, subject: Subject, closing: &Closing) -> Result<Option<Option<Closing>>> {
        self.inner.audited(self.inner.findings.decide(subject, Some(closing), &closing.by, closing.at))
    }

    /// Opens a case or an alert again, and notes it in the record. Returns as [`conclude`](Self::conclude) does.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn reopen(&self, subject: Subject, by: &str, at: Timestamp) -> Result<Option<Option<Closing>>> {
        self.inner.audited(self.inner.findings.decide(subject, None, by, at))
    }

    /// Does all of `acts`, each with its row in the record, in one durable commit: all or nothing.
    ///
    /// Returns those that are about no case or alert there is, and [`Act::Say`] of a case: nothing was done of them.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn act(&self, acts: &[(Subject, Act)], by: &str, at: Timestamp) -> Result<Vec<Subject>> {
        self.inner.audited(self.inner.findings.act(acts, by, at))
    }

    /// What is known of the alerts with these numbers, in this order; those that are not there are left out.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alert_states(&self, ids: &[AlertId]) -> Result<Vec<AlertState>> {
        self.inner.findings.states(ids)
    }

    /// What is known of alerts numbered above `after`, in order, at most `most`.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn alert_states_after(&self, after: AlertId, most: usize) -> Result<Vec<AlertState>> {
        self.inner.findings.states_after(after, most)
    }

    /// What changed from change number `from` on, waiting for at most `patience` if nothing has yet. Changes are
    /// numbered from the opening of the store on; the latest are remembered.
    pub fn changed_since(&self, from: u64, patience: Duration) -> Changed {
        self.inner.findings.changes.since(from, patience)
    }

    /// The number of the next change.
    pub fn next_change(&self) -> u64 {
        self.inner.findings.changes.now()
    }

    /// Alerts that people closed or said the truth about, the highest number first, at most `most`: what a head is
    /// fitted on, together with their investigations.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn closed_alerts(&self, most: usize) -> Result<Vec<ClosedAlert>> {
        self.inner.findings.closed_alerts(most)
    }

    /// Saves an event as evidence of a case, in place of what was saved of it there before, and notes it in the
    /// record.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn save_evidence(&self, case: CaseId, saved: &SavedEvidence) -> Result<Saving> {
        self.inner.audited(self.inner.findings.save_evidence(case, saved))
    }

    /// Raises an alert in a person's name and saves an event as evidence of the case that it is then part of, with their
    /// rows in the record, in one durable commit. Nothing is kept where the case has no room for the event.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn open_case(&self, raise: Raise, saved: &SavedEvidence) -> Result<(CaseId, Saving)> {
        self.inner.audited(self.inner.findings.open_case(raise, saved))
    }

    /// What was saved of an event for a case, if something was.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn saved_event(&self, case: CaseId, event: EventId) -> Result<Option<SavedEvidence>> {
        self.inner.findings.saved_event(case, event)
    }

    /// Removes what was saved of an event for a case, and notes it in the record. Returns whether there was something.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn remove_evidence(&self, case: CaseId, event: EventId, by: &str, at: Timestamp) -> Result<bool> {
        self.inner.audited(self.inner.findings.remove_evidence(case, event, by, at))
    }

    /// What people saved as evidence of a case, in order of time; nothing for a case that does not exist.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn saved_evidence(&self, case: CaseId) -> Result<Vec<SavedEvidence>> {
        self.inner.findings.saved_evidence(case)
    }

    /// The latest cases, at most `most`, the newest first.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn latest_cases(&self, most: usize) -> Result<Vec<Case>> {
        self.inner.findings.latest_cases(most)
    }

    /// The latest alerts, at most `most`, the newest first.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn latest_alerts(&self, most: usize) -> Result<Vec<Alert>> {
        self.inner.findings.latest_alerts(most)
    }

    /// Stores what the gate said about a model file, in place of what it said before, and notes it in the record.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_gate(&self, gate: &Gate) -> Result<()> {
        self.inner.audited(self.inner.findings.put_gate(gate))
    }

    /// What the gate said about the model file with this SHA-256; `None`, which allows nothing, if it was not asked.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn gate(&self, model: &str) -> Result<Option<Gate>> {
        self.inner.findings.gate(model)
    }

    /// Stores the investigation of `alert` with what is remembered of it, in place of an earlier one.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_finished(&self, alert: AlertId, finished: Finished<'_>) -> Result<()> {
        self.inner.audited(self.inner.findings.put_investigation(alert, finished))
    }

    /// What was retrieved for the investigation of `alert`, as it was given to
    /// [`put_finished`](Self::put_finished).
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn inputs(&self, alert: AlertId) -> Result<Option<Vec<u8>>> {
        self.inner.findings.inputs(alert)
    }

    /// The alert whose verdict rested on what has this hash.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn verified(&self, hash: &str) -> Result<Option<AlertId>> {
        self.inner.findings.verified(hash)
    }

    /// Pooled embedding of the evidence of an investigated alert.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn evidence_vector(&self, alert: AlertId) -> Result<Option<Vec<f32>>> {
        self.inner.findings.evidence_vector(alert)
    }

    /// Raises the alert that a person wants `events` looked into, or gives the one there is of them; `None` without events.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn raise_by_hand(&self, events: &[Stored]) -> Result<Option<Alert>> {
        let Some(alert) = Alert::by_hand(events) else { return Ok(None) };
        let fold_key = format!("product:{}:{}", Alert::BY_HAND, alert.title);
        self.raise(alert, &fold_key, SignedDuration::ZERO).map(Some)
    }

    /// Notes, durably, that a person asked for the investigation of `alert`; forgotten once it is stored.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_asked(&self, alert: AlertId) -> Result<()> {
        self.inner.findings.put_asked(alert)
    }

    /// As [`put_asked`](Self::put_asked) where the investigation runs already, and may be stored before this: then there is
    /// nothing to note.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub fn put_asked_while_running(&self, alert: AlertId) -> Result<()> {
        self.inner.findings.put_asked_while_running(alert)
    }

    /// Alerts whose investigation was asked for and is not stored yet, in the order of asking.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn asked(&self) -> Result<Vec<AlertId>> {
        self.inner.findings.asked()
    }

    /// Open alerts numbered above `after` without an investigation, in order, at most `most`, each with when it
    /// was raised (unknown for those of old versions).
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn uninvestigated(&self, after: AlertId, most: usize) -> Result<Vec<(Alert, Option<Timestamp>)>> {
        self.inner.findings.uninvestigated(after, most)
    }
}
