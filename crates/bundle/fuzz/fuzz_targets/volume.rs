//! Whatever bytes come as a volume or a document, they are read or refused. Begin with volumes that
//! `casemate-stage bundle build` makes of small files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| casemate_bundle::parse_unverified(data));
