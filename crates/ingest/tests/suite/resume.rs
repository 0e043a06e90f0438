use super::{SHA256, Taken, options};
use casemate_event::{Batch, SourceProgress};
use std::io::Write;

#[test]
fn a_read_goes_on_where_it_stopped() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for n in 0..2500 {
        let line = if n % 10 == 3 { format!("{{\"n\": {n}\n") } else { format!("{{\"n\":{n}}}\n") };
        file.write_all(line.as_bytes()).unwrap();
    }
    let mut first = Vec::new();
    // The sink fails on the third batch: two were stored.
    let mut sink = |batch: Batch| {
        if first.len() == 2 {
            return Err("power cut".into());
        }
        first.push(batch);
        Ok(())
    };
    let error =
        casemate_ingest::read_file(file.path(), SHA256, &options(), 0, &mut sink, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("power cut"), "{error}");
    let progress = first[1].progress.clone().unwrap();
    assert_eq!((progress.position, progress.complete), (2000, false));

    let mut taken = Taken::default();
    let mut last: Option<SourceProgress> = None;
    let mut sink = |batch: Batch| {
        last = batch.progress.clone();
        taken.add(batch);
        Ok(())
    };
    let summary = casemate_ingest::read_file(
        file.path(),
        SHA256,
        &options(),
        progress.position,
        &mut sink,
        &mut |_| {},
    )
    .unwrap();
    let taken = taken.checked(summary);
    assert_eq!((taken.summary.records, taken.summary.skipped), (500, 2000));
    assert_eq!(taken.events[0].position, 2001);
    let last = last.unwrap();
    assert_eq!((last.position, last.complete), (2500, true));
}

#[test]
fn progress_ends_at_the_size_of_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&b"a line\n".repeat(100_000)).unwrap();
    let (mut seen, mut calls) = (0, 0);
    let mut progress = |bytes| {
        assert!(bytes >= seen);
        seen = bytes;
        calls += 1;
    };
    let mut sink = |_| Ok(());
    let summary =
        casemate_ingest::read_file(file.path(), SHA256, &options(), 0, &mut sink, &mut progress).unwrap();
    assert_eq!((summary.bytes, seen, summary.records), (700_000, 700_000, 100_000));
    assert!(calls >= 100);
}
