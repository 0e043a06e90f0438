//! Which techniques, on the map that everybody has? A layer of the ATT&CK Navigator, format 4.5.
//!
//! A technique's score is what speaks for it, in logits, times ten; its comment names the evidence. A layer is of one
//! matrix: of techniques of two, the better supported matrix counts and the others are named in the description.

use crate::dossier::{Dossier, labels_of};
use crate::observe::{is_ics, is_technique, technique_url};
use crate::text::line;
use casemate_investigate::report::Technique;
use serde_json::{Value, json};

/// Score at which the colour is deepest: four logits.
const DEEPEST: u32 = 40;

pub(crate) fn layer(dossier: &Dossier) -> Value {
    let all: Vec<Technique> = dossier.techniques().into_iter().filter(|one| is_technique(&one.id)).collect();
    let support = |ics| all.iter().filter(|one| is_ics(&one.id) == ics).map(|one| one.support).sum::<f64>();
    let ics = support(true) > support(false);
    let (shown, other): (Vec<_>, Vec<_>) = all.iter().partition(|one| is_ics(&one.id) == ics);
    let techniques: Vec<Value> = shown.iter().map(|technique| row(dossier, technique)).collect();
    let mut description = format!("Casemate: {} of {}", dossier.verdict(), dossier.name());
    if !other.is_empty() {
        let ids: Vec<&str> = other.iter().map(|technique| technique.id.as_str()).collect();
        description.push_str(&format!(". Of the other matrix: {}", ids.join(", ")));
    }
    json!({
        "name": line(&format!("{}: {}", dossier.name(), dossier.title())),
        "versions": { "layer": "4.5", "navigator": "5.0.0" },
        "domain": if ics { "ics-attack" } else { "enterprise-attack" },
        "description": description,
        "sorting": 3,
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": { "colors": ["#fff7bc", "#fe9929", "#cc2c02"], "minValue": 0, "maxValue": DEEPEST },
        "legendItems": [],
        "showTacticRowBackground": false,
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
        "metadata": [
            { "name": "made", "value": dossier.made.to_string() },
            { "name": "verdict", "value": dossier.verdict().name() },
        ],
    })
}

fn row(dossier: &Dossier, technique: &Technique) -> Value {
    let mut said = Vec::new();
    for case in &dossier.investigations {
        for own in case.techniques.iter().filter(|own| own.id == technique.id) {
            let labels = labels_of(case, own).join(", ");
            let labels = if labels.is_empty() { String::new() } else { format!(": {labels}") };
            let source = own.source.replace('_', " ");
            said.push(line(&format!("Investigation {}, by {source}{labels}", case.id)));
        }
    }
    json!({
        "techniqueID": technique.id,
        "score": (technique.support * 10.0).round().clamp(0.0, 1_000.0) as u32,
        "comment": said.join("\n"),
        "enabled": true,
        "showSubtechniques": technique.id.contains('.'),
        "metadata": [],
        "links": [{ "label": "ATT&CK", "url": technique_url(&technique.id) }],
    })
}
