//! How do severity, facts and answers become a verdict?
//!
//! By adding signed logits and taking the logistic function of the sum: every term is in the report, and
//! anybody can add them up again. Code dominates: the answers of all questions together move the sum by at
//! most [`MAX_ANSWERS`], and a verdict at either end needs the facts alone to point there too.

use crate::Feature;
use crate::facts::Finding;
use crate::head::{ANSWERS, Fit, PROBE};
use crate::playbook::{Decided, Question};
use crate::probe::States;
use crate::relate::Relation;
use crate::report::{Answer, Contribution, Fact, Investigation, Variant, Verdict};
use casemate_event::Severity;

/// Where the sum starts: most alerts of most rules are false.
const BASE: f64 = -1.0;
/// Most that all answers of the model together add or take. It said yes to 78–97 % of all questions when
/// measured, so an answer is a nudge and never a reason.
const MAX_ANSWERS: f64 = 0.8;
/// Probabilities from which the verdicts hold. Between benign and suspicious lies `inconclusive`: wide,
/// because calling an attack benign costs more than a second look.
const MALICIOUS: f64 = 0.75;
const SUSPICIOUS: f64 = 0.55;
const BENIGN: f64 = 0.30;
/// Facts alone may at most say this much for a benign verdict, and must say this much for a malicious one.
const FACTS_EVEN: f64 = 0.5;
/// Share of variants that must agree for a verdict to stand, and for an answer to count.
const AGREEMENT: f64 = 2.0 / 3.0;

/// What a severity is worth: the rule's author's own judgement of how rarely it is wrong.
fn severity_weight(severity: Severity) -> f64 {
    match severity {
        Severity::Informational => -1.0,
        Severity::Low => -0.5,
        Severity::Medium => 0.3,
        Severity::High => 1.0,
        Severity::Critical => 1.8,
    }
}

/// A fact's part in the verdict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    pub(crate) name: String,
    pub(crate) weight: f64,
    /// Whether it can explain the alert as benign.
    pub(crate) explains: bool,
}

/// The verdict and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) probability: f64,
    pub(crate) confidence: f64,
    pub(crate) convergence: f64,
    pub(crate) contributions: Vec<Contribution>,
    /// Verdict of each variant alone.
    pub(crate) variants: Vec<Verdict>,
}

/// A question with the probability of its raising answers in each variant.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) question: &'a Question,
    pub(crate) variants: Vec<Variant>,
}

/// Combines everything into a verdict.
pub(crate) fn judge(severity: Severity, terms: &[Term], asked: &[Asked<'_>]) -> Judgement {
    let mut contributions = vec![
        Contribution { name: "base".to_owned(), weight: BASE },
        Contribution { name: format!("severity_{severity}"), weight: severity_weight(severity) },
    ];
    contributions
        .extend(terms.iter().map(|term| Contribution { name: term.name.clone(), weight: term.weight }));
    let facts: f64 = contributions.iter().map(|term| term.weight).sum();
    let weights: Vec<f64> = asked.iter().map(weight).collect();
    let bounded = weights.iter().sum::<f64>().clamp(-MAX_ANSWERS, MAX_ANSWERS);
    let scale = match weights.iter().sum::<f64>() {
        sum if sum != 0.0 => bounded / sum,
        _ => 1.0,
    };
    contributions.extend(asked.iter().zip(&weights).map(|(asked, weight)| Contribution {
        name: format!("answer_{}", asked.question.id),
        weight: weight * scale,
    }));
    let explained = terms.iter().any(|term| term.explains && term.weight < 0.0);
    let call = |sum: f64| call(logistic(sum), logistic(facts), explained);

    let sum = facts + bounded;
    let mut verdict = call(sum);
    let own: Vec<Verdict> = if asked.is_empty() {
        // Without a model there are no wordings to vary. Each fact left out in turn shows how much hangs on
        // one of them; it does not overrule the verdict, which often rightly hangs on one.
        (0..terms.len()).map(|out| call(facts - terms[out].weight)).collect()
    } else {
        variant_sums(asked).into_iter().map(|answers| call(facts + answers)).collect()
    };
    let share = |verdict: Verdict| {
        let same = own.iter().filter(|own| **own == verdict).count();
        if own.is_empty() { 1.0 } else { same as f64 / own.len() as f64 }
    };
    if !asked.is_empty() && share(verdict) < AGREEMENT {
        let attack = share(Verdict::Malicious) + share(Verdict::Suspicious) >= 1.0 - f64::EPSILON;
        verdict = if attack { Verdict::Suspicious } else { Verdict::Inconclusive };
    }
    let probability = logistic(sum);
    let confidence = confidence(verdict, probability);
    let convergence = share(verdict);
    Judgement { verdict, probability, confidence, convergence, contributions, variants: own }
}

/// Lines of evidence left out together, to see what hangs on them.
const BLOCK_LINES: usize = 3;
/// Share of variants that must agree with a fitted verdict for it to stand.
const FITTED_AGREEMENT: f64 = 0.75;

/// What a fitted head judges by.
pub(crate) struct Seen<'a> {
    pub(crate) fit: &'a Fit,
    /// What code drew from the scene; neither the probe's score nor the answers are among it.
    pub(crate) features: &'a [Feature],
    /// The reader's states, if the probe's model is loaded.
    pub(crate) states: Option<&'a States>,
}

