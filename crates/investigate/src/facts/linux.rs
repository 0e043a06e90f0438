//! Facts about sudo, su and what the audit daemon reports on Linux.

use super::{Kind, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::SudoToRoot, sudo_to_root),
    (Kind::SudoDenied, sudo_denied),
    (Kind::AccountSwitched, account_switched),
    (Kind::KernelModule, kernel_module),
    (Kind::SetuidSet, setuid_set),
    (Kind::NetworkSniffing, promiscuous),
    (Kind::AuditTampered, audit_rules_changed),
    (Kind::ShadowFileRead, shadow_opened),
];

/// Whether sudo logged it.
fn by_sudo(view: View<'_>) -> bool {
    view.is_launch() && view.native("COMMAND").is_some() && view.native("PWD").is_some()
}

fn sudo_to_root(view: View<'_>) -> Option<String> {
    let target = view.0.field(field::USER)?;
    let granted = view.0.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("success"));
    (by_sudo(view) && granted && target == "root").then(|| {
        format!(
            "{} ran a command as root on {}: {}",
            view.user().unwrap_or_default(),
            view.host(),
            quoted(view.command())
        )
    })
}

fn sudo_denied(view: View<'_>) -> Option<String> {
    let why = view.0.field(field::STATUS_DETAIL)?;
    let denied =
        contains_any(why, &["NOT in sudoers", "not allowed", "incorrect password", "authentication failure"]);
    (by_sudo(view) && denied).then(|| {
        format!("sudo refused {} on {}: {}", view.user().unwrap_or_default(), view.host(), quoted(why))
    })
}

fn account_switched(view: View<'_>) -> Option<String> {
    let message = view.0.message.to_lowercase();
    let su = contains_any(&message, &["su[", "su:", " su "]) && view.logon() == Some(true);
    let actor = view.0.field(field::ACTOR_USER)?;
    let to = view.0.field(field::USER)?;
    let text = contains_any(&message, &["(to ", "successful su for", "'su "]);
    (su && text && actor != to && actor != "root")
        .then(|| format!("{} became {} on {}", quoted(actor), quoted(to), view.host()))
}

fn kernel_module(view: View<'_>) -> Option<String> {
    let call = view.native("syscall").unwrap_or_default();
    let loads =
        matches!(call, "175" | "313" | "init_module" | "finit_module") && view.native("type").is_some();
    let by = view.actor_name();
    (loads && !matches!(by.as_str(), "systemd-udevd" | "systemd-modules-load" | "kmod" | "systemd" | "snapd"))
        .then(|| format!("{by} on {} loaded a kernel module", view.host()))
}

fn setuid_set(view: View<'_>) -> Option<String> {
    let call = view.native("syscall").unwrap_or_default();
    let mode = match call {
        "90" | "91" | "chmod" | "fchmod" => view.native("a1"),
        "268" | "fchmodat" => view.native("a2"),
        _ => None,
    }?;
    let mode = u32::from_str_radix(mode, 16).ok()?;
    let installer =
        matches!(view.actor_name().as_str(), "dpkg" | "rpm" | "yum" | "dnf" | "apt" | "apt-get" | "snapd");
    (mode & 0o4000 != 0 && !installer).then(|| {
        format!(
            "{} on {} set the bit that lends a program its owner's rights",
            view.actor_name(),
            view.host()
        )
    })
}

fn promiscuous(view: View<'_>) -> Option<String> {
    let audit = view.native("type") == Some("ANOM_PROMISCUOUS")
        && view.native("prom").is_some_and(|prom| prom != "0");
    let kernel = view.0.class == Class::BaseEvent && view.0.message.contains("entered promiscuous mode");
    (audit || kernel).then(|| format!("a network card of {} began to take in all traffic", view.host()))
}

fn audit_rules_changed(view: View<'_>) -> Option<String> {
    let kind = view.native("type").unwrap_or_default();
    let change = kind == "CONFIG_CHANGE"
        && (view.native("op").is_some_and(|op| op.contains("remove_rule"))
            || view.native("audit_enabled") == Some("0"))
        && view.native("auid").is_some_and(|id| id != "4294967295");
    change.then(|| format!("rules of the audit daemon were removed on {}", view.host()))
}

fn shadow_opened(view: View<'_>) -> Option<String> {
    let path = view.0.field(field::FILE_PATH).or_else(|| view.native("name"))?;
    let by = crate::view::base_name(view.native("exe").or_else(|| view.actor_path()).unwrap_or_default());
    let usual = matches!(
        by.as_str(),
        "sshd"
            | "sudo"
            | "su"
            | "login"
            | "passwd"
            | "unix_chkpwd"
            | "cron"
            | "crond"
            | "useradd"
            | "usermod"
            | "userdel"
            | "chage"
            | "systemd"
            | "gdm-session-worker"
            | "polkitd"
            | "accounts-daemon"
            | "groupadd"
            | "chpasswd"
            | "vsftpd"
            | "dovecot"
            | ""
    );
    (path == "/etc/shadow" && view.native("syscall").is_some() && !usual)
        .then(|| format!("{by} on {} opened the file of password hashes", view.host()))
}
