//! Records of the Linux audit daemon (`type=… msg=audit(…)`), bare or inside syslog.
//!
//! Several records, of one serial number, are one event: [`join`](crate::join) says which, here is what they say
//! together.

use super::{Draft, SHOWN_CHARS};
use crate::text::{clean, ip, push_clean};
use crate::time;
use casemate_event::{Class, Event, Fields, Format, field};

/// Longest message of joined records, in bytes; the record as received says all.
const MAX_MESSAGE: usize = 2000;

/// Decodes a line if it is an audit record.
pub(crate) fn decode(line: &str) -> Option<Draft> {
    let trimmed = line.trim();
    if !trimmed.starts_with("type=") && !trimmed.starts_with("node=") {
        return None;
    }
    let mut draft = Draft::new(Format::Auditd);
    add_record(&mut draft, trimmed).then(|| draft.finished())
}

/// Adds an audit record found in `text` to `draft`; whether there was one.
pub(crate) fn add_record(draft: &mut Draft, text: &str) -> bool {
    // The kernel writes `audit: type=1400 audit(…): …` where no daemon runs.
    let text = text.strip_prefix("audit: ").unwrap_or(text);
    let (text, host) = match text.strip_prefix("node=").and_then(|rest| rest.split_once(' ')) {
        Some((host, rest)) => (rest, host),
        None => (text, ""),
    };
    let Some((kind, rest)) = text.strip_prefix("type=").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    let rest = rest.strip_prefix("msg=").unwrap_or(rest);
    let Some((stamp, body)) = rest.strip_prefix("audit(").and_then(|rest| rest.split_once(')')) else {
        return false;
    };
    let body = body.strip_prefix(':').unwrap_or(body);
    let (seconds, serial) = stamp.split_once(':').unwrap_or((stamp, ""));
    draft.format = Format::Auditd;
    draft.time = time::epoch(seconds).or(draft.time);
    draft.set(field::DEVICE_HOSTNAME, host);
    draft.set(field::PRODUCT, "auditd");
    draft.set(field::EVENT_CODE, kind);
    draft.native.set("type", kind);
    draft.native.set("serial", serial);
    add_pairs(draft, kind, body, 0);
    normalise(draft, kind);
    true
}

/// Adds `name=value` pairs; values may be quoted, hexadecimal, or (in `msg='…'`) pairs themselves.
fn add_pairs(draft: &mut Draft, kind: &str, body: &str, depth: u32) {
    // Enriched records repeat numbers as names after a group separator.
    let mut rest = body;
    loop {
        rest = rest.trim_start_matches([' ', '\x1d', ',', '\'']);
        let Some(equals) = rest.find('=') else { return };
        let (name, value) = rest.split_at(equals);
        let name = name.rsplit(' ').next().unwrap_or(name);
        let value = value.get(1..).unwrap_or_default();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => {
                let inner = value.get(1..).unwrap_or_default();
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            None => {
                let end = value.find([' ', '\x1d', '\'']).unwrap_or(value.len());
                value.split_at(end)
            }
        };
        rest = after;
        if name == "msg" && quote == Some('\'') && depth == 0 {
            add_pairs(draft, kind, value, 1);
        } else if quote.is_none() && is_encoded(kind, name, value) {
            draft.native.set(name, unhex(value));
        } else if !matches!(value, "?" | "(null)" | "(none)") {
            draft.native.set(name, value);
        }
    }
}

