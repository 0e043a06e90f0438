//! Which things that the store knows does a question name?
//!
//! Each word that is not one of the language of questions is looked up as host, account, address, program,
//! file and domain. A word that looks like a name and is none of these is looked for in messages; if it is
//! there neither, the question is about something that was never seen, and that is the answer.

use super::words::{Words, is_name};
use crate::Error;
use casemate_event::{Entity, EntityKind};
use casemate_store::{Query, Store};
use std::net::IpAddr;

/// Most names of one question.
const MAX_NAMES: usize = 8;

/// Something that the question names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name {
    /// Where in the question.
    pub(super) place: usize,
    pub(super) written: String,
    pub(super) what: What,
}

/// What a name is the name of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// Something that events are about; several where kinds share a name.
    Known(Vec<Entity>),
    /// A port, an event code: a value of a field by itself.
    Value(super::kinds::Slot, String),
    /// Words of messages.
    Text,
    /// Nothing that the store has.
    Unknown,
}

/// Nouns that say what the next word is the name of.
const HINTS: [(&[&str], &[EntityKind]); 6] = [
    (&["user", "account", "username"], &[EntityKind::User]),
    (&["host", "machine", "computer", "workstation", "server", "device"], &[EntityKind::Host]),
    (&["address", "ip"], &[EntityKind::Ip]),
    (&["process", "program", "executable", "service", "tool", "binary"], &[EntityKind::Process]),
    (&["file", "dll"], &[EntityKind::File]),
    (&["domain"], &[EntityKind::Domain]),
];

/// Words of questions that may also be names ("user", "test" …): names only where the word before says so.
fn is_language(word: &str) -> bool {
    const LANGUAGE: [&str; 62] = [
        "who",
        "which",
        "what",
        "when",
        "how",
        "where",
        "why",
        "many",
        "often",
        "first",
        "last",
        "latest",
        "earliest",
        "list",
        "show",
        "count",
        "number",
        "name",
        "names",
        "user",
        "users",
        "system",
        "network",
        "service",
        "services",
        "local",
        "group",
        "process",
        "host",
        "hosts",
        "account",
        "accounts",
        "address",
        "addresses",
        "different",
        "distinct",
        "unique",
        "times",
        "time",
        "event",
        "events",
        "file",
        "files",
        "event",
        "port",
        "ports",
        "domain",
        "password",
        "logon",
        "logons",
        "login",
        "logins",
        "not",
        "no",
        "yes",
        "www",
        "set",
        "new",
        "open",
        "close",
        "write",
        "alert",
    ];
    LANGUAGE.contains(&word) || !super::kinds::asked_slots(word).is_empty()
}

/// Finds the names, and takes their words. Words of kinds of events are not names unless a noun before them says so.
pub(super) fn find(
    words: &mut Words,
    store: &Store,
    is_kind_word: &dyn Fn(&str) -> bool,
) -> Result<Vec<Name>, Error> {
    let mut names = Vec::new();
    for place in 0..words.len() {
        if words.0[place].taken || names.len() == MAX_NAMES {
            continue;
        }
        let word = words.0[place].clone();
        let before = words.before(place).to_owned();
        let hint = HINTS.iter().find(|(nouns, _)| nouns.contains(&before.as_str())).map(|(_, kinds)| *kinds);
        if let Some(what) = value(words, place) {
            words.take(place);
            names.push(Name { place, written: word.written, what });
            continue;
        }
        let in_capitals = word.written.len() > 2 && word.written.chars().all(|c| c.is_ascii_uppercase());
        let shaped = word.quoted || is_name(&word.lower);
        // "The account was locked": grammar is no name, whatever stands before it.
        if !shaped && super::words::is_grammar(&word.lower) {
            continue;
        }
        let ordinary = is_language(&word.lower) || is_kind_word(&word.lower);
        if ordinary && !shaped && hint.is_none() && !in_capitals {
            continue;
        }
        // Too short to be told from words, and numbers say nothing by themselves.
        if !shaped && (word.lower.len() < 3 || word.lower.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        let known = known(store, &word.lower, hint)?;
        let mentioned = matches!(
            before.as_str(),
            "mention" | "mentions" | "mentioning" | "contain" | "contains" | "containing"
        );
        let what = if mentioned {
            What::Text
        } else if !known.is_empty() {
            What::Known(known)
        } else if shaped && in_messages(store, &word.written)? {
            What::Text
        } else if shaped && !in_part(store, &word.lower)? || names_somebody(&before, &word.lower) && !ordinary
        {
            What::Unknown
        } else {
            // An ordinary word: whoever reads the rest says whether it matters.
            continue;
        };
        words.take(place);
        if hint.is_some() {
            let noun = (0..place).rev().find(|at| words.at(*at) == before);
            noun.into_iter().for_each(|at| words.take(at));
        }
        names.push(Name { place, written: word.written, what });
    }
    Ok(names)
}

/// Whether the noun before an ordinary word makes it the name of an account or a machine.
fn names_somebody(before: &str, word: &str) -> bool {
    matches!(before, "user" | "account" | "username" | "host" | "machine" | "computer" | "workstation")
        && !word.ends_with("ed")
}

/// Whether a word of letters and digits is part of longer ones in messages: then it may be no name at all.
fn in_part(store: &Store, word: &str) -> Result<bool, Error> {
    if !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(false);
    }
    let text = format!("message:*{word}*");
    Ok(!store.search(&Query { text, limit: 1, ..Query::default() })?.hits.is_empty())
}

