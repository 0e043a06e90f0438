use super::*;
use crate::{Credential, FILE_NAME, PeerId, Role};
use tempfile::TempDir;

const GOOD: &str = "tide table 1987";

fn place() -> (TempDir, Access, Sessions) {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path().join(FILE_NAME)).unwrap();
    access.add_user("ann", Role::Analyst, GOOD).unwrap();
    (dir, access, Sessions::default())
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap()
}

fn log_in(access: &Access, now: Timestamp) -> Principal {
    access.authenticate(Credential::Password { user: "ann", password: GOOD }, "x", now).unwrap()
}

#[test]
fn begun_found_and_ended() {
    let (_dir, access, sessions) = place();
    let principal = log_in(&access, at(0));
    let cookie = sessions.begin(&access, &principal, at(0)).unwrap();
    assert_eq!(cookie.len(), 64);
    assert_ne!(sessions.begin(&access, &principal, at(0)).unwrap(), cookie);
    assert_eq!(sessions.find(&access, &cookie, at(1)), Some(principal.clone()));
    for wrong in ["", "0", &cookie[1..], &cookie.to_uppercase(), &format!("{cookie}0"), "\u{1f980}"] {
        assert_eq!(sessions.find(&access, wrong, at(1)), None, "{wrong}");
    }
    assert_eq!(sessions.end(&cookie), Some(principal));
    assert_eq!(sessions.find(&access, &cookie, at(1)), None);
    assert_eq!(sessions.end(&cookie), None);
    assert_eq!(sessions.len(), 1);
}

#[test]
fn unused_for_half_an_hour_or_used_for_twelve() {
    let (_dir, access, sessions) = place();
    let principal = log_in(&access, at(0));
    let idle = sessions.begin(&access, &principal, at(0)).unwrap();
    let busy = sessions.begin(&access, &principal, at(0)).unwrap();
    for minute in (0..12 * 60).step_by(29) {
        assert!(sessions.find(&access, &busy, at(minute)).is_some(), "{minute}");
    }
    assert_eq!(sessions.find(&access, &idle, at(30)), None);
    assert!(sessions.find(&access, &busy, at(12 * 60 - 1)).is_some());
    assert_eq!(sessions.find(&access, &busy, at(12 * 60)), None);
    assert!(sessions.is_empty());
}

#[test]
fn looking_whether_it_goes_on_is_no_use_of_it() {
    let (_dir, access, sessions) = place();
    let principal = log_in(&access, at(0));
    let cookie = sessions.begin(&access, &principal, at(0)).unwrap();
    assert_eq!(sessions.look(&access, &cookie, at(29)), Some(principal));
    assert_eq!(sessions.look(&access, &cookie, at(30)), None);
    assert!(sessions.is_empty());
}

#[test]
fn a_clock_set_back_stretches_no_session() {
    let (_dir, access, sessions) = place();
    let cookie = sessions.begin(&access, &log_in(&access, at(0)), at(0)).unwrap();
    assert!(sessions.find(&access, &cookie, at(-10)).is_some());
    assert_eq!(sessions.find(&access, &cookie, at(-30)), None);
}

#[test]
fn every_change_of_the_user_ends_it() {
    type Change = fn(&Access) -> Result<crate::User>;
    let changes: [(&str, Change); 5] = [
        ("password", |access| access.set_password("ann", "eleven grey herons")),
        ("role", |access| access.set_role("ann", Role::Viewer)),
        ("masking", |access| access.set_redacted("ann", true)),
        ("disabled", |access| access.set_disabled("ann", true)),
        ("removed", |access| access.remove_user("ann")),
    ];
    for (what, change) in changes {
        let (_dir, access, sessions) = place();
        access.add_user("bob", Role::Viewer, GOOD).unwrap();
        let cookie = sessions.begin(&access, &log_in(&access, at(0)), at(0)).unwrap();
        access.set_role("bob", Role::Auditor).unwrap();
        assert!(sessions.find(&access, &cookie, at(1)).is_some(), "{what}: somebody else's change");
        change(&access).unwrap();
        assert_eq!(sessions.find(&access, &cookie, at(1)), None, "{what}");
        assert!(sessions.is_empty(), "{what}");
    }
    // A user of the same name is another one, with the same password too.
    let (_dir, access, sessions) = place();
    let cookie = sessions.begin(&access, &log_in(&access, at(0)), at(0)).unwrap();
    access.remove_user("ann").unwrap();
    access.add_user("ann", Role::Analyst, GOOD).unwrap();
    assert_eq!(sessions.find(&access, &cookie, at(1)), None);
}

