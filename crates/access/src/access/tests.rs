use super::{LOOK_EVERY, wait_for};
use crate::secret::hex;
use crate::{
    Access, Answer, Credential, Denied, Error, FILE_NAME, Kind, PasswordDenied, PeerId, Principal, Role,
    Scope, Scopes, TokenDenied,
};
use jiff::{SignedDuration, Timestamp};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const GOOD: &str = "tide table 1987";

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    (dir, path)
}

fn fresh() -> (TempDir, Access) {
    let (dir, path) = place();
    (dir, Access::open(path).unwrap())
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn log_in(access: &Access, user: &str, password: &str) -> Result<Principal, Denied> {
    access.authenticate(Credential::Password { user, password }, "127.0.0.1", now())
}

fn show(access: &Access, token: &str) -> Result<Principal, Denied> {
    access.authenticate(Credential::Token(token), "127.0.0.1", now())
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn token(access: &Access, name: &str, role: Role) -> crate::NewToken {
    access.create_token(name, role.scopes(), None, role.redacted()).unwrap()
}

#[test]
fn nobody_is_let_in_at_first_and_nothing_is_written() {
    let (_dir, access) = fresh();
    assert!(access.is_empty());
    assert_eq!(log_in(&access, "admin", "admin"), Err(Denied::Password(PasswordDenied::NoSuchUser)));
    assert_eq!(show(&access, ""), Err(Denied::Token(TokenDenied::Malformed)));
    assert!(access.authenticate(Credential::Certificate(b""), "x", now()).is_err());
    let root = Credential::Peer { uid: 0, gid: 0, groups: &[0] };
    assert_eq!(access.authenticate(root, "x", now()), Err(Denied::Peer(0)));
    assert!(!access.path().exists());
}

#[test]
fn the_first_start_makes_one_token_once() {
    let (dir, access) = fresh();
    let first = access.bootstrap().unwrap().unwrap();
    let principal = show(&access, &first.secret).unwrap();
    assert!(Scope::ALL.iter().all(|scope| principal.scopes.contains(*scope)));
    assert!(!format!("{first:?}").contains(&first.secret));
    assert!(access.bootstrap().unwrap().is_none());
    access.revoke_token(&first.token.id).unwrap();
    assert!(access.bootstrap().unwrap().is_none());
    assert!(Access::open(access.path()).unwrap().bootstrap().unwrap().is_none());

    let other = Access::open(dir.path().join("other.json")).unwrap();
    other.add_user("ann", Role::Admin, GOOD).unwrap();
    assert!(other.bootstrap().unwrap().is_none());
    other.remove_user("ann").unwrap();
    assert!(other.bootstrap().unwrap().is_none());
}

#[test]
fn only_one_of_many_first_starts_makes_a_token() {
    let (_dir, path) = place();
    let made: usize = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Access::open(&path).unwrap().bootstrap().unwrap().map_or(0, |_| 1)))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
    assert_eq!(Access::open(&path).unwrap().tokens().len(), 1);
}

#[test]
fn users_from_beginning_to_end() {
    let (_dir, access) = fresh();
    let user = access.add_user("ann", Role::Viewer, GOOD).unwrap();
    assert!(user.redacted && !user.disabled);
    let principal = log_in(&access, "ann", GOOD).unwrap();
    assert_eq!(principal.to_string(), "user:ann");
    assert!(principal.redacted && principal.scopes == Role::Viewer.scopes() && principal.kind == Kind::User);

    access.set_redacted("ann", false).unwrap();
    assert!(!log_in(&access, "ann", GOOD).unwrap().redacted);
    access.set_role("ann", Role::Engineer).unwrap();
    assert_eq!(log_in(&access, "ann", GOOD).unwrap().scopes, Role::Engineer.scopes());

    access.set_password("ann", "eleven grey herons").unwrap();
    assert_eq!(log_in(&access, "ann", GOOD), Err(Denied::Password(PasswordDenied::Wrong)));
    log_in(&access, "ann", "eleven grey herons").unwrap();

    access.set_disabled("ann", true).unwrap();
    let denied = log_in(&access, "ann", "eleven grey herons");
    assert_eq!(denied, Err(Denied::Password(PasswordDenied::Disabled)));
    access.set_disabled("ann", false).unwrap();
    log_in(&access, "ann", "eleven grey herons").unwrap();

    access.remove_user("ann").unwrap();
    let denied = log_in(&access, "ann", "eleven grey herons").unwrap_err();
    assert_eq!(denied, Denied::Password(PasswordDenied::NoSuchUser));
    assert_eq!(denied.answer(), Answer::Unauthenticated);
}

