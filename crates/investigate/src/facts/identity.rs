//! Facts about identities in Entra ID, Microsoft 365 and Okta: consent, roles, factors, mail rules.

use super::{Kind, Pattern, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::ConsentGranted, |view| by_name(view, &CONSENT, "lets an application act for users")),
    (Kind::AppCredentialAdded, |view| by_name(view, &APP_CREDENTIAL, "gives an application a credential")),
    (Kind::DirectoryRoleAdded, |view| by_name(view, &ROLE, "gives an account a role")),
    (Kind::FederationChanged, |view| by_name(view, &FEDERATION, "changes who vouches for logons")),
    (Kind::AccessPolicyChanged, |view| by_name(view, &POLICY, "changes the conditions of access")),
    (Kind::MfaChanged, |view| by_name(view, &FACTOR, "changes a second factor")),
    (Kind::MfaFatigue, prompts_denied),
    (Kind::RiskySignIn, risky),
    (Kind::LegacySignIn, legacy),
    (Kind::DeviceCodeSignIn, device_code),
    (Kind::MailForwarding, mail_forwarding),
    (Kind::MailboxPermission, |view| by_name(view, &MAILBOX, "opens a mailbox to another")),
    (Kind::MailCollected, |view| by_name(view, &MAIL_EXPORT, "searches or exports mail")),
    (Kind::AuditDisabled, audit_disabled),
    (Kind::GuestInvited, |view| by_name(view, &GUEST, "invites somebody from outside")),
];

static CONSENT: Pattern = Pattern::new(
    r"^consent to application|^add (oauth2permissiongrant|delegated permission grant|app role assignment (grant )?to (service principal|user))|app\.oauth2\.(as\.)?consent\.grant|application\.user_membership\.add.*oauth",
);
static APP_CREDENTIAL: Pattern = Pattern::new(
    r"^add service principal credentials|certificates and secrets management|^update application.*(certificates|key|secret)|^add (service principal|application)\.?$|application\.lifecycle\.create|system\.api_token\.create|oauth2\.client\.(secret|lifecycle\.create)|^add key credential",
);
static ROLE: Pattern = Pattern::new(
    r"^add (eligible )?member to role|^add user to role|^add app role assignment|group\.privilege\.grant|user\.account\.privilege\.grant|iam\.resourceset\.bindings\.add|^add role (assignment|definition)|^add owner to|^elevate access|microsoft\.authorization/(roleassignments/write|elevateaccess)",
);
static FEDERATION: Pattern = Pattern::new(
    r"^set (federation settings|domain authentication)|^add (verified|unverified) domain|^verify domain|system\.idp\.lifecycle\.(create|update|activate)|new-(federationtrust|acceptedportal)|^add partner to company|^set partnership|set-(federateddomain|msoldomainfederation)|zone\.(deactivate|delete)",
);
static POLICY: Pattern = Pattern::new(
    r"^(update|delete|add) (conditional access )?policy|^(update|delete) conditional access|policy\.(lifecycle\.(deactivate|delete|update)|rule\.(deactivate|delete|update))|^disable strong authentication|network_zone\.rule\.disabled|set-(antiphish|safeattachment|safelinks|malwarefilter|hostedcontentfilter|transport)\w*|remove-(antiphish|safeattachment|safelinks|malwarefilter)\w*|disable-(antiphish|safeattachment|safelinks)\w*|^update authorization policy|^update company settings",
);
static FACTOR: Pattern = Pattern::new(
    r"^user (registered|deleted|changed default|started) security info|^admin (registered|deleted|updated) security info|^(disable|enable) (strong authentication|per-user mfa)|^update user.*strongauthentication|user\.mfa\.(factor\.(activate|deactivate|update|reset_all|suspend)|okta_verify)|^register device|^add registered (owner|users)|user\.mfa\.attempt_bypass",
);
static MAILBOX: Pattern = Pattern::new(
    r"add-(mailboxpermission|recipientpermission|mailboxfolderpermission)|set-mailboxfolderpermission|^add delegat|addfolderpermissions|updatefolderpermissions|^add mailbox permission|grantsendonbehalfto|set-casmailbox|new-managementroleassignment",
);
static MAIL_EXPORT: Pattern = Pattern::new(
    r"new-(mailboxexportrequest|compliancesearch|mailboxsearch)|^searchcreated|^searchexport|^viewedsearchexported|start-compliancesearch|new-compliancesearchaction",
);
static GUEST: Pattern = Pattern::new(r"^invite external user|^invite user|^bulk invite");
static LEGACY: Pattern = Pattern::new(
    r"imap|pop3?|smtp|other clients|exchange activesync|authenticated smtp|mapi over http|exchange web services|autodiscover",
);

/// Operation that was done, in lower case.
fn operation(view: View<'_>) -> Option<String> {
    let cloud = matches!(view.0.class, Class::ApiActivity | Class::AccountChange | Class::Authentication);
    let failed = view.0.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"));
    let name = view
        .0
        .field(field::API_OPERATION)
        .or_else(|| view.native("OperationName"))
        .or_else(|| view.native("operationName"))?;
    (cloud && !failed).then(|| name.trim().to_lowercase())
}