#[test]
fn what_let_others_in_ends_theirs() {
    let (_dir, access, sessions) = place();
    let expires = Timestamp::now() + SignedDuration::from_mins(10);
    let made = access.create_token("t", Role::Viewer.scopes(), Some(expires), true).unwrap();
    access.add_certificate("plc", Role::Viewer, false, b"der").unwrap();
    access.add_peer("ops", PeerId::Uid(7), Role::Viewer, true).unwrap();
    let now = Timestamp::now();
    let begin = |credential| {
        let principal = access.authenticate(credential, "x", now).unwrap();
        sessions.begin(&access, &principal, now).unwrap()
    };
    let by_token = begin(Credential::Token(&made.secret));
    let second = begin(Credential::Token(&made.secret));
    let by_certificate = begin(Credential::Certificate(b"der"));
    let by_peer = begin(Credential::Peer { uid: 7, gid: 7, groups: &[] });
    let by_nothing = sessions.begin(&access, &Principal::local("loopback"), now).unwrap();
    let goes_on = |cookie: &str, now| sessions.find(&access, cookie, now).is_some();
    for cookie in [&by_token, &second, &by_certificate, &by_peer, &by_nothing] {
        assert!(goes_on(cookie, now));
    }
    assert!(!goes_on(&second, expires), "the token's own end");
    access.revoke_token("t").unwrap();
    assert!(!goes_on(&by_token, now));
    access.remove_certificate("plc").unwrap();
    assert!(!goes_on(&by_certificate, now));
    access.remove_peer("ops").unwrap();
    assert!(!goes_on(&by_peer, now));
    assert!(goes_on(&by_nothing, now));
}

#[test]
fn a_file_that_cannot_be_read_lets_nobody_in_and_logs_nobody_out() {
    let (_dir, access, sessions) = place();
    let cookie = sessions.begin(&access, &log_in(&access, at(0)), at(0)).unwrap();
    let aside = access.path().with_extension("aside");
    fs_err::rename(access.path(), &aside).unwrap();
    access.reload().unwrap_err();
    assert_eq!(sessions.find(&access, &cookie, at(1)), None);
    fs_err::rename(&aside, access.path()).unwrap();
    access.reload().unwrap();
    assert!(sessions.find(&access, &cookie, at(1)).is_some());
}

#[test]
fn the_longest_unused_go_first() {
    let (_dir, access, sessions) = place();
    let ann = log_in(&access, at(0));
    let begin = |name: &str, second: i64| {
        let now = at(0) + SignedDuration::from_millis(second);
        sessions.begin(&access, &Principal::local(name), now).unwrap()
    };
    let first = sessions.begin(&access, &ann, at(0)).unwrap();
    let mut own: Vec<_> = (0..MAX_OF_ONE).map(|_| sessions.begin(&access, &ann, at(1)).unwrap()).collect();
    assert_eq!(sessions.find(&access, &first, at(1)), None);
    assert!(own.iter().all(|cookie| sessions.find(&access, cookie, at(1)).is_some()));
    own.iter().for_each(|cookie| assert!(sessions.end(cookie).is_some()));
    own.clear();

    let oldest = begin("n-0", 0);
    for index in 1..=MAX_SESSIONS {
        begin(&format!("n-{index}"), i64::try_from(index).unwrap());
    }
    assert_eq!(sessions.len(), MAX_SESSIONS);
    assert_eq!(sessions.find(&access, &oldest, at(0)), None);
}
