//! Whatever is asked for, it is understood or refused with what to write instead. `corpus/query.tar.zst` is what was
//! found so far.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = casemate_store::fuzzing::query(text);
});
