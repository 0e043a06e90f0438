//! Facts about accounts, Kerberos and the directory: Windows Security events of domain controllers and hosts.
//!
//! Sources: Microsoft's descriptions of the events, [MS-ADTS] for attributes and control access rights.

use super::{Kind, Predicate, contains_any, quoted};
use crate::relate::is_loopback;
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::DirectoryReplication, directory_replication),
    (Kind::BackupKeyRead, backup_key_read),
    (Kind::LocalPasswordRead, local_password_read),
    (Kind::Kerberoast, weak_service_ticket),
    (Kind::PreauthDisabled, ticket_without_preauthentication),
    (Kind::TokenLogon, logon_with_other_credentials),
    (Kind::PassTheHash, logon_like_pass_the_hash),
    (Kind::ExplicitCredentials, explicit_credentials),
    (Kind::RemoteDesktopLogon, remote_desktop_logon),
    (Kind::RemoteDesktopTunnel, remote_desktop_from_itself),
    (Kind::TokenPrivilege, powerful_privilege),
    (Kind::AccountPersistence, account_persistence),
    (Kind::SensitiveGroupChanged, sensitive_group),
    (Kind::ComputerAccountCreated, computer_account),
    (Kind::SidHistory, sid_history),
    (Kind::ShadowCredentials, |view| {
        attribute(view, &["msds-keycredentiallink"], "writes a key credential on an account")
    }),
    (Kind::DelegationChanged, delegation),
    (Kind::SpnWritten, spn_written),
    (Kind::WeakAccountFlag, weak_account_flag),
    (Kind::GroupPolicyChanged, group_policy),
    (Kind::DirectoryAclChanged, directory_permissions),
    (Kind::RogueController, rogue_controller),
    (Kind::RestorePasswordSet, |view| {
        code(view, &["4794"])
            .then(|| format!("the password of the directory restore mode was set on {}", view.host()))
    }),
    (Kind::AccountImpersonatesHost, account_like_host),
    (Kind::PasswordReset, password_reset),
    (Kind::AccountLocked, |view| {
        let done = code(view, &["4725", "4726"]) && view.person().is_some();
        done.then(|| format!("{} was disabled or removed on {}", target(view), view.host()))
    }),
    (Kind::UserRightAssigned, |view| {
        let person = view.person().is_some();
        (code(view, &["4704", "4717"]) && person).then(|| {
            let right =
                view.native("PrivilegeList").or_else(|| view.native("AccessGranted")).unwrap_or_default();
            format!("{} gave an account the right {} on {}", actor(view), quoted(right), view.host())
        })
    }),
    (Kind::VaultListed, |view| {
        (code(view, &["5376", "5377", "5381", "5382"]) && view.person().is_some())
            .then(|| format!("{} read or copied stored credentials on {}", actor(view), view.host()))
    }),
    (Kind::GroupEnumerated, sensitive_object_opened),
    (Kind::CertificateRequest, certificate_services),
    (Kind::PlainTextCredentials, reversible_encryption),
];

/// Rights that make a copy of the directory: `DS-Replication-Get-Changes` and `-All`, and the filtered set.
const REPLICATION_RIGHTS: [&str; 3] = [
    "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    "89e95b76-444d-4c62-991a-0facbeda640c",
];
/// Groups whose members hold the domain or a host, by name and by the end of their security identifier.
const SENSITIVE_GROUPS: [&str; 15] = [
    "domain admins",
    "enterprise admins",
    "schema admins",
    "administrators",
    "account operators",
    "backup operators",
    "server operators",
    "print operators",
    "dnsadmins",
    "group policy creator owners",
    "enterprise key admins",
    "key admins",
    "exchange trusted subsystem",
    "exchange windows permissions",
    "organization management",
];
const SENSITIVE_RIDS: [&str; 12] =
    ["-512", "-518", "-519", "-520", "-526", "-527", "-544", "-548", "-549", "-550", "-551", "-517"];

fn code(view: View<'_>, codes: &[&str]) -> bool {
    codes.contains(&view.code())
}

fn native_lower(view: View<'_>, name: &str) -> String {
    view.native(name).unwrap_or_default().to_lowercase()
}

fn actor(view: View<'_>) -> String {
    view.0
        .field(field::ACTOR_USER)
        .or_else(|| view.native("SubjectUserName"))
        .unwrap_or("somebody")
        .to_owned()
}

fn target(view: View<'_>) -> String {
    quoted(view.0.field(field::USER).or_else(|| view.native("TargetUserName")).unwrap_or("an account"))
}

fn directory_replication(view: View<'_>) -> Option<String> {
    let properties = native_lower(view, "Properties");
    let user = view.person()?;
    (code(view, &["4662"]) && contains_any(&properties, &REPLICATION_RIGHTS))
        .then(|| format!("{user} used the right to replicate the directory, which domain controllers use"))
}

