//! What is normal here? The site file: assets, administrators, approved tools, scanners.
//!
//! What a site writes down is the lever against false positives, so it is also what an attacker would lie
//! about. A tool is known only by path *and* parent *and* account together, each compared as a whole; a
//! program that merely carries the name does not pass.

use crate::Error;
use crate::view::View;
use casemate_event::{Entity, EntityKind};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::Path;

/// What a site has written about itself. Empty where it has written nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name of the site, for people.
    #[serde(default)]
    pub name: String,
    /// Computers with a role.
    #[serde(default, rename = "asset")]
    pub assets: Vec<Asset>,
    /// People and accounts that administer.
    #[serde(default, rename = "administrator")]
    pub administrators: Vec<Administrator>,
    /// Programs that are expected to do what attackers also do.
    #[serde(default, rename = "tool")]
    pub tools: Vec<Tool>,
    /// Vulnerability scanners and monitoring probes.
    #[serde(default, rename = "scanner")]
    pub scanners: Vec<Scanner>,
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
    #[serde(default)]
    pub critical: bool,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
}

/// An account that administers, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// Account name, with or without domain.
    pub account: String,
    /// Hosts and addresses it is expected to work from; empty: not stated, and then it explains nothing.
    #[serde(default)]
    pub from: Vec<String>,
    /// Anything a colleague should know.
    #[serde(default)]
    pub note: String,
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
    pub accounts: Vec<String>,
    /// Hosts it runs on; empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What it is for.
    #[serde(default)]
    pub note: String,
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
}

impl Site {
    /// Reads a site file.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Site`] naming the key that is wrong.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs_err::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        Self::parse(&text).map_err(|reason| Error::Site { path: path.to_path_buf(), reason })
    }

    /// Reads the text of a site file.
    ///
    /// # Errors
    /// Which key is wrong, why, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let site: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for tool in &site.tools {
            for (key, path) in [("path", &tool.path), ("parent", &tool.parent)] {
                if !path.contains(['\\', '/']) {
                    return Err(format!(
                        "tool {:?}: {key} {path:?} is a bare name; write the full path, because anybody can \
                         choose a name",
                        tool.name
                    ));
                }
            }
            if tool.accounts.is_empty() {
                return Err(format!("tool {:?}: accounts is empty; name those it runs under", tool.name));
            }
        }
        Ok(site)
    }

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
        let places = [event.source_ip(), event.source_host(), Some(event.host())];
        self.administrators.iter().find(|administrator| {
            same(EntityKind::User, &administrator.account, &user)
                && administrator.from.iter().any(|from| {
                    places
                        .iter()
                        .flatten()
                        .any(|place| place == &from.to_lowercase() || same(EntityKind::Host, from, place))
                })
        })
    }

    /// The scanner with this address.
    pub(crate) fn scanner(&self, ip: &str) -> Option<&Scanner> {
        let ip: IpAddr = ip.parse().ok()?;
        self.scanners.iter().find(|scanner| scanner.ip == ip)
    }

    /// The asset with this host name.
    pub(crate) fn asset(&self, host: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| same(EntityKind::Host, &asset.host, host))
    }
}

/// The Security log names the machine account where Sysmon names `SYSTEM`, for the same process.
fn acting<'a>(user: &'a str, host: &str) -> &'a str {
    if user.strip_suffix('$').is_some_and(|machine| machine == host) { "system" } else { user }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_as_a_whole() {
        let check = |written, path, expected| {
            assert_eq!(path_matches(written, path), expected, "{written} against {path}");
        };
        check(r"C:\Program Files\Backup\agent.exe", r"c:\program files\backup\AGENT.EXE", true);
        check(r"C:\Program Files\Backup\agent.exe", r"C:\Users\Public\agent.exe", false);
        check(r"C:\Program Files\Backup\agent.exe", r"C:\Program Files\Backup\agent.exe.exe", false);
        check(r"C:\Program Files\Backup\agent.exe", r"C:\Program Files\Backup\..\Backup\agent.exe", false);
        check(r"C:\Defender\4.18*\MsMpEng.exe", r"C:\Defender\4.18.2\MsMpEng.exe", true);
        check(r"C:\Defender\4.18*\MsMpEng.exe", r"C:\Defender\4.18\x\MsMpEng.exe", false);
        check("/usr/sbin/cron", "/usr/sbin/cron", true);
    }

    #[test]
    fn a_bare_tool_name_is_refused() {
        let error = Site::parse("[[tool]]\nname='x'\npath='agent.exe'\nparent='C:\\a.exe'\naccounts=['a']")
            .unwrap_err();
        assert!(error.contains("bare name"), "{error}");
    }

    #[test]
    fn unknown_keys_are_named() {
        let error = Site::parse("[[scanner]]\nip='10.0.0.1'\ncolour='red'").unwrap_err();
        assert!(error.contains("colour"), "{error}");
        assert!(Site::parse("[[scanner]]\nip='10.0.0'").is_err());
    }
}
