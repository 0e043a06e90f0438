//! Facts about looking around: which commands list what. Each alone is everyday work; together they are a burst.

use super::commands::Text;
use super::{Kind, Predicate, contains_any, pattern, quoted};
use crate::view::View;
use casemate_event::Class;

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::WhoAmI, |view| listed(view, Kind::WhoAmI)),
    (Kind::AccountsListed, |view| listed(view, Kind::AccountsListed)),
    (Kind::GroupsListed, |view| listed(view, Kind::GroupsListed)),
    (Kind::SystemListed, |view| listed(view, Kind::SystemListed)),
    (Kind::NetworkListed, |view| listed(view, Kind::NetworkListed)),
    (Kind::ConnectionsListed, |view| listed(view, Kind::ConnectionsListed)),
    (Kind::HostsListed, |view| listed(view, Kind::HostsListed)),
    (Kind::SharesListed, |view| listed(view, Kind::SharesListed)),
    (Kind::ProcessesListed, |view| listed(view, Kind::ProcessesListed)),
    (Kind::PolicyListed, |view| listed(view, Kind::PolicyListed)),
    (Kind::TrustsListed, |view| listed(view, Kind::TrustsListed)),
    (Kind::SoftwareListed, |view| listed(view, Kind::SoftwareListed)),
    (Kind::ProtectionListed, |view| listed(view, Kind::ProtectionListed)),
    (Kind::RegistryQueried, |view| listed(view, Kind::RegistryQueried)),
    (Kind::GroupEnumerated, group_enumerated),
];

/// What is listed, by a pattern over the command: the first that matches counts.
const LISTS: [(Kind, &str); 14] = [
    (
        Kind::ProtectionListed,
        r"securitycenter2?\b|antivirusproduct|get-mpcomputerstatus|get-mppreference|netsh\s.*(show\s+(all|current)?profiles?|firewall\s+show)|fltmc(\.exe)?['\s]*$|tasklist.*(msmpeng|sysmon|defend|sense)|sc(\.exe)?['\s]+query\s+(windefend|sense|sysmon)|auditctl\s+-l|get-netfirewall",
    ),
    (
        Kind::TrustsListed,
        r"nltest(\.exe)?['\s].*(/domain_trusts|/trusted_domains|/all_trusts)|get-(ad|net|domain)?(domain|forest)trust|\.getalltrustrelationships|activedirectory\.(forest|domain)\]::getcurrent|dsquery.*trusteddomain|adfind.*trustdmp",
    ),
    (
        Kind::PolicyListed,
        r"net1?(\.exe)?['\s]+accounts|get-ad(defaultdomain|finegrained)passwordpolicy|/etc/(login\.defs|pam\.d/common-password)|chage\s+-l|secedit(\.exe)?['\s].*/export",
    ),
    (
        Kind::GroupsListed,
        r"net1?(\.exe)?['\s]+(local)?group\b|get-(local|ad)group(member)?\b|whoami(\.exe)?['\s]+/groups|\bgroups\b\s*$|/etc/group\b|getent\s+group|dsquery(\.exe)?['\s]+group|gpresult",
    ),
    (
        Kind::AccountsListed,
        r"net1?(\.exe)?['\s]+users?\b|get-(localuser|aduser)\b|wmic(\.exe)?['\s].*useraccount|\bquery(\.exe)?['\s]+user|/etc/passwd\b|getent\s+passwd|dsquery(\.exe)?['\s]+user|\blastlog\b|win32_useraccount|cut\s+-d:\s*-f1",
    ),
    (
        Kind::WhoAmI,
        r"\bwhoami\b|\bquser\b|\bqwinsta\b|query(\.exe)?['\s]+(session|user)|echo\s+%username%|\bid\s*$|^'?(/usr/bin/)?(id|w|who|last)'?(\s+-[a-z]+)?$|\[security\.principal\.windowsidentity\]::getcurrent|\$env:username",
    ),
    (
        Kind::HostsListed,
        r"net1?(\.exe)?['\s]+view|nltest(\.exe)?['\s].*/(dclist|dsgetdc|server)|net1?(\.exe)?['\s]+group\s+'?domain (computers|controllers)|get-adcomputer|dsquery(\.exe)?['\s]+(computer|server)|\barp\s+-a|/etc/hosts\b|\bnbtstat|getent\s+hosts|drivers\\etc\\hosts|nslookup.*_ldap|echo\s+%logonserver%",
    ),
    (
        Kind::SharesListed,
        r"net1?(\.exe)?['\s]+share\s*$|net1?(\.exe)?['\s]+view\s+\\\\|get-smbshare|wmic(\.exe)?['\s].*\bshare\b|smbclient\s+-l|showmount\s+-e|win32_share\b|smbmap",
    ),
    (
        Kind::ConnectionsListed,
        r"\bnetstat\b|net1?(\.exe)?['\s]+(session|use\s*$|file)|get-nettcpconnection|\bss\s+-[a-z]*[tlnpa]|\blsof\s+-i",
    ),
    (
        Kind::NetworkListed,
        r"\bipconfig\b|\bifconfig\b|\bip\s+(a|addr|r|route|link|neigh)\b|\broute(\.exe)?['\s]+print|netsh\s.*show|get-netip(configuration|address)|\bnmcli|/etc/resolv\.conf|tracert|\bpathping|\biwconfig|get-dnsclient|ipify|ifconfig\.(me|co)|icanhazip|wtfismyip|ipinfo\.io|checkip",
    ),
    (
        Kind::ProcessesListed,
        r"\btasklist\b|\bps\s+-?[a-z]*(ef|aux)|get-process\b|wmic(\.exe)?['\s].*process\s+(list|get)|\bpslist|\btop\s+-b|win32_process\b.*(select|get-)",
    ),
    (
        Kind::SoftwareListed,
        r"wmic(\.exe)?['\s].*(product|qfe)\s+(get|list)|currentversion\\uninstall|get-hotfix|\bdpkg\s+-l|\brpm\s+-qa|get-wmiobject.*win32_product|get-package\b|\bapt\s+list|wmic\s+qfe",
    ),
    (
        Kind::SystemListed,
        r"\bsysteminfo\b|\bhostname(\.exe)?\b|\buname\s+-|/etc/(os-release|issue|lsb-release|redhat-release)|/proc/(version|cpuinfo|meminfo)|\blsb_release|get-computerinfo|wmic(\.exe)?['\s].*(computersystem|os|logicaldisk|bios|cpu|baseboard|volume)\s+(get|list)|\blscpu|\bdmidecode|fsutil(\.exe)?['\s]+fsinfo|win32_(operatingsystem|computersystem|bios|logicaldisk)|\bver\s*$|\bdriverquery|\blsblk|\bdf\s+-h|cryptography.*machineguid",
    ),
    (
        Kind::RegistryQueried,
        r"\breg(\.exe)?['\s]+query\b|get-itemproperty\s.*hk(lm|cu):|get-childitem\s.*hk(lm|cu):",
    ),
];

