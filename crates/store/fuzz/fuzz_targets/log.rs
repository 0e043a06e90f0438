//! Whatever a frame of a log says under checksums that are right, reading it back is an answer or an error.
//!
//! Unpack `corpus/log.tar.zst` to begin with.
#![no_main]

use libfuzzer_sys::fuzz_target;

thread_local! {
    static DIRECTORY: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
}

fuzz_target!(|data: &[u8]| {
    DIRECTORY.with(|directory| drop(casemate_store::fuzzing::log(directory.path(), data)));
});
