//! Whatever senders frame as records, each becomes events or quarantined records, none in silence. Begin with
//! `../../tests/data/formats` and `corpus/records.tar.zst`.
#![no_main]

use casemate_ingest::{Options, read_records};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);

fuzz_target!(|data: &[u8]| {
    let records = (1..).zip(data.split(|byte| *byte == 0));
    let _ = read_records("fuzz", &[], records, &OPTIONS);
});
