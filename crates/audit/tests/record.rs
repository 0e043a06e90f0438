//! The record under everything that can happen to it: changed bytes, lines gone, swapped or added, cut short, its key
//! lost, its end rewritten.

#![allow(clippy::unwrap_used)]

use casemate_audit::{Chain, Entry, Head, Verified, verify};
use proptest::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};

fn entry(n: u64) -> Entry {
    let mut entry = Entry::new("mira", "close", format!("alert {n}"), json!({ "verdict": "benign" }));
    entry.at = jiff::Timestamp::from_second(1_790_000_000 + n as i64).unwrap();
    entry
}

/// A record of `lines` entries in a directory of its own, and what its last checkpoint signed.
fn record(lines: u64) -> (tempfile::TempDir, Head) {
    let dir = tempfile::tempdir().unwrap();
    let (mut chain, opened) = Chain::open(dir.path(), 0).unwrap();
    assert!(opened.problems.is_empty());
    for n in 1..=lines {
        chain.append(&entry(n), Some(n)).unwrap();
    }
    let head = chain.checkpoint().unwrap();
    (dir, head)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("000000000001.jsonl")
}

fn verified(dir: &Path) -> Verified {
    verify(dir, &[], None).unwrap()
}

#[test]
fn what_is_added_is_there_after_opening_again() {
    let (dir, head) = record(3);
    let found = verified(dir.path());
    // The key, its checkpoint, three entries and theirs.
    assert_eq!((found.lines, found.first, found.checkpoints, found.unsigned), (6, 1, 2, 0));
    assert_eq!((found.problems.len(), found.notes.len()), (0, 0), "{found:?}");
    let (mut chain, opened) = Chain::open(dir.path(), 6).unwrap();
    assert!(opened.problems.is_empty(), "{opened:?}");
    assert_eq!(chain.last_row(), 3);
    chain.append(&entry(4), Some(4)).unwrap();
    let newest = chain.lines(u64::MAX, 2).unwrap();
    assert_eq!(newest.iter().map(|line| line.n).collect::<Vec<_>>(), [7, 6]);
    assert_eq!(chain.lines(6, 1).unwrap()[0].subject, "alert 3");
    drop(chain);
    let found = verify(dir.path(), &[head], None).unwrap();
    assert_eq!((found.lines, found.problems.len()), (8, 0), "{found:?}");
}