/// The key that opens every protected secret of the domain, in the directory or through its pipe.
fn backup_key_read(view: View<'_>) -> Option<String> {
    let object = native_lower(view, "ObjectName");
    let read = code(view, &["4662", "4661", "4663", "4656"]) && object.contains("bckupkey");
    let masterkey = code(view, &["4692"]) && view.person().is_some();
    let pipe = code(view, &["5145"]) && native_lower(view, "RelativeTargetName") == "protected_storage";
    (read || pipe || masterkey).then(|| {
        format!("{} reached for the domain's key of protected secrets on {}", actor(view), view.host())
    })
}

fn local_password_read(view: View<'_>) -> Option<String> {
    let properties = native_lower(view, "Properties");
    let user = view.person()?;
    (code(view, &["4662"]) && contains_any(&properties, &["ms-mcs-admpwd", "mslaps"]))
        .then(|| format!("{user} read a managed local password from the directory"))
}

fn weak_service_ticket(view: View<'_>) -> Option<String> {
    let service = native_lower(view, "ServiceName");
    let user = view.0.field(field::USER)?;
    let encryption = native_lower(view, "TicketEncryptionType");
    let weak = matches!(encryption.as_str(), "0x17" | "0x18" | "0x1" | "0x3");
    let account = !service.is_empty() && !service.ends_with('$') && service != "krbtgt";
    let person = !user.split('@').next().unwrap_or(user).ends_with('$');
    (code(view, &["4769"]) && weak && account && person).then(|| {
        format!(
            "{} asked for a ticket of the service account {} under a weak cipher",
            quoted(user),
            quoted(&service)
        )
    })
}

fn ticket_without_preauthentication(view: View<'_>) -> Option<String> {
    let user = view.0.field(field::USER)?;
    let granted = matches!(native_lower(view, "Status").as_str(), "0x0" | "0");
    let without = native_lower(view, "PreAuthType") == "0";
    let service = native_lower(view, "ServiceName");
    (code(view, &["4768"]) && without && granted && service == "krbtgt" && !user.ends_with('$')).then(|| {
        format!(
            "a ticket of {} was given without pre-authentication, which its password can be guessed from",
            quoted(user)
        )
    })
}

fn logon_with_other_credentials(view: View<'_>) -> Option<String> {
    let process = native_lower(view, "LogonProcessName");
    (code(view, &["4624"]) && view.0.field(field::LOGON_TYPE) == Some("9") && view.person().is_some()).then(
        || {
            format!(
                "{} on {} goes on under other credentials for the network (logon process {})",
                target(view),
                view.host(),
                quoted(process.trim())
            )
        },
    )
}

fn logon_like_pass_the_hash(view: View<'_>) -> Option<String> {
    if !code(view, &["4624"]) {
        return None;
    }
    let process = native_lower(view, "LogonProcessName");
    let package = native_lower(view, "AuthenticationPackageName");
    let kind = view.0.field(field::LOGON_TYPE).unwrap_or_default();
    let new_credentials = kind == "9" && process.trim() == "seclogo" && package.trim() == "negotiate";
    let name = view.person()?;
    let network = kind == "3"
        && process.trim() == "ntlmssp"
        && native_lower(view, "KeyLength") == "0"
        && native_lower(view, "SubjectUserSid").ends_with("-0-0")
        && !name.ends_with('$')
        && view.source_ip().is_some_and(|ip| !is_loopback(&ip));
    (new_credentials || network)
        .then(|| format!("{name} logged on to {} the way a stolen hash is used", view.host()))
}

/// Credentials of another account named outright, by a program that people do not log on with.
fn explicit_credentials(view: View<'_>) -> Option<String> {
    let process = native_lower(view, "ProcessName");
    let ordinary = process.is_empty()
        || contains_any(
            &process,
            &[
                r"\svchost.exe",
                r"\winlogon.exe",
                r"\lsass.exe",
                r"\services.exe",
                r"\taskhost",
                r"\consent.exe",
                r"\explorer.exe",
                r"\wininit.exe",
                r"\logonui.exe",
                r"\mstsc.exe",
                r"\sshd.exe",
            ],
        );
    let person = view.0.field(field::ACTOR_USER).is_some_and(|user| !user.ends_with('$'));
    let to = view.0.field(field::USER).unwrap_or_default();
    let machine =
        to.ends_with('$') || to.to_lowercase().starts_with("dwm-") || to.to_lowercase().starts_with("umfd-");
    (code(view, &["4648"]) && !ordinary && person && !machine && !to.eq_ignore_ascii_case(&actor(view)))
        .then(|| format!("{} on {} used the credentials of {}", quoted(&process), view.host(), quoted(to)))
}