#[test]
fn changes_that_make_no_sense_are_refused_with_reasons() {
    let (_dir, access) = fresh();
    access.add_user("ann", Role::Viewer, GOOD).unwrap();
    fn check<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    check(access.add_user("ann", Role::Viewer, GOOD), "already");
    check(access.add_user("Ann", Role::Viewer, GOOD), "cannot be a name");
    check(access.add_user("", Role::Viewer, GOOD), "cannot be a name");
    check(access.add_user(&"a".repeat(65), Role::Viewer, GOOD), "cannot be a name");
    check(access.add_user("../etc", Role::Viewer, GOOD), "cannot be a name");
    check(access.add_user("bob", Role::Viewer, "casemate"), "too short");
    check(access.set_password("ann", "short"), "too short");
    check(access.set_password("bob", GOOD), "no user \"bob\"");
    check(access.set_role("bob", Role::Admin), "no user");
    check(access.remove_user("bob"), "no user");
    check(access.revoke_token("bob"), "no token");
    check(access.create_token("t", Scopes::NONE, None, false), "could do nothing");
    check(access.create_token("t", Role::Sensor.scopes(), Some(later(-1)), false), "expired already");
    token(&access, "t", Role::Sensor);
    check(access.create_token("t", Role::Sensor.scopes(), None, false), "already");
    access.add_certificate("plc", Role::Sensor, false, b"der").unwrap();
    check(access.add_certificate("plc2", Role::Admin, false, b"der"), "certificate \"plc\" already");
    check(access.add_certificate("plc", Role::Admin, false, b"other"), "already");
    check(access.remove_certificate("none"), "no certificate");
    access.add_peer("ops", PeerId::Gid(100), Role::Analyst, false).unwrap();
    check(access.add_peer("ops2", PeerId::Gid(100), Role::Admin, false), "peer \"ops\" already");
    check(access.add_peer("Ops", PeerId::Gid(101), Role::Admin, false), "cannot be a name");
    check(access.remove_peer("none"), "no peer");
    assert_eq!(access.users().len() + access.tokens().len() + access.peers().len(), 3);
}

#[test]
fn a_user_that_does_not_exist_costs_a_verification() {
    let (_dir, access) = fresh();
    access.add_user("ann", Role::Viewer, GOOD).unwrap();
    for (user, expected) in [("ann", 1), ("bob", 2), ("nobody.here@site", 3)] {
        log_in(&access, user, "a wrong password").unwrap_err();
        assert_eq!(access.verifications(), expected, "{user}");
    }
}

#[test]
fn tokens_from_beginning_to_end() {
    let (_dir, access) = fresh();
    let made = token(&access, "siem", Role::Sensor);
    let principal = show(&access, &made.secret).unwrap();
    assert_eq!((principal.to_string().as_str(), principal.scopes), ("token:siem", Role::Sensor.scopes()));
    let file = fs_err::read_to_string(access.path()).unwrap();
    assert!(file.contains(&made.token.id) && !file.contains(&made.secret[20..40]));

    // Let in once, it is compared with its digest from then on.
    for _ in 0..50 {
        show(&access, &made.secret).unwrap();
    }
    assert_eq!(access.verifications(), 1);
    assert!(access.tokens()[0].last_used.is_some());

    let mut wrong = made.secret.clone();
    wrong.replace_range(40..41, if &made.secret[40..41] == "0" { "1" } else { "0" });
    assert_eq!(show(&access, &wrong), Err(Denied::Token(TokenDenied::Malformed)));
    assert_eq!(show(&access, &with_checksum(&wrong)), Err(Denied::Token(TokenDenied::Wrong)));
    assert_eq!(access.verifications(), 1);

    access.revoke_token("siem").unwrap();
    assert_eq!(show(&access, &made.secret), Err(Denied::Token(TokenDenied::Unknown)));
    let again = token(&access, "siem", Role::Sensor);
    show(&access, &again.secret).unwrap();
    assert_eq!(show(&access, &made.secret), Err(Denied::Token(TokenDenied::Unknown)));
}

/// The token with a checksum that fits.
fn with_checksum(token: &str) -> String {
    let body = &token[..token.len() - 8];
    format!("{body}{:08x}", crc32fast::hash(body.as_bytes()))
}

