//! What do the programs behind syslog say? sshd, sudo, su, cron, PAM and the account tools.
//!
//! Patterns follow the format strings in the programs' sources. What is not recognised stays a message.

use super::Draft;
use crate::text::{base_name, ip};
use casemate_event::{Class, field};

/// Adds what `text`, written by `program`, is known to say.
pub(crate) fn add_content(draft: &mut Draft, program: &str, text: &str) {
    let program = base_name(program);
    // "message repeated 2 times: [ Failed password … ]" says what the message says.
    let repeated = text.strip_prefix("message repeated ").and_then(|rest| rest.split_once("times: [ "));
    let text = repeated.map_or(text, |(_, inner)| inner.trim_end_matches(']').trim());
    if let Some(rest) = text.strip_prefix("pam_") {
        pam(draft, rest);
        return;
    }
    match program {
        "sshd" | "sshd-session" | "sshd-auth" => sshd(draft, text),
        "sudo" => sudo(draft, text),
        "su" => su(draft, text),
        "cron" | "CRON" | "crond" | "CROND" | "anacron" => cron(draft, text),
        "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" | "passwd" | "chpasswd" | "gpasswd" => {
            account(draft, program, text);
        }
        "systemd-logind" => logind(draft, text),
        _ => {}
    }
}

fn outcome(draft: &mut Draft, class: Class, activity: &str, status: &str) {
    draft.class = class;
    draft.set(field::ACTIVITY, activity);
    draft.set(field::STATUS, status);
}

/// Text between `before` and `after`; to the end where `after` does not follow.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after).map_or(rest, |(value, _)| value))
}

fn word_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_ascii_whitespace().next()
}

/// ` from ADDRESS port PORT`, of the last `from`: a user name may contain the word.
fn remote(draft: &mut Draft, text: &str) {
    let Some((_, rest)) = text.rsplit_once("from ").or_else(|| text.rsplit_once(" by ")) else { return };
    let mut words = rest.split_ascii_whitespace();
    let Some(address) = words.next() else { return };
    match ip(address) {
        Some(address) => draft.fields.set(field::SRC_IP, address),
        None => draft.set(field::SRC_HOSTNAME, address),
    }
    if words.next() == Some("port")
        && let Some(port) = words.next()
    {
        draft.set(field::SRC_PORT, port.trim_end_matches(|c: char| !c.is_ascii_digit()));
    }
}

