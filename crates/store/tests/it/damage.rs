use super::*;
use casemate_event::{Alert, AlertId, AlertOrigin, EventId, Severity};
use std::path::PathBuf;

/// Enough for a segment and for a few events that stay in the log.
const COUNT: u64 = 68;

/// A store with something in every file, closed.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for start in (0..COUNT).step_by(30) {
        store.append(&batch(start..(start + 30).min(COUNT))).unwrap();
        store.refresh().unwrap();
    }
    let time = event(0).time;
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product("p".into()),
        title: "t".into(),
        severity: Severity::Low,
        techniques: Vec::new(),
        first_time: time,
        last_time: time,
        events: vec![EventId(1)],
        event_count: 1,
        entities: Vec::new(),
    };
    store.raise(alert, "key", jiff::SignedDuration::from_secs(1)).unwrap();
    store.put_investigation(AlertId(1), &[b'i'; 3000]).unwrap();
    store.set_watermark("detect", EventId(COUNT)).unwrap();
    dir
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // The audit record has tests of its own, in its crate: it goes on whatever it is left like.
        if path.ends_with("audit") {
            continue;
        }
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::copy(file, target).unwrap();
    }
}

/// Opens a damaged copy: an error that names a file, or what can be read is right, and what cannot is said to be
/// missing.
fn check(dir: &Path, what: &str) -> &'static str {
    let store = match try_open(dir) {
        Ok(store) => store,
        Err(error) => {
            assert!(error.to_string().contains("store/"), "{what}: no file named in: {error}");
            return "refused";
        }
    };
    let outcome = check_events(&store, what);
    let alert = store.alert(AlertId(1)).unwrap().unwrap();
    assert_eq!((alert.title.as_str(), alert.events.as_slice()), ("t", &[EventId(1)][..]), "{what}");
    assert_eq!(store.investigation(AlertId(1)).unwrap().unwrap(), [b'i'; 3000], "{what}");
    assert_eq!(store.watermark("detect").unwrap(), EventId(COUNT), "{what}");
    outcome
}

fn check_events(store: &Store, what: &str) -> &'static str {
    let named = |error: casemate_store::Error| {
        assert!(error.to_string().contains("damaged"), "{what}: {error}");
        assert!(error.to_string().contains("store/"), "{what}: {error}");
    };
    let mut readable = Vec::new();
    let mut missing = 0;
    for n in 0..COUNT {
        match store.get(EventId(n + 1)) {
            Ok(Some(stored)) => {
                assert_eq!(stored.event, as_stored(event(n)), "{what}");
                readable.push(n + 1);
            }
            Ok(None) => panic!("{what}: event {} is missing in silence", n + 1),
            Err(error) => {
                named(error);
                missing += 1;
            }
        }
    }
    // Nothing was ever there behind the last event.
    assert_eq!(store.get(EventId(COUNT + 1)).unwrap(), None);
    match store.search(&query("ip:10.1.2.3")) {
        Ok(found) => {
            let ids: Vec<u64> = found.hits.iter().map(|stored| stored.id.0).collect();
            assert!(ids.iter().all(|id| readable.contains(id)), "{what}");
            if missing == 0 {
                assert_eq!(ids, readable, "{what}");
            }
        }
        Err(error) => {
            named(error);
            return "refused on searching";
        }
    }
    if missing > 0 {
        return "partly missing";
    }
    match store.counts() {
        Ok(counts) if counts.by_format.values().sum::<u64>() == COUNT => {
            check_whole(store, COUNT);
            "whole"
        }
        _ => "without counters",
    }
}

/// Places in a file of `length` bytes: the first and last ones, and some between.
fn places(length: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..length.min(8)).collect();
    places.extend((length.saturating_sub(10)..length).step_by(3));
    places.extend((0..length).step_by((length / 40).max(1)));
    places.sort_unstable();
    places.dedup();
    places
}

fn damage_everywhere(is_damaged: impl Fn(&Path) -> bool, damage: impl Fn(&mut Vec<u8>, usize)) {
    let good = filled();
    let mut outcomes = std::collections::BTreeMap::new();
    let mut previous_ext = std::collections::BTreeMap::<String, usize>::new();
    for file in files(good.path()) {
        let name = file.strip_prefix(good.path()).unwrap().to_owned();
        let kind = name.extension().or(name.file_name()).unwrap().to_string_lossy().into_owned();
        // One segment is like the other.
        let seen = previous_ext.entry(kind.clone()).or_default();
        *seen += 1;
        if *seen > 1 || !is_damaged(&name) {
            continue;
        }
        let bytes = fs_err::read(&file).unwrap();
        for place in places(bytes.len()) {
            let bad = tempfile::tempdir().unwrap();
            copy(good.path(), bad.path());
            let mut changed = bytes.clone();
            damage(&mut changed, place);
            fs_err::write(bad.path().join(&name), &changed).unwrap();
            let outcome = check(bad.path(), &format!("{} at {place}", name.display()));
            *outcomes.entry((kind.clone(), outcome)).or_insert(0) += 1;
        }
    }
    println!("{outcomes:?}");
}

fn flip(bytes: &mut [u8], place: usize) {
    bytes[place] ^= 1 << (place % 8);
}

fn cut(bytes: &mut Vec<u8>, place: usize) {
    bytes.truncate(place);
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "redb")
}

#[test]
fn flips_in_tables() {
    damage_everywhere(is_table, |bytes, place| flip(bytes, place));
}

#[test]
fn cuts_of_tables() {
    damage_everywhere(is_table, cut);
}

#[test]
fn flips_in_logs_and_segments() {
    damage_everywhere(|path| !is_table(path), |bytes, place| flip(bytes, place));
}

#[test]
fn cuts_of_logs_and_segments() {
    damage_everywhere(|path| !is_table(path), cut);
}

#[test]
fn missing_files_are_rebuilt_or_named() {
    let good = filled();
    let expected = |name: &str| match name {
        "LOCK" | "MANIFEST" | "meta.redb" => "whole",
        name if name.ends_with(".segment") => "partly missing",
        _ => "refused",
    };
    for file in files(good.path()) {
        let name = file.strip_prefix(good.path()).unwrap();
        if name.ends_with("findings.redb") {
            continue; // Starting without findings is what removing them is for.
        }
        let bad = tempfile::tempdir().unwrap();
        copy(good.path(), bad.path());
        fs_err::remove_file(bad.path().join(name)).unwrap();
        let outcome = check(bad.path(), &name.display().to_string());
        assert_eq!(outcome, expected(&name.file_name().unwrap().to_string_lossy()), "{}", name.display());
    }
}

#[test]
fn a_log_put_back_from_an_older_backup_is_noticed() {
    let good = filled();
    let log =
        files(good.path()).into_iter().find(|path| path.extension().is_some_and(|ext| ext == "log")).unwrap();
    let older = fs_err::read(&log).unwrap();
    let store = open(good.path());
    store.append(&batch(COUNT..COUNT + 1)).unwrap();
    drop(store);
    fs_err::write(&log, older).unwrap();
    let error = try_open(good.path()).err().unwrap().to_string();
    assert!(error.contains("acknowledged bytes are missing"), "{error}");
}