#[test]
fn a_wrong_secret_for_an_unseen_id_is_verified_and_slowed() {
    let (_dir, access) = fresh();
    let made = token(&access, "siem", Role::Sensor);
    let wrong = with_checksum(&made.secret.replace(&made.secret[17..27], "0123456789"));
    let mut outcomes = Vec::new();
    for _ in 0..13 {
        outcomes.push(show(&access, &wrong).unwrap_err());
    }
    assert_eq!(outcomes[0], Denied::Token(TokenDenied::Wrong));
    assert!(matches!(outcomes[12].answer(), Answer::Throttled { .. }), "{:?}", outcomes[12]);
    assert!(access.verifications() < 13);
    // Its holder comes from elsewhere and is let in; and then from anywhere.
    access.authenticate(Credential::Token(&made.secret), "10.0.0.9", now()).unwrap();
    show(&access, &made.secret).unwrap();
}

#[test]
fn expiry_holds_for_tokens_that_were_let_in() {
    let (_dir, access) = fresh();
    let made = access.create_token("short", Role::Sensor.scopes(), Some(later(60)), false).unwrap();
    let at = |seconds| access.authenticate(Credential::Token(&made.secret), "x", later(seconds));
    assert_eq!(at(0).unwrap().until, made.token.expires);
    assert_eq!(at(61), Err(Denied::Token(TokenDenied::Expired)));
    at(0).unwrap();
}

#[test]
fn many_requests_with_a_new_token_hash_it_once() {
    let (_dir, access) = fresh();
    let made = token(&access, "siem", Role::Sensor);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| show(&access, &made.secret).unwrap());
        }
    });
    assert_eq!(access.verifications(), 1);
}

#[test]
fn last_use_is_written_seldom() {
    let (_dir, access) = fresh();
    let made = token(&access, "siem", Role::Sensor);
    let written = || Access::open(access.path()).unwrap().tokens()[0].last_used;
    access.write_last_used().unwrap();
    assert_eq!(written(), None);
    let use_at = |at| access.authenticate(Credential::Token(&made.secret), "x", at).unwrap();
    let (first, soon, late) = (later(0), later(600), later(4000));
    use_at(first);
    access.write_last_used().unwrap();
    assert_eq!(written(), Some(first));
    use_at(soon);
    access.write_last_used().unwrap();
    assert_eq!(written(), Some(first));
    use_at(late);
    access.write_last_used().unwrap();
    assert_eq!(written(), Some(late));
}

#[test]
fn guesses_are_slowed_and_a_correct_login_resets() {
    let (_dir, access) = fresh();
    access.add_user("ann", Role::Viewer, GOOD).unwrap();
    let at = |password, seconds| {
        let credential = Credential::Password { user: "ann", password };
        access.authenticate(credential, &format!("10.0.0.{seconds}"), later(seconds))
    };
    for second in 0..6 {
        assert_eq!(at("guess number one", second), Err(Denied::Password(PasswordDenied::Wrong)));
    }
    let before = access.verifications();
    let denied = at(GOOD, 5).unwrap_err();
    assert!(
        matches!(denied.answer(), Answer::Throttled { retry_after } if !retry_after.is_zero()),
        "{denied}"
    );
    assert_eq!(access.verifications(), before, "a throttled attempt is not looked at");
    at(GOOD, 100).unwrap();
    at("guess number one", 101).unwrap_err();
    at(GOOD, 101).unwrap();
}

#[test]
fn certificates_and_peers_are_let_in_by_entry_alone() {
    let (_dir, access) = fresh();
    access.add_certificate("plc-7", Role::Sensor, false, b"der of plc 7").unwrap();
    let certificate = |der: &[u8]| access.authenticate(Credential::Certificate(der), "x", now());
    assert_eq!(certificate(b"der of plc 7").unwrap().to_string(), "certificate:plc-7");
    let shown = hex(&crate::secret::sha256(b"other"));
    assert_eq!(certificate(b"other"), Err(Denied::Certificate(shown)));
    access.remove_certificate("plc-7").unwrap();
    certificate(b"der of plc 7").unwrap_err();

    access.add_peer("ann", PeerId::Uid(1000), Role::Viewer, true).unwrap();
    access.add_peer("soc", PeerId::Gid(500), Role::Analyst, false).unwrap();
    access.add_peer("audit", PeerId::Gid(501), Role::Auditor, false).unwrap();
    let peer = |uid, gid, groups: &[u32]| {
        access.authenticate(Credential::Peer { uid, gid, groups }, "socket", now())
    };
    let own = peer(1000, 500, &[500]).unwrap();
    assert_eq!((own.to_string().as_str(), own.scopes), ("peer:ann", Role::Viewer.scopes()));
    let member = peer(1001, 100, &[500, 501]).unwrap();
    assert_eq!((member.to_string().as_str(), member.redacted), ("peer:uid:1001", false));
    assert!(member.scopes.contains(Scope::Audit) && member.scopes.contains(Scope::Investigate));
    assert_eq!(peer(1001, 500, &[]).unwrap().scopes, Role::Analyst.scopes());
    assert_eq!(peer(0, 0, &[0]), Err(Denied::Peer(0)));
    access.remove_peer("soc").unwrap();
    peer(1001, 500, &[]).unwrap_err();
}