/// Values with spaces or control characters are written as hexadecimal digits, without quotes.
fn is_encoded(kind: &str, name: &str, value: &str) -> bool {
    let text_like = match name {
        "proctitle" | "cmd" | "exe" | "comm" | "name" | "cwd" | "acct" | "key" | "data" | "path" | "unit" => {
            true
        }
        _ => kind == "EXECVE" && name.starts_with('a') && name != "argc" && !name.ends_with("_len"),
    };
    text_like
        && value.len() >= 2
        && value.len().is_multiple_of(2)
        && value.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Decoded hexadecimal; the NUL bytes between arguments become spaces.
fn unhex(value: &str) -> String {
    let bytes: Vec<u8> = value
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .map(|byte| if byte == 0 { b' ' } else { byte })
        .collect();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

fn normalise(draft: &mut Draft, kind: &str) {
    draft.copy(field::PROCESS_PID, &["pid"]);
    draft.copy(field::PARENT_PROCESS_PID, &["ppid"]);
    draft.copy(field::ACTOR_USER, &["AUID", "UID"]);
    if !matches!(draft.native("auid"), "4294967295" | "-1") {
        draft.copy(field::ACTOR_USER_UID, &["auid", "uid"]);
    }
    let status = match (draft.native("success"), draft.native("res")) {
        ("yes", _) | (_, "success" | "1") => "Success",
        ("no", _) | (_, "failed" | "0") => "Failure",
        _ => "",
    };
    draft.set(field::STATUS, status);
    let mut line = format!("audit {kind}");
    let shown: &[&str] = match kind {
        "SYSCALL" => {
            let is_exec = is_exec(draft);
            if is_exec {
                draft.class = Class::ProcessActivity;
                draft.set(field::ACTIVITY, "Launch");
            }
            if !is_exec {
                // It does something to something else.
                draft.fields = without(&draft.fields, field::PROCESS_PID);
                draft.copy(field::ACTOR_PROCESS_PID, &["pid"]);
            }
            draft.copy(if is_exec { field::PROCESS_PATH } else { field::ACTOR_PROCESS_PATH }, &["exe"]);
            &["SYSCALL", "syscall", "success", "exe", "comm", "tty", "key"]
        }
        "EXECVE" => {
            draft.class = Class::ProcessActivity;
            draft.set(field::ACTIVITY, "Launch");
            let command = arguments(draft);
            push(&mut line, &command);
            let program = command.split(' ').next().unwrap_or_default().to_owned();
            if program.starts_with('/') {
                draft.fields.set(field::PROCESS_PATH, program);
            } else {
                draft.fields.set(field::PROCESS_NAME, program);
            }
            draft.fields.set(field::PROCESS_CMD_LINE, command);
            &[]
        }
        "PROCTITLE" => {
            draft.class = Class::ProcessActivity;
            draft.copy(field::PROCESS_CMD_LINE, &["proctitle"]);
            &["proctitle"]
        }
        "PATH" => {
            draft.class = Class::FileSystemActivity;
            draft.copy(field::FILE_PATH, &["name"]);
            &["name", "nametype"]
        }
        "CWD" => &["cwd"],
        "SOCKADDR" => {
            draft.class = Class::NetworkActivity;
            socket_address(draft);
            &["saddr_fam", "SADDR", "saddr"]
        }
        "USER_CMD" => {
            draft.class = Class::ProcessActivity;
            draft.set(field::ACTIVITY, "Launch");
            draft.copy(field::PROCESS_CMD_LINE, &["cmd"]);
            &["cmd", "cwd", "acct", "res"]
        }
        "USER_AUTH" | "USER_LOGIN" | "USER_ACCT" | "USER_START" | "USER_END" | "CRED_ACQ" | "CRED_DISP"
        | "CRED_REFR" | "USER_LOGOUT" | "LOGIN" | "USER_ERR" => {
            draft.class = Class::Authentication;
            draft.set(
                field::ACTIVITY,
                if matches!(kind, "USER_END" | "USER_LOGOUT" | "CRED_DISP") { "Logoff" } else { "Logon" },
            );
            remote_user(draft);
            &["op", "acct", "exe", "addr", "hostname", "res"]
        }
        "ADD_USER" | "DEL_USER" | "ADD_GROUP" | "DEL_GROUP" | "USER_MGMT" | "USER_CHAUTHTOK" | "GRP_MGMT" => {
            draft.class = Class::AccountChange;
            draft.set(
                field::ACTIVITY,
                match kind {
                    "ADD_USER" | "ADD_GROUP" => "Create",
                    "DEL_USER" | "DEL_GROUP" => "Delete",
                    _ => "Update",
                },
            );
            remote_user(draft);
            &["op", "acct", "id", "exe", "res"]
        }
        "SERVICE_START" | "SERVICE_STOP" => {
            draft.copy(field::SERVICE_NAME, &["unit"]);
            &["unit", "res"]
        }
        _ => &["op", "apparmor", "operation", "profile", "acct", "exe", "comm", "name", "addr", "key", "res"],
    };
    for name in shown {
        let value = draft.native(name).to_owned();
        if !value.is_empty() {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            line.push_str(&clean(&value, SHOWN_CHARS));
        }
    }
    draft.message = line;
}

/// What the records of one event say together; there is at least one.
///
/// Vendor fields that differ between records hold all values, a line each, as rules look for any of them; the
/// arguments `a0`, `a1` … are those of the program that was started, where one was.
pub(crate) fn join(records: &[Event]) -> Draft {
    let mut draft = Draft::new(Format::Auditd);
    draft.time = records.first().map(|first| (first.time, first.time_quality));
    let kind = |record: &Event| record.native.get("type").unwrap_or_default().to_owned();
    let starts = records.iter().any(|record| kind(record) == "EXECVE");
    for record in records {
        let of = kind(record);
        for (name, value) in record.native.iter() {
            if starts && of == "SYSCALL" && is_argument(name) {
                draft.native.set(format!("SYSCALL.{name}"), value);
                continue;
            }
            let joined = match draft.native.get(name) {
                Some(before) if before.split('\n').any(|known| known == value) => continue,
                Some(before) => format!("{before}\n{value}"),
                None => value.to_owned(),
            };
            draft.native.set(name, joined);
        }
    }

    // The system call says who did it, an execution what was run; what was touched comes last.
    let rank = |record: &&Event| match kind(record).as_str() {
        "SYSCALL" => 0,
        "EXECVE" => 1,
        "PROCTITLE" => 4,
        "PATH" if record.native.get("nametype") == Some("PARENT") => 3,
        _ => 2,
    };
    let mut ranked: Vec<&Event> = records.iter().collect();
    ranked.sort_by_key(rank);
    let launches = |record: &&&Event| record.field(field::ACTIVITY) == Some("Launch");
    let meaning = |record: &&&Event| record.class != Class::BaseEvent && kind(record) != "PROCTITLE";
    let lead = ranked.iter().find(launches).or_else(|| ranked.iter().find(meaning));
    draft.class = lead.map_or(Class::BaseEvent, |lead| lead.class);
    let launch = lead.is_some_and(|lead| launches(&lead));
    for record in &ranked {
        let of = kind(record);
        for (name, value) in record.fields.iter() {
            let name = match (of.as_str(), name) {
                // The command line of who did it.
                ("PROCTITLE", field::PROCESS_CMD_LINE) if !launch => field::ACTOR_PROCESS_CMD_LINE,
                // Program and loader are no files that it worked on.
                ("PATH", field::FILE_PATH) if launch => continue,
                (_, name) => name,
            };
            if draft.fields.get(name).is_none() {
                draft.fields.set(name, value);
            }
        }
    }
    let mut line = String::from("audit");
    for record in records {
        let said = record.message.strip_prefix("audit ").unwrap_or(&record.message);
        if line.len() + said.len() > MAX_MESSAGE {
            line.push_str("; …");
            break;
        }
        line.push_str(if line.len() > "audit".len() { "; " } else { " " });
        push_clean(&mut line, said, MAX_MESSAGE);
    }
    draft.message = line;
    draft
}

/// `a0`, `a1` …
fn is_argument(name: &str) -> bool {
    name.strip_prefix('a')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without(fields: &Fields, name: &str) -> Fields {
    fields.iter().filter(|(other, _)| *other != name).collect()
}

fn push(line: &mut String, value: &str) {
    line.push(' ');
    line.push_str(&clean(value, SHOWN_CHARS));
}

fn remote_user(draft: &mut Draft) {
    draft.copy(field::USER, &["acct"]);
    draft.copy(field::ACTOR_PROCESS_PATH, &["exe"]);
    draft.copy(field::SRC_IP, &["addr"]);
    if ip(draft.native("hostname")).is_none() {
        draft.copy(field::SRC_HOSTNAME, &["hostname"]);
    }
}

/// Whether a system call starts a program: `execve` and `execveat` on x86-64, x86 and arm64.
fn is_exec(draft: &Draft) -> bool {
    let call = draft.native("syscall");
    if matches!(draft.native("SYSCALL"), "execve" | "execveat") || matches!(call, "execve" | "execveat") {
        return true;
    }
    matches!(
        (draft.native("arch"), call),
        ("c000003e", "59" | "322") | ("40000003", "11" | "358") | ("c00000b7", "221" | "281")
    )
}

/// `a0`, `a1` … of an `EXECVE` record, joined.
fn arguments(draft: &Draft) -> String {
    let mut command = String::new();
    for index in 0..1000 {
        let Some(argument) = draft.native.get(&format!("a{index}")) else { break };
        if index > 0 {
            command.push(' ');
        }
        command.push_str(argument);
    }
    command
}

/// An IPv4 or IPv6 address out of a `sockaddr` in hexadecimal (family in host byte order, then the port).
fn socket_address(draft: &mut Draft) {
    let saddr = draft.native("saddr").to_owned();
    let byte =
        |index: usize| saddr.get(2 * index..2 * index + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let Some(port) = byte(2).zip(byte(3)).map(|(high, low)| u16::from_be_bytes([high, low])) else { return };
    let address = match byte(0) {
        Some(2) => (4..8)
            .map(byte)
            .collect::<Option<Vec<u8>>>()
            .and_then(|bytes| Some(std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        Some(10) => (8..24)
            .map(byte)
            .collect::<Option<Vec<u8>>>()
            .and_then(|bytes| Some(std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => None,
    };
    if let Some(address) = address {
        draft.fields.set(field::DST_IP, address.to_string());
        draft.fields.set(field::DST_PORT, port.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, class: Class, message: &str, expected: &[(&str, &str)]) {
        let draft = decode(line).unwrap_or_else(|| panic!("no audit record: {line}"));
        assert_eq!((draft.class, draft.message.as_str()), (class, message));
        for &(name, value) in expected {
            let found = draft.fields.get(name).or(draft.native.get(name));
            assert_eq!(found, Some(value), "{name} of {line}");
        }
    }

    #[test]
    fn records() {
        check(
            "type=SYSCALL msg=audit(1604994496.155:92733): arch=c000003e syscall=59 success=yes exit=0 ppid=29002 pid=1631 auid=1000 uid=1000 tty=pts0 comm=\"arp\" exe=\"/usr/sbin/arp\" key=(null)",
            Class::ProcessActivity,
            "audit SYSCALL syscall=59 success=yes exe=/usr/sbin/arp comm=arp tty=pts0",
            &[
                (field::PROCESS_NAME, "arp"),
                (field::PROCESS_PID, "1631"),
                (field::STATUS, "Success"),
                ("serial", "92733"),
            ],
        );
        check(
            "type=EXECVE msg=audit(1604994496.155:92733): argc=3 a0=\"arp\" a1=2D61 a2=\"x y\"",
            Class::ProcessActivity,
            "audit EXECVE arp -a x y",
            &[(field::PROCESS_CMD_LINE, "arp -a x y"), ("a1", "-a")],
        );
        check(
            "type=PROCTITLE msg=audit(1604994496.155:92733): proctitle=617270002D61",
            Class::ProcessActivity,
            "audit PROCTITLE proctitle=arp -a",
            &[(field::PROCESS_CMD_LINE, "arp -a")],
        );
        check(
            "type=USER_AUTH msg=audit(1783414613.119:441): pid=2124 uid=0 auid=4294967295 msg='op=pubkey acct=\"root\" exe=\"/usr/sbin/sshd\" hostname=? addr=172.23.112.1 terminal=ssh res=failed'\u{1d}UID=\"root\" AUID=\"unset\"",
            Class::Authentication,
            "audit USER_AUTH op=pubkey acct=root exe=/usr/sbin/sshd addr=172.23.112.1 res=failed",
            &[
                (field::USER, "root"),
                (field::SRC_IP, "172.23.112.1"),
                (field::STATUS, "Failure"),
                ("UID", "root"),
            ],
        );
        check(
            "type=SOCKADDR msg=audit(1.0:1): saddr=020001BB0A0000090000000000000000",
            Class::NetworkActivity,
            "audit SOCKADDR saddr=020001BB0A0000090000000000000000",
            &[(field::DST_IP, "10.0.0.9"), (field::DST_PORT, "443")],
        );
    }

    #[test]
    fn odd_records_are_kept() {
        check("type=EMPTYDATE msg=audit(): empty date", Class::BaseEvent, "audit EMPTYDATE", &[]);
        assert!(decode("type=x").is_none());
        assert!(decode("type=X msg=audit(").is_none());
    }
}
