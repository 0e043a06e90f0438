//! Whatever bytes come in as a file or body, every record of them ends as an event or in quarantine: recognition,
//! archives, framing and every decoder. Begin with `../../tests/data/formats` and
//! `corpus/stream.tar.zst`.
#![no_main]

use casemate_event::Batch;
use casemate_ingest::{Options, read_stream};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static OPTIONS: LazyLock<Options> = LazyLock::new(|| Options {
    max_record_bytes: 1 << 12,
    max_unpacked_bytes: 1 << 20,
    ..Options::default()
});

fuzz_target!(|data: &[u8]| {
    let mut records = 0;
    let mut sink = |batch: Batch| {
        records += (batch.events.len() + batch.quarantined.len()) as u64;
        for event in &batch.events {
            let _ = event.entities();
        }
        Ok(())
    };
    if let Ok(summary) = read_stream("fuzz", data, &OPTIONS, None, &mut sink) {
        assert_eq!(summary.records, records);
        assert_eq!(summary.event_count() + summary.quarantined_count(), records);
    }
});