#[test]
fn the_file_is_private_from_the_first_byte_and_no_other_is_read() {
    let (_dir, access) = fresh();
    access.add_user("ann", Role::Viewer, GOOD).unwrap();
    assert_eq!(mode(access.path()), 0o600);
    assert_eq!(mode(&access.path().with_extension("lock")), 0o600);
    for bits in [0o640, 0o604, 0o620, 0o666] {
        fs_err::set_permissions(access.path(), PermissionsExt::from_mode(bits)).unwrap();
        let error = Access::open(access.path()).unwrap_err();
        assert!(matches!(error, Error::Exposed { mode, .. } if mode == bits), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        access.reload().unwrap_err();
        let denied = log_in(&access, "ann", GOOD).unwrap_err();
        assert_eq!(denied.answer(), Answer::Unavailable, "{denied}");
    }
    fs_err::set_permissions(access.path(), PermissionsExt::from_mode(0o600)).unwrap();
    access.reload().unwrap();
    assert!(access.problems().is_empty());
    log_in(&access, "ann", GOOD).unwrap();
}

#[test]
fn a_file_that_is_damaged_or_gone_lets_nobody_in_until_it_is_back() {
    let (_dir, access) = fresh();
    access.add_user("ann", Role::Viewer, GOOD).unwrap();
    let good = fs_err::read_to_string(access.path()).unwrap();
    let put = |text: &str| {
        casemate_disk::write_private(access.path(), |out| out.write_all(text.as_bytes())).unwrap();
        access.reload()
    };
    let newer = put(&good.replace("\"version\": 1", "\"version\": 2")).unwrap_err();
    assert!(matches!(newer, Error::Newer { found: 2, supported: 1, .. }), "{newer}");
    for (from, to) in [
        ("\"version\": 1", "\"version\": 0"),
        ("\"disabled\": false", "\"disabled\": false, \"colour\": 1"),
        ("\"viewer\"", "\"root\""),
        ("\"ann\"", "\"Ann Lee\""),
        ("argon2id$v=19$m=19456", "argon2id$v=19$m=99999999"),
        ("\"tokens\": []", "\"tokens\": [{}]"),
        ("}", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let error = put(&good.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{to}: {error}");
        assert_eq!(log_in(&access, "ann", GOOD).unwrap_err().answer(), Answer::Unavailable);
        assert_eq!(access.problems(), [error.to_string()]);
        access.add_user("bob", Role::Viewer, GOOD).unwrap_err();
    }
    fs_err::remove_file(access.path()).unwrap();
    assert!(matches!(access.reload(), Err(Error::Gone { .. })));
    assert!(matches!(access.set_role("ann", Role::Admin), Err(Error::Gone { .. })));
    assert_eq!(log_in(&access, "ann", GOOD).unwrap_err().answer(), Answer::Unavailable);
    put(&good).unwrap();
    log_in(&access, "ann", GOOD).unwrap();
}

#[test]
fn a_change_by_another_process_is_seen() {
    let (_dir, server) = fresh();
    let command_line = Access::open(server.path()).unwrap();
    let made = token(&command_line, "siem", Role::Sensor);
    server.reload().unwrap();
    show(&server, &made.secret).unwrap();
    command_line.revoke_token("siem").unwrap();
    server.reload().unwrap();
    assert_eq!(show(&server, &made.secret), Err(Denied::Token(TokenDenied::Unknown)));
    // Both may write: each begins with what the other wrote.
    server.add_user("ann", Role::Viewer, GOOD).unwrap();
    command_line.add_user("bob", Role::Viewer, GOOD).unwrap();
    server.reload().unwrap();
    assert_eq!(server.users().len(), 2);
}

/// Nothing but requests makes the server look, and it looks twice a second.
#[test]
fn a_revocation_holds_by_the_next_look() {
    let (_dir, server) = fresh();
    let made = token(&server, "siem", Role::Sensor);
    show(&server, &made.secret).unwrap();
    Access::open(server.path()).unwrap().revoke_token("siem").unwrap();
    *server.looked.lock().unwrap() = Instant::now();
    show(&server, &made.secret).unwrap();
    let since = Instant::now().checked_sub(LOOK_EVERY).unwrap();
    *server.looked.lock().unwrap() = since;
    assert_eq!(show(&server, &made.secret), Err(Denied::Token(TokenDenied::Unknown)));
}

#[test]
fn writers_and_a_reader_at_once_lose_nothing() {
    let (_dir, server) = fresh();
    let kept = token(&server, "kept", Role::Sensor);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let path = server.path();
                scope.spawn(move || {
                    let access = Access::open(path).unwrap();
                    for round in 0..8 {
                        let name = format!("t-{writer}-{round}");
                        let made = token(&access, &name, Role::Sensor);
                        if round % 2 == 0 {
                            access.revoke_token(&made.token.id).unwrap();
                        }
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            server.reload().unwrap();
            show(&server, &kept.secret).unwrap();
        }
    });
    server.reload().unwrap();
    assert_eq!(server.tokens().len(), 1 + 3 * 4);
}

#[test]
fn a_lock_that_another_holds_is_named() {
    let (_dir, access) = fresh();
    let path = access.path().with_extension("lock");
    let held = casemate_disk::open_private(&path).unwrap();
    held.file().lock().unwrap();
    let ours = casemate_disk::open_private(&path).unwrap();
    let error = wait_for(&ours, &path, Duration::ZERO).unwrap_err();
    assert!(matches!(&error, Error::Busy { .. }) && error.to_string().contains("access.lock"), "{error}");
    drop(held);
    wait_for(&ours, &path, Duration::ZERO).unwrap();
}

proptest::proptest! {
    /// Whatever the bytes, reading them ends in an error or in something that can be written and read again.
    #[test]
    fn hostile_files_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        proptest::prop_assert!(crate::file::Contents::parse(&bytes, Path::new("f")).is_err());
    }

    #[test]
    fn damaged_files_never_panic(cut in 0..SAMPLE.len(), at in 0..SAMPLE.len(), byte: u8) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(contents) = crate::file::Contents::parse(&bytes, Path::new("f")) {
            let written = serde_json::to_vec(&contents).unwrap();
            proptest::prop_assert_eq!(crate::file::Contents::parse(&written, Path::new("f")).unwrap(), contents);
        }
        proptest::prop_assert!(crate::file::Contents::parse(&SAMPLE.as_bytes()[..cut], Path::new("f")).is_err());
    }
}

/// One entry of each kind, as version 1 writes them; stays here for good.
const SAMPLE: &str = r#"{"version":1,"started":"2026-11-01T00:00:00Z",
"users":[{"name":"ann","role":"admin","redacted":false,"disabled":false,"created":"2026-11-01T00:00:00Z","changed":"2026-11-01T00:00:00Z","hash":"$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$bm8gcGFzc3dvcmQgaGFzaGVzIHRvIHRoaXMgdGV4dCE"}],
"tokens":[{"id":"0123456789ab","name":"siem","scopes":["ingest"],"redacted":false,"created":"2026-11-01T00:00:00Z","expires":null,"last_used":null,"hash":"$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$bm8gcGFzc3dvcmQgaGFzaGVzIHRvIHRoaXMgdGV4dCE"}],
"certificates":[{"name":"plc","sha256":"0000000000000000000000000000000000000000000000000000000000000000","role":"sensor","redacted":false}],
"peers":[{"name":"ops","who":{"gid":100},"role":"analyst","redacted":false}],
"oidc":{"issuer":"https://idp.site","audience":"casemate","keys":"idp.json","name_claim":"sub","roles_claim":"groups","roles":{"soc":"analyst"},"leeway_s":30}}"#;

#[test]
fn version_1_is_read() {
    let contents = crate::file::Contents::parse(SAMPLE.as_bytes(), Path::new("f")).unwrap();
    assert_eq!(contents.peers[0].who, PeerId::Gid(100));
    assert_eq!(contents.oidc.unwrap().roles["soc"], Role::Analyst);
}
