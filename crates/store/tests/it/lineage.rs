use super::*;
use casemate_event::{EventId, Stored};

/// An event of a process on WS1: at a second, with further fields.
fn at(second: u64, activity: &str, fields: &[(&str, &str)]) -> Event {
    let common = [(field::DEVICE_HOSTNAME, "WS1.lab.test"), (field::ACTIVITY, activity)];
    let class = if activity == "Launch" { Class::ProcessActivity } else { Class::FileSystemActivity };
    Event { class, fields: common.iter().chain(fields).copied().collect(), ..event(second) }
}

fn chain(store: &Store, id: u64) -> Vec<u64> {
    let stored: Stored = store.get(EventId(id)).unwrap().unwrap();
    store.ancestors(&stored, 8).unwrap().iter().map(|stored| stored.id.0).collect()
}

#[test]
fn processes_are_followed_by_unique_id_and_by_process_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let launch = |second, fields: &[(&str, &str)]| at(second, "Launch", fields);
    let events = vec![
        // Process id 10 is used twice, and again after the child was started.
        launch(1, &[(field::PROCESS_PID, "10"), (field::PROCESS_NAME, "old.exe")]),
        launch(
            2,
            &[
                (field::PROCESS_PID, "10"),
                (field::PROCESS_NAME, "shell.exe"),
                (field::PARENT_PROCESS_PID, "4"),
            ],
        ),
        launch(
            3,
            &[
                (field::PROCESS_UID, "{AB-1}"),
                (field::PROCESS_PID, "20"),
                (field::PARENT_PROCESS_PID, "10"),
                (field::PARENT_PROCESS_NAME, "Shell.exe"),
            ],
        ),
        launch(
            4,
            &[
                (field::PROCESS_UID, "{AB-2}"),
                (field::PROCESS_PID, "30"),
                (field::PARENT_PROCESS_UID, "{ab-1}"),
                (field::PARENT_PROCESS_PID, "20"),
            ],
        ),
        at(5, "Create", &[(field::ACTOR_PROCESS_UID, "{AB-2}"), (field::ACTOR_PROCESS_PID, "30")]),
        launch(6, &[(field::PROCESS_PID, "10"), (field::PROCESS_NAME, "shell.exe")]),
        Event {
            fields: [
                (field::DEVICE_HOSTNAME, "WS2"),
                (field::ACTIVITY, "Launch"),
                (field::PARENT_PROCESS_PID, "10"),
            ]
            .into_iter()
            .collect(),
            ..event(7)
        },
        // A process that says that it started itself.
        launch(8, &[(field::PROCESS_PID, "40"), (field::PARENT_PROCESS_PID, "40")]),
    ];
    store.append(&Batch { events, ..Batch::default() }).unwrap();
    store.refresh().unwrap();
    assert_eq!(chain(&store, 5), [4, 3, 2]);
    assert_eq!(chain(&store, 4), [3, 2]);
    assert_eq!(chain(&store, 2), [] as [u64; 0]);
    assert_eq!(chain(&store, 7), [] as [u64; 0]);
    assert_eq!(chain(&store, 8), [] as [u64; 0]);
    let pivot =
        |text: &str| store.search(&query(text)).unwrap().hits.iter().map(|hit| hit.id.0).collect::<Vec<_>>();
    assert_eq!(pivot("process_id:ws1/ab-2"), [4, 5]);
    assert_eq!(pivot("process_id:\"WS1.lab.test/{AB-1}\""), [3, 4]);
    assert_eq!(pivot("process_id:ws1/10"), [1, 2, 3, 6]);
    // Words do not find them.
    assert_eq!(pivot("30"), [] as [u64; 0]);
}