/// `port 443`, `event id 4625`, `event code 1`.
fn value(words: &mut Words, place: usize) -> Option<What> {
    use super::kinds::Slot;
    let word = words.at(place).to_owned();
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (before, earlier) = (
        words.at(place.checked_sub(1)?).to_owned(),
        place.checked_sub(2).map(|place| words.at(place).to_owned()),
    );
    match (before.as_str(), earlier.as_deref()) {
        ("port" | "ports", _) => {
            words.take(place - 1);
            Some(What::Value(Slot::Port, word))
        }
        ("id" | "code" | "ids", Some("event")) => {
            words.take(place - 1);
            words.take(place - 2);
            Some(What::Value(Slot::Code, word))
        }
        ("event" | "eventid", _) => {
            words.take(place - 1);
            Some(What::Value(Slot::Code, word))
        }
        _ => None,
    }
}

/// What the store knows by this name, in lower case.
fn known(store: &Store, word: &str, hint: Option<&[EntityKind]>) -> Result<Vec<Entity>, Error> {
    use EntityKind::{Domain, File, Host, Ip, Process, Registry, User};
    let mut tried: Vec<Entity> = Vec::new();
    if word.parse::<IpAddr>().is_ok() {
        tried.push(Entity::new(Ip, word));
    } else if word.contains('\\')
        && !word.starts_with("hk")
        && word.matches('\\').count() == 1
        && !word.contains(':')
    {
        // `DOMAIN\user`
        tried.push(Entity::new(User, word));
    } else if word.contains(['\\', '/']) {
        tried.extend([Entity::new(File, word), Entity::new(Registry, word)]);
    } else {
        tried.extend([Host, User, Process, Domain].map(|kind| Entity::new(kind, word)));
        if !word.contains('.') {
            tried.push(Entity::new(Process, &format!("{word}.exe")));
        } else if Entity::new(Host, word).value != word {
            // Only the whole name of a host is one: `a.exe` is not the host `a`.
            tried.retain(|entity| entity.kind != Host || is_host_name(word));
        }
    }
    let mut known = Vec::new();
    for entity in tried.into_iter().filter(|entity| !entity.value.is_empty()) {
        let query = Query { entities: vec![entity.clone()], limit: 1, ..Query::default() };
        if !store.search(&query)?.hits.is_empty() {
            known.push(entity);
        }
    }
    // "The user test" is no host of that name, if there is such a user.
    if let Some(kinds) = hint
        && known.iter().any(|entity| kinds.contains(&entity.kind))
    {
        known.retain(|entity| kinds.contains(&entity.kind));
    }
    Ok(known)
}

/// Whether a word ends as names of files do.
pub(super) fn is_file_name(word: &str) -> bool {
    matches!(
        word.rsplit_once('.').map_or("", |(_, ending)| ending),
        "exe" | "dll" | "sys" | "ps1" | "bat" | "cmd" | "vbs" | "js" | "dmp" | "log" | "txt" | "zip" | "msc"
    )
}

/// Whether a dotted word can be the name of a host with its domain.
fn is_host_name(word: &str) -> bool {
    !is_file_name(word) && word.matches('.').count() > 1
}

/// Whether messages hold the word as it stands.
fn in_messages(store: &Store, written: &str) -> Result<bool, Error> {
    let text = super::query::quote(written);
    Ok(!store.search(&Query { text, limit: 1, ..Query::default() })?.hits.is_empty())
}
