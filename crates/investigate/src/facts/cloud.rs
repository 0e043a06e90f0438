//! Facts about operations in a cloud: AWS by CloudTrail's names, Google Cloud by the last part of its method's.
//!
//! An operation that was refused establishes nothing here; many refusals do, in [`super::sequence`].

use super::activity::is_global;
use super::{Kind, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::CloudLoggingStopped, logging_stopped),
    (Kind::CloudDetectionStopped, |view| named(view, &DETECTION, "weakens detection")),
    (Kind::CloudFirewallOpened, firewall_opened),
    (Kind::CloudCredentialCreated, |view| named(view, &CREDENTIALS, "creates or changes credentials")),
    (Kind::CloudAccountCreated, |view| {
        named(
            view,
            &[
                "CreateUser",
                "CreateServiceAccount",
                "google.iam.admin.v1.CreateServiceAccount",
                "CreateAccount",
            ],
            "creates an account",
        )
    }),
    (Kind::CloudPolicyWidened, policy_widened),
    (Kind::CloudTrustChanged, trust_changed),
    (Kind::CloudMfaRemoved, |view| {
        named(view, &["DeactivateMFADevice", "DeleteVirtualMFADevice"], "removes a second factor")
    }),
    (Kind::CloudRoot, root_used),
    (Kind::CloudLoginNoMfa, login_without_second_factor),
    (Kind::CloudSecretsRead, |view| {
        named(view, &["GetSecretValue", "BatchGetSecretValue", "AccessSecretVersion"], "reads a secret")
            .filter(|_| !by_service(view))
    }),
    (Kind::CloudParametersRead, |view| {
        named(
            view,
            &["GetParameters", "GetParameter", "GetParametersByPath"],
            "reads parameters, which often hold secrets",
        )
        .filter(|_| !by_service(view))
    }),
    (Kind::CloudInstancePassword, |view| {
        named(view, &["GetPasswordData"], "reads the password of an instance")
            .or_else(|| tried(view, "GetPasswordData"))
    }),
    (Kind::CloudSnapshotShared, shared),
    (Kind::CloudBucketOpened, bucket_opened),
    (Kind::CloudCommandRun, |view| {
        named(
            view,
            &[
                "SendCommand",
                "StartSession",
                "ResumeSession",
                "CreateAssociation",
                "SendSerialConsoleSSHPublicKey",
            ],
            "runs a command on an instance",
        )
        .filter(|_| !by_service(view))
    }),
    (Kind::CloudUserData, start_script),
    (Kind::CloudFunctionChanged, |view| {
        let operation = operation(view)?;
        let stem = operation.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'v' || c == '_');
        matches!(
            stem,
            "UpdateFunctionCode"
                | "UpdateFunctionConfiguration"
                | "AddPermission"
                | "CreateFunction"
                | "PublishLayerVersion"
                | "CreateEventSourceMapping"
        )
        .then(|| says(view, operation, "changes a function, or who may call it"))
        .filter(|_| !by_service(view) && service(view).contains("lambda"))
    }),
    (Kind::CloudOrganisationLeft, |view| {
        named(
            view,
            &["LeaveOrganization", "RemoveAccountFromOrganization", "DeleteOrganization"],
            "takes an account out of its organisation",
        )
        .or_else(|| tried(view, "LeaveOrganization"))
    }),
    (Kind::CloudInstanceCredential, instance_credential),
    (Kind::CloudConsoleSession, |view| {
        named(view, &["GetSigninToken", "GetFederationToken"], "turns a key into a session of another kind")
    }),
    (Kind::CloudDestroyed, |view| {
        named(view, &DESTROYED, "destroys data or its protection").filter(|_| !by_service(view))
    }),
    (Kind::CloudMailSent, |view| {
        named(
            view,
            &[
                "GetSendQuota",
                "GetAccountSendingEnabled",
                "UpdateAccountSendingEnabled",
                "ListIdentities",
                "GetAccount",
                "PutAccountDetails",
            ],
            "asks how much mail can be sent",
        )
        .filter(|_| service(view).contains("ses") || service(view).contains("email"))
    }),
    (Kind::CloudSshKey, |view| {
        named(
            view,
            &[
                "SendSSHPublicKey",
                "ImportKeyPair",
                "v1.compute.instances.setMetadata",
                "v1.compute.projects.setCommonInstanceMetadata",
            ],
            "puts a key on an instance",
        )
    }),
    (Kind::CloudRegionOdd, bulk_resources),
];

