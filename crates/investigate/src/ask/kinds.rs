//! Which kinds of events can be asked for, in which words, and what takes part in them?
//!
//! A table: a new kind is a row. Words are given in groups; a kind is meant where each of its groups has a word
//! in the question, and the kind with the most groups is the one. `@user`, `@process` … stand for a name of that
//! kind in the question.

use casemate_event::{EntityKind, field};

/// Part that something plays in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    Actor,
    Account,
    Host,
    Program,
    Parent,
    By,
    File,
    Module,
    Key,
    Service,
    Source,
    Destination,
    Port,
    Domain,
    Url,
    Agent,
    Command,
    Script,
    Code,
    Detail,
}

impl Slot {
    /// Normalised fields that hold it, the likeliest first.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Actor => &[field::ACTOR_USER],
            Self::Account => &[field::USER],
            Self::Host => &[field::DEVICE_HOSTNAME],
            Self::Program => &[field::PROCESS_NAME],
            Self::Parent => &[field::PARENT_PROCESS_NAME],
            Self::By => &[field::ACTOR_PROCESS_NAME],
            Self::File => &[field::FILE_PATH],
            Self::Module => &[field::MODULE_PATH],
            Self::Key => &[field::REGISTRY_KEY],
            Self::Service => &[field::SERVICE_NAME],
            Self::Source => &[field::SRC_IP, field::SRC_HOSTNAME],
            Self::Destination => &[field::DST_IP, field::DST_HOSTNAME],
            Self::Port => &[field::DST_PORT],
            Self::Domain => &[field::QUERY_HOSTNAME],
            Self::Url => &[field::URL],
            Self::Agent => &[field::USER_AGENT],
            Self::Command => &[field::PROCESS_CMD_LINE],
            Self::Script => &[field::SCRIPT],
            Self::Code => &[field::EVENT_CODE],
            Self::Detail => &[field::STATUS_DETAIL],
        }
    }

    /// Whether an entity of this kind can play the part.
    pub(super) fn holds(self, kind: EntityKind) -> bool {
        use EntityKind::{Domain, File, Host, Ip, Process, Registry, User};
        matches!(
            (self, kind),
            (Self::Actor | Self::Account, User)
                | (Self::Host, Host)
                | (Self::Source | Self::Destination, Ip | Host)
                | (Self::Program | Self::Parent | Self::By | Self::Service, Process)
                | (Self::File | Self::Module, File)
                | (Self::Domain, Domain)
                | (Self::Key, Registry)
        )
    }

    /// Whether its values may be too long to be indexed whole.
    pub(super) fn is_long(self) -> bool {
        use Slot::{Agent, Command, File, Key, Module, Script, Url};
        matches!(self, File | Module | Key | Url | Agent | Command | Script)
    }

    /// One and many of it, in words.
    pub(super) fn noun(self, many: bool) -> &'static str {
        let (one, several) = match self {
            Self::Actor | Self::Account => ("user", "users"),
            Self::Host => ("host", "hosts"),
            Self::Program | Self::Parent | Self::By => ("program", "programs"),
            Self::File => ("file", "files"),
            Self::Module => ("library", "libraries"),
            Self::Key => ("registry key", "registry keys"),
            Self::Service => ("service", "services"),
            Self::Source | Self::Destination => ("address", "addresses"),
            Self::Port => ("port", "ports"),
            Self::Domain => ("name", "names"),
            Self::Url => ("URL", "URLs"),
            Self::Agent => ("user agent", "user agents"),
            Self::Command => ("command line", "command lines"),
            Self::Script => ("script", "scripts"),
            Self::Code => ("event code", "event codes"),
            Self::Detail => ("reason", "reasons"),
        };
        if many { several } else { one }
    }
}

/// How what two logs record of the same is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    /// Each event counts.
    Never,
    /// One process of a host starts once within two seconds.
    Process,
    /// One service of a host is installed once within two seconds.
    Service,
    /// One pair of addresses and ports is one connection.
    Connection,
}