fn remote_desktop_logon(view: View<'_>) -> Option<String> {
    let ip = view.source_ip()?;
    let logon = code(view, &["4624"]) && view.0.field(field::LOGON_TYPE) == Some("10");
    (logon && !is_loopback(&ip))
        .then(|| format!("{} opened a remote desktop on {} from {ip}", target(view), view.host()))
}

/// A remote desktop session from the host itself, or from 16.x as a forwarded port shows: a tunnel ends here.
fn remote_desktop_from_itself(view: View<'_>) -> Option<String> {
    let logon = matches!(view.code(), "4624" | "4625") && view.0.field(field::LOGON_TYPE) == Some("10");
    let session = matches!(view.code(), "21" | "25" | "1149") && view.0.class == Class::Authentication;
    let ip = view.source_ip()?;
    let own = ip.starts_with("127.") || ip == "::1" || ip.starts_with("::%16777216");
    ((logon || session) && own)
        .then(|| format!("a remote desktop session on {} came from the host itself", view.host()))
}

fn powerful_privilege(view: View<'_>) -> Option<String> {
    let enabled = native_lower(view, "EnabledPrivilegeList");
    let list = native_lower(view, "PrivilegeList");
    let process = native_lower(view, "ProcessName");
    let from_system = process.starts_with(r"c:\windows\system32\")
        && !contains_any(&process, &["powershell", "cmd.exe", "rundll32"]);
    let adjusted = code(view, &["4703"])
        && contains_any(
            &enabled,
            &["sedebugprivilege", "setcbprivilege", "seloaddriverprivilege", "secreatetokenprivilege"],
        );
    let called = code(view, &["4673", "4674"])
        && contains_any(
            &list,
            &["setcbprivilege", "seloaddriverprivilege", "secreatetokenprivilege", "sedebugprivilege"],
        );
    ((adjusted || called) && !from_system && !process.is_empty() && view.person().is_some()).then(|| {
        format!(
            "{} on {} used a privilege that opens every process or loads drivers",
            quoted(&process),
            view.host()
        )
    })
}

fn account_persistence(view: View<'_>) -> Option<String> {
    let changed = view.0.class == Class::AccountChange
        && ["create", "add to group"].iter().any(|change| view.activity().eq_ignore_ascii_case(change));
    changed.then(|| format!("an account was created or given rights on {}: {}", view.host(), target(view)))
}

fn sensitive_group(view: View<'_>) -> Option<String> {
    let added = code(view, &["4728", "4732", "4756"]);
    let changed = code(view, &["4735", "4737", "4755"]);
    let (group, sid) = (native_lower(view, "TargetUserName"), native_lower(view, "TargetSid"));
    let sensitive =
        SENSITIVE_GROUPS.contains(&group.as_str()) || SENSITIVE_RIDS.iter().any(|rid| sid.ends_with(rid));
    ((added || changed) && sensitive && view.person().is_some())
        .then(|| format!("{} changed the members of {}", actor(view), quoted(&group)))
}

fn computer_account(view: View<'_>) -> Option<String> {
    let by = view.0.field(field::ACTOR_USER).unwrap_or_default();
    (code(view, &["4741"]) && !by.is_empty() && !by.ends_with('$') && view.person().is_some())
        .then(|| format!("{} created the computer account {}", quoted(by), target(view)))
}

fn sid_history(view: View<'_>) -> Option<String> {
    let history = native_lower(view, "SidHistory");
    let set = code(view, &["4738"]) && !matches!(history.trim(), "" | "-" | "%%1793");
    let attribute = code(view, &["5136"]) && native_lower(view, "AttributeLDAPDisplayName") == "sidhistory";
    (set || attribute || code(view, &["4765", "4766"])).then(|| {
        format!("the identifier history of {} was changed, which lends it another's rights", target(view))
    })
}

/// A change of one of these attributes of a directory object.
fn attribute(view: View<'_>, names: &[&str], says: &str) -> Option<String> {
    let name = native_lower(view, "AttributeLDAPDisplayName");
    (code(view, &["5136"]) && names.contains(&name.as_str()))
        .then(|| format!("{} {says}: {}", actor(view), quoted(view.native("ObjectDN").unwrap_or_default())))
}

fn delegation(view: View<'_>) -> Option<String> {
    let names = ["msds-allowedtoactonbehalfofotheridentity", "msds-allowedtodelegateto"];
    let flag = native_lower(view, "UserAccountControl");
    let to = native_lower(view, "AllowedToDelegateTo");
    let trusted = code(view, &["4738", "4742"])
        && (contains_any(&flag, &["%%2093", "%%2098"]) || !matches!(to.trim(), "" | "-" | "%%1793"));
    attribute(view, &names, "changes who may act in another's name")
        .or_else(|| trusted.then(|| format!("{} lets {} act in others' names", actor(view), target(view))))
}

fn spn_written(view: View<'_>) -> Option<String> {
    let spns = native_lower(view, "ServicePrincipalNames");
    let user = view.0.field(field::USER).unwrap_or_default();
    let changed =
        code(view, &["4738"]) && !matches!(spns.trim(), "" | "-" | "%%1793") && !user.ends_with('$');
    let object = native_lower(view, "ObjectClass");
    attribute(view, &["serviceprincipalname"], "writes a service name on an account")
        .filter(|_| object != "computer" && view.person().is_some())
        .or_else(|| changed.then(|| format!("{} wrote a service name on {}", actor(view), target(view))))
}

/// Pre-authentication switched off, no password needed, or a delegation bit: `%%2096`, `%%2082`.
fn weak_account_flag(view: View<'_>) -> Option<String> {
    let flags = native_lower(view, "UserAccountControl");
    (code(view, &["4738", "4742"])
        && contains_any(
            &flags,
            &["%%2096", "%%2082", "don't require preauth", "'password not required' - enabled"],
        ))
    .then(|| format!("{} took protection from the account {}", actor(view), target(view)))
}

fn reversible_encryption(view: View<'_>) -> Option<String> {
    let flags = native_lower(view, "UserAccountControl");
    (code(view, &["4738"]) && contains_any(&flags, &["%%2091"]))
        .then(|| format!("the password of {} is kept so that it can be read", target(view)))
}

fn group_policy(view: View<'_>) -> Option<String> {
    let class = native_lower(view, "ObjectClass");
    let name = native_lower(view, "AttributeLDAPDisplayName");
    let changed = code(view, &["5136", "5137", "5141"])
        && view.person().is_some()
        && (class == "grouppolicycontainer"
            || matches!(name.as_str(), "gplink" | "gpcmachineextensionnames" | "gpcuserextensionnames"));
    changed.then(|| {
        format!(
            "{} changed a group policy: {}",
            actor(view),
            quoted(view.native("ObjectDN").unwrap_or_default())
        )
    })
}

fn directory_permissions(view: View<'_>) -> Option<String> {
    attribute(view, &["ntsecuritydescriptor"], "changed the permissions of a directory object")
        .filter(|_| view.person().is_some())
}

fn rogue_controller(view: View<'_>) -> Option<String> {
    let spns =
        format!("{} {}", native_lower(view, "ServicePrincipalNames"), native_lower(view, "AttributeValue"));
    let replicates = contains_any(&spns, &["e3514235-4b06-11d1-ab04-00c04fc2dcd2", "gc/"])
        && code(view, &["4742", "5136"])
        && view.person().is_some();
    let object = code(view, &["5137", "5141"]) && native_lower(view, "ObjectClass") == "ntdsdsa";
    (replicates || object).then(|| format!("{} registers a host as a domain controller", actor(view)))
}

fn account_like_host(view: View<'_>) -> Option<String> {
    let (old, new) = (native_lower(view, "OldTargetUserName"), native_lower(view, "NewTargetUserName"));
    (code(view, &["4781"]) && (old.ends_with('$') != new.ends_with('$')))
        .then(|| format!("{} renamed {} to {}", actor(view), quoted(&old), quoted(&new)))
}

fn password_reset(view: View<'_>) -> Option<String> {
    let by = view.0.field(field::ACTOR_USER)?;
    let of = view.0.field(field::USER)?;
    (code(view, &["4724"]) && view.person().is_some() && !by.eq_ignore_ascii_case(of) && !by.ends_with('$'))
        .then(|| format!("{} set the password of {}", quoted(by), quoted(of)))
}

/// An account or group that holds the domain, opened through the account service.
fn sensitive_object_opened(view: View<'_>) -> Option<String> {
    let object = native_lower(view, "ObjectName");
    let kind = native_lower(view, "ObjectType");
    let sensitive = SENSITIVE_RIDS.iter().any(|rid| object.ends_with(rid))
        || object.ends_with("-500")
        || object.ends_with("-502");
    (code(view, &["4661"]) && kind.starts_with("sam_") && sensitive && view.person().is_some()).then(|| {
        format!("{} opened {} through the account service of {}", actor(view), quoted(&object), view.host())
    })
}

fn certificate_services(view: View<'_>) -> Option<String> {
    let attributes =
        format!("{} {}", native_lower(view, "Attributes"), native_lower(view, "RequestAttributes"));
    let other_name = code(view, &["4886", "4887"]) && attributes.contains("san:");
    let template = code(view, &["4899", "4900", "4890", "4882", "4892"]);
    (other_name || template).then(|| {
        format!(
            "{} changed certificate services or asked for a certificate in another name on {}",
            actor(view),
            view.host()
        )
    })
}