const LOGGING: [&str; 11] = [
    "StopLogging",
    "DeleteTrail",
    "DeleteFlowLogs",
    "DeleteLogGroup",
    "DeleteLogStream",
    "DeleteEventDataStore",
    "StopEventDataStoreIngestion",
    "DeleteSubscriptionFilter",
    "google.logging.v2.ConfigServiceV2.DeleteSink",
    "google.logging.v2.ConfigServiceV2.UpdateSink",
    "DeleteResolverQueryLogConfig",
];
const DETECTION: [&str; 20] = [
    "DeleteDetector",
    "UpdateDetector",
    "DisableSecurityHub",
    "DeleteConfigurationRecorder",
    "StopConfigurationRecorder",
    "DeleteDeliveryChannel",
    "DeleteConfigRule",
    "DisassociateFromMasterAccount",
    "DisassociateFromAdministratorAccount",
    "StopMonitoringMembers",
    "DeleteMembers",
    "DisassociateMembers",
    "CreateIPSet",
    "UpdateIPSet",
    "CreateFilter",
    "DeleteAlarms",
    "DisableAlarmActions",
    "DisableMacie",
    "DeleteWebACL",
    "DeletePublishingDestination",
];
const CREDENTIALS: [&str; 9] = [
    "CreateAccessKey",
    "CreateLoginProfile",
    "UpdateLoginProfile",
    "UpdateAccessKey",
    "ResetServiceSpecificCredential",
    "CreateServiceSpecificCredential",
    "UploadSSHPublicKey",
    "google.iam.admin.v1.CreateServiceAccountKey",
    "UploadSigningCertificate",
];
const DESTROYED: [&str; 13] = [
    "DeleteBucket",
    "DeleteObjects",
    "DeleteDBInstance",
    "DeleteDBCluster",
    "DeleteDBSnapshot",
    "DeleteSnapshot",
    "DeleteVolume",
    "ScheduleKeyDeletion",
    "DisableKey",
    "DeleteFileSystem",
    "DeleteBackupVault",
    "DeleteRecoveryPoint",
    "DeleteBucketPolicy",
];

/// Operation that succeeded, if this is one.
fn operation(view: View<'_>) -> Option<&str> {
    let denied = view.0.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"));
    called(view).filter(|_| !denied)
}

/// Operation, granted or not.
fn called(view: View<'_>) -> Option<&str> {
    let cloud = matches!(view.0.class, Class::ApiActivity | Class::Authentication | Class::AccountChange);
    view.0.field(field::API_OPERATION).filter(|_| cloud)
}

fn service(view: View<'_>) -> &str {
    view.0.field(field::API_SERVICE).unwrap_or_default()
}

/// Calls that the provider's own services make on a customer's behalf.
fn by_service(view: View<'_>) -> bool {
    view.native("userIdentity.type").is_some_and(|kind| kind == "AWSService")
        || view
            .native("userIdentity.invokedBy")
            .is_some_and(|by| by.ends_with(".amazonaws.com") || by == "AWS Internal")
}

fn named(view: View<'_>, names: &[&str], what: &str) -> Option<String> {
    let operation = operation(view)?;
    names.contains(&operation).then(|| says(view, operation, what))
}

/// An operation that nobody tries by mistake, refused or not.
fn tried(view: View<'_>, name: &str) -> Option<String> {
    (called(view)? == name).then(|| says(view, name, "was tried and refused"))
}

fn says(view: View<'_>, operation: &str, what: &str) -> String {
    let by = view.user().unwrap_or_default();
    format!("the cloud operation {} of {} {what}", quoted(operation), quoted(&by))
}

/// Request parameters in lower case, names and values.
fn parameters(view: View<'_>) -> String {
    let mut text = String::new();
    for (name, value) in view.0.native.iter() {
        if let Some(name) = name.strip_prefix("requestParameters.") {
            text.push_str(name);
            text.push('=');
            text.extend(value.chars().take(2000));
            text.push(' ');
        }
        if text.len() > 16 * 1024 {
            break;
        }
    }
    text.make_ascii_lowercase();
    text
}