/// A kind of events.
pub(super) struct Kind {
    /// One and many of them.
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// Groups of words; a kind is meant where each group has one in the question.
    pub(super) groups: &'static [&'static [&'static str]],
    /// Words that say nothing more where the kind is meant.
    pub(super) also: &'static [&'static str],
    /// Which events, in the query language.
    pub(super) query: &'static str,
    /// Which events show that such things are logged at all.
    pub(super) logged: &'static str,
    /// Events so much like it that, where there are some and none of the kind, nothing can be said; empty for none.
    pub(super) near: &'static str,
    /// What an actor, and what is acted on, can be; the first is asked for where nothing else is said.
    pub(super) subject: &'static [Slot],
    pub(super) object: &'static [Slot],
    /// What else takes part.
    pub(super) others: &'static [Slot],
    pub(super) twice: Twice,
}

const ON: &[&str] = &["log", "logs", "logged", "logging", "sign", "signed", "signs"];
const LOGON: &[&str] = &[
    "logon",
    "logons",
    "login",
    "logins",
    "log-on",
    "log-ons",
    "logged",
    "log",
    "logs",
    "signed",
    "sign",
    "signs",
    "signin",
    "sign-in",
    "sign-ins",
    "authenticated",
    "authenticate",
    "authentication",
    "authentications",
    "logging",
];
const FAIL: &[&str] = &[
    "fail",
    "fails",
    "failed",
    "failing",
    "failure",
    "failures",
    "unsuccessful",
    "unsuccessfully",
    "wrong",
    "denied",
    "refused",
    "rejected",
    "guess",
    "guesses",
    "guessed",
    "invalid",
    "bad",
];
const START: &[&str] = &[
    "start",
    "starts",
    "started",
    "starting",
    "run",
    "runs",
    "ran",
    "running",
    "launch",
    "launches",
    "launched",
    "execute",
    "executes",
    "executed",
    "execution",
    "executions",
    "spawn",
    "spawns",
    "spawned",
    "invoked",
    "invoke",
    "called",
    "used",
];
const MAKE: &[&str] =
    &["create", "creates", "created", "creating", "creation", "add", "added", "made", "new", "set"];
const CONNECT: &[&str] = &[
    "connect",
    "connects",
    "connected",
    "connecting",
    "connection",
    "connections",
    "contact",
    "contacted",
    "contacts",
    "talk",
    "talked",
    "communicate",
    "communicated",
    "reach",
    "reached",
];
const DELETE: &[&str] =
    &["delete", "deletes", "deleted", "deletion", "deletions", "remove", "removed", "erased"];

/// Windows records privileges and group membership of a logon beside it; those are no logons.
const LOGON_EVENTS: &str = "class:authentication AND fields.activity_name:logon AND NOT fields.metadata.event_code:4648 \
                            AND NOT message:\"session opened\"";