fn by_name(view: View<'_>, pattern: &Pattern, what: &str) -> Option<String> {
    let operation = operation(view)?;
    pattern
        .is_in(&operation)
        .then(|| format!("{} by {} {what}", quoted(&operation), quoted(&view.user().unwrap_or_default())))
}

fn prompts_denied(view: View<'_>) -> Option<String> {
    let code = view.code();
    let why = view.0.field(field::STATUS_DETAIL).unwrap_or_default().to_lowercase();
    let entra = matches!(code, "500121" | "50074" | "50088")
        && contains_any(&why, &["denied", "fraud", "declined", "did not pass", "timeout", "timed out"]);
    let okta = code == "user.mfa.okta_verify.deny_push"
        || code.starts_with("user.authentication.auth_via_mfa") && contains_any(&why, &["reject", "denied"]);
    (entra || okta)
        .then(|| format!("{} refused a prompt for a second factor", view.user().unwrap_or_default()))
}

fn risky(view: View<'_>) -> Option<String> {
    let level = [
        "riskLevelDuringSignIn",
        "riskLevelAggregated",
        "riskLevel",
        "RiskLevelDuringSignIn",
        "RiskLevelAggregated",
        "properties.riskLevelDuringSignIn",
    ]
    .iter()
    .find_map(|name| {
        view.native(name).filter(|level| contains_any(&level.to_lowercase(), &["high", "medium"]))
    });
    let state = view
        .native("riskState")
        .or_else(|| view.native("properties.riskState"))
        .unwrap_or_default()
        .to_lowercase();
    let compromised = contains_any(&state, &["atrisk", "confirmedcompromised"]);
    let okta = view.code() == "security.threat.detected"
        || view.native("debugContext.debugData.threatSuspected") == Some("true");
    (level.is_some() || compromised || okta).then(|| {
        format!(
            "the identity provider rates a sign-in of {} as risky",
            quoted(&view.user().unwrap_or_default())
        )
    })
}

fn legacy(view: View<'_>) -> Option<String> {
    let client = view
        .native("clientAppUsed")
        .or_else(|| view.native("ClientAppUsed"))
        .or_else(|| view.native("properties.clientAppUsed"))?;
    (view.0.class == Class::Authentication
        && view.logon() == Some(true)
        && LEGACY.is_in(&client.to_lowercase()))
    .then(|| {
        format!(
            "{} signed in through {}, which asks for no second factor",
            view.user().unwrap_or_default(),
            quoted(client)
        )
    })
}

fn device_code(view: View<'_>) -> Option<String> {
    let protocol = view
        .native("authenticationProtocol")
        .or_else(|| view.native("AuthenticationProtocol"))
        .or_else(|| view.native("properties.authenticationProtocol"))?;
    (view.logon() == Some(true) && protocol.eq_ignore_ascii_case("deviceCode"))
        .then(|| format!("{} signed in with a code typed on another device", view.user().unwrap_or_default()))
}

fn mail_forwarding(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let rule = contains_any(
        &operation,
        &[
            "new-inboxrule",
            "set-inboxrule",
            "updateinboxrules",
            "set-mailbox",
            "new-transportrule",
            "set-transportrule",
        ],
    );
    if !rule {
        return None;
    }
    let parameters: String = view
        .0
        .native
        .iter()
        .filter(|(name, _)| {
            name.to_lowercase().contains("param") || name.to_lowercase().contains("operationproperties")
        })
        .flat_map(|(name, value)| [name, "=", value, " "])
        .collect::<String>()
        .to_lowercase();
    let away = contains_any(
        &parameters,
        &[
            "forwardto",
            "redirectto",
            "forwardasattachmentto",
            "forwardingsmtpaddress",
            "forwardingaddress",
            "delivertomailboxandforward",
            "blindcopyto",
            "deletemessage",
            "movetofolder",
        ],
    );
    away.then(|| {
        format!(
            "{} by {} sends mail elsewhere or hides it",
            quoted(&operation),
            quoted(&view.user().unwrap_or_default())
        )
    })
}

fn audit_disabled(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let bypass = contains_any(
        &operation,
        &[
            "set-mailboxauditbypassassociation",
            "set-adminauditlogconfig",
            "remove-mailboxauditlog",
            "disable-mailboxauditing",
        ],
    ) || operation.starts_with("set-mailbox")
        && view.0.native.iter().any(|(_, value)| value.to_lowercase().contains("auditenabled"))
        || contains_any(
            &operation,
            &[
                "delete diagnostic setting",
                "microsoft.insights/diagnosticsettings/delete",
                "system.log_stream.lifecycle.deactivate",
                "microsoft.operationalinsights/workspaces/delete",
            ],
        );
    bypass.then(|| {
        format!("{} by {} weakens auditing", quoted(&operation), quoted(&view.user().unwrap_or_default()))
    })
}
