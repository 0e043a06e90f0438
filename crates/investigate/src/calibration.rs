//! Where do the playbooks' thresholds come from? From what the default model says to cases at large.
//!
//! `CASEMATE_CASES=triage.jsonl CASEMATE_MODEL=model.gguf cargo test -p casemate-investigate calibration --
//! --ignored --nocapture` asks every question of every playbook about every case (`events`: lines of
//! evidence) and prints the median probability: the threshold, so that an answer counts only where it is
//! stronger than usual. The cases' labels set no threshold; they only show how well a question ranks.

use crate::playbook::{Playbooks, Question};
use crate::relate::Relation;
use crate::report::Evidence;
use crate::{reader, render};
use casemate_event::EventId;
use casemate_inference::Model;
use jiff::Timestamp;
use std::path::Path;

#[derive(serde::Deserialize)]
struct Case {
    label: u8,
    events: Vec<String>,
}

fn evidence(case: &Case) -> Vec<Evidence> {
    (1..)
        .zip(&case.events)
        .map(|(number, line)| Evidence {
            label: format!("E{number}"),
            event: EventId(number),
            time: Timestamp::UNIX_EPOCH,
            host: String::new(),
            line: render::clean(line, 200),
            structural: String::new(),
            why: String::new(),
            relation: Relation::Alert,
            count: 1,
            folded: Vec::new(),
        })
        .collect()
}

#[test]
#[ignore = "asks some 30 questions about every case; minutes to an hour"]
fn thresholds() {
    let (Ok(cases), Ok(model)) = (std::env::var("CASEMATE_CASES"), std::env::var("CASEMATE_MODEL")) else {
        eprintln!("skipped: CASEMATE_CASES and CASEMATE_MODEL name no files");
        return;
    };
    let step = std::env::var("CASEMATE_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(1);
    let text = fs_err::read_to_string(cases).unwrap();
    let cases: Vec<Case> =
        text.lines().step_by(step).map(|line| serde_json::from_str(line).unwrap()).collect();
    let model = Model::load(Path::new(&model)).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/playbooks");
    let playbooks = Playbooks::load(&dir).unwrap();
    let mut questions: Vec<(String, Question)> = Vec::new();
    for playbook in playbooks.iter() {
        for question in &playbook.questions {
            if !questions.iter().any(|(_, known)| known.wordings == question.wordings) {
                questions.push((playbook.name.clone(), question.clone()));
            }
        }
    }
    let only: Vec<Question> = questions.iter().map(|(_, question)| question.clone()).collect();
    let mut probabilities: Vec<Vec<(f64, u8)>> = vec![Vec::new(); only.len()];
    for case in &cases {
        let variants =
            reader::ask_once(&model, &evidence(case), "A monitoring rule matched.", &only).unwrap();
        for (all, variants) in probabilities.iter_mut().zip(variants) {
            let mean =
                variants.iter().map(|variant| variant.probability).sum::<f64>() / variants.len() as f64;
            all.push((mean, case.label));
        }
        eprint!(".");
    }
    eprintln!();
    for ((playbook, question), all) in questions.iter().zip(&mut probabilities) {
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |share: usize| all[(all.len() - 1) * share / 4].0;
        println!(
            "{playbook} {} q1 {:.3} median {:.3} q3 {:.3} auroc {:.2}",
            question.id,
            at(1),
            at(2),
            at(3),
            auroc(all)
        );
    }
}

fn auroc(all: &[(f64, u8)]) -> f64 {
    let (attacks, others): (Vec<_>, Vec<_>) = all.iter().partition(|(_, label)| *label == 1);
    let wins: f64 = attacks
        .iter()
        .flat_map(|(a, _)| {
            others.iter().map(move |(b, _)| {
                if a > b {
                    1.0
                } else if a < b {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    wins / (attacks.len() * others.len()).max(1) as f64
}
