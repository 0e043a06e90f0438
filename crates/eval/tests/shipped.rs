//! What the head that ships was fitted on.
#![allow(clippy::unwrap_used)]

use casemate_eval::scenario::is_free;
use casemate_investigate::Head;
use std::path::Path;

#[test]
fn the_shipped_head_was_fitted_on_what_may_be_shipped() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/heads/default.json");
    let (head, _) = Head::load(&path).unwrap();
    for part in &head.provenance {
        assert!(is_free(&part.licence), "{} is under {}", part.source, part.licence);
    }
    let cases: u64 = head.provenance.iter().map(|part| part.malicious + part.benign).sum();
    assert!(cases > 100, "{cases} cases");
    // What may not be shipped was kept out of every fold, too: folds hold families of these sources alone.
    assert!(head.folds.iter().flat_map(|fold| &fold.families).all(|family| !family.starts_with("ait")));
}
