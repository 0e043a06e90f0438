//! Whatever an index file says under checksums that are right, opening and searching it is an answer or an
//! error.
//!
//! `corpus/` holds what reaches most of the reader; a sound file of the format of today is written by
//! `CASEMATE_FUZZ_SEEDS=$PWD/fuzz/corpus/index cargo test wrong_content`. Then
//! `cargo +nightly fuzz run index`, both in `crates/vector`.
#![no_main]

use casemate_vector::{Index, MAGIC, VERSION};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(directory) = tempfile::tempdir() else { return };
    let path = directory.path().join("index");
    if casemate_disk::write_sealed(&path, MAGIC, VERSION, |out| out.write_all(data)).is_err() {
        return;
    }
    let Ok(index) = Index::open(&path) else { return };
    let query = vec![1.0; index.dimension()];
    let _ = index.search(&query, 5, 8);
    let _ = index.search_among(&query, 3, 8, &[0, 1, 2, 50]);
    let _ = index.vector(1);
});
