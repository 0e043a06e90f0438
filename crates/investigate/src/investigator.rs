//! From alert to report: the steps in order, each in a module of its own.

use crate::budget::{Budget, Meter};
use crate::context::Context;
use crate::exemplar;
use crate::facts::{self, Finding, Scene};
use crate::features;
use crate::head::{Fit, Head};
use crate::missing::{self, Looked};
use crate::narrative;
use crate::playbook::{Playbook, Playbooks};
use crate::probe::States;
use crate::prompt;
use crate::prompts::Prompts;
use crate::reader::{self, Reading};
use crate::relate::{self, Relation};
use crate::render::{self, Width};
use crate::replay::{self, Inputs, Rejudged, Replayed};
use crate::report::{
    AlertSummary, Evidence, Fact, HeadSummary, Investigation, Method, ModelSummary, PlaybookSummary,
    Provenance, TimelineEntry, Verdict,
};
use crate::retrieve::{self, Candidates};
use crate::reuse::{self, Ground};
use crate::select::{self, Candidate, Chosen};
use crate::silence;
use crate::techniques;
use crate::verdict::{self, Asked, Judgement, Seen, Term};
use crate::view::View;
use crate::{Error, Progress, Site};
use casemate_event::{Alert, AlertId, EventId};
use casemate_inference::{Model, Ticket};
use casemate_pipeline::Pipeline;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Evidence lines when there is no model to count tokens.
const DEFAULT_LINES: usize = 14;

/// A model with the hash that names it in reports.
#[derive(Clone)]
pub struct LoadedModel {
    /// The model.
    pub model: Arc<Model>,
    /// SHA-256 of its file, in lower-case hex.
    pub sha256: String,
}

/// Investigates alerts, one at a time. A copy shares events and models with the one it was copied from.
#[derive(Clone)]
pub struct Investigator {
    pipeline: Arc<Pipeline>,
    model: Option<LoadedModel>,
    playbooks: Playbooks,
    site: Site,
    site_sha256: String,
    budget: Budget,
    head: Option<LoadedHead>,
    /// What reads for the head's probe, which may be the model itself.
    reader: Option<LoadedModel>,
    /// Layer whose states are kept with each investigation, for fitting.
    kept_layer: Option<usize>,
    /// Family whose left-out fit judges.
    family: Option<String>,
    reuse: bool,
    ticket: Ticket,
}

/// A head with the hash that names it in reports.
#[derive(Clone)]
pub struct LoadedHead {
    /// The head.
    pub head: Head,
    /// SHA-256 of its file, in lower-case hex.
    pub sha256: String,
}

impl Investigator {
    /// An investigator over these events. Without a model it concludes from rules and facts, and says so.
    pub fn new(
        pipeline: Arc<Pipeline>,
        model: Option<LoadedModel>,
        playbooks: Playbooks,
        site: Site,
    ) -> Self {
        Self {
            pipeline,
            model,
            playbooks,
            site_sha256: replay::site_sha256(&site),
            site,
            budget: Budget::default(),
            head: None,
            reader: None,
            kept_layer: None,
            family: None,
            reuse: false,
            ticket: Ticket::default(),
        }
    }

    /// Uses these playbooks from now on.
    pub fn set_playbooks(&mut self, playbooks: Playbooks) {
        self.playbooks = playbooks;
    }

    /// How urgently models are asked from now on, until when, and what ends that. By default as the backlog does.
    pub fn set_ticket(&mut self, ticket: Ticket) {
        self.ticket = ticket;
    }

    /// Where it finds events.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// The playbooks it follows.
    pub fn playbooks(&self) -> &Playbooks {
        &self.playbooks
    }

    /// The head it judges by.
    pub fn head(&self) -> Option<&LoadedHead> {
        self.head.as_ref()
    }

    /// What reads for the head's probe.
    pub fn reader(&self) -> Option<&LoadedModel> {
        self.reader.as_ref()
    }

