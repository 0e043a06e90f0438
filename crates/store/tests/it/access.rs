use super::*;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

const CHILD_DIR: &str = "CASEMATE_STORE_READ_ONLY_DIR";
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
