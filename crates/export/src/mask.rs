//! What becomes of text that not everybody may see? It is replaced before anything is rendered, so that no format
//! carries it in a form in which it is not found any more.

use crate::Dossier;
use casemate_event::{AlertOrigin, Assigned, Case, Closing, Entity, Event, Fields, Member};
use casemate_investigate::Investigation;
use casemate_investigate::report::{
    AlertSummary, Answer, ContextItem, Contribution, Evidence, Fact, HeadSummary, Method, ModelSummary,
    PlaybookSummary, Provenance, Sentence, Technique, TimelineEntry,
};

/// What `mask` makes of one text.
type Mask<'a> = &'a dyn Fn(&str) -> String;

impl Dossier {
    /// The same, every text in it replaced by what `mask` makes of it. Numbers, times and hashes of our own files stay.
    #[must_use]
    pub fn masked(mut self, mask: &dyn Fn(&str) -> String) -> Self {
        self.investigations.iter_mut().for_each(|case| investigation(case, mask));
        self.waiting.iter_mut().for_each(|row| text(&mut row.title, mask));
        self.closing.iter_mut().for_each(|closing| decision(closing, mask));
        if let Some(Case { id: _, alerts, related: _, closed, assigned }) = &mut self.case {
            alerts.iter_mut().for_each(|Member { alert: _, joined }| text(joined, mask));
            closed.iter_mut().for_each(|closing| decision(closing, mask));
            if let Some(Assigned { to, by, at: _ }) = assigned {
                text(to, mask);
                text(by, mask);
            }
        }
        self.events.values_mut().for_each(|found| event(found, mask));
        self
    }
}

fn text(of: &mut String, mask: Mask<'_>) {
    *of = mask(of);
}

fn texts(of: &mut [String], mask: Mask<'_>) {
    of.iter_mut().for_each(|one| text(one, mask));
}

fn decision(closing: &mut Closing, mask: Mask<'_>) {
    text(&mut closing.reason, mask);
    text(&mut closing.by, mask);
}

fn event(event: &mut Event, mask: Mask<'_>) {
    // `..` would let a new field through.
    let Event {
        time: _,
        time_quality: _,
        format: _,
        class: _,
        source,
        position: _,
        message,
        fields,
        native,
        raw,
        template: _,
        template_text,
    } = event;
    for own in [source, message, template_text] {
        text(own, mask);
    }
    for all in [fields, native] {
        let masked: Fields = all.iter().map(|(name, value)| (name, mask(value))).collect();
        *all = masked;
    }
    let shown = String::from_utf8_lossy(raw);
    *raw = mask(&shown).into_bytes();
}

fn investigation(case: &mut Investigation, mask: Mask<'_>) {
    let Investigation {
        id: _,
        alert: AlertSummary { title, origin, .. },
        verdict: _,
        confidence: _,
        probability: _,
        convergence: _,
        summary,
        method,
        reused_from: _,
        evidence,
        context,
        cited: _,
        facts,
        answers,
        variants: _,
        head,
        states: _,
        features: _,
        contributions,
        timeline,
        entities,
        techniques,
        similar_closed,
        missing,
        next_steps,
        narrative,
        narrative_replaced: _,
        playbook: PlaybookSummary { name, .. },
        model,
        prompt_tokens: _,
        generated_tokens: _,
        seconds: _,
        rests_on: _,
        provenance: Provenance { .. },
        vector: _,
        inputs,
    } = case;
    // Not part of any export.
    inputs.clear();
    for own in [title, summary, name] {
        text(own, mask);
    }
    match origin {
        AlertOrigin::Rule(name) | AlertOrigin::Product(name) => text(name, mask),
    }
    if let Method::FactsOnly(why) = method {
        text(why, mask);
    }
    for Evidence { host, line, structural, why, .. } in evidence {
        for own in [host, line, structural, why] {
            text(own, mask);
        }
    }
    for ContextItem { label: _, text: said, rests_on } in context {
        text(said, mask);
        text(rests_on, mask);
    }
    for Fact { statement, .. } in facts {
        text(statement, mask);
    }
    for Answer { question, answer, sentence, .. } in answers {
        for own in [question, answer, sentence] {
            text(own, mask);
        }
    }
    for Contribution { name, .. } in contributions {
        text(name, mask);
    }
    for TimelineEntry { text: said, lane, .. } in timeline {
        text(said, mask);
        text(lane, mask);
    }
    for Entity { value, .. } in entities {
        text(value, mask);
    }
    for Technique { source, .. } in techniques {
        text(source, mask);
    }
    for casemate_investigate::SimilarCase { reason, by, .. } in similar_closed {
        text(reason, mask);
        text(by, mask);
    }
    texts(missing, mask);
    texts(next_steps, mask);
    for Sentence { text: said, .. } in narrative {
        text(said, mask);
    }
    if let Some(ModelSummary { name, .. }) = model {
        text(name, mask);
    }
    if let Some(HeadSummary { name, unread, .. }) = head {
        text(name, mask);
        unread.iter_mut().for_each(|why| text(why, mask));
    }
}