pub(super) const KINDS: [Kind; 22] = [
    Kind {
        one: "successful logon",
        many: "successful logons",
        groups: &[LOGON],
        also: &["successful", "successfully", "succeeded", "success", "accepted", "off"],
        query: "class:authentication AND fields.activity_name:logon AND fields.status:success AND NOT \
                fields.metadata.event_code:4648 AND NOT message:\"session opened\"",
        logged: "class:authentication",
        near: "class:authentication AND fields.status:success",
        subject: &[Slot::Account, Slot::Source],
        object: &[Slot::Host],
        others: &[Slot::Source, Slot::Account],
        twice: Twice::Never,
    },
    Kind {
        one: "failed logon",
        many: "failed logons",
        groups: &[LOGON, FAIL],
        also: &["attempt", "attempts", "attempted", "tried", "try", "password", "passwords", "to"],
        query: "class:authentication AND fields.activity_name:logon AND fields.status:failure AND NOT message:\"sshd invalid user\"",
        logged: "class:authentication",
        near: "class:authentication AND fields.status:failure",
        subject: &[Slot::Account, Slot::Source],
        object: &[Slot::Host],
        others: &[Slot::Source, Slot::Account, Slot::Detail],
        twice: Twice::Never,
    },
    Kind {
        one: "failed logon",
        many: "failed logons",
        groups: &[FAIL, &["password", "passwords"]],
        also: &["attempt", "attempts", "guess", "guesses", "guessed", "entered", "typed"],
        query: "class:authentication AND fields.activity_name:logon AND fields.status:failure AND NOT message:\"sshd invalid user\"",
        logged: "class:authentication",
        near: "class:authentication AND fields.status:failure",
        subject: &[Slot::Account, Slot::Source],
        object: &[Slot::Account, Slot::Host],
        others: &[Slot::Source, Slot::Detail],
        twice: Twice::Never,
    },
    Kind {
        one: "logon attempt",
        many: "logon attempts",
        groups: &[LOGON, &["attempt", "attempts", "attempted", "tried", "try"]],
        also: &["to"],
        query: LOGON_EVENTS,
        logged: "class:authentication",
        near: "",
        subject: &[Slot::Account, Slot::Source],
        object: &[Slot::Host],
        others: &[Slot::Source, Slot::Account],
        twice: Twice::Never,
    },
    Kind {
        one: "account lockout",
        many: "account lockouts",
        groups: &[&["locked", "lockout", "lockouts", "lock", "lock-out"]],
        also: &["out", "account", "accounts"],
        query: "class:account_change AND fields.activity_name:lock",
        logged: "class:account_change",
        near: "",
        subject: &[Slot::Account],
        object: &[Slot::Account],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "account unlocking",
        many: "account unlockings",
        groups: &[&["unlock", "unlocks", "unlocked", "unlocking"]],
        also: &["account", "accounts", "again"],
        query: "class:account_change AND fields.activity_name:unlock",
        logged: "class:account_change",
        near: "",
        subject: &[Slot::Actor],
        object: &[Slot::Account],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "password reset",
        many: "password resets",
        groups: &[&["password", "passwords"], &["reset", "resets", "changed", "change"]],
        also: &["account"],
        query: "class:account_change AND fields.activity_name:\"password reset\"",
        logged: "class:account_change",
        near: "",
        subject: &[Slot::Actor],
        object: &[Slot::Account],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "account creation",
        many: "account creations",
        groups: &[MAKE, &["account", "accounts", "user", "users", "@user"]],
        also: &[],
        query: "class:account_change AND fields.activity_name:create",
        logged: "class:account_change",
        near: "",
        subject: &[Slot::Actor],
        object: &[Slot::Account],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "addition to a group",
        many: "additions to groups",
        groups: &[MAKE, &["group", "groups", "administrators", "member", "members"]],
        also: &["privileged", "local", "security", "someone", "anyone", "somebody", "anybody"],
        query: "class:account_change AND fields.activity_name:\"add to group\"",
        logged: "class:account_change",
        near: "",
        subject: &[Slot::Actor],
        object: &[],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "process start",
        many: "process starts",
        groups: &[START],
        also: &["process", "processes", "program", "programs", "command", "commands", "binary"],
        query: "class:process_activity AND fields.activity_name:launch",
        logged: "class:process_activity AND fields.activity_name:launch",
        near: "",
        subject: &[Slot::Actor, Slot::Parent],
        object: &[Slot::Program, Slot::By],
        others: &[Slot::Command],
        twice: Twice::Process,
    },
    Kind {
        one: "connection",
        many: "connections",
        groups: &[CONNECT],
        also: &["network", "outbound", "outgoing", "remote", "tcp"],
        query: "class:network_activity AND fields.activity_name:(open OR traffic)",
        logged: "class:network_activity",
        near: "",
        subject: &[Slot::Source, Slot::By, Slot::Actor],
        object: &[Slot::Destination],
        others: &[Slot::Port],
        twice: Twice::Connection,
    },
    Kind {
        one: "name lookup",
        many: "name lookups",
        groups: &[&[
            "dns", "look", "looks", "resolve", "resolved", "resolves", "lookup", "lookups", "looked",
            "query", "queries", "queried",
        ]],
        also: &["dns", "name", "names", "up", "domain", "domains", "queries", "query", "lookups"],
        query: "class:dns_activity",
        logged: "class:dns_activity",
        near: "",
        subject: &[Slot::By, Slot::Source, Slot::Actor],
        object: &[Slot::Domain],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "web request",
        many: "web requests",
        groups: &[&[
            "request",
            "requests",
            "requested",
            "http",
            "url",
            "urls",
            "browsed",
            "visited",
            "visit",
            "user-agent",
        ]],
        also: &["web", "http", "page", "pages", "site", "website", "websites"],
        query: "class:http_activity",
        logged: "class:http_activity",
        near: "",
        subject: &[Slot::Source],
        object: &[Slot::Url, Slot::Destination],
        others: &[Slot::Agent],
        twice: Twice::Never,
    },
    Kind {
        one: "file written",
        many: "files written",
        groups: &[
            &[
                "create", "creates", "created", "write", "writes", "wrote", "written", "drop", "drops",
                "dropped", "save", "saved",
            ],
            &["file", "files", "executable", "executables", "document", "documents", "dll", "@file"],
        ],
        also: &["disk"],
        query: "class:file_system_activity AND fields.activity_name:create AND NOT fields.metadata.event_code:17",
        logged: "class:file_system_activity AND fields.activity_name:create",
        near: "",
        subject: &[Slot::By, Slot::Actor],
        object: &[Slot::File],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "file deletion",
        many: "file deletions",
        groups: &[DELETE, &["file", "files", "document", "documents", "@file"]],
        also: &[],
        query: "class:file_system_activity AND fields.activity_name:delete",
        logged: "class:file_system_activity",
        near: "",
        subject: &[Slot::By, Slot::Actor],
        object: &[Slot::File],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "service installation",
        many: "service installations",
        groups: &[
            &[
                "install",
                "installs",
                "installed",
                "installation",
                "installations",
                "create",
                "created",
                "new",
                "registered",
            ],
            &["service", "services"],
        ],
        also: &["windows"],
        query: "class:windows_service_activity AND fields.activity_name:create",
        logged: "class:windows_service_activity",
        near: "",
        subject: &[Slot::Actor],
        object: &[Slot::Service],
        others: &[Slot::Command],
        twice: Twice::Service,
    },
    Kind {
        one: "library load",
        many: "library loads",
        groups: &[
            &["load", "loads", "loaded", "loading"],
            &["dll", "dlls", "module", "modules", "library", "libraries", "driver", "drivers", "@file"],
        ],
        also: &[],
        query: "class:module_activity AND fields.activity_name:load",
        logged: "class:module_activity",
        near: "",
        subject: &[Slot::By, Slot::Program, Slot::Actor],
        object: &[Slot::Module],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "thread created in another process",
        many: "threads created in other processes",
        groups: &[&["inject", "injects", "injected", "injection", "injections", "remote-thread"]],
        also: &["code", "into", "thread", "process"],
        query: "class:process_activity AND fields.activity_name:inject",
        logged: "class:process_activity",
        near: "",
        subject: &[Slot::By, Slot::Actor],
        object: &[Slot::Program],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "process opened by another",
        many: "processes opened by others",
        groups: &[
            &["open", "opens", "opened", "access", "accesses", "accessed"],
            &["process", "processes", "memory", "@process"],
        ],
        also: &["memory", "handle"],
        query: "class:process_activity AND fields.activity_name:(open OR access)",
        logged: "class:process_activity",
        near: "",
        subject: &[Slot::By, Slot::Actor],
        object: &[Slot::Program],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "registry change",
        many: "registry changes",
        groups: &[&["registry", "reg"]],
        also: &[
            "key", "keys", "value", "values", "change", "changes", "changed", "modify", "modified", "set",
            "created", "written", "wrote", "write",
        ],
        query: "class:registry_key_activity AND fields.activity_name:(create OR modify OR delete)",
        logged: "class:registry_key_activity",
        near: "",
        subject: &[Slot::By, Slot::Actor],
        object: &[Slot::Key],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "script run",
        many: "scripts run",
        groups: &[START, &["script", "scripts", "scriptblock", "scriptblocks"]],
        also: &["powershell", "block", "blocks"],
        query: "class:script_activity AND fields.activity_name:execute",
        logged: "class:script_activity",
        near: "",
        subject: &[Slot::Actor],
        object: &[Slot::Script],
        others: &[],
        twice: Twice::Never,
    },
    Kind {
        one: "event",
        many: "events",
        groups: &[],
        also: &[
            "event",
            "events",
            "mention",
            "mentions",
            "mentioning",
            "contain",
            "contains",
            "containing",
            "happened",
            "happen",
            "happening",
            "activity",
            "log",
            "logs",
            "occurred",
            "record",
            "records",
            "recorded",
            "seen",
            "appear",
            "appears",
            "appeared",
            "see",
            "active",
            "store",
        ],
        query: "",
        logged: "",
        near: "",
        subject: &[
            Slot::Actor,
            Slot::Account,
            Slot::By,
            Slot::Program,
            Slot::Parent,
            Slot::Host,
            Slot::Source,
        ],
        object: &[
            Slot::Program,
            Slot::File,
            Slot::Module,
            Slot::Account,
            Slot::Destination,
            Slot::Domain,
            Slot::Key,
        ],
        others: &[Slot::Source, Slot::Port, Slot::Command, Slot::Url, Slot::Agent, Slot::Service],
        twice: Twice::Never,
    },
];