    /// Bounds what each investigation from now on may cost.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// What the model was given for stored investigations, by what this investigator is loaded with.
    pub fn prompts(&self) -> Prompts {
        Prompts {
            pipeline: Arc::clone(&self.pipeline),
            model: self.model.clone(),
            playbooks: self.playbooks.clone(),
            site: self.site.clone(),
            site_sha256: self.site_sha256.clone(),
        }
    }

    /// Judges by this head from now on, its probe reading with `reader`.
    pub fn set_head(&mut self, head: Option<LoadedHead>, reader: Option<LoadedModel>) {
        (self.head, self.reader) = (head, reader);
    }

    /// Keeps the reader's states after `layer` with each investigation, for fitting.
    pub fn keep_states(&mut self, layer: Option<usize>) {
        self.kept_layer = layer;
    }

    /// Judges by the head's fit that did not see `family`, if it was fitted on it: nothing is scored by what
    /// was fitted on it.
    pub fn set_family(&mut self, family: Option<String>) {
        self.family = family;
    }

    /// Whether the verdict of an earlier investigation is used again where everything it rested on is the same
    /// (see [`Investigation::reused_from`]), instead of asking the model again. Not so by default.
    pub fn set_reuse(&mut self, reuse: bool) {
        self.reuse = reuse;
    }

    /// Whether the alert is about a host that the site calls critical.
    pub fn is_critical(&self, alert: &Alert) -> bool {
        self.site.is_critical(alert)
    }

    /// What judges beside the model: role, name and SHA-256 of the head's file, and of the model that reads for it.
    pub fn beside_model(&self) -> Vec<(&'static str, String, String)> {
        let head = self.head.as_ref().map(|loaded| ("head", loaded.head.name.clone(), loaded.sha256.clone()));
        let reader = self
            .reader
            .as_ref()
            .map(|loaded| ("reader", loaded.model.info().name.clone(), loaded.sha256.clone()));
        head.into_iter().chain(reader).collect()
    }

    /// What the site says of itself.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The model, if there is one.
    pub fn model(&self) -> Option<&LoadedModel> {
        self.model.as_ref()
    }

    /// SHA-256 of the model's file, if there is a model.
    pub fn model_sha256(&self) -> Option<&str> {
        self.model.as_ref().map(|loaded| loaded.sha256.as_str())
    }