#[test]
fn every_changed_byte_is_found() {
    let (dir, _) = record(4);
    let good = fs_err::read(file(dir.path())).unwrap();
    // The last line, a checkpoint, is held by nothing but the heads that were kept elsewhere.
    let last = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    for at in 0..=last {
        for bit in [0, 3, 6] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs_err::write(file(dir.path()), &bad).unwrap();
            assert!(!verified(dir.path()).problems.is_empty(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn lines_gone_swapped_doubled_and_added_are_found() {
    let (dir, _) = record(4);
    let good = fs_err::read_to_string(file(dir.path())).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let mut attempts = Vec::new();
    for at in 0..lines.len() - 1 {
        let mut gone = lines.clone();
        gone.remove(at);
        let (mut swapped, mut doubled) = (lines.clone(), lines.clone());
        swapped.swap(at, at + 1);
        doubled.insert(at, lines[at]);
        attempts.extend([gone, swapped, doubled]);
    }
    let invented = lines[3].replace("benign", "malicious");
    let mut added = lines.clone();
    added.insert(4, &invented);
    attempts.push(added);
    for attempt in attempts {
        fs_err::write(file(dir.path()), attempt.join("\n") + "\n").unwrap();
        assert!(!verified(dir.path()).problems.is_empty(), "{attempt:#?}");
    }
}

#[test]
fn an_end_cut_off_is_found_by_what_was_kept_elsewhere() {
    let (dir, head) = record(4);
    let good = fs_err::read_to_string(file(dir.path())).unwrap();
    let shorter: Vec<&str> = good.lines().take(4).collect();
    fs_err::write(file(dir.path()), shorter.join("\n") + "\n").unwrap();
    assert!(verified(dir.path()).problems.is_empty(), "a record that ends earlier is whole in itself");
    let found = verify(dir.path(), &[head], None).unwrap();
    assert!(found.problems[0].starts_with("line 6 is not there") || found.problems[0].starts_with("line "));
    // And by the number of lines that the store knows of.
    let (chain, opened) = Chain::open(dir.path(), 6).unwrap();
    assert_eq!(opened.problems, ["2 lines that were there are gone from the end of the record"]);
    drop(chain);
    assert_eq!(verified(dir.path()).notes.len(), 1);
}

#[test]
fn a_record_written_anew_does_not_lead_to_what_was_kept() {
    let (dir, head) = record(4);
    let key = fs_err::read_to_string(dir.path().join("key.pub")).unwrap();
    // Whoever holds the key can write another record …
    fs_err::remove_file(file(dir.path())).unwrap();
    let (mut chain, opened) = Chain::open(dir.path(), 0).unwrap();
    assert!(opened.problems.is_empty());
    for n in 1..=4 {
        chain.append(&entry(n + 10), Some(n)).unwrap();
    }
    drop(chain);
    let found = verify(dir.path(), &[], Some(&key)).unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    // … but not one with the same hash.
    assert_eq!(verify(dir.path(), &[head], Some(&key)).unwrap().problems.len(), 1);
    // Who does not hold it cannot even do that.
    let (other, _) = record(4);
    assert!(!verify(other.path(), &[], Some(&key)).unwrap().problems.is_empty());
}

#[test]
fn keys_change_with_the_old_ones_signature_and_are_noted_without() {
    let (dir, _) = record(1);
    let old = fs_err::read_to_string(dir.path().join("key.pub")).unwrap();
    let (mut chain, _) = Chain::open(dir.path(), 0).unwrap();
    chain.rotate_key("mira").unwrap();
    chain.append(&entry(2), Some(2)).unwrap();
    drop(chain);
    let found = verify(dir.path(), &[], Some(&old)).unwrap();
    assert_eq!((found.problems.len(), found.notes.len()), (0, 0), "{found:?}");
    assert_ne!(found.public_key.as_deref(), Some(old.as_str()));
    fs_err::remove_file(dir.path().join("key")).unwrap();
    let (chain, opened) = Chain::open(dir.path(), 0).unwrap();
    assert_eq!(opened.problems.len(), 1);
    drop(chain);
    let found = verify(dir.path(), &[], None).unwrap();
    assert!(found.problems.is_empty() && found.notes.len() == 2, "{found:?}");
    assert!(!verify(dir.path(), &[], Some(&old)).unwrap().problems.is_empty());
}

#[test]
fn files_moved_away_leave_the_rest_verifiable() {
    let (dir, _) = record(2);
    let (mut chain, _) = Chain::open(dir.path(), 0).unwrap();
    let long = "x".repeat(1 << 20);
    for n in 3..=24 {
        let long = Entry { subject: format!("{n} {long}"), ..entry(n) };
        chain.append(&long, Some(n)).unwrap();
    }
    drop(chain);
    assert_eq!(verified(dir.path()).problems, Vec::<String>::new());
    fs_err::remove_file(file(dir.path())).unwrap();
    let found = verified(dir.path());
    assert!(found.problems.is_empty() && found.first > 10, "{:?} {}", found.problems, found.first);
    let (chain, opened) = Chain::open(dir.path(), found.head.unwrap().n).unwrap();
    assert_eq!(chain.last_row(), 24);
    // The key was named in what was moved away.
    assert_eq!(opened.problems.len(), 1, "{opened:?}");
}

#[test]
fn a_copy_holds_all_but_the_secret_key() {
    let (dir, head) = record(3);
    let to = tempfile::tempdir().unwrap();
    casemate_audit::copy(dir.path(), to.path()).unwrap();
    assert!(!to.path().join("key").exists());
    assert!(verify(to.path(), &[head], None).unwrap().problems.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// As after a loss of power: the file ends anywhere, perhaps with bytes that were never written.
    #[test]
    fn a_record_cut_anywhere_opens_and_goes_on(cut in 0.0..1.0f64, rest in prop::collection::vec(any::<u8>(), 0..40)) {
        let (dir, _) = record(3);
        let good = fs_err::read(file(dir.path())).unwrap();
        let mut bytes = good[..(good.len() as f64 * cut) as usize].to_vec();
        bytes.extend(rest);
        fs_err::write(file(dir.path()), &bytes).unwrap();
        let (mut chain, _) = Chain::open(dir.path(), 0).unwrap();
        chain.append(&entry(9), Some(9)).unwrap();
        drop(chain);
        let (chain, opened) = Chain::open(dir.path(), 0).unwrap();
        prop_assert!(opened.problems.is_empty(), "noted once: {opened:?}");
        let newest = chain.lines(u64::MAX, 3).unwrap();
        prop_assert!(newest.iter().any(|line| line.subject == "alert 9"));
    }

    /// Any bytes are taken for a record without a panic.
    #[test]
    fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(file(dir.path()), &bytes).unwrap();
        verify(dir.path(), &[], None).unwrap();
        Chain::open(dir.path(), 7).unwrap();
    }
}
