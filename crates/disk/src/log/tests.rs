use super::*;

const MAGIC: [u8; 8] = *b"CMTESTL\0";

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn empty() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.log");
    Fixture { _dir: dir, path }
}

fn with(payloads: &[&[u8]]) -> (Fixture, Mark) {
    let fixture = empty();
    let (mut log, _) = open(&fixture).unwrap();
    for payload in payloads {
        log.append(payload).unwrap();
    }
    log.sync().unwrap();
    let mark = log.mark();
    (fixture, mark)
}

fn open(fixture: &Fixture) -> Result<(Log, Recovery)> {
    Log::open(&fixture.path, MAGIC, 1)
}

fn contents(log: &Log) -> Vec<Vec<u8>> {
    log.frames(FrameOffset::FIRST).map(|frame| frame.unwrap().to_vec()).collect()
}

const THREE: [&[u8]; 3] = [b"first frame", b"", b"third frame of all"];

#[test]
fn what_was_appended_is_read_back() {
    let (fixture, _) = with(&THREE);
    let (mut log, recovery) = open(&fixture).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(contents(&log), THREE);
    let offset = log.append(b"fourth").unwrap();
    assert_eq!(&*log.read(offset).unwrap(), b"fourth");
    assert_eq!(contents(&log).len(), 4);
    assert!(log.read(FrameOffset(offset.0 + 1)).is_err());
    assert!(log.read(FrameOffset(u64::MAX)).is_err());
}

#[test]
fn every_cut_keeps_whole_frames_and_the_torn_bytes() {
    let (fixture, mark) = with(&THREE);
    let good = fs_err::read(&fixture.path).unwrap();
    for length in 0..good.len() {
        fs_err::write(&fixture.path, &good[..length]).unwrap();
        let marked = Log::open_marked(&fixture.path, MAGIC, 1, Some(mark));
        assert!(marked.is_err_and(|e| e.is_damage()), "cut to {length} past the mark");
        match open(&fixture) {
            Err(error) => assert!(error.is_damage() && length < HEADER_LEN as usize, "{length}: {error}"),
            Ok((log, recovery)) => {
                let kept = contents(&log);
                assert_eq!(kept, THREE[..kept.len()]);
                if let Some(torn) = recovery.torn {
                    assert_eq!(fs_err::read(torn.kept).unwrap(), &good[torn.offset as usize..length]);
                }
            }
        }
    }
}

#[test]
fn every_flip_is_an_error_or_a_torn_end() {
    let (fixture, mark) = with(&THREE);
    let good = fs_err::read(&fixture.path).unwrap();
    let last_frame = good.len() - 16 - THREE[2].len();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs_err::write(&fixture.path, &bad).unwrap();
        match open(&fixture) {
            Err(error) => assert!(error.is_damage() && bit / 8 < last_frame, "bit {bit}: {error}"),
            Ok((log, recovery)) => {
                assert!(bit / 8 >= last_frame, "bit {bit} went unnoticed");
                assert_eq!(contents(&log), THREE[..2]);
                assert_eq!(recovery.torn.unwrap().offset, last_frame as u64);
            }
        }
        // With the mark, opening trusts what it covers; reading still notices.
        fs_err::write(&fixture.path, &bad).unwrap();
        if let Ok((log, recovery)) = Log::open_marked(&fixture.path, MAGIC, 1, Some(mark)) {
            assert_eq!(recovery.torn, None);
            assert!(log.frames(FrameOffset::FIRST).any(|frame| frame.is_err()), "bit {bit}");
        }
    }
}

#[test]
fn a_log_inside_a_log_is_not_mistaken_for_frames() {
    let (inner, _) = with(&THREE);
    let bytes = fs_err::read(&inner.path).unwrap();
    let (outer, _) = with(&[b"before", &bytes]);
    let whole = fs_err::read(&outer.path).unwrap();
    fs_err::write(&outer.path, &whole[..whole.len() - 1]).unwrap();
    let (log, recovery) = open(&outer).unwrap();
    assert_eq!(contents(&log), [b"before"]);
    assert!(recovery.torn.is_some());
}