impl Seen<'_> {
    /// The features with the probe's score over the lines not left out, and the answers' sum.
    fn with(&self, left_out: &dyn Fn(usize) -> bool, answers: f64) -> Vec<Feature> {
        let mut features = self.features.to_vec();
        if let (Some(probe), Some(states)) = (&self.fit.probe, self.states) {
            let state = states.pooled(probe.pooling, left_out);
            if !state.is_empty() {
                features.push(Feature { name: PROBE.to_owned(), value: probe.score(&state) });
            }
        }
        if answers != 0.0 {
            features.push(Feature { name: ANSWERS.to_owned(), value: answers });
        }
        features
    }

    fn verdict(&self, logit: f64) -> Verdict {
        let probability = logistic(logit);
        if probability >= self.fit.malicious {
            Verdict::Malicious
        } else if probability >= self.fit.suspicious {
            Verdict::Suspicious
        } else if probability <= self.fit.benign {
            Verdict::Benign
        } else {
            Verdict::Inconclusive
        }
    }

    /// What a logit of the answers counts.
    pub(crate) fn answers_weight(&self) -> f64 {
        self.fit.weights.get(ANSWERS).copied().unwrap_or_default()
    }

    /// Whether no answer of the model could change the verdict, and it is one: then none has to be asked for.
    pub(crate) fn is_settled(&self) -> bool {
        let verdict = |answers: f64| self.verdict(self.fit.logit(&self.with(&|_| false, answers)));
        let first = verdict(0.0);
        first != Verdict::Inconclusive && first == verdict(MAX_ANSWERS) && first == verdict(-MAX_ANSWERS)
    }
}

/// Judges by a fitted head. Variants leave blocks of evidence out in turn, and take every wording and order of
/// the questions alone.
pub(crate) fn judge_fitted(seen: &Seen<'_>, asked: &[Asked<'_>]) -> Judgement {
    let weights: Vec<f64> = asked.iter().map(weight).collect();
    let answers = weights.iter().sum::<f64>().clamp(-MAX_ANSWERS, MAX_ANSWERS);
    judge_by(seen, answers, variant_sums(asked))
}

/// Judges with the answers' sum, and with that of each wording and order in its place.
fn judge_by(seen: &Seen<'_>, answers: f64, each: Vec<f64>) -> Judgement {
    let all = seen.with(&|_| false, answers);
    let logit = seen.fit.logit(&all);
    let mut variants: Vec<Verdict> = each
        .into_iter()
        .map(|answers| seen.verdict(seen.fit.logit(&seen.with(&|_| false, answers))))
        .collect();
    let blocks = seen.states.map_or(0, |states| states.lines.len().div_ceil(BLOCK_LINES));
    // With one block there is nothing to leave out.
    for block in (0..blocks).filter(|_| blocks > 1) {
        let features = seen.with(&|line| line / BLOCK_LINES == block, answers);
        variants.push(seen.verdict(seen.fit.logit(&features)));
    }
    let whole = seen.verdict(logit);
    let share = |verdict: Verdict| {
        let same = variants.iter().filter(|own| **own == verdict).count();
        if variants.is_empty() { 1.0 } else { same as f64 / variants.len() as f64 }
    };
    let attack = share(Verdict::Malicious) + share(Verdict::Suspicious);
    let verdict = match whole {
        _ if share(whole) >= FITTED_AGREEMENT => whole,
        Verdict::Malicious | Verdict::Suspicious if attack >= FITTED_AGREEMENT => Verdict::Suspicious,
        _ => Verdict::Inconclusive,
    };
    let probability = logistic(logit);
    let contributions = seen
        .fit
        .contributions(&all)
        .into_iter()
        .map(|(name, weight)| Contribution { name, weight })
        .collect();
    let confidence = confidence(verdict, probability);
    Judgement { verdict, probability, confidence, convergence: share(whole), contributions, variants }
}