fn logging_stopped(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let given = || parameters(view);
    let narrowed = match operation {
        "PutEventSelectors" => {
            contains_any(
                &given(),
                &[
                    "includemanagementevents=false",
                    "readonly",
                    "writeonly",
                    "excludemanagementeventsources",
                    "advancedeventselectors",
                    "\"type\":\"aws",
                ],
            ) || given().contains("eventselectors")
        }
        "UpdateTrail" => contains_any(
            &given(),
            &[
                "ismultiregiontrail=false",
                "includeglobalserviceevents=false",
                "enablelogfilevalidation=false",
                "s3bucketname",
                "kmskeyid",
            ],
        ),
        "PutBucketLifecycle" | "PutBucketLifecycleConfiguration" => {
            contains_any(&given(), &["days=1 ", "days=1", "\"days\":1"]) && given().contains("trail")
        }
        "PutRetentionPolicy" => contains_any(&given(), &["retentionindays=1 ", "retentionindays=1"]),
        _ => LOGGING.contains(&operation),
    };
    (narrowed && !by_service(view)).then(|| says(view, operation, "stops or narrows logging"))
}

fn firewall_opened(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let rule = matches!(
        operation,
        "AuthorizeSecurityGroupIngress"
            | "CreateNetworkAclEntry"
            | "ReplaceNetworkAclEntry"
            | "v1.compute.firewalls.insert"
    );
    let open = contains_any(&parameters(view), &["0.0.0.0/0", "::/0"]) || operation.starts_with("v1.");
    (rule && open).then(|| says(view, operation, "lets every address in"))
}

fn policy_widened(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let attach = matches!(
        operation,
        "AttachUserPolicy"
            | "AttachRolePolicy"
            | "AttachGroupPolicy"
            | "PutUserPolicy"
            | "PutRolePolicy"
            | "PutGroupPolicy"
            | "CreatePolicyVersion"
            | "SetDefaultPolicyVersion"
            | "AddUserToGroup"
            | "SetIamPolicy"
            | "AddRoleToInstanceProfile"
            | "DeleteUserPermissionsBoundary"
            | "DeleteRolePermissionsBoundary"
    );
    if !attach || by_service(view) {
        return None;
    }
    let given = parameters(view);
    let all = contains_any(
        &given,
        &[
            "administratoraccess",
            "poweruseraccess",
            "iamfullaccess",
            "\"*\"",
            "roles/owner",
            "roles/editor",
            "\"action\":\"*",
            "fullaccess",
        ],
    );
    let what = if all { "gives all rights" } else { "widens rights" };
    Some(says(view, operation, what))
}

fn trust_changed(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let trust = matches!(
        operation,
        "UpdateAssumeRolePolicy"
            | "CreateSAMLProvider"
            | "UpdateSAMLProvider"
            | "CreateOpenIDConnectProvider"
            | "AddClientIDToOpenIDConnectProvider"
            | "CreateTrustAnchor"
            | "CreateProfile"
    );
    let given = parameters(view);
    // A new role that another account, or anybody, may take.
    let own = view.0.field(field::CLOUD_ACCOUNT).unwrap_or_default();
    let foreign = operation == "CreateRole"
        && given.contains("principal")
        && (given.contains("\"aws\":\"*\"")
            || given.split("arn:aws:iam::").skip(1).any(|rest| !own.is_empty() && !rest.starts_with(own)));
    ((trust || foreign) && !by_service(view)).then(|| says(view, operation, "changes who may take a role"))
}

fn root_used(view: View<'_>) -> Option<String> {
    let root = view.native("userIdentity.type") == Some("Root") && !by_service(view);
    let operation = called(view)?;
    root.then(|| format!("the root account of the cloud called {}", quoted(operation)))
}

