//! Real records of products that mapping files describe, where they are present beside the workspace: how many of
//! them become events of their format, with the fields that an analyst asks for first. Floors are what was measured.

use super::{options, take_file, workspace};
use casemate_event::Event;

/// Percentages of the records of `path`, a file or directory of the shared data.
struct Floor<'a> {
    path: &'a str,
    /// Beginning of the names of their formats.
    format: &'a str,
    /// Of all records, those of the format.
    mapped: f64,
    /// Of those, the ones with a field.
    fields: &'a [(&'a str, f64)],
}

const SRC: &str = "src_endpoint.ip";
const DST: &str = "dst_endpoint.ip";
const USER: &str = "user.name";
const ACTOR: &str = "actor.user.name";
const ACTION: &str = "activity_name";
const STATUS: &str = "status";
const HOST: &str = "device.hostname";

const SC4S: &str = "vendor-syslog/derived-sc4s-lines/";

const FLOORS: [Floor<'_>; 33] = [
    Floor {
        path: "palo_alto.log",
        format: "paloalto_",
        mapped: 100.0,
        fields: &[(SRC, 77.0), (DST, 50.0), (ACTION, 100.0), (STATUS, 55.0), (HOST, 100.0)],
    },
    Floor {
        path: "fortinet_ngfw.log",
        format: "fortinet_fortigate",
        mapped: 87.5,
        fields: &[(SRC, 57.0), (DST, 57.0), (ACTION, 100.0), (HOST, 100.0)],
    },
    Floor {
        path: "fortinet_web.log",
        format: "fortinet_fortiweb",
        mapped: 100.0,
        fields: &[(SRC, 75.0), (ACTION, 100.0), (HOST, 100.0)],
    },
    Floor {
        path: "cisco_asa.log",
        format: "cisco_asa",
        mapped: 100.0,
        fields: &[(SRC, 83.0), (DST, 100.0), (ACTION, 100.0)],
    },
    Floor {
        path: "checkpoint.log",
        format: "checkpoint",
        mapped: 95.0,
        fields: &[(SRC, 73.0), (DST, 39.0), (ACTION, 82.0), (HOST, 100.0)],
    },
    Floor {
        path: "checkpoint_syslog_rfc5424.log",
        format: "checkpoint_syslog",
        mapped: 100.0,
        fields: &[(ACTION, 54.0), (HOST, 100.0)],
    },
    Floor {
        path: "leef.log",
        format: "leef",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (DST, 100.0), (USER, 94.0)],
    },
    Floor { path: "cyberark.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0), (USER, 66.0)] },
    Floor { path: "fireye.log", format: "cef", mapped: 50.0, fields: &[(HOST, 66.0)] },
    Floor { path: "guardicore.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor {
        path: "imperva_waf.log",
        format: "cef",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (DST, 100.0), (ACTION, 100.0)],
    },
    Floor { path: "trend_deep_security.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor { path: "trellix.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor { path: "vectra_ai.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor {
        path: "varonis.log",
        format: "cef",
        mapped: 100.0,
        fields: &[(ACTION, 100.0), (USER, 100.0), (STATUS, 100.0)],
    },
    Floor { path: "mcafee_web_gateway.log", format: "key_value", mapped: 100.0, fields: &[(SRC, 100.0)] },
    Floor { path: "dell_sonicwall.log", format: "key_value", mapped: 100.0, fields: &[] },
    Floor {
        path: "cloud-other/ocsf-examples/mappings/markdown/Cisco",
        format: "cisco_asa",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (DST, 100.0), (ACTION, 100.0), (HOST, 100.0)],
    },
    Floor {
        path: "web/elastic-examples/Common Data Formats/apache_logs/apache_logs",
        format: "web_access",
        mapped: 100.0,
        fields: &[
            (SRC, 100.0),
            (ACTION, 100.0),
            ("http_request.url.url_string", 100.0),
            ("http_request.user_agent", 97.0),
        ],
    },
    Floor {
        path: "web/opensearch-catalog/integrations/observability/nginx/data/raw.log",
        format: "web_access",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (ACTION, 100.0)],
    },
    Floor {
        path: "web/EVTX-ATTACK-SAMPLES/Command and Control/web_attack_and_isp_webshell_localhost_access_log.txt",
        format: "web_access",
        mapped: 99.8,
        fields: &[(SRC, 100.0), (ACTION, 98.0)],
    },
    Floor {
        path: "web/EVTX-ATTACK-SAMPLES/Command and Control/Tunna_rdp_tunnel_IIS.log",
        format: "iis",
        mapped: 99.9,
        fields: &[(SRC, 100.0), (ACTION, 100.0), (STATUS, 100.0)],
    },
    Floor {
        path: "web/plaso/test_data/apache_access.log",
        format: "web_access",
        mapped: 86.0,
        fields: &[(SRC, 100.0), (STATUS, 100.0)],
    },
    Floor {
        path: "web/plaso/test_data/iis",
        format: "iis",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (ACTION, 100.0), (STATUS, 100.0)],
    },
    Floor {
        path: "web/plaso/test_data/windows_firewall.log",
        format: "windows_firewall",
        mapped: 93.0,
        fields: &[(SRC, 100.0), (DST, 100.0), (ACTION, 100.0)],
    },
    Floor {
        path: "loghub/loghub/Apache/Apache_2k.log",
        format: "apache_error",
        mapped: 100.0,
        fields: &[("severity", 100.0)],
    },
    Floor {
        path: "azure-m365/Security-Datasets/datasets/compound/GoldenSAMLADFSMailAccess/AADAuditEvents.Zip",
        format: "entra_audit",
        mapped: 100.0,
        fields: &[(ACTION, 100.0), (STATUS, 100.0)],
    },
    Floor {
        path: "cloud-other/ocsf-examples/mappings/markdown/AWS/v1.1.0/VPC Flowlogs",
        format: "csv",
        mapped: 100.0,
        fields: &[(SRC, 100.0), (DST, 100.0), (ACTION, 100.0)],
    },
    Floor {
        path: "cloud-other/ocsf-examples/mappings/markdown/Okta",
        format: "okta",
        mapped: 100.0,
        fields: &[(ACTOR, 100.0), (ACTION, 100.0)],
    },
    Floor { path: "cisco_pix.log", format: "cisco_asa", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor { path: "cisco_fwsm.log", format: "cisco_asa", mapped: 100.0, fields: &[(HOST, 100.0)] },
    Floor { path: "microsoft_mcas.log", format: "cef", mapped: 100.0, fields: &[(ACTION, 100.0)] },
    Floor { path: "tim.log", format: "cef", mapped: 100.0, fields: &[(SRC, 100.0), (USER, 100.0)] },
];

