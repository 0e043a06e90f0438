//! What does this event say, in the terms the facts ask in?
//!
//! Normalised fields first, the vendor's own where OCSF has none. Values are as logged; nothing is judged.

use casemate_event::{Class, Entity, EntityKind, Event, field};

/// An event seen through the questions that facts ask.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a Event);

impl<'a> View<'a> {
    /// Vendor field `name`, whatever its case.
    pub(crate) fn native(self, name: &str) -> Option<&'a str> {
        self.0.native.get_ignore_case(name)
    }

    /// The first of the normalised `names` that is present.
    fn first(self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.0.field(name))
    }

    pub(crate) fn code(self) -> &'a str {
        self.0.field(field::EVENT_CODE).unwrap_or_default()
    }

    pub(crate) fn activity(self) -> &'a str {
        self.0.field(field::ACTIVITY).unwrap_or_default()
    }

    /// Whether a Sysmon channel wrote it.
    pub(crate) fn is_sysmon(self) -> bool {
        let named = |value: Option<&str>| value.is_some_and(|value| value.to_lowercase().contains("sysmon"));
        named(self.0.field(field::PRODUCT))
            || named(self.native("Channel"))
            || named(self.native("Provider_Name"))
    }

    /// Whether a process was started.
    pub(crate) fn is_launch(self) -> bool {
        self.0.class == Class::ProcessActivity
            && (self.activity().eq_ignore_ascii_case("launch") || matches!(self.code(), "1" | "4688"))
    }

    /// Whether a process was started in another process's memory (Sysmon 8).
    pub(crate) fn is_injection(self) -> bool {
        self.0.class == Class::ProcessActivity
            && (self.activity().eq_ignore_ascii_case("inject") || (self.is_sysmon() && self.code() == "8"))
    }

    /// Whether a file was written.
    pub(crate) fn is_file_write(self) -> bool {
        self.0.class == Class::FileSystemActivity
            && !["delete", "read", "open"].iter().any(|other| self.activity().eq_ignore_ascii_case(other))
    }

    /// Whether it is a logon that failed, or succeeded.
    pub(crate) fn logon(self) -> Option<bool> {
        if self.0.class != Class::Authentication || self.activity().eq_ignore_ascii_case("logoff") {
            return None;
        }
        match self.0.field(field::STATUS)? {
            status if status.eq_ignore_ascii_case("success") => Some(true),
            status if status.eq_ignore_ascii_case("failure") => Some(false),
            _ => None,
        }
    }

    pub(crate) fn host(self) -> String {
        self.first(&[field::DEVICE_HOSTNAME, field::DEVICE_IP])
            .map(|host| Entity::new(EntityKind::Host, host).value)
            .unwrap_or_default()
    }

    /// Who acted; for a logon, who logged on.
    pub(crate) fn user(self) -> Option<String> {
        let order = if self.0.class == Class::Authentication {
            [field::USER, field::ACTOR_USER]
        } else {
            [field::ACTOR_USER, field::USER]
        };
        self.first(&order)
            .map(|user| Entity::new(EntityKind::User, user).value)
            .filter(|user| !user.is_empty())
    }

    /// [`user`](Self::user), unless it is the machine itself or a built-in service account: those join
    /// everything with everything.
    pub(crate) fn person(self) -> Option<String> {
        self.user().filter(|user| {
            !user.ends_with('$')
                && !user.starts_with("dwm-")
                && !user.starts_with("umfd-")
                && !matches!(
                    user.as_str(),
                    "system" | "local service" | "network service" | "anonymous logon" | "localsystem"
                )
        })
    }

    pub(crate) fn process_path(self) -> Option<&'a str> {
        self.first(&[field::PROCESS_PATH, field::PROCESS_NAME])
    }

    /// Base name of the process started, stopped or accessed, in lower case.
    pub(crate) fn process_name(self) -> String {
        self.process_path().map(base_name).unwrap_or_default()
    }

    pub(crate) fn parent_path(self) -> Option<&'a str> {
        self.first(&[field::PARENT_PROCESS_PATH, field::PARENT_PROCESS_NAME])
    }

    /// Base name of the parent, in lower case.
    pub(crate) fn parent_name(self) -> String {
        self.parent_path().map(base_name).unwrap_or_default()
    }

    /// Path of the process that acted on something.
    pub(crate) fn actor_path(self) -> Option<&'a str> {
        self.first(&[field::ACTOR_PROCESS_PATH, field::ACTOR_PROCESS_NAME])
    }

    /// Base name of the process that acted, in lower case.
    pub(crate) fn actor_name(self) -> String {
        self.actor_path().map(base_name).unwrap_or_default()
    }

    /// Command line of the process started, or that acted, or a script's text.
    pub(crate) fn command(self) -> &'a str {
        self.first(&[field::PROCESS_CMD_LINE, field::SCRIPT, field::ACTOR_PROCESS_CMD_LINE])
            .unwrap_or_default()
    }

    /// What was typed into a honeypot (Cowrie).
    pub(crate) fn honeypot_input(self) -> Option<&'a str> {
        let typed = self.native("eventid").is_some_and(|kind| kind.starts_with("cowrie.command."));
        self.native("input").filter(|_| typed)
    }

    /// What a service or scheduled job runs.
    pub(crate) fn job_command(self) -> &'a str {
        self.first(&[field::PROCESS_CMD_LINE, field::PROCESS_PATH])
            .or_else(|| self.native("ImagePath"))
            .or_else(|| self.native("ServiceFileName"))
            .or_else(|| self.native("TaskContent"))
            .or_else(|| self.native("TaskContentNew"))
            .unwrap_or_default()
    }

    /// Access mask asked for, if the event states one.
    pub(crate) fn access_mask(self) -> Option<u32> {
        let mask = self.native("GrantedAccess").or_else(|| self.native("AccessMask"))?;
        u32::from_str_radix(mask.trim().strip_prefix("0x")?, 16).ok()
    }

    pub(crate) fn source_ip(self) -> Option<String> {
        self.0.field(field::SRC_IP).map(|ip| Entity::new(EntityKind::Ip, ip).value)
    }

    pub(crate) fn source_host(self) -> Option<String> {
        self.0.field(field::SRC_HOSTNAME).map(|host| Entity::new(EntityKind::Host, host).value)
    }

    /// Process id of the process started or acting, and of its parent.
    pub(crate) fn lineage(self) -> (Option<u64>, Option<u64>) {
        let order = if self.is_launch() {
            [field::PROCESS_PID, field::ACTOR_PROCESS_PID]
        } else {
            [field::ACTOR_PROCESS_PID, field::PROCESS_PID]
        };
        let pid = self.first(&order).and_then(parse_pid);
        (pid, self.0.field(field::PARENT_PROCESS_PID).and_then(parse_pid))
    }

    /// Process id of the process that was opened or injected into.
    pub(crate) fn target_pid(self) -> Option<u64> {
        self.0.field(field::PROCESS_PID).and_then(parse_pid)
    }

    /// Whether a service or scheduled job was created or changed, as opposed to run.
    pub(crate) fn is_job_change(self) -> bool {
        matches!(self.0.class, Class::WindowsServiceActivity | Class::ScheduledJobActivity)
            && (["create", "update"].iter().any(|change| self.activity().eq_ignore_ascii_case(change))
                || matches!(self.code(), "7045" | "4697" | "4698" | "4702"))
    }
}

/// Windows writes process ids in decimal or as `0x1a2c`.
fn parse_pid(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Last component of a Windows or POSIX path, in lower case.
pub(crate) fn base_name(path: &str) -> String {
    path.trim_matches('"').rsplit(['\\', '/']).next().unwrap_or_default().to_lowercase()
}
