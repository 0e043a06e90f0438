use super::*;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

const CHILD_DIR: &str = "CASEMATE_STORE_READ_ONLY_DIR";
const FULL_DIR: &str = "CASEMATE_STORE_FULL_DIR";
const NOBODY: u32 = 65534;

#[test]
fn second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(store);
    open(dir.path());
}

/// Not a test by itself: what the child runs, as a user whom permissions bind.
#[test]
fn child_opens_read_only() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let error = Store::open(Path::new(&dir)).err().unwrap().to_string();
    assert!(error.contains("cannot be written") && error.contains("read-only"), "{error}");
}

#[test]
fn read_only_directory_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let data = dir.path().join("store");
    fs_err::set_permissions(&data, PermissionsExt::from_mode(0o555)).unwrap();
    fs_err::set_permissions(data.join("LOCK"), PermissionsExt::from_mode(0o444)).unwrap();
    fs_err::set_permissions(dir.path(), PermissionsExt::from_mode(0o555)).unwrap();
    // The child may not reach a binary under another user's directories, so it gets one it can.
    let binary = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let program = binary.path().join("it");
    fs_err::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(program);
    child.args(["--exact", "access::child_opens_read_only"]).env(CHILD_DIR, dir.path());
    let we_are_bound = fs_err::write(dir.path().join("probe"), b"").is_err();
    if !we_are_bound {
        // Permissions do not bind root.
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    fs_err::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs_err::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_file_in_place_of_the_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("store"), b"").unwrap();
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("store"), "{error}");
}

/// A batch of one event of about 300 kB that does not compress.
fn fat_batch(n: u64) -> Batch {
    let mut state = n;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let events = vec![Event { raw: (0..300_000).map(|_| noise()).collect(), ..event(n) }];
    Batch { events, ..Batch::default() }
}

/// Not a test by itself: what the child runs, under a limit on the size of files.
#[test]
fn child_fills_the_log() {
    let Some(dir) = std::env::var_os(FULL_DIR) else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let mut stored = 0;
    let error = loop {
        assert!(stored < 1000, "the limit on file size does not bind");
        match store.append(&fat_batch(stored)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    let message = error.to_string();
    assert!(matches!(error, casemate_store::Error::Append { .. }), "{message}");
    assert!(
        message.contains("nothing of the batch was stored") && message.contains("00000001.log"),
        "{message}"
    );
    assert_eq!(all(&store).len() as u64, stored);
    // What still fits is taken, and numbered as if nothing had happened.
    assert_eq!(store.append(&batch(stored..stored + 1)).unwrap(), stored + 1..stored + 2);
    println!("stored {}", stored + 1);
}

#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Ignoring the signal makes the write fail with an error, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$0\" --exact access::child_fills_the_log --nocapture";
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(std::env::current_exe().unwrap()).env(FULL_DIR, dir.path());
    let output = child.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    let stored: usize =
        out.split("stored ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let store = open(dir.path());
    assert_eq!(all(&store).len(), stored);
    assert_eq!(store.search(&query("")).unwrap().total, stored as u64);
    store.append(&fat_batch(0)).unwrap();
}
