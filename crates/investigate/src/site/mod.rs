//! What does the site say of itself? Assets, administrators, approved tools, scanners, service accounts, change
//! tickets and maintenance windows.
//!
//! What a site writes down is the lever against false positives, so it is also what an attacker would lie
//! about. A tool is known only by path *and* parent *and* account together, a ticket covers only its hosts, its
//! accounts, its programs and its time, each compared as a whole; a program that merely carries the name does not
//! pass.

mod load;
#[cfg(test)]
mod tests;
mod when;
mod written;

pub use when::{Period, Window};
pub use written::Place;

use crate::relate::is_loopback;
use crate::view::View;
use casemate_event::{Alert, Entity, EntityKind};
use jiff::Timestamp;
use serde::Deserialize;
use std::net::IpAddr;

/// What a site has written about itself. Empty where it has written nothing.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Name of the site, for people.
    pub name: String,
    /// Computers with a role.
    pub assets: Vec<Asset>,
    /// People and accounts that administer.
    pub administrators: Vec<Administrator>,
    /// Programs that are expected to do what attackers also do.
    pub tools: Vec<Tool>,
    /// Vulnerability scanners and monitoring probes.
    pub scanners: Vec<Scanner>,
    /// Accounts that programs log on with.
    pub service_accounts: Vec<ServiceAccount>,
    /// Changes that were approved.
    pub tickets: Vec<Ticket>,
    /// Planned maintenance.
    pub maintenance: Vec<Maintenance>,
}

/// A computer with a role.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Host name, with or without domain.
    pub host: String,
    /// What it is for (`domain controller`, `workstation` …).
    #[serde(default)]
    pub role: String,
    /// Whether losing it would stop the site.
    #[serde(default, deserialize_with = "written::yes_or_no")]
    pub critical: bool,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
    /// Where it was written.
    #[serde(skip)]
    pub place: Place,
}

/// An account that administers, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// Account name, with or without domain.
    pub account: String,
    /// Hosts and addresses it is expected to work from; empty: not stated, and then it explains nothing.
    #[serde(default, deserialize_with = "written::list")]
    pub from: Vec<String>,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
    /// Where it was written.
    #[serde(skip)]
    pub place: Place,
}

/// A program expected to do what attackers also do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name for people.
    pub name: String,
    /// Full path of the program. `*` at the end of a folder or file name stands for a version.
    pub path: String,
    /// Full path of the program that starts it.
    pub parent: String,
    /// Accounts it runs under.
    #[serde(deserialize_with = "written::list")]
    pub accounts: Vec<String>,
    /// Hosts it runs on; empty: all.
    #[serde(default, deserialize_with = "written::list")]
    pub hosts: Vec<String>,
    /// What it is for.
    #[serde(default)]
    pub note: String,
    /// Where it was written.
    #[serde(skip)]
    pub place: Place,
}

/// A vulnerability scanner or monitoring probe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scanner {
    /// Its address.
    pub ip: IpAddr,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
    /// Where it was written.
    #[serde(skip)]
    pub place: Place,
}

/// An account that programs log on with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Account name, with or without domain.
    pub account: String,
    /// Hosts it is used on.
    #[serde(deserialize_with = "written::list")]
    pub hosts: Vec<String>,
    /// Hosts and addresses it logs on from; empty: only on the host itself.
    #[serde(default, deserialize_with = "written::list")]
    pub from: Vec<String>,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
    /// Where it was written.
    #[serde(skip)]
    pub place: Place,
}

/// A change that was approved.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its number in the site's own system.
    pub ticket: String,
    /// Hosts it is about.
    pub hosts: Vec<String>,
    /// Accounts that carry it out.
    pub accounts: Vec<String>,
    /// When.
    pub period: Period,
    /// Full paths of programs, or whole command lines, that carry it out.
    pub programs: Vec<String>,
    /// Anything a colleague should know.
    pub note: String,
    /// Where it was written.
    pub place: Place,
}

/// Planned maintenance.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Name for people.
    pub name: String,
    /// Hosts it is about; `*` alone: all.
    pub hosts: Vec<String>,
    /// When.
    pub window: Window,
    /// Anything a colleague should know.
    pub note: String,
    /// Where it was written.
    pub place: Place,
}

impl Site {
    /// The approved tool that started the process of this event or is that process: path, parent and
    /// account must all be as written.
    pub(crate) fn approved_tool(&self, launch: View<'_>) -> Option<&Tool> {
        let path = launch.process_path()?;
        let parent = launch.parent_path()?;
        let user = launch.user()?;
        let host = launch.host();
        self.tools.iter().find(|tool| {
            path_matches(&tool.path, path)
                && path_matches(&tool.parent, parent)
                && tool.accounts.iter().any(|account| same(EntityKind::User, account, acting(&user, &host)))
                && (tool.hosts.is_empty() || tool.hosts.iter().any(|own| same(EntityKind::Host, own, &host)))
        })
    }