/// What a launch or script of this event lists, and the command.
fn lists(view: View<'_>) -> Option<(Kind, Text<'_>)> {
    let runs = view.is_launch() || view.honeypot_input().is_some() || view.0.class == Class::ScriptActivity;
    let mut text = Text::of(view).filter(|_| runs)?;
    // A whole script that calls one of them in passing lists nothing.
    if view.0.class == Class::ScriptActivity && text.shown.len() > 400 {
        return None;
    }
    if text.lower.is_empty() {
        text.lower = view.process_name();
    }
    LISTS.iter().find(|(_, regex)| pattern(&text.lower, regex)).map(|(kind, _)| (*kind, text))
}

fn listed(view: View<'_>, wanted: Kind) -> Option<String> {
    let (kind, text) = lists(view)?;
    (kind == wanted).then(|| format!("a command on {} looks around: {}", view.host(), quoted(text.shown)))
}

/// Discovery command that was run, in few words, or nothing.
pub(super) fn command(view: View<'_>) -> Option<String> {
    let (_, text) = lists(view)?;
    let words: Vec<&str> = text.lower.split_whitespace().take(3).collect();
    let program = words.first()?.rsplit(['\\', '/']).next()?.trim_matches('\'').to_owned();
    let program = program.strip_suffix(".exe").unwrap_or(&program);
    Some(format!("{program} {}", words.get(1..).unwrap_or_default().join(" ")))
}

fn group_enumerated(view: View<'_>) -> Option<String> {
    if !matches!(view.code(), "4798" | "4799") || view.person().is_none() {
        return None;
    }
    let caller = view.native("CallerProcessName").unwrap_or_default().to_lowercase();
    let ordinary = contains_any(
        &caller,
        &[
            r"\svchost.exe",
            r"\services.exe",
            r"\lsass.exe",
            r"\mmc.exe",
            r"\taskhostw.exe",
            r"\vssvc.exe",
            r"\explorer.exe",
            r"\msiexec.exe",
            r"\compattelrunner.exe",
            r"\logonui.exe",
            r"\wmiprvse.exe",
            r"\searchindexer.exe",
            r"\useraccountcontrolsettings.exe",
            r"\dfssvc.exe",
            r"\wsmprovhost.exe",
        ],
    );
    (!ordinary && caller.contains('\\')).then(|| {
        format!("{} on {} listed accounts of a group or groups of an account", quoted(&caller), view.host())
    })
}