    /// Investigates one alert.
    ///
    /// The same events, model file, playbook and site file give the same report, byte for byte, except for
    /// its `seconds`. A model that fails does not fail the investigation: the report is then reached from
    /// rules and facts and says why. Costs a few seconds of store and code, and with a 1.5B model on two
    /// cores some 20 s of reading and writing.
    ///
    /// # Errors
    /// [`Error::NoEvents`] if the store has none of the alert's events; [`Error::Store`] and
    /// [`Error::Pipeline`] if it cannot be read.
    pub fn investigate(
        &mut self,
        alert: &Alert,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Investigation, Error> {
        self.run(alert, None, progress)
    }

    /// Makes the stored investigation of `alert` again, from what was retrieved for it then, whatever the store has
    /// taken in since. Budgets of seconds do not count.
    ///
    /// # Errors
    /// [`Error::NotReplayed`] if there is none, or what it rested on is gone; else as
    /// [`investigate`](Self::investigate).
    pub fn replay(&mut self, alert: AlertId, progress: &mut dyn FnMut(Progress)) -> Result<Replayed, Error> {
        let stored = replay::stored(self.pipeline.store(), alert)?;
        let inputs = Inputs::of(self.pipeline.store(), alert)?;
        let now = self.run(&inputs.alert, Some(&inputs), progress)?;
        Ok(Replayed { stored, now })
    }

    /// Makes the stored investigation of `alert` again with the playbooks of now, from what was retrieved for it then
    /// wherever they would retrieve the same; `then` is the playbook that retrieved, as far as it is known. No verdict
    /// is used again.
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub fn rejudge(
        &mut self,
        alert: AlertId,
        then: Option<&Playbook>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rejudged, Error> {
        let pipeline = Arc::clone(&self.pipeline);
        let store = pipeline.store();
        let stored = replay::stored(store, alert)?;
        let known = then.filter(|then| then.sha256 == stored.playbook.sha256);
        let kept = match store.inputs(alert)? {
            Some(_) => Some(Inputs::of(store, alert)?.judged_anew()),
            None => None,
        };
        let found = match &kept {
            Some(inputs) => inputs.alert.clone(),
            None => store.alert(alert)?.ok_or(Error::NoEvents { alert })?,
        };
        let subjects = match &kept {
            Some(inputs) => inputs.subjects(store)?,
            None => retrieve::subjects(store, &found)?,
        };
        let chosen = self.playbooks.choose(&found, subjects.first().map(|stored| &stored.event));
        let is_same = known.is_some_and(|then| then.retrieval == chosen.retrieval);
        let kept = kept.filter(|_| is_same);
        let now = self.run(&found, kept.as_ref(), progress)?;
        Ok(Rejudged { retrieved_anew: kept.is_none(), made: Replayed { stored, now } })
    }

    fn run(
        &mut self,
        alert: &Alert,
        recorded: Option<&Inputs>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Investigation, Error> {
        let started = Instant::now();
        let budget = Budget { seconds: self.budget.seconds.filter(|_| recorded.is_none()), ..self.budget };
        let mut meter = Meter::start(budget, self.ticket.clone());
        let pipeline = Arc::clone(&self.pipeline);
        let store = pipeline.store();
        progress(Progress::Stage { name: "retrieve" });
        let subjects = match recorded {
            Some(inputs) => inputs.subjects(store)?,
            None => retrieve::subjects(store, alert)?,
        };
        let playbook = self.playbooks.choose(alert, subjects.first().map(|stored| &stored.event)).clone();
        let mut found = match recorded {
            Some(inputs) => {
                let found = inputs.candidates(store, subjects)?;
                Candidates { detections: retrieve::detections(&pipeline, alert, &found.events), ..found }
            }
            None => retrieve::candidates(&pipeline, alert, subjects, &playbook)?,
        };
        let retrieved = started.elapsed().as_secs_f64();

        progress(Progress::Stage { name: "facts" });
        let relations = relate::relations(&found.subjects, &found.events);
        let scene = Scene {
            events: &found.events,
            relations: &relations,
            detections: &found.detections,
            site: &self.site,
            past: &found.past,
        };
        let findings = facts::find(&scene);
        let mut features = features::of(alert, &scene, &findings);
        let context = Context::of(&scene, &found.subjects);
        found.context = context;
        let evidence = self.evidence(&found, &relations, &findings, &playbook)?;
        let vector = exemplar::pooled(&self.pipeline, &evidence)?;
        let similar = match recorded {
            Some(inputs) => inputs.similar(),
            None => exemplar::nearest(store, alert, &vector)?,
        };
        features.extend(exemplar::features(&similar));
        features.sort_by(|a, b| a.name.cmp(&b.name));
        progress(Progress::Evidence { count: evidence.len(), candidates: found.events.len() });
        let facts = label(&findings, &evidence, &found.context);
        for fact in &facts {
            let Fact { name, statement, weight, .. } = fact.clone();
            progress(Progress::Fact { name, statement, weight });
        }
        let established = started.elapsed().as_secs_f64() - retrieved;

        let rests_on = reuse::rests_on(&Ground {
            alert,
            found: &found,
            findings: &findings,
            features: &features,
            evidence: &evidence,
            playbook: &playbook,
            judges: &self.judges(),
            site: &self.site,
            site_sha256: &self.site_sha256,
        });
        let earlier = match recorded {
            Some(inputs) => inputs.reused(store)?,
            None if self.reuse => reuse::earlier(store, alert, &rests_on, &similar)?,
            None => None,
        };
        let inputs = Inputs::new(alert, &found, &similar, earlier.as_ref()).to_json()?;
        progress(Progress::Stage { name: "first pass" });
        let (states, unread) =
            if earlier.is_some() { (None, None) } else { self.states(&evidence, &mut meter) };
        let seen = self.fit().map(|fit| Seen { fit, features: &features, states: states.as_ref() });
        let passed = started.elapsed().as_secs_f64() - retrieved - established;
        let settled = seen.as_ref().is_some_and(Seen::is_settled);
        let (reading, method) = match &earlier {
            Some(earlier) => (Reading::default(), earlier.method.clone()),
            None => self.ask(&evidence, &found, &playbook, settled, &mut meter, progress),
        };
        let mut quiet = |_: Progress| {};
        let told: &mut dyn FnMut(Progress) = if earlier.is_some() { &mut quiet } else { &mut *progress };
        let mut case =
            conclude(alert, (&findings, facts), evidence, &playbook, &reading, seen.as_ref(), told);
        case.method = method;
        case.head = self.head.as_ref().map(|loaded| HeadSummary {
            name: loaded.head.name.clone(),
            sha256: loaded.sha256.clone(),
            reader: states.as_ref().and(self.reader.as_ref()).map(|reader| reader.sha256.clone()),
            unread,
        });
        case.techniques = techniques::find(alert, &scene, &findings);
        case.features = features;
        case.states = states.filter(|_| self.kept_layer.is_some());
        case.context = found.context.items.clone();
        case.similar_closed = similar;
        case.vector = vector;
        case.inputs = inputs;
        case.provenance = self.provenance_with(reading.prompt_sha256.clone());
        match earlier {
            Some(earlier) => adopt(&mut case, earlier, progress),
            // Of what the model failed at, or had no budget for, nothing is used again.
            None if self.model.is_some() && matches!(case.method, Method::FactsOnly(_)) => {}
            None => case.rests_on = rests_on.to_vec(),
        }
        let looked = Looked {
            subjects: &found.subjects,
            events: &found.events,
            relations: &relations,
            past: &found.past,
            site: &self.site,
            semantic: found.semantic,
        };
        case.missing = missing::find(&looked);
        self.complete(&mut case, &found, &playbook, &reading, progress);
        case.seconds = [
            ("retrieve", retrieved),
            ("facts", established),
            ("first_pass", passed),
            ("read", reading.seconds[0]),
            ("ask", reading.seconds[1]),
            ("narrate", reading.seconds[2]),
            ("total", started.elapsed().as_secs_f64()),
        ]
        .into_iter()
        .map(|(name, seconds)| (name.to_owned(), seconds))
        .collect();
        Ok(case)
    }

    /// What reports rest on beside model, head and playbook.
    pub fn provenance(&self) -> Provenance {
        self.provenance_with(None)
    }

    fn provenance_with(&self, prompt_sha256: Option<String>) -> Provenance {
        let computes = self.model.as_ref().or(self.reader.as_ref());
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules_sha256: self.pipeline.rules().sha256().to_owned(),
            site_sha256: self.site_sha256.clone(),
            prompt_sha256,
            computed_by: computes.map(|loaded| loaded.model.isa().to_string()),
        }
    }

    /// Chooses, fits and labels the evidence.
    fn evidence(
        &self,
        found: &Candidates,
        relations: &[Relation],
        findings: &[Finding],
        playbook: &Playbook,
    ) -> Result<Vec<Evidence>, Error> {
        let silences = silence::ended(&found.events, relations);
        let candidates: Vec<Candidate<'_>> = found
            .events
            .iter()
            .zip(relations)
            .zip(&found.detections)
            .map(|((stored, relation), detections)| Candidate {
                stored,
                relation: *relation,
                detection: detections.iter().map(|hit| hit.severity).max(),
                template_count: found
                    .template_counts
                    .get(&stored.event.template)
                    .copied()
                    .unwrap_or_default(),
                likeness: found.likeness.get(&stored.event.template).copied(),
                silence: silences.get(&stored.id).copied(),
            })
            .collect();
        let max_lines = if self.model.is_some() { playbook.retrieval.max_lines } else { DEFAULT_LINES };
        let must = must(found, findings);
        let mut chosen = select::choose(&candidates, &must, max_lines);
        let mut width = Width::Normal;
        if let Some(loaded) = &self.model {
            let fitting = |width: Width| {
                let lines: Vec<String> =
                    chosen.iter().map(|chosen| line(&candidates[chosen.index], width)).collect();
                // A model that cannot count tokens fails again, and is reported, when it is asked.
                reader::fitting(&loaded.model, &lines).unwrap_or(lines.len())
            };
            let mut fits = fitting(width);
            // Long values must not push out what a fact rests on: then all are said in fewer words.
            if fits < must.len().min(chosen.len()) {
                width = Width::Narrow;
                fits = fitting(width).max(must.len());
            }
            chosen.truncate(fits);
        }
        // Candidates are in order of time, so their indices are too.
        chosen.sort_by_key(|chosen| chosen.index);
        Ok(chosen
            .iter()
            .enumerate()
            .map(|(number, chosen)| line_of(number, chosen, &candidates, width))
            .collect())
    }

    /// Hashes of the files that judge: model, head and reader.
    fn judges(&self) -> Vec<&str> {
        let model = self.model_sha256();
        let head = self.head.as_ref().map(|loaded| loaded.sha256.as_str());
        let reader = self.reader.as_ref().map(|loaded| loaded.sha256.as_str());
        [model, head, reader].into_iter().map(|hash| hash.unwrap_or("none")).collect()
    }

    /// The fit that judges.
    fn fit(&self) -> Option<&Fit> {
        self.head.as_ref().map(|loaded| loaded.head.fit_for(self.family.as_deref()))
    }

    /// The reader's states of the evidence where a probe or fitting needs them, or why there are none.
    fn states(&self, evidence: &[Evidence], meter: &mut Meter) -> (Option<States>, Option<String>) {
        let probe = self.fit().and_then(|fit| fit.probe.as_ref());
        let Some(layer) = self.kept_layer.or(probe.map(|probe| probe.layer)) else { return (None, None) };
        let fits = |reader: &&LoadedModel| probe.is_none_or(|probe| probe.model == reader.sha256);
        let Some(reader) = self.reader.as_ref().filter(fits) else {
            return (None, Some("the model that the head's probe was fitted for is not loaded".to_owned()));
        };
        let lines: Vec<String> = evidence.iter().map(|item| item.structural.clone()).collect();
        let read = meter.spend(0).and_then(|()| States::read(&reader.model, layer, &lines, &meter.ticket()));
        match read {
            Ok(states) => (Some(states), None),
            Err(error) => {
                tracing::warn!(%error, "the first pass failed; judging without the probe");
                (None, Some(error.to_string()))
            }
        }
    }

    /// Asks the model, if there is one that can. Where the verdict is `settled` it only writes.
    fn ask(
        &self,
        evidence: &[Evidence],
        found: &Candidates,
        playbook: &Playbook,
        settled: bool,
        meter: &mut Meter,
        progress: &mut dyn FnMut(Progress),
    ) -> (Reading, Method) {
        let Some(loaded) = &self.model else {
            return (Reading::default(), Method::FactsOnly("no model is loaded".to_owned()));
        };
        let Some(subject) = found.subjects.first() else {
            return (Reading::default(), Method::FactsOnly("the alert has no event".to_owned()));
        };
        progress(Progress::Stage { name: "read" });
        let alert = prompt::alert_sentence(subject) + &prompt::context(found.context.lines());
        let questions = if settled { &[] } else { playbook.questions.as_slice() };
        match reader::read(&loaded.model, evidence, &alert, questions, meter, progress) {
            Ok(reading) => (reading, if settled { Method::Settled } else { Method::ModelAndFacts }),
            Err(error @ Error::OverBudget { .. }) => {
                (Reading::default(), Method::FactsOnly(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "the model failed; concluding from rules and facts");
                (Reading::default(), Method::FactsOnly(error.to_string()))
            }
        }
    }

    /// Adds what follows from the verdict: narrative, provenance, next steps.
    fn complete(
        &self,
        case: &mut Investigation,
        found: &Candidates,
        playbook: &Playbook,
        reading: &Reading,
        progress: &mut dyn FnMut(Progress),
    ) {
        let (sentences, replaced) =
            narrative::verify(reading.drafts.clone(), &case.evidence, &case.facts, &found.events);
        for sentence in &sentences {
            let crate::report::Sentence { text, citations, source } = sentence.clone();
            progress(Progress::Sentence { text, citations, source });
        }
        (case.narrative, case.narrative_replaced) = (sentences, replaced);
        case.cited = cited(case);
        case.next_steps = next_steps(case, playbook, &self.site);
        case.model = self.model.as_ref().map(|loaded| ModelSummary {
            name: loaded.model.info().name.clone(),
            sha256: loaded.sha256.clone(),
        });
        case.prompt_tokens = reading.prompt_tokens;
        case.generated_tokens = reading.generated_tokens;
    }
}

/// Events the evidence has to hold: the alert's first, then one per fact and then their others.
fn must(found: &Candidates, findings: &[Finding]) -> Vec<EventId> {
    let mut must: Vec<EventId> = found.subjects.first().map(|stored| stored.id).into_iter().collect();
    must.extend(findings.iter().filter_map(|finding| finding.events.first().copied()));
    must.extend(findings.iter().filter_map(|finding| finding.events.get(1).copied()));
    let mut seen = BTreeSet::new();
    must.retain(|id| seen.insert(*id));
    must
}

/// The line of an event, with the silence that it ends.
fn line(candidate: &Candidate<'_>, width: Width) -> String {
    render::line_of(&candidate.stored.event, width) + &ended_silence(candidate)
}

fn ended_silence(candidate: &Candidate<'_>) -> String {
    candidate.silence.map(silence::describe).unwrap_or_default()
}

fn line_of(number: usize, chosen: &Chosen, candidates: &[Candidate<'_>], width: Width) -> Evidence {
    let candidate = &candidates[chosen.index];
    let stored = candidate.stored;
    let mut why = candidate.relation.why().to_owned();
    if let Some(severity) = candidate.detection {
        why.push_str(&format!(", matches a rule of severity {severity}"));
    }
    Evidence {
        label: format!("E{}", number + 1),
        event: stored.id,
        time: stored.event.time,
        host: View(&stored.event).host(),
        line: line(candidate, width),
        structural: render::structural(&stored.event) + &ended_silence(candidate),
        why,
        relation: candidate.relation,
        count: chosen.folded.len() as u64 + 1,
        folded: chosen.folded.iter().map(|index| candidates[*index].stored.id).collect(),
    }
}

/// Facts with labels for events; events not in the evidence are left out of a fact, never invented.
fn label(findings: &[Finding], evidence: &[Evidence], context: &Context) -> Vec<Fact> {
    let labels: BTreeMap<EventId, &str> =
        evidence.iter().map(|item| (item.event, item.label.as_str())).collect();
    findings
        .iter()
        .map(|finding| Fact {
            name: finding.kind.entry().name.to_owned(),
            statement: finding.statement.clone(),
            evidence: finding
                .events
                .iter()
                .filter_map(|id| labels.get(id))
                .map(|label| (*label).to_owned())
                .collect(),
            context: context.labels(finding.kind),
            weight: finding.weight,
        })
        .collect()
}

/// The verdict and everything that follows from it alone.
fn conclude(
    alert: &Alert,
    (findings, facts): (&[Finding], Vec<Fact>),
    evidence: Vec<Evidence>,
    playbook: &Playbook,
    reading: &Reading,
    seen: Option<&Seen<'_>>,
    progress: &mut dyn FnMut(Progress),
) -> Investigation {
    let terms: Vec<Term> = findings
        .iter()
        .zip(&facts)
        // A fact whose evidence did not fit is shown and does not count: nothing convicts unseen.
        .filter(|(_, fact)| !fact.evidence.is_empty())
        .map(|(finding, fact)| Term {
            name: fact.name.clone(),
            weight: fact.weight,
            explains: finding.kind.explains(),
        })
        .collect();
    let asked: Vec<Asked<'_>> = playbook
        .questions
        .iter()
        .zip(&reading.variants)
        .map(|(question, variants)| Asked { question, variants: variants.clone() })
        .collect();
    let judgement = match seen {
        Some(seen) => verdict::judge_fitted(seen, &asked),
        None => verdict::judge(alert.severity, &terms, &asked),
    };
    let labels: Vec<String> = evidence.iter().map(|item| item.label.clone()).collect();
    let decided = playbook.decided.iter().map(|question| verdict::decided(question, findings, &facts));
    let by_model =
        asked.iter().zip(&reading.scores).map(|(asked, scores)| verdict::answer(asked, scores, &labels));
    let mut answers: Vec<_> = decided.chain(by_model).collect();
    if let Some(seen) = seen {
        answers.iter_mut().for_each(|answer| answer.weight *= seen.answers_weight());
    }
    for answer in &answers {
        progress(Progress::Answer {
            id: answer.id.clone(),
            question: answer.question.clone(),
            answer: answer.answer.clone(),
            probability: answer.probability,
        });
    }
    let Judgement { verdict, probability, confidence, convergence, contributions, variants } = judgement;
    progress(Progress::Verdict { verdict, confidence, convergence });
    Investigation {
        id: alert.id,
        alert: AlertSummary {
            id: alert.id,
            title: alert.title.clone(),
            severity: alert.severity,
            origin: alert.origin.clone(),
            first_time: alert.first_time,
            last_time: alert.last_time,
            event_count: alert.event_count,
        },
        verdict,
        confidence,
        probability,
        convergence,
        summary: summary(verdict, probability, convergence, &facts),
        method: Method::ModelAndFacts,
        timeline: evidence.iter().map(timeline_entry).collect(),
        entities: alert.entities.clone(),
        techniques: Vec::new(),
        reused_from: None,
        similar_closed: Vec::new(),
        rests_on: Vec::new(),
        provenance: Provenance::default(),
        vector: Vec::new(),
        inputs: Vec::new(),
        evidence,
        context: Vec::new(),
        cited: Vec::new(),
        facts,
        answers,
        contributions,
        variants,
        head: None,
        states: None,
        features: Vec::new(),
        missing: Vec::new(),
        next_steps: Vec::new(),
        narrative: Vec::new(),
        narrative_replaced: 0,
        playbook: PlaybookSummary {
            name: playbook.name.clone(),
            version: playbook.version,
            sha256: playbook.sha256.clone(),
        },
        model: None,
        prompt_tokens: 0,
        generated_tokens: 0,
        seconds: BTreeMap::new(),
    }
}

/// Takes over the verdict of an earlier investigation that rested on the same.
fn adopt(case: &mut Investigation, earlier: Investigation, progress: &mut dyn FnMut(Progress)) {
    case.reused_from = Some(earlier.id);
    case.verdict = earlier.verdict;
    case.probability = earlier.probability;
    case.confidence = earlier.confidence;
    case.convergence = earlier.convergence;
    case.contributions = earlier.contributions;
    case.variants = earlier.variants;
    case.head = earlier.head;
    case.answers = earlier.answers;
    case.summary = summary(case.verdict, case.probability, case.convergence, &case.facts);
    let Investigation { verdict, confidence, convergence, .. } = *case;
    progress(Progress::Verdict { verdict, confidence, convergence });
}

fn timeline_entry(item: &Evidence) -> TimelineEntry {
    // The line without its time; the lane says the host.
    let text = item.line.split_once(' ').map_or(item.line.as_str(), |(_, rest)| rest);
    let text = text.strip_prefix(item.host.as_str()).unwrap_or(text).trim_start_matches([' ', ':']);
    TimelineEntry {
        time: item.time,
        label: item.label.clone(),
        text: text.to_owned(),
        lane: item.host.clone(),
    }
}

/// Least weight of a fact that the summary names.
const TELLING: f64 = 0.3;
/// Longest statement in the summary, in characters.
const MAX_STATEMENT_CHARS: usize = 180;

/// The conclusion in a sentence: the verdict, and the weightiest facts that carry it, each with its evidence.
fn summary(verdict: Verdict, probability: f64, convergence: f64, facts: &[Fact]) -> String {
    let raising = reasons(facts, true);
    let lowering = reasons(facts, false);
    let because = |reasons: &str| match reasons {
        "" => " by the sum of many small signs; no single fact carries it".to_owned(),
        reasons => format!(" because {reasons}"),
    };
    let of = format!("probability {probability:.2}");
    let against = |reasons: &str| match reasons {
        "" => String::new(),
        reasons => format!("; against it: {reasons}"),
    };
    match verdict {
        Verdict::Malicious => format!("Malicious{}{}.", because(&raising), against(&lowering)),
        Verdict::Suspicious => format!("Suspicious{}{}.", because(&raising), against(&lowering)),
        Verdict::Benign => format!("Benign{}.", because(&lowering)),
        Verdict::Inconclusive if convergence < 0.5 => {
            "Inconclusive because the answers change with the wording or the order of the evidence."
                .to_owned()
        }
        Verdict::Inconclusive => match (raising.as_str(), lowering.as_str()) {
            ("", "") => format!("Inconclusive because no fact speaks for an attack or against one ({of})."),
            (raising, "") => {
                format!("Inconclusive because what speaks for an attack is not enough ({of}): {raising}.")
            }
            ("", lowering) => {
                format!(
                    "Inconclusive because what speaks against an attack is not enough ({of}): {lowering}."
                )
            }
            (raising, lowering) => {
                format!(
                    "Inconclusive because {raising}, which speaks for an attack ({of}), while {lowering}."
                )
            }
        },
    }
}

/// The two weightiest facts that raise, or lower, with the labels of what they rest on; two that rest on the same are
/// said in one breath.
fn reasons(facts: &[Fact], raises: bool) -> String {
    let telling = |fact: &&Fact| {
        !fact.evidence.is_empty() && (fact.weight > 0.0) == raises && fact.weight.abs() >= TELLING
    };
    let told: Vec<&Fact> = facts.iter().filter(telling).take(2).collect();
    let labels = |fact: &Fact| format!(" [{}]", fact.evidence.join(", "));
    match told.as_slice() {
        [] => String::new(),
        [one] => statement(one) + &labels(one),
        [one, other, ..] if one.evidence == other.evidence => {
            format!("{}, and {}{}", statement(one), statement(other), labels(other))
        }
        [one, other, ..] => {
            format!("{}{}, and {}{}", statement(one), labels(one), statement(other), labels(other))
        }
    }
}

/// What a fact says, cut to what a sentence can hold.
fn statement(fact: &Fact) -> String {
    match fact.statement.char_indices().nth(MAX_STATEMENT_CHARS) {
        Some((end, _)) => format!("{}…", fact.statement[..end].trim_end()),
        None => fact.statement.clone(),
    }
}

/// Events that facts and narrative cite.
fn cited(case: &Investigation) -> Vec<EventId> {
    let labels: BTreeSet<&String> = case
        .facts
        .iter()
        .flat_map(|fact| &fact.evidence)
        .chain(case.narrative.iter().flat_map(|sentence| &sentence.citations))
        .collect();
    let cited: BTreeSet<EventId> =
        case.evidence.iter().filter(|item| labels.contains(&item.label)).map(|item| item.event).collect();
    cited.into_iter().collect()
}

fn next_steps(case: &Investigation, playbook: &Playbook, site: &Site) -> Vec<String> {
    let mut steps = Vec::new();
    let hosts: BTreeSet<&str> = case
        .evidence
        .iter()
        .filter(|item| item.relation < Relation::Near)
        .map(|item| item.host.as_str())
        .collect();
    for asset in hosts.iter().filter_map(|host| site.asset(host)).filter(|asset| asset.critical) {
        steps.push(format!(
            "{} is critical ({}): tell its owner before acting on it.",
            asset.host, asset.role
        ));
    }
    match case.verdict {
        Verdict::Benign => steps.push("Close the alert, or tell why it should stay open.".to_owned()),
        Verdict::Inconclusive => {
            steps.push("Fill what is missing, then investigate again.".to_owned());
            steps.extend(playbook.next_steps.iter().cloned());
        }
        Verdict::Malicious | Verdict::Suspicious => steps.extend(playbook.next_steps.iter().cloned()),
    }
    steps
}
