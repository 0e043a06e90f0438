use super::*;
use casemate_detect::Rules;
use casemate_event::EventId;
use casemate_pipeline::Pipeline;
use std::fs::OpenOptions;
use std::io::Write as _;

struct Site {
    data: tempfile::TempDir,
    logs: tempfile::TempDir,
}

fn site() -> Site {
    Site { data: tempfile::tempdir().unwrap(), logs: tempfile::tempdir().unwrap() }
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Opened as after a crash: nothing but what was appended is known.
    fn open(&self) -> (Intake, Tail) {
        let rules = Rules::load(&[]).unwrap().0;
        let pipeline = Arc::new(Pipeline::open(self.data.path(), rules, None).unwrap());
        (Intake::new(pipeline), Tail::new(vec![self.logs.path().to_owned()], self.data.path()))
    }
}

fn look(intake: &Intake, tail: &mut Tail) {
    for _ in 0..100 {
        if tail.look(intake) == Found::Nothing {
            return;
        }
    }
    panic!("there is always more");
}

#[track_caller]
fn check(intake: &Intake, expected: &[&str]) {
    let events = intake.pipeline().store().scan(EventId(1), 10_000).unwrap();
    let found: Vec<String> =
        events.iter().map(|stored| String::from_utf8(stored.event.raw.clone()).unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn complete_lines_once_over_a_restart() {
    let site = site();
    site.write("a.log", "one\ntwo\nthr");
    {
        let (intake, mut tail) = site.open();
        look(&intake, &mut tail);
        check(&intake, &["one", "two"]);
        site.write("a.log", "ee\n");
        look(&intake, &mut tail);
        check(&intake, &["one", "two", "three"]);
    }
    site.write("a.log", "four\n");
    let (intake, mut tail) = site.open();
    look(&intake, &mut tail);
    look(&intake, &mut tail);
    check(&intake, &["one", "two", "three", "four"]);
    let last = intake.pipeline().store().get(EventId(4)).unwrap().unwrap();
    assert_eq!(last.event.position, 4);
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_a_new_one_from_its_beginning() {
    let site = site();
    site.write("a.log", "one\n");
    {
        let (intake, mut tail) = site.open();
        look(&intake, &mut tail);
        site.write("a.log", "two\n");
        std::fs::rename(site.path("a.log"), site.path("a.log.1")).unwrap();
        site.write("a.log", "three\n");
        look(&intake, &mut tail);
    }
    // And once more while nobody looks.
    std::fs::rename(site.path("a.log"), site.path("a.log.2")).unwrap();
    site.write("a.log", "four\n");
    let (intake, mut tail) = site.open();
    look(&intake, &mut tail);
    check(&intake, &["one", "two", "three", "four"]);
}

#[test]
fn a_copy_of_a_truncated_file_is_not_read_again() {
    let site = site();
    let (intake, mut tail) = site.open();
    site.write("a.log", "one\ntwo\n");
    look(&intake, &mut tail);
    site.write("a.log", "three\n");
    std::fs::copy(site.path("a.log"), site.path("a.log.1")).unwrap();
    fs_err::write(site.path("a.log"), "").unwrap();
    site.write("a.log", "one\nagain, and longer than before\n");
    look(&intake, &mut tail);
    look(&intake, &mut tail);
    check(&intake, &["one", "two", "one", "again, and longer than before", "three"]);
}

#[test]
fn columns_of_other_tables_hold_for_what_comes_later() {
    let site = site();
    site.write("names.csv", "when,client,code\n");
    site.write("web.log", "#Software: x\n#Fields: date time c-ip cs-method\n");
    let (intake, mut tail) = site.open();
    look(&intake, &mut tail);
    site.write("names.csv", "1,192.0.2.1,200\n");
    site.write("web.log", "2025-10-11 22:14:15 192.0.2.2 GET\n");
    look(&intake, &mut tail);
    site.write("web.log", "#Fields: date time cs-method c-ip\n2025-10-11 22:14:15 GET 192.0.2.3\n");
    look(&intake, &mut tail);
    site.write("web.log", "2025-10-11 22:14:15 GET 192.0.2.4\n");
    drop((intake, tail));
    let (intake, mut tail) = site.open();
    site.write("names.csv", "2,192.0.2.5,200\n");
    look(&intake, &mut tail);
    let events = intake.pipeline().store().scan(EventId(1), 10).unwrap();
    let mut found: Vec<(&str, Option<&str>)> = events
        .iter()
        .map(|stored| (stored.event.format.name(), stored.event.field("src_endpoint.ip")))
        .collect();
    found.sort();
    // The line of names came alone: nobody could know what it was.
    let expected = [
        ("csv", Some("192.0.2.1")),
        ("csv", Some("192.0.2.5")),
        ("iis", Some("192.0.2.2")),
        ("iis", Some("192.0.2.3")),
        ("iis", Some("192.0.2.4")),
        ("text", None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn columns_named_at_the_head_hold_for_what_comes_later() {
    let site = site();
    site.write("conn.log", "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\n1.5\tC1\t10.0.0.1\n");
    {
        let (intake, mut tail) = site.open();
        look(&intake, &mut tail);
    }
    site.write("conn.log", "2.5\tC2\t10.0.0.2\n");
    let (intake, mut tail) = site.open();
    look(&intake, &mut tail);
    let last = intake.pipeline().store().get(EventId(2)).unwrap().unwrap().event;
    assert_eq!(last.native.get("id.orig_h"), Some("10.0.0.2"));
    assert_eq!(last.position, 5);
}

#[test]
fn a_line_without_end_is_kept_in_pieces_and_other_files_are_left_alone() {
    let site = site();
    site.write("long.log", &format!("first\n{}\nlast\n", "x".repeat(3 << 20)));
    fs_err::write(site.path("old.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let (intake, mut tail) = site.open();
    look(&intake, &mut tail);
    check(&intake, &["first", "last"]);
    let kept = intake.sources().snapshot();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].1.quarantined >= 3, "{kept:?}");
    assert_eq!(kept[0].1.bytes, (3 << 20) + 9);
}

/// Events that say that lines may be lost, by the name of the file and the place.
fn losses(intake: &Intake) -> Vec<(String, String)> {
    let events = intake.pipeline().store().scan(EventId(1), 10_000).unwrap();
    let told =
        events.iter().filter(|stored| stored.event.native.get("casemate.telemetry") == Some("truncation"));
    let named = told.map(|stored| {
        let name = stored.event.source.rsplit('/').next().unwrap().to_owned();
        (name, stored.event.native.get("casemate.offset").unwrap().to_owned())
    });
    named.collect()
}

fn look_often(intake: &Intake, tail: &mut Tail) {
    (0..5).for_each(|_| look(intake, tail));
}

#[test]
fn what_may_be_lost_while_nobody_looked_is_an_event() {
    let site = site();
    for name in ["same.log", "renamed.log", "truncated.log", "rewritten.log", "removed.log"] {
        site.write(name, &format!("one of {name}\ntwo\n"));
    }
    {
        let (intake, mut tail) = site.open();
        look_often(&intake, &mut tail);
        tail.save();
    }
    site.write("same.log", "three\n");
    std::fs::rename(site.path("renamed.log"), site.path("renamed.log.1")).unwrap();
    fs_err::write(site.path("truncated.log"), "new\n").unwrap();
    // The same first line, longer, and yet another file.
    fs_err::write(site.path("rewritten.log"), "one of rewritten.log\nother lines\n").unwrap();
    std::fs::remove_file(site.path("removed.log")).unwrap();
    let (intake, mut tail) = site.open();
    look_often(&intake, &mut tail);
    let mut told = losses(&intake);
    told.sort();
    let expected = [("removed.log", "23"), ("rewritten.log", "25"), ("truncated.log", "25")];
    assert_eq!(told, expected.map(|(name, offset)| (name.to_owned(), offset.to_owned())));
    let events = intake.pipeline().store().scan(EventId(1), 100).unwrap();
    let count = |raw: &str| events.iter().filter(|stored| stored.event.raw == raw.as_bytes()).count();
    assert_eq!(
        (count("new"), count("other lines"), count("three"), count("one of renamed.log")),
        (1, 1, 1, 1)
    );
    // Told once.
    tail.save();
    drop((intake, tail));
    let (intake, mut tail) = site.open();
    look_often(&intake, &mut tail);
    assert_eq!(losses(&intake).len(), 3);
}

#[test]
fn a_copy_made_while_nobody_looked_is_read_from_where_the_original_was() {
    let site = site();
    site.write("a.log", "one\ntwo\n");
    {
        let (intake, mut tail) = site.open();
        look_often(&intake, &mut tail);
        tail.save();
    }
    site.write("a.log", "three\n");
    std::fs::copy(site.path("a.log"), site.path("a.log.1")).unwrap();
    fs_err::write(site.path("a.log"), "four\n").unwrap();
    let (intake, mut tail) = site.open();
    look_often(&intake, &mut tail);
    assert_eq!(losses(&intake), []);
    let events = intake.pipeline().store().scan(EventId(1), 100).unwrap();
    let mut raws: Vec<_> = events.iter().map(|stored| stored.event.raw.clone()).collect();
    raws.sort();
    assert_eq!(raws, [b"four".as_slice(), b"one", b"three", b"two"]);
}
