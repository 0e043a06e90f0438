//! Whatever a segment says under checksums that are right, reading and searching it is an answer or an error.
//!
//! Begin with sound ones, since libFuzzer would take long to find one: unpack `corpus/segment.tar.zst`.
#![no_main]

use libfuzzer_sys::fuzz_target;

thread_local! {
    static DIRECTORY: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
}

fuzz_target!(|data: &[u8]| {
    DIRECTORY.with(|directory| drop(casemate_store::fuzzing::segment(directory.path(), data)));
});