fn sshd(draft: &mut Draft, text: &str) {
    draft.set(field::PROTOCOL, "ssh");
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    match verb {
        "Accepted" | "Failed" | "Postponed" if rest.contains(" for ") => {
            let status = match verb {
                "Accepted" => "Success",
                "Failed" => "Failure",
                _ => "",
            };
            outcome(draft, Class::Authentication, "Logon", status);
            let (method, rest) = rest.split_once(" for ").unwrap_or(("", rest));
            draft.native.set("auth_method", method);
            let (user, unknown) = match rest.strip_prefix("invalid user ") {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let user = user.rsplit_once(" from ").map_or(user, |(user, _)| user);
            draft.set(field::USER, user);
            if unknown {
                draft.set(field::STATUS_DETAIL, "invalid user");
            }
            remote(draft, rest);
        }
        "Invalid" | "Illegal" if rest.starts_with("user") => {
            outcome(draft, Class::Authentication, "Logon", "Failure");
            draft.set(field::STATUS_DETAIL, "invalid user");
            let user = rest.trim_start_matches("user").trim_start();
            let user = user.rsplit_once("from ").map_or(user, |(user, _)| user.trim_end());
            draft.set(field::USER, user);
            remote(draft, rest);
        }
        "Disconnected" | "Disconnecting" | "Connection" | "Received" | "Did" | "Unable" | "Bad"
        | "banner" => {
            outcome(
                draft,
                Class::NetworkActivity,
                if verb == "Connection" && rest.starts_with("from") { "Open" } else { "Close" },
                "",
            );
            ssh_peer(draft, text);
        }
        "User" if rest.contains(" not allowed because ") => {
            outcome(draft, Class::Authentication, "Logon", "Failure");
            let (who, why) = rest.split_once(" not allowed because ").unwrap_or((rest, ""));
            draft.set(field::USER, who.split(" from ").next().unwrap_or(who));
            draft.set(field::STATUS_DETAIL, why);
            remote(draft, who);
        }
        "error:" | "fatal:" if rest.contains("authentication attempts exceeded") => {
            outcome(draft, Class::Authentication, "Logon", "Failure");
            draft.set(field::STATUS_DETAIL, "maximum authentication attempts exceeded");
            ssh_peer(draft, text);
            let user = between(text, " for ", " from ").unwrap_or_default();
            draft.set(field::USER, user.trim_start_matches("invalid user "));
        }
        _ if text.contains("authentication failure") && text.contains("rhost=") => pam_pairs(draft, text),
        _ if text.contains("POSSIBLE BREAK-IN ATTEMPT") => {
            if let Some(address) = between(text, "[", "]").and_then(ip) {
                draft.fields.set(field::SRC_IP, address);
            }
        }
        _ => {}
    }
}

/// `… [by|from] [authenticating user U|invalid user U] ADDRESS port PORT`
fn ssh_peer(draft: &mut Draft, text: &str) {
    for mark in ["authenticating user ", "invalid user ", "Disconnected from user "] {
        if let Some(user) = word_after(text, mark) {
            draft.set(field::USER, user);
        }
    }
    let mut before = "";
    for word in text.split_ascii_whitespace() {
        let word = word.trim_end_matches([':', ',']);
        if before == "port" {
            draft.set(field::SRC_PORT, word.split(':').next().unwrap_or(word));
            break;
        }
        if let Some(address) = ip(word) {
            draft.fields.set(field::SRC_IP, address);
        }
        before = word;
    }
}

/// `user : [why ;] TTY=… ; PWD=… ; USER=… ; COMMAND=…`
fn sudo(draft: &mut Draft, text: &str) {
    let Some((user, rest)) = text.split_once(" : ") else { return };
    let Some((head, command)) = rest.split_once("COMMAND=") else { return };
    draft.set(field::ACTOR_USER, user.trim());
    let mut why = "";
    for part in head.split(" ; ") {
        let part = part.trim().trim_end_matches(';').trim();
        match part.split_once('=') {
            Some(("USER", target)) => draft.set(field::USER, target),
            Some((name @ ("TTY" | "PWD" | "TSID" | "GROUP"), value)) => draft.native.set(name, value),
            _ if !part.is_empty() => why = part,
            _ => {}
        }
    }
    let denied = !why.is_empty();
    outcome(draft, Class::ProcessActivity, "Launch", if denied { "Failure" } else { "Success" });
    draft.set(field::STATUS_DETAIL, why);
    draft.native.set("COMMAND", command);
    launched(draft, command);
}

/// A command line that was run.
fn launched(draft: &mut Draft, command: &str) {
    let command = command.trim();
    draft.set(field::PROCESS_CMD_LINE, command);
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    if program.starts_with('/') {
        draft.set(field::PROCESS_PATH, program);
    } else {
        draft.set(field::PROCESS_NAME, program.trim_matches(['(', ')', '[', ']']));
    }
}

fn su(draft: &mut Draft, text: &str) {
    if let Some((target, rest)) = text.strip_prefix("'su ").and_then(|rest| rest.split_once("' ")) {
        let failed = rest.starts_with("failed");
        outcome(draft, Class::Authentication, "Logon", if failed { "Failure" } else { "Success" });
        draft.set(field::USER, target);
        draft.set(field::ACTOR_USER, between(rest, "for ", " on ").unwrap_or_default());
    } else if let Some((head, rest)) = text.split_once("(to ")
        && let Some((target, rest)) = rest.split_once(") ")
    {
        let failed = head.contains("FAILED");
        outcome(draft, Class::Authentication, "Logon", if failed { "Failure" } else { "Success" });
        draft.set(field::USER, target);
        draft.set(field::ACTOR_USER, rest.split(" on ").next().unwrap_or(rest));
    } else if let Some((head, rest)) = text.split_once(" su for ")
        && let Some((target, actor)) = rest.split_once(" by ")
    {
        let failed = head.to_ascii_lowercase().contains("fail");
        outcome(draft, Class::Authentication, "Logon", if failed { "Failure" } else { "Success" });
        draft.set(field::USER, target);
        draft.set(field::ACTOR_USER, actor.trim());
    }
}

/// `(user) CMD (command)`
fn cron(draft: &mut Draft, text: &str) {
    let Some((user, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(") ")) else { return };
    let Some((verb, rest)) = rest.split_once(" (") else { return };
    let command = rest.strip_suffix(')').unwrap_or(rest);
    draft.set(field::ACTOR_USER, user);
    match verb {
        "CMD" | "CMDEND" => {
            outcome(draft, Class::ScheduledJobActivity, if verb == "CMD" { "Start" } else { "Stop" }, "");
            draft.set(field::JOB_NAME, command.trim());
            launched(draft, command);
        }
        "REPLACE" | "LIST" | "DELETE" | "BEGIN EDIT" | "END EDIT" | "RELOAD" => {
            let activity = if verb == "DELETE" { "Delete" } else { "Update" };
            outcome(draft, Class::ScheduledJobActivity, activity, "");
            draft.set(field::USER, command);
        }
        _ => {}
    }
}

/// `unix(sshd:session): session opened for user U(uid=0) by (uid=0)` and its siblings, after `pam_`.
fn pam(draft: &mut Draft, rest: &str) {
    let Some((_, text)) = rest.split_once("): ") else { return };
    if let Some(user) = word_after(text, "session opened for user ") {
        outcome(draft, Class::Authentication, "Logon", "Success");
        draft.set(field::USER, user.split('(').next().unwrap_or(user));
        let actor = between(text, " by ", "(").unwrap_or_default();
        draft.set(field::ACTOR_USER, actor.trim());
    } else if let Some(user) = word_after(text, "session closed for user ") {
        outcome(draft, Class::Authentication, "Logoff", "Success");
        draft.set(field::USER, user);
    } else if text.contains("authentication failure") {
        pam_pairs(draft, text);
    } else if text.starts_with("check pass; user unknown") {
        outcome(draft, Class::Authentication, "Logon", "Failure");
        draft.set(field::STATUS_DETAIL, "user unknown");
    } else if let Some(user) = word_after(text, "password changed for ") {
        outcome(draft, Class::AccountChange, "Password Change", "Success");
        draft.set(field::USER, user);
    }
}

/// `authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=1.2.3.4  user=root`
fn pam_pairs(draft: &mut Draft, text: &str) {
    outcome(draft, Class::Authentication, "Logon", "Failure");
    for pair in text.split_ascii_whitespace() {
        match pair.split_once('=') {
            Some(("user", user)) => draft.set(field::USER, user),
            Some(("ruser", user)) => draft.set(field::ACTOR_USER, user),
            Some(("rhost", host)) => match ip(host) {
                Some(address) => draft.fields.set(field::SRC_IP, address),
                None => draft.set(field::SRC_HOSTNAME, host),
            },
            _ => {}
        }
    }
}

fn account(draft: &mut Draft, program: &str, text: &str) {
    let quoted = between(text, "'", "'");
    let (activity, user) = if let Some(user) = between(text, "new user: name=", ",") {
        ("Create", Some(user))
    } else if text.starts_with("delete user") || text.starts_with("remove") || program == "userdel" {
        ("Delete", quoted)
    } else if text.starts_with("add ") && text.contains(" group ") {
        let group = text.split(" group ").nth(1).and_then(|rest| between(rest, "'", "'"));
        draft.native.set("group", group.unwrap_or_default());
        ("Add to Group", quoted)
    } else if text.contains("password changed for") || text.contains("changed password expiry for") {
        ("Password Change", word_after(text, " for "))
    } else if let Some(group) = between(text, "new group: name=", ",") {
        draft.native.set("group", group);
        ("Create", None)
    } else {
        ("Update", quoted)
    };
    outcome(draft, Class::AccountChange, activity, "");
    draft.set(field::USER, user.unwrap_or_default());
}

fn logind(draft: &mut Draft, text: &str) {
    if text.starts_with("New session ")
        && let Some(user) = word_after(text, " of user ")
    {
        outcome(draft, Class::Authentication, "Logon", "Success");
        draft.set(field::USER, user.trim_end_matches('.'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::Format;

    fn check(program: &str, text: &str, class: Class, expected: &[(&str, &str)]) {
        let mut draft = Draft::new(Format::SyslogRfc3164);
        add_content(&mut draft, program, text);
        assert_eq!(draft.class, class, "{text}");
        for &(name, value) in expected {
            assert_eq!(draft.fields.get(name), Some(value), "{name} of {text}");
        }
    }

    #[test]
    fn sshd_logons() {
        use Class::Authentication as A;
        const OK: (&str, &str) = (field::STATUS, "Success");
        const NO: (&str, &str) = (field::STATUS, "Failure");
        let ann = (field::USER, "ann");
        let from = (field::SRC_IP, "10.0.0.9");
        check(
            "sshd",
            "Accepted password for ann from 10.0.0.9 port 5 ssh2",
            A,
            &[OK, ann, from, (field::SRC_PORT, "5")],
        );
        check("sshd", "Failed password for invalid user ann from 10.0.0.9 port 5 ssh2", A, &[NO, ann, from]);
        check(
            "sshd",
            "Failed none for invalid user a from b from 10.0.0.9 port 5 ssh2",
            A,
            &[NO, (field::USER, "a from b"), from],
        );
        check("sshd", "Invalid user ann from 10.0.0.9", A, &[NO, ann, from]);
        check(
            "sshd",
            "message repeated 2 times: [ Failed password for ann from 10.0.0.9 port 5 ssh2]",
            A,
            &[NO, ann, from],
        );
        check(
            "sshd",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.9  user=ann",
            A,
            &[NO, ann, from],
        );
        check("sshd", "pam_unix(sshd:session): session opened for user ann(uid=1) by (uid=0)", A, &[OK, ann]);
        check(
            "sshd",
            "Connection closed by authenticating user ann 10.0.0.9 port 5 [preauth]",
            Class::NetworkActivity,
            &[ann, from],
        );
        check(
            "sshd",
            "reverse mapping checking getaddrinfo for x [10.0.0.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
            Class::BaseEvent,
            &[from],
        );
    }

    #[test]
    fn sudo_su_cron_and_accounts() {
        let ann = (field::ACTOR_USER, "ann");
        let root = (field::USER, "root");
        check(
            "sudo",
            "     ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/cat /etc/shadow",
            Class::ProcessActivity,
            &[
                ann,
                root,
                (field::PROCESS_CMD_LINE, "/bin/cat /etc/shadow"),
                (field::PROCESS_PATH, "/bin/cat"),
                (field::STATUS, "Success"),
            ],
        );
        check(
            "sudo",
            "ann : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            Class::ProcessActivity,
            &[ann, (field::STATUS, "Failure"), (field::STATUS_DETAIL, "user NOT in sudoers")],
        );
        check(
            "su",
            "FAILED SU (to root) ann on pts/1",
            Class::Authentication,
            &[ann, root, (field::STATUS, "Failure")],
        );
        check(
            "su",
            "Successful su for root by ann",
            Class::Authentication,
            &[ann, root, (field::STATUS, "Success")],
        );
        check(
            "CRON",
            "(ann) CMD (/usr/bin/id -u)",
            Class::ScheduledJobActivity,
            &[ann, (field::PROCESS_CMD_LINE, "/usr/bin/id -u")],
        );
        check(
            "useradd",
            "new user: name=bob, UID=1001, GID=1001, home=/home/bob",
            Class::AccountChange,
            &[(field::USER, "bob"), (field::ACTIVITY, "Create")],
        );
        check(
            "usermod",
            "add 'bob' to group 'sudo'",
            Class::AccountChange,
            &[(field::USER, "bob"), (field::ACTIVITY, "Add to Group")],
        );
    }
}