#[test]
fn real_records_become_events_with_their_fields() {
    let shared = workspace().join("../shared/data");
    if !shared.is_dir() {
        println!("skipped: the shared data is not present beside the workspace");
        return;
    }
    let mut below = Vec::new();
    for Floor { path, format, mapped, fields } in &FLOORS {
        let whole =
            shared.join(if path.contains('/') { (*path).to_owned() } else { format!("{SC4S}{path}") });
        let mut events: Vec<Event> = Vec::new();
        for file in casemate_ingest::expand(&[whole]).unwrap() {
            events.extend(take_file(&file, &options()).events);
        }
        let of_format: Vec<&Event> =
            events.iter().filter(|event| event.format.name().starts_with(format)).collect();
        let mut check = |what: &str, count: usize, of: usize, floor: f64| {
            let share = 100.0 * count as f64 / of.max(1) as f64;
            println!("{path}: {what} {count} of {of}, {share:.1} % (floor {floor})");
            if share < floor {
                below.push(format!("{path}: {what} {share:.1} % is below {floor} %"));
            }
        };
        check(format, of_format.len(), events.len(), *mapped);
        for (field, floor) in *fields {
            let count = of_format.iter().filter(|event| event.field(field).is_some()).count();
            check(field, count, of_format.len(), *floor);
        }
    }
    assert!(below.is_empty(), "{below:#?}");
}