#[test]
fn mark_of_another_log_is_ignored() {
    let (fixture, mark) = with(&THREE);
    let (_other, foreign) = with(&[b"x"]);
    assert_eq!(mark.to_string().parse(), Ok(mark));
    assert!("12:x".parse::<Mark>().is_err());
    let fits = |mark| Log::open_marked(&fixture.path, MAGIC, 1, mark).unwrap().1.mark_fits;
    assert!(fits(Some(mark)));
    assert!(!fits(Some(foreign)));
    assert!(!fits(None));
}

#[test]
fn other_kinds_and_versions_are_named() {
    let (fixture, _) = with(&THREE);
    assert!(matches!(Log::open(&fixture.path, *b"OTHER\0\0\0", 1), Err(Error::Foreign { .. })));
    assert!(matches!(Log::open(&fixture.path, MAGIC, 2), Err(Error::Version { found: 1, .. })));
}

#[test]
fn a_full_device_leaves_the_log_usable() {
    let (fixture, _) = with(&THREE);
    let (mut log, _) = open(&fixture).unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = std::mem::replace(&mut log.file, full);
    let error = log.append(b"lost").unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    log.file = file;
    log.closed = None; // `/dev/full` cannot be cut back, a real file can.
    log.append(b"fourth").unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(contents(&open(&fixture).unwrap().0).len(), 4);
}

fn told(follower: &mut LogFollower) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| follower.read().unwrap()).map(|frame| frame.to_vec()).collect()
}

#[test]
fn who_follows_is_told_what_is_appended() {
    let (fixture, _) = with(&THREE[..1]);
    let mut follower = LogFollower::open(&fixture.path, MAGIC, 1).unwrap();
    follower.skip().unwrap();
    assert!(told(&mut follower).is_empty());
    let (mut log, _) = open(&fixture).unwrap();
    for payload in &THREE[1..] {
        log.append(payload).unwrap();
    }
    assert_eq!(told(&mut follower), &THREE[1..]);
    assert_eq!(follower.position(), log.end());
    // The rest of a log that is deleted, as its events are in a segment, can still be read.
    log.append(b"last").unwrap();
    fs_err::remove_file(&fixture.path).unwrap();
    assert_eq!(told(&mut follower), [b"last"]);
}

/// As a writer does after it could not make frames durable, and as recovery does.
#[test]
fn who_follows_a_log_that_is_shortened_lives_and_goes_on() {
    let (fixture, _) = with(&THREE);
    let mut follower = LogFollower::open(&fixture.path, MAGIC, 1).unwrap();
    let first = follower.read().unwrap().unwrap();
    let end_of_first = first.next().0;
    let held: Vec<Frame> = std::iter::from_fn(|| follower.read().unwrap()).collect();
    let file = OpenOptions::new().write(true).open(&fixture.path).unwrap();
    file.set_len(end_of_first).unwrap();
    // What was given is still there.
    assert_eq!(held.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>(), &THREE[1..]);
    assert_eq!(told(&mut follower), Vec::<Vec<u8>>::new());
    let (mut log, _) = open(&fixture).unwrap();
    log.append(b"in its place").unwrap();
    assert_eq!(told(&mut follower), [b"in its place"]);
    // Shortened and grown past where it was before anyone looked.
    file.set_len(end_of_first).unwrap();
    let (mut log, _) = open(&fixture).unwrap();
    log.append(b"another in its place, and longer").unwrap();
    assert_eq!(told(&mut follower), Vec::<Vec<u8>>::new());
    assert_eq!(told(&mut follower), [b"another in its place, and longer"]);
    file.set_len(0).unwrap();
    assert_eq!(told(&mut follower), Vec::<Vec<u8>>::new());
}
