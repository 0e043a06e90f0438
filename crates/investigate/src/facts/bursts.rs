//! Facts that many alike events make together: who did how many different things within how long.

use super::sequence::over;
use super::{Finding, Kind, quoted, sensor};
use crate::relate::{Relation, is_loopback};
use crate::view::View;
use casemate_event::{Class, Stored, field};
use std::collections::BTreeMap;

type Tied<'a> = (&'a Stored, Relation);

/// A burst: distinct things of one doer within a time.
struct Burst {
    kind: Kind,
    seconds: i64,
    /// Distinct things that make it.
    distinct: usize,
    /// Events that make it, however alike.
    events: usize,
    /// Who does it, and what it is done to.
    part: fn(View<'_>) -> Option<(String, String)>,
    /// What happened, after the doer and the number.
    says: &'static str,
}

const BURSTS: [Burst; 16] = [
    Burst {
        kind: Kind::KerberoastSweep,
        seconds: 300,
        distinct: 4,
        events: 4,
        part: service_ticket,
        says: "service accounts had tickets asked for",
    },
    Burst {
        kind: Kind::PortScan,
        seconds: 300,
        distinct: 20,
        events: 20,
        part: contacted,
        says: "hosts and ports were contacted",
    },
    Burst {
        kind: Kind::BlockedTraffic,
        seconds: 600,
        distinct: 10,
        events: 10,
        part: refused,
        says: "hosts and ports refused the connection",
    },
    Burst {
        kind: Kind::DirectorySwept,
        seconds: 300,
        distinct: 15,
        events: 20,
        part: directory_object,
        says: "directory objects were looked up",
    },
    Burst {
        kind: Kind::ServicesStopped,
        seconds: 120,
        distinct: 4,
        events: 4,
        part: stopped,
        says: "services were stopped or programs ended",
    },
    Burst {
        kind: Kind::FilesEncrypted,
        seconds: 120,
        distinct: 30,
        events: 30,
        part: rewritten,
        says: "files were written beside others under a new ending",
    },
    Burst {
        kind: Kind::DnsTunnel,
        seconds: 600,
        distinct: 15,
        events: 15,
        part: long_name,
        says: "long, random-looking names were asked for",
    },
    Burst {
        kind: Kind::WebErrors,
        seconds: 120,
        distinct: 15,
        events: 20,
        part: web_error,
        says: "different paths were asked for in vain",
    },
    Burst {
        kind: Kind::WebLoginBurst,
        seconds: 300,
        distinct: 1,
        events: 12,
        part: web_login,
        says: "login page was posted to again and again",
    },
    Burst {
        kind: Kind::ManySignatures,
        seconds: 900,
        distinct: 5,
        events: 5,
        part: signature,
        says: "different signatures fired",
    },
    Burst {
        kind: Kind::AlertBurst,
        seconds: 300,
        distinct: 1,
        events: 40,
        part: alert_of_attack,
        says: "kind of attack was reported again and again",
    },
    Burst {
        kind: Kind::CloudEnumeration,
        seconds: 600,
        distinct: 8,
        events: 8,
        part: cloud_listing,
        says: "kinds of cloud resources were listed",
    },
    Burst {
        kind: Kind::OtScan,
        seconds: 300,
        distinct: 8,
        events: 8,
        part: device_asked,
        says: "industrial devices or units were asked",
    },
    Burst {
        kind: Kind::OtBurst,
        seconds: 120,
        distinct: 1,
        events: 15,
        part: device_changed,
        says: "industrial device was changed again and again",
    },
    Burst {
        kind: Kind::OtNewMaster,
        seconds: 3600,
        distinct: 2,
        events: 2,
        part: device_master,
        says: "addresses told one industrial device what to do",
    },
    Burst {
        kind: Kind::CloudSecretsRead,
        seconds: 600,
        distinct: 4,
        events: 4,
        part: secret,
        says: "secrets or parameters were read",
    },
];

pub(super) fn find(tied: &[Tied<'_>]) -> Vec<Finding> {
    BURSTS.iter().filter_map(|burst| burst.find(tied)).collect()
}

impl Burst {
    /// The largest group within the time, if it is large enough.
    fn find(&self, tied: &[Tied<'_>]) -> Option<Finding> {
        let mut by_doer: BTreeMap<String, Vec<(Tied<'_>, String)>> = BTreeMap::new();
        for (stored, relation) in tied {
            if let Some((doer, thing)) = (self.part)(View(&stored.event)) {
                by_doer.entry(doer).or_default().push(((stored, *relation), thing));
            }
        }
        let mut best: Option<(usize, String, Vec<Tied<'_>>)> = None;
        for (doer, mut parts) in by_doer {
            parts.sort_by_key(|((stored, _), _)| (stored.event.time, stored.id));
            let (mut first, mut counts) = (0, BTreeMap::<&str, usize>::new());
            for last in 0..parts.len() {
                *counts.entry(parts[last].1.as_str()).or_default() += 1;
                while seconds(&parts[last]) - seconds(&parts[first]) > self.seconds {
                    if let Some(count) = counts.get_mut(parts[first].1.as_str()) {
                        *count -= 1;
                        if *count == 0 {
                            counts.remove(parts[first].1.as_str());
                        }
                    }
                    first += 1;
                }
                let events = last + 1 - first;
                let size = if self.distinct > 1 { counts.len() } else { events };
                let enough = counts.len() >= self.distinct && events >= self.events;
                if enough && best.as_ref().is_none_or(|(most, ..)| size > *most) {
                    let held = parts[first..=last].iter().map(|(tied, _)| *tied).collect();
                    best = Some((size, doer.clone(), held));
                }
            }
        }
        let (size, doer, events) = best?;
        let statement = match self.distinct {
            1 => format!(
                "by {}, the same {} ({size} times within {} s)",
                quoted(&doer),
                self.says,
                self.seconds
            ),
            _ => format!("by {}, {size} different {} within {} s", quoted(&doer), self.says, self.seconds),
        };
        over(self.kind, statement, events)
    }
}

fn seconds(part: &(Tied<'_>, String)) -> i64 {
    part.0.0.event.time.as_second()
}

fn service_ticket(view: View<'_>) -> Option<(String, String)> {
    let service = view.native("ServiceName")?.to_lowercase();
    let user = view.0.field(field::USER)?.to_lowercase();
    let person = !user.split('@').next().unwrap_or(&user).ends_with('$');
    let account = service != "krbtgt" && !service.ends_with('$');
    (view.code() == "4769" && person && account).then_some((user, service))
}

fn flow(view: View<'_>) -> Option<(String, String)> {
    if !matches!(view.0.class, Class::NetworkActivity) {
        return None;
    }
    let source = view.source_ip().filter(|ip| !is_loopback(ip))?;
    let target = view
        .0
        .field(field::DST_IP)
        .filter(|ip| !is_loopback(ip) && !ip.starts_with("ff") && !ip.starts_with("224."))?;
    let port = view.0.field(field::DST_PORT).unwrap_or_default();
    // Answers to a resolver's or a time server's client come from changing ports.
    let high = port.parse::<u32>().is_ok_and(|port| port >= 32_768);
    (!high && port != "53" && port != "123").then(|| (source, format!("{target}:{port}")))
}

/// Contacts of one source on the ports that scans look at; a browser's are on two.
fn contacted(view: View<'_>) -> Option<(String, String)> {
    let (source, target) = flow(view)?;
    let web = target.ends_with(":443") || target.ends_with(":80");
    let name = view.actor_name();
    let system = matches!(name.as_str(), "svchost.exe" | "system" | "lsass.exe" | "dns.exe");
    (!web && !system).then_some((source, target))
}

fn refused(view: View<'_>) -> Option<(String, String)> {
    let state = view.native("conn_state").unwrap_or_default();
    let blocked = view.0.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"))
        || matches!(state, "S0" | "REJ" | "RSTOS0" | "RSTRH" | "SH")
        || ["deny", "denied", "drop", "dropped", "block", "blocked", "reject"]
            .iter()
            .any(|word| view.activity().eq_ignore_ascii_case(word));
    flow(view).filter(|_| blocked)
}

fn directory_object(view: View<'_>) -> Option<(String, String)> {
    let user = view.person()?;
    let object = view.native("ObjectName")?.to_lowercase();
    matches!(view.code(), "4661" | "4662").then_some((user, object))
}

fn stopped(view: View<'_>) -> Option<(String, String)> {
    let state = view.code() == "7036"
        && view.native("param2").is_some_and(|state| state.eq_ignore_ascii_case("stopped"));
    if state {
        return None;
    }
    let command = view.command().to_lowercase();
    let stops = view.is_launch()
        && super::pattern(
            &command,
            r"\b(net1?|sc)(\.exe)?['\x22\s]+stop\s|taskkill(\.exe)?['\x22\s]|stop-service\s|systemctl\s+stop\s",
        );
    stops.then(|| (view.host(), command))
}

fn rewritten(view: View<'_>) -> Option<(String, String)> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?.to_lowercase();
    // An ending behind an ending: report.docx.locked
    super::pattern(
        &path,
        r"\.(docx?|xlsx?|pptx?|pdf|txt|jpe?g|png|zip|sql|mdb|csv|bak|vhdx?|pst)\.[a-z0-9_-]{3,12}$",
    )
    .then(|| (format!("{} on {}", view.actor_name(), view.host()), path))
}

fn long_name(view: View<'_>) -> Option<(String, String)> {
    let name = view.0.field(field::QUERY_HOSTNAME)?.trim_end_matches('.');
    let labels: Vec<&str> = name.split('.').collect();
    let domain = labels.len().checked_sub(2).map(|from| labels[from..].join("."))?;
    let first = labels.first()?;
    let long =
        labels.len() >= 3 && first.len() >= 24 && first.bytes().filter(u8::is_ascii_digit).count() >= 3;
    let usual = [
        "amazonaws.com",
        "cloudfront.net",
        "akamaiedge.net",
        "akamai.net",
        "azure.com",
        "windows.net",
        "microsoft.com",
        "in-addr.arpa",
        "ip6.arpa",
        "local",
    ];
    (view.0.class == Class::DnsActivity && long && !usual.iter().any(|known| domain.ends_with(known)))
        .then(|| (domain, name.to_lowercase()))
}

fn web_source(view: View<'_>) -> Option<String> {
    (view.0.class == Class::HttpActivity).then(|| view.source_ip().or_else(|| view.source_host())).flatten()
}

fn web_error(view: View<'_>) -> Option<(String, String)> {
    let source = web_source(view)?;
    let code = ["status", "status_code", "sc-status", "http.status", "response"]
        .iter()
        .find_map(|name| view.native(name));
    let code = code.or_else(|| view.0.field(field::EVENT_CODE))?;
    let failed = matches!(code, "400" | "401" | "403" | "404" | "405" | "500");
    let path = view.0.field(field::URL)?.split('?').next()?.to_owned();
    failed.then_some((source, path))
}

fn web_login(view: View<'_>) -> Option<(String, String)> {
    let source = web_source(view)?;
    let path = view.0.field(field::URL)?.split('?').next()?.to_lowercase();
    let posted = view.activity().eq_ignore_ascii_case("post");
    let login = super::contains_any(
        &path,
        &["login", "signin", "wp-login", "xmlrpc", "/auth", "/session", "/token", "j_security_check"],
    );
    (posted && login).then_some((source, path))
}

fn signature(view: View<'_>) -> Option<(String, String)> {
    let title = sensor::title(view)?;
    let attack = sensor::is_attack(&title);
    let on = view.0.field(field::DST_IP).map(str::to_owned).unwrap_or_else(|| view.host());
    (attack && !on.is_empty()).then_some((on, title))
}

fn alert_of_attack(view: View<'_>) -> Option<(String, String)> {
    let title = sensor::title(view)?;
    let on = if view.host().is_empty() { view.0.field(field::DST_IP)?.to_owned() } else { view.host() };
    sensor::is_attack(&title).then(|| (format!("{title} at {on}"), title.clone()))
}

fn cloud_listing(view: View<'_>) -> Option<(String, String)> {
    let operation = view.0.field(field::API_OPERATION)?;
    let lists = ["List", "Describe", "Get", "Lookup"].iter().any(|verb| operation.starts_with(verb));
    let service = view.native("userIdentity.invokedBy").is_some()
        || view.native("userIdentity.type") == Some("AWSService");
    let who = view.user()?;
    (view.0.class == Class::ApiActivity && view.native("eventSource").is_some() && lists && !service)
        .then(|| (who, operation.to_owned()))
}

fn secret(view: View<'_>) -> Option<(String, String)> {
    let operation = view.0.field(field::API_OPERATION)?;
    let read = matches!(
        operation,
        "GetSecretValue" | "BatchGetSecretValue" | "GetParameters" | "GetParameter" | "GetParametersByPath"
    );
    let what = ["requestParameters.secretId", "requestParameters.name", "requestParameters.names", "eventID"]
        .iter()
        .find_map(|name| view.native(name))?;
    (read && view.native("userIdentity.invokedBy").is_none())
        .then(|| (view.user().unwrap_or_default(), what.to_owned()))
}

fn device_asked(view: View<'_>) -> Option<(String, String)> {
    let asset = view.0.field(field::ASSET)?;
    Some((view.source_ip()?, asset.to_owned()))
}

fn device_changed(view: View<'_>) -> Option<(String, String)> {
    let asset = view.0.field(field::ASSET)?;
    let changes = view.0.field(field::ASSET_CHANGED) == Some("true");
    changes.then(|| (format!("{} on {asset}", view.source_ip().unwrap_or_default()), asset.to_owned()))
}

fn device_master(view: View<'_>) -> Option<(String, String)> {
    let asset = view.0.field(field::ASSET)?.split('/').next()?.to_owned();
    let source = view.source_ip()?;
    let told = view.0.field(field::ASSET_CHANGED) == Some("true") && source != asset;
    told.then_some((asset, source))
}
