//! How does an investigation, or a whole case, leave Casemate?
//!
//! [`gather`] reads what an export needs; [`export`] makes bytes of it, and of nothing else: no IO, no clock, the same
//! bytes for the same [`Dossier`]. Reports for people ([`Format::Markdown`], [`Format::Html`]) are two
//! renderings of one document; files for tools follow the format each of them publishes, and are validated in
//! `crates/casemate/tests/export.rs` by that format's own validator.
//!
//! Everything in a dossier may have been written by an attacker. In a report nothing of it becomes markup or hides
//! ([`text`]); in files for tools values stand as they were logged, and only such as the format allows.

mod document;
mod dossier;
mod format;
mod gather;
mod html;
mod iris;
mod markdown;
mod mask;
mod navigator;
mod observe;
mod ocsf;
mod pdf;
mod stix;
#[cfg(test)]
mod testing;
pub mod text;
mod thehive;
mod timeline;

pub use dossier::{Dossier, Waiting};
pub use format::Format;
pub use gather::{MAX_EVENTS, gather};
pub use markdown::markdown;

/// Why an export could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The alert, or no alert of the case, was investigated.
    #[error("there is no finished investigation of {0}; `casemate investigate` makes one")]
    NotInvestigated(casemate_event::Subject),
    /// There is no such case.
    #[error("there is no {0}; `casemate cases` lists cases and their alerts")]
    Missing(casemate_event::Subject),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] casemate_store::Error),
    /// A stored investigation is not one of this version.
    #[error("the stored investigation of alert {alert} cannot be read: {why}; investigate the alert again")]
    Unreadable {
        /// The alert.
        alert: casemate_event::AlertId,
        /// What is wrong with it.
        why: serde_json::Error,
    },
    /// The file could not be written, as its writer says.
    #[error("the {} file could not be made: {why}", format.name())]
    Failed {
        /// Which.
        format: Format,
        /// Why.
        why: String,
    },
}

/// The dossier in this format.
///
/// # Errors
/// [`Error::Failed`] if the format's writer refuses.
pub fn export(dossier: &Dossier, format: Format) -> Result<Vec<u8>, Error> {
    let failed = |why: String| Error::Failed { format, why };
    let json = |value: &serde_json::Value| {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|why| failed(why.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    };
    match format {
        Format::Json => dossier.to_json().map_err(|why| failed(why.to_string())),
        Format::Markdown => Ok(markdown::of(dossier).into_bytes()),
        Format::Html => Ok(html::of(dossier).into_bytes()),
        Format::Pdf => pdf::of(dossier).map_err(failed),
        Format::Stix => json(&stix::bundle(dossier)),
        Format::Navigator => json(&navigator::layer(dossier)),
        Format::Ocsf => json(&ocsf::findings(dossier)),
        Format::Timeline => timeline::csv(dossier).map_err(|why| failed(why.to_string())),
        Format::TheHive => json(&thehive::file(dossier)),
        Format::Iris => json(&iris::alert(dossier)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{case, dossier, hostile};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Every reference of a bundle leads to an object of it, and no id is there twice.
    fn assert_whole(bundle: &Value) {
        let objects = bundle["objects"].as_array().unwrap();
        let ids: BTreeSet<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), objects.len());
        for (name, value) in objects.iter().flat_map(|object| object.as_object().unwrap()) {
            let refs = match value {
                Value::String(id) if name.ends_with("_ref") => vec![id.as_str()],
                Value::Array(all) if name.ends_with("_refs") => {
                    all.iter().map(|id| id.as_str().unwrap()).collect()
                }
                _ => Vec::new(),
            };
            for id in refs {
                assert!(ids.contains(id), "{name} leads to {id}, which is not there");
            }
        }
    }

    #[test]
    fn the_same_dossier_gives_the_same_bytes() {
        for format in Format::ALL {
            for dossier in [dossier(), case(3)] {
                let bytes = export(&dossier, format).unwrap();
                assert!(!bytes.is_empty());
                assert_eq!(export(&dossier, format).unwrap(), bytes, "{}", format.name());
            }
        }
    }

    #[test]
    fn indicators_are_what_an_attack_alone_explains() {
        let patterns = |dossier: &Dossier| -> Vec<String> {
            let bundle = stix::bundle(dossier);
            let objects = bundle["objects"].as_array().unwrap().clone();
            assert_whole(&bundle);
            let indicators = objects.into_iter().filter(|object| object["type"] == "indicator");
            indicators.map(|object| object["pattern"].as_str().unwrap().to_owned()).collect()
        };
        let hash = format!("[file:hashes.'SHA-256' = '{}']", "ab".repeat(32));
        let expected = ["[ipv4-addr:value = '9.9.9.9']", &hash, "[domain-name:value = 'c2.evil-domain.net']"];
        let found = patterns(&dossier());
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).iter().collect());
        let mut benign = dossier();
        benign.investigations[0].verdict = casemate_investigate::Verdict::Benign;
        assert!(patterns(&benign).is_empty());
    }

    #[test]
    fn what_is_masked_is_in_no_format() {
        let mask = |text: &str| text.to_lowercase().replace("alice", "███").replace("mira", "███");
        for format in Format::ALL {
            let bytes = export(&dossier().masked(&mask), format).unwrap();
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            assert!(!text.contains("alice") && !text.contains("mira"), "{}", format.name());
        }
    }

    #[test]
    fn every_text_of_a_dossier_is_masked() {
        // Names that are ours, or make no sentence: of enumerations, labels, ids, hashes.
        let ours = |text: &str| {
            let hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            hash || text.parse::<jiff::Timestamp>().is_ok() || text == "█"
        };
        let masked = case(2).masked(&|_| "█".to_owned());
        let json: Value = serde_json::from_slice(&masked.to_json().unwrap()).unwrap();
        let mut left = BTreeSet::new();
        let mut stack = vec![&json];
        while let Some(value) = stack.pop() {
            match value {
                Value::String(text) => left.extend(Some(text.as_str()).filter(|text| !ours(text))),
                Value::Array(all) => stack.extend(all),
                Value::Object(all) => stack.extend(all.values()),
                _ => {}
            }
        }
        let known = [
            "E1",
            "E2",
            "E3",
            "E4",
            "S1",
            "T1003.001",
            "T1059.001",
            "alert",
            "process",
            "near",
            "benign",
            "malicious",
            "high",
            "dump",
            "host",
            "user",
            "ip",
            "hash",
            "model",
            "office_child",
            "",
        ];
        assert!(left.iter().all(|text| known.contains(text)), "{left:?}");
    }

    #[test]
    fn a_large_case_stays_within_bounds() {
        let large = case(200);
        for format in Format::ALL {
            let bytes = export(&large, format).unwrap();
            assert!(bytes.len() < 8 << 20, "{}: {} bytes", format.name(), bytes.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_makes_files_that_are_whole(text in hostile()) {
            let dossier = dossier().masked(&|_| text.clone());
            for format in Format::ALL {
                let bytes = export(&dossier, format);
                prop_assert!(bytes.is_ok(), "{}", format.name());
                if format.extension().ends_with("json") {
                    let json: Value = serde_json::from_slice(&bytes.unwrap_or_default()).unwrap();
                    prop_assert!(!json.is_null());
                }
            }
            assert_whole(&stix::bundle(&dossier));
        }
    }
}