    /// The administrator acting in this event, from a place written for that account.
    pub(crate) fn administrator(&self, event: View<'_>) -> Option<&Administrator> {
        let user = event.user()?;
        let place = place_of(event)?;
        self.administrators.iter().find(|administrator| {
            same(EntityKind::User, &administrator.account, &user) && from_place(&administrator.from, &place)
        })
    }

    /// The service account acting in this event, where it is used and from where it logs on.
    pub(crate) fn service_account(&self, event: View<'_>) -> Option<&ServiceAccount> {
        let (user, host) = (event.user()?, event.host());
        let place = place_of(event)?;
        self.service_accounts.iter().find(|account| {
            same(EntityKind::User, &account.account, &user)
                && named(&account.hosts, &host)
                && (place == host || from_place(&account.from, &place))
        })
    }

    /// The ticket that covers this event: host, account and time, and the program where the flag says so.
    pub(crate) fn ticket(&self, event: View<'_>) -> Option<(&Ticket, bool)> {
        let (user, host, time) = (event.user()?, event.host(), event.0.time);
        let covering: Vec<&Ticket> = self
            .tickets
            .iter()
            .filter(|ticket| {
                ticket.period.holds(time)
                    && named(&ticket.hosts, &host)
                    && ticket.accounts.iter().any(|own| same(EntityKind::User, own, acting(&user, &host)))
            })
            .collect();
        let entirely = covering.iter().find(|ticket| ticket.programs.iter().any(|own| is_run(own, event)));
        entirely.map(|ticket| (*ticket, true)).or_else(|| covering.first().map(|ticket| (*ticket, false)))
    }

    /// Maintenance planned for this host at this time.
    pub(crate) fn maintenance(&self, host: &str, time: Timestamp) -> Option<&Maintenance> {
        self.maintenance.iter().find(|planned| {
            planned.window.holds(time)
                && !host.is_empty()
                && (planned.hosts.iter().any(|own| own == "*") || named(&planned.hosts, host))
        })
    }

    /// The scanner with this address.
    pub(crate) fn scanner(&self, ip: &str) -> Option<&Scanner> {
        let ip: IpAddr = ip.parse().ok()?;
        self.scanners.iter().find(|scanner| scanner.ip == ip)
    }

    /// Whether an alert is about a host that the site calls critical.
    pub fn is_critical(&self, alert: &Alert) -> bool {
        let mut hosts = alert.entities.iter().filter(|entity| entity.kind == EntityKind::Host);
        hosts.any(|host| self.asset(&host.value).is_some_and(|asset| asset.critical))
    }

    /// The asset with this host name.
    pub(crate) fn asset(&self, host: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| same(EntityKind::Host, &asset.host, host))
    }
}

/// Where an event comes from: the address seen on the wire; only where there is none, the name that the client
/// gave itself, which anybody can choose; and where there is neither, the host itself.
fn place_of(event: View<'_>) -> Option<String> {
    let address = event.source_ip().filter(|ip| !is_loopback(ip));
    address.or_else(|| event.source_host()).or_else(|| Some(event.host())).filter(|place| !place.is_empty())
}

/// The Security log names the machine account where Sysmon names `SYSTEM`, for the same process.
fn acting<'a>(user: &'a str, host: &str) -> &'a str {
    if user.strip_suffix('$').is_some_and(|machine| machine == host) { "system" } else { user }
}

/// Whether `host` is one of these.
fn named(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|own| same(EntityKind::Host, own, host))
}

/// Whether a host or address, in lower case, is one of these.
fn from_place(from: &[String], place: &str) -> bool {
    from.iter().any(|own| own.to_lowercase() == place || same(EntityKind::Host, own, place))
}

/// Whether `written` is the path of the program that was started or acted, or the whole of its command line.
fn is_run(written: &str, event: View<'_>) -> bool {
    let path = if event.is_launch() { event.process_path() } else { event.actor_path() };
    let command = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    path.is_some_and(|path| path_matches(written, path))
        || !event.command().is_empty() && command(written) == command(event.command())
}

fn same(kind: EntityKind, written: &str, seen: &str) -> bool {
    !seen.is_empty() && Entity::new(kind, written) == Entity::new(kind, seen)
}

/// Whether `path` is the path written, component by component and regardless of case. A component that
/// ends in `*` matches any rest of that component, never a separator, so a version may vary and a folder
/// may not.
fn path_matches(written: &str, path: &str) -> bool {
    let split =
        |text: &str| -> Vec<String> { text.to_lowercase().split(['\\', '/']).map(str::to_owned).collect() };
    let (written, path) = (split(written), split(path));
    // `..` would let one folder pass for another.
    written.len() == path.len()
        && !path.iter().any(|part| part == "..")
        && written.iter().zip(&path).all(|(own, seen)| match own.strip_suffix('*') {
            Some(stem) => seen.starts_with(stem),
            None => own == seen,
        })
}
