//! `casemate user`, `casemate token` and `casemate access`: who is let in to API and page.
//!
//! Each change stands in the audit record, also while a server runs, which follows within a second.

use super::{note, show};
use crate::cli::{AccessArgs, AccessCommand, Global, TokenArgs, TokenCommand, UserArgs, UserCommand};
use crate::door;
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use casemate_access::{Access, PeerId, Role, Scopes, Token, User};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::io::{self, BufRead, IsTerminal};
use std::time::Instant;

pub(crate) fn users(global: &Global, args: &UserArgs) -> Outcome {
    let started = Instant::now();
    let access = door::access(global)?;
    let (action, user) = match &args.what {
        UserCommand::List => {
            let users = access.users();
            return show(global, started, &json!({ "users": users }), users.iter().map(described_user));
        }
        UserCommand::Add { name, role } => ("user added", access.add_user(name, *role, &password()?)?),
        UserCommand::Password { name } => ("password set", access.set_password(name, &password()?)?),
        UserCommand::Role { name, role } => ("role set", access.set_role(name, *role)?),
        UserCommand::Redact { name, off } => ("masking set", access.set_redacted(name, !off)?),
        UserCommand::Disable { name } => ("user disabled", access.set_disabled(name, true)?),
        UserCommand::Enable { name } => ("user enabled", access.set_disabled(name, false)?),
        UserCommand::Remove { name } => ("user removed", access.remove_user(name)?),
    };
    note(global, action, &format!("user {}", user.name), json!(user))?;
    show(global, started, &json!({ "user": user }), [described_user(&user)])
}

pub(crate) fn tokens(global: &Global, args: &TokenArgs) -> Outcome {
    let started = Instant::now();
    let access = door::access(global)?;
    match &args.what {
        TokenCommand::List => {
            let tokens = access.tokens();
            show(global, started, &json!({ "tokens": tokens }), tokens.iter().map(described_token))
        }
        TokenCommand::Create { name, role, scopes, days, redact } => {
            let scopes: Scopes = match (role, scopes) {
                (Some(role), _) => role.scopes(),
                (None, Some(scopes)) => *scopes,
                (None, None) => {
                    return Err(Failure::input(anyhow!("say what it may do, with --role or --scopes")));
                }
            };
            let expires =
                days.map(|days| Timestamp::now() + SignedDuration::from_hours(24 * i64::from(days)));
            let redacted = *redact || role.is_some_and(Role::redacted);
            let made = access.create_token(name, scopes, expires, redacted)?;
            note(global, "token created", &format!("token {}", made.token.id), json!(made.token))?;
            let lines =
                [made.secret.clone(), "this is shown only now; keep it where its user finds it".to_owned()];
            show(global, started, &json!({ "token": made.token, "secret": made.secret }), lines)
        }
        TokenCommand::Revoke { id } => {
            let token = access.revoke_token(id)?;
            note(global, "token revoked", &format!("token {}", token.id), json!(token))?;
            show(global, started, &json!({ "token": token }), [described_token(&token)])
        }
    }
}

pub(crate) fn access(global: &Global, args: &AccessArgs) -> Outcome {
    let started = Instant::now();
    let access = door::access(global)?;
    let (action, subject, now) = match &args.what {
        AccessCommand::List => return list(global, started, &access),
        AccessCommand::AddCertificate { name, role, redact, file } => {
            let der = door::certificate_der(file)?;
            let entry = access.add_certificate(name, *role, *redact || role.redacted(), &der)?;
            ("certificate added", format!("certificate {name}"), json!(entry))
        }
        AccessCommand::RemoveCertificate { name } => {
            let entry = access.remove_certificate(name)?;
            ("certificate removed", format!("certificate {name}"), json!(entry))
        }
        AccessCommand::AddPeer { name, role, redact, uid, gid } => {
            let who = match (uid, gid) {
                (Some(uid), _) => PeerId::Uid(*uid),
                (None, Some(gid)) => PeerId::Gid(*gid),
                (None, None) => return Err(Failure::input(anyhow!("say who, with --uid or --gid"))),
            };
            let entry = access.add_peer(name, who, *role, *redact || role.redacted())?;
            ("peer added", format!("peer {name}"), json!(entry))
        }
        AccessCommand::RemovePeer { name } => {
            let entry = access.remove_peer(name)?;
            ("peer removed", format!("peer {name}"), json!(entry))
        }
        AccessCommand::SetProvider { file } => {
            let text = fs_err::read_to_string(file).map_err(Failure::input)?;
            let oidc = serde_json::from_str(&text).map_err(|error| {
                Failure::input(anyhow!("{} describes no provider: {error}", file.display()))
            })?;
            access.set_oidc(Some(oidc)).map_err(Failure::input)?;
            ("provider set", "identity provider".to_owned(), json!(access.oidc()))
        }
        AccessCommand::RemoveProvider => {
            access.set_oidc(None)?;
            ("provider removed", "identity provider".to_owned(), Value::Null)
        }
    };
    note(global, action, &subject, now.clone())?;
    show(global, started, &json!({ "changed": now }), [format!("{subject}: {action}")])
}

fn list(global: &Global, started: Instant, access: &Access) -> Outcome {
    let (certificates, peers, provider) = (access.certificates(), access.peers(), access.oidc());
    let mut lines: Vec<String> = access.users().iter().map(described_user).collect();
    lines.extend(access.tokens().iter().map(described_token));
    lines.extend(
        certificates
            .iter()
            .map(|entry| format!("certificate {}  {}  {}", entry.name, entry.role, entry.sha256)),
    );
    lines.extend(peers.iter().map(|entry| format!("peer {}  {}  {:?}", entry.name, entry.role, entry.who)));
    lines.extend(provider.iter().map(|provider| format!("provider {}", provider.issuer)));
    lines.extend(access.problems().into_iter().map(|problem| format!("WRONG: {problem}")));
    let all = json!({
        "users": access.users(), "tokens": access.tokens(), "certificates": certificates, "peers": peers,
        "provider": provider, "problems": access.problems(),
    });
    show(global, started, &all, lines)
}

fn described_user(user: &User) -> String {
    let User { name, role, redacted, disabled, .. } = user;
    let masked = if *redacted { ", sees personal data masked" } else { "" };
    let kept_out = if *disabled { ", disabled" } else { "" };
    format!("user {name}  {role}{masked}{kept_out}")
}

fn described_token(token: &Token) -> String {
    let Token { id, name, scopes, redacted, expires, last_used, .. } = token;
    let masked = if *redacted { ", sees personal data masked" } else { "" };
    let ends = expires.map_or_else(String::new, |at| format!(", until {at:.0}"));
    let used = last_used.map_or_else(String::new, |at| format!(", last used {at:.0}"));
    format!("token {id}  {name}  may {scopes}{masked}{ends}{used}")
}

/// A password, typed twice at a terminal, or the first line of standard input.
fn password() -> Outcome<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("The same again: ")? != first {
        return Err(Failure::input(anyhow!("these are two different passwords")));
    }
    Ok(first)
}