/// Judges a finished investigation again by `fit`, from the features and states that it holds. Its answers count
/// nothing: cases are observed for a fit without a model that answers.
pub fn judge_again(case: &mut Investigation, fit: &Fit) {
    let seen = Seen { fit, features: &case.features, states: case.states.as_ref() };
    let judgement = judge_by(&seen, 0.0, Vec::new());
    case.verdict = judgement.verdict;
    case.probability = judgement.probability;
    case.confidence = judgement.confidence;
    case.convergence = judgement.convergence;
    case.contributions = judgement.contributions;
    case.variants = judgement.variants;
}

fn confidence(verdict: Verdict, probability: f64) -> f64 {
    match verdict {
        Verdict::Malicious | Verdict::Suspicious => probability,
        Verdict::Benign => 1.0 - probability,
        Verdict::Inconclusive => probability.max(1.0 - probability),
    }
}

fn call(probability: f64, facts: f64, explained: bool) -> Verdict {
    if probability >= MALICIOUS && facts > FACTS_EVEN {
        Verdict::Malicious
    } else if probability >= SUSPICIOUS {
        Verdict::Suspicious
    } else if probability <= BENIGN && facts < FACTS_EVEN && explained {
        Verdict::Benign
    } else {
        Verdict::Inconclusive
    }
}