fn login_without_second_factor(view: View<'_>) -> Option<String> {
    let without =
        view.native("additionalEventData.MFAUsed").is_some_and(|used| used.eq_ignore_ascii_case("no"));
    let federated = view.native("userIdentity.type").is_some_and(|kind| kind == "AssumedRole");
    let operation = operation(view)?;
    (operation == "ConsoleLogin" && without && !federated).then(|| {
        format!("{} logged on to the console without a second factor", view.user().unwrap_or_default())
    })
}

/// A copy of a disk, image or database handed to another account or to everybody.
fn shared(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let sharing = matches!(
        operation,
        "ModifySnapshotAttribute"
            | "ModifyImageAttribute"
            | "ModifyDBSnapshotAttribute"
            | "ModifyDBClusterSnapshotAttribute"
            | "PutResourcePolicy"
            | "StartExportTask"
            | "CreateInstanceExportTask"
    );
    let given = parameters(view);
    let added = contains_any(
        &given,
        &["add", "valuestoadd", "all", "userid", "exporttos3", "s3bucketname", "principal"],
    ) && !given.contains("\"remove\"");
    (sharing && added).then(|| says(view, operation, "hands a copy of data to another account"))
}

fn bucket_opened(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let given = parameters(view);
    let opened = match operation {
        "PutBucketPolicy" => contains_any(
            &given,
            &["\"principal\":\"*\"", "\"aws\":\"*\"", "principal=*", "principal.aws=*", "arn:aws:iam::"],
        ),
        "PutBucketAcl" | "PutObjectAcl" => {
            contains_any(&given, &["allusers", "authenticatedusers", "public-read"])
        }
        "DeleteBucketPublicAccessBlock" | "DeleteAccountPublicAccessBlock" => true,
        "PutBucketPublicAccessBlock" | "PutAccountPublicAccessBlock" => given.contains("false"),
        "PutBucketReplication" => true,
        "storage.setIamPermissions" => contains_any(&given, &["allusers", "allauthenticatedusers"]),
        _ => false,
    };
    opened.then(|| says(view, operation, "opens a store of data to others"))
}

fn start_script(view: View<'_>) -> Option<String> {
    let operation = operation(view)?;
    let given = parameters(view);
    let changed = operation == "ModifyInstanceAttribute" && given.contains("userdata");
    let template = matches!(operation, "CreateLaunchTemplateVersion" | "CreateLaunchConfiguration")
        && given.contains("userdata");
    (changed || template).then(|| says(view, operation, "changes the script an instance starts with"))
}

/// A credential given to an instance, used from outside, or with a tool: the name of the session is the instance's.
fn instance_credential(view: View<'_>) -> Option<String> {
    let session = view.native("userIdentity.arn").and_then(|arn| arn.rsplit('/').next())?;
    let instance = session.starts_with("i-") && session.len() >= 10;
    let agent = view.0.field(field::USER_AGENT).unwrap_or_default().to_lowercase();
    let ip = view.source_ip()?.parse().ok()?;
    let operation = called(view)?;
    let looks = matches!(
        operation,
        "GetCallerIdentity"
            | "ListBuckets"
            | "DescribeInstances"
            | "ListUsers"
            | "ListRoles"
            | "GetAccountAuthorizationDetails"
            | "DescribeRegions"
    );
    let tool = contains_any(&agent, &["aws-cli", "boto", "kali", "parrot", "pentoo", "stratus", "pacu"]);
    (instance && is_global(ip) && looks && tool).then(|| {
        format!(
            "the credential of the instance {} was used by hand for {}",
            quoted(session),
            quoted(operation)
        )
    })
}

/// Machines in bulk, or of a kind that pays off for others.
fn bulk_resources(view: View<'_>) -> Option<String> {
    // Quotas refuse the first tries.
    let operation = called(view)?;
    let given = parameters(view);
    let many = given.split("maxcount=").skip(1).chain(given.split("\"maxcount\":").skip(1)).any(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().is_ok_and(|count| count >= 10)
    });
    let strong = contains_any(
        &given,
        &["p2.", "p3.", "p4d", "p5.", "g4dn.", "g5.", "x1e.", ".24xlarge", ".16xlarge", ".metal"],
    );
    ((operation == "RunInstances" || operation == "RequestSpotInstances")
        && (many || strong)
        && !by_service(view))
    .then(|| says(view, operation, "starts machines in bulk or of a costly kind"))
}