/// The kind that any event is of.
pub(super) const ANY: usize = KINDS.len() - 1;

impl Kind {
    /// Everything that can take part.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let all = self.subject.iter().chain(self.object).chain(self.others).copied();
        all.chain([Slot::Host, Slot::Code])
    }

    /// The events in words: as many as there are.
    pub(super) fn noun(&self, count: u64) -> &'static str {
        if count == 1 { self.one } else { self.many }
    }
}

/// Particles of verbs: "logged on", "looked up".
pub(super) fn particle(verb: &str, next: &str) -> bool {
    ON.contains(&verb) && matches!(next, "on" | "in" | "into" | "onto")
        || matches!((verb, next), ("locked", "out") | ("lock", "out") | ("looked", "up"))
}

/// What a noun that is asked for can be, in order.
pub(super) fn asked_slots(noun: &str) -> &'static [Slot] {
    match noun {
        "who" | "whom" | "user" | "users" | "account" | "accounts" | "username" | "usernames" | "person"
        | "people" | "someone" | "anyone" | "anybody" => &[Slot::Account, Slot::Actor],
        "host" | "hosts" | "machine" | "machines" | "computer" | "computers" | "workstation"
        | "workstations" | "server" | "servers" | "device" | "devices" | "system" | "systems" | "pc" => {
            &[Slot::Host]
        }
        "address" | "addresses" | "ip" | "ips" => &[Slot::Destination, Slot::Source],
        "source" | "sources" => &[Slot::Source],
        "destination" | "destinations" => &[Slot::Destination],
        "program" | "programs" | "process" | "processes" | "executable" | "executables" | "application"
        | "applications" | "binary" | "binaries" | "tool" | "tools" => {
            &[Slot::Program, Slot::By, Slot::Parent]
        }
        "parent" => &[Slot::Parent],
        "command" | "commands" | "commandline" => &[Slot::Command],
        "file" | "files" | "document" | "documents" => &[Slot::File, Slot::Module],
        "dll" | "dlls" | "module" | "modules" | "library" | "libraries" | "driver" | "drivers" => {
            &[Slot::Module]
        }
        "key" | "keys" => &[Slot::Key],
        "service" | "services" => &[Slot::Service],
        "port" | "ports" => &[Slot::Port],
        "domain" | "domains" | "name" | "names" => &[Slot::Domain],
        "url" | "urls" | "page" | "pages" => &[Slot::Url],
        "agent" | "agents" | "user-agent" | "user-agents" => &[Slot::Agent],
        "script" | "scripts" => &[Slot::Script],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_parses_and_any_event_is_a_kind() {
        let dir = tempfile::tempdir().unwrap();
        let store = casemate_store::Store::open(dir.path()).unwrap();
        for text in KINDS.iter().flat_map(|kind| [kind.query, kind.logged]) {
            let query = casemate_store::Query { text: text.to_owned(), limit: 1, ..Default::default() };
            assert!(store.search(&query).is_ok(), "{text}");
        }
        assert!(KINDS[ANY].groups.is_empty());
    }
}