/// What the answers add in each variant, were it the only one.
fn variant_sums(asked: &[Asked<'_>]) -> Vec<f64> {
    let variants = asked.iter().map(|asked| asked.variants.len()).min().unwrap_or_default();
    (0..variants)
        .map(|index| {
            let sum: f64 =
                asked.iter().map(|asked| nudge(asked.question, asked.variants[index].probability)).sum();
            sum.clamp(-MAX_ANSWERS, MAX_ANSWERS)
        })
        .collect()
}

/// Signed logits of one answer: how far the probability lies beyond the question's threshold.
fn nudge(question: &Question, probability: f64) -> f64 {
    let margin = logit(probability) - logit(question.threshold);
    let nudge = question.weight * (margin / 2.0).tanh();
    if question.may_lower { nudge } else { nudge.max(0.0) }
}

/// Signed logits of a question over all its variants; nothing where they disagree.
fn weight(asked: &Asked<'_>) -> f64 {
    if asked.variants.is_empty() || !is_decided(asked) {
        return 0.0;
    }
    let sum: f64 = asked.variants.iter().map(|variant| nudge(asked.question, variant.probability)).sum();
    sum / asked.variants.len() as f64
}

/// Whether enough variants lie on the same side of the threshold as their mean.
fn is_decided(asked: &Asked<'_>) -> bool {
    let above =
        asked.variants.iter().filter(|variant| variant.probability >= asked.question.threshold).count();
    let share = above as f64 / asked.variants.len().max(1) as f64;
    share >= AGREEMENT || share <= 1.0 - AGREEMENT
}

/// The answer as the report shows it.
pub(crate) fn answer(asked: &Asked<'_>, scores: &[f64], evidence: &[String]) -> Answer {
    let question = asked.question;
    let n = asked.variants.len().max(1) as f64;
    let probability = asked.variants.iter().map(|variant| variant.probability).sum::<f64>() / n;
    let above = asked.variants.iter().filter(|variant| variant.probability >= question.threshold).count();
    let raises = above as f64 / n >= AGREEMENT;
    let chosen = is_decided(asked)
        .then(|| {
            // The likeliest answer on the side of the threshold the variants agree on.
            (0..question.answers.len())
                .filter(|index| question.raises[*index] == raises)
                .max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
        })
        .flatten();
    Answer {
        id: question.id.clone(),
        question: question.wordings.first().cloned().unwrap_or_default(),
        answer: chosen.map_or_else(|| "undecided".to_owned(), |index| question.answers[index].clone()),
        sentence: chosen.map_or_else(String::new, |index| question.sentences[index].clone()),
        probability,
        threshold: question.threshold,
        weight: weight(asked),
        variants: asked.variants.clone(),
        evidence: evidence.to_vec(),
    }
}

/// The answer that facts give: the fact already counts, so the answer adds nothing.
pub(crate) fn decided(question: &Decided, findings: &[Finding], facts: &[Fact]) -> Answer {
    // Findings come weightiest first, and facts in their order.
    let holds = findings
        .iter()
        .zip(facts)
        .find(|(finding, _)| question.facts.contains(&finding.kind) && finding.relation < Relation::Near);
    let [yes, no] = &question.sentences;
    Answer {
        id: question.id.clone(),
        question: question.question.clone(),
        answer: if holds.is_some() { "yes" } else { "no" }.to_owned(),
        sentence: if holds.is_some() { yes } else { no }.clone(),
        probability: if holds.is_some() { 1.0 } else { 0.0 },
        threshold: 0.5,
        weight: 0.0,
        variants: Vec::new(),
        evidence: holds.map(|(_, fact)| fact.evidence.clone()).unwrap_or_default(),
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(weight: f64) -> Term {
        Term { name: "fact".to_owned(), weight, explains: weight < 0.0 }
    }

    fn question(threshold: f64) -> Question {
        Question {
            id: "q".to_owned(),
            answers: vec!["yes".to_owned(), "no".to_owned()],
            wordings: vec!["Is it?".to_owned()],
            raises: vec![true, false],
            may_lower: true,
            threshold,
            weight: 0.5,
            sentences: vec![String::new(), String::new()],
        }
    }

    fn asked<'a>(question: &'a Question, probabilities: &[f64]) -> Asked<'a> {
        let variant =
            |(order, probability): (usize, &f64)| Variant { wording: 0, order, probability: *probability };
        Asked { question, variants: probabilities.iter().enumerate().map(variant).collect() }
    }

    #[test]
    fn facts_make_the_verdict() {
        let check = |severity, weights: &[f64], expected| {
            let terms: Vec<Term> = weights.iter().map(|weight| term(*weight)).collect();
            assert_eq!(judge(severity, &terms, &[]).verdict, expected, "{severity} {weights:?}");
        };
        check(Severity::High, &[], Verdict::Inconclusive);
        check(Severity::Low, &[], Verdict::Inconclusive);
        check(Severity::High, &[1.8, 1.2], Verdict::Malicious);
        check(Severity::Critical, &[2.3, 1.8], Verdict::Malicious);
        check(Severity::Medium, &[1.0, 0.4], Verdict::Suspicious);
        check(Severity::High, &[1.0, 0.8, -3.2], Verdict::Benign);
        check(Severity::High, &[1.8, 2.3, -3.2], Verdict::Suspicious);
        check(Severity::Medium, &[0.8, -3.2, -1.2], Verdict::Benign);
    }

    #[test]
    fn no_answer_makes_an_end_verdict_alone() {
        let question = question(0.5);
        let yes =
            vec![asked(&question, &[0.999; 6]), asked(&question, &[0.999; 6]), asked(&question, &[0.999; 6])];
        assert_eq!(judge(Severity::High, &[], &yes).verdict, Verdict::Suspicious);
        let no = vec![asked(&question, &[0.001; 6]); 3];
        assert_ne!(judge(Severity::High, &[term(1.0), term(1.8)], &no).verdict, Verdict::Benign);
        assert_eq!(judge(Severity::Medium, &[], &no).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn disagreement_abstains() {
        let question = question(0.9);
        let split = vec![asked(&question, &[0.99, 0.2, 0.99, 0.2, 0.99, 0.2])];
        let judgement = judge(Severity::High, &[], &split);
        assert_eq!(judgement.contributions.last().map(|term| term.weight), Some(0.0));
        let answer = answer(&split[0], &[0.0, 0.0], &[]);
        assert_eq!(answer.answer, "undecided");
    }

    #[test]
    fn contributions_add_up_to_the_probability() {
        let question = question(0.6);
        let judgement = judge(Severity::High, &[term(0.7)], &[asked(&question, &[0.9, 0.8, 0.95])]);
        let sum: f64 = judgement.contributions.iter().map(|term| term.weight).sum();
        assert!((logistic(sum) - judgement.probability).abs() < 1e-12);
    }
}
