//! What do Zeek's logs of industrial protocols say? Which device was asked or told, to do what, and does that
//! change it?
//!
//! Modbus and DNP3 as Zeek itself logs them, and the logs of CISA's ICSNPP parsers: Modbus, DNP3, S7comm and
//! S7comm-plus, EtherNet/IP and CIP, BACnet, OPC UA, Genisys. Meanings of functions follow the protocols: Modbus
//! Application Protocol 1.1b3, IEEE 1815, ASHRAE 135, CIP Volume 1, OPC 10000-4.

use super::Draft;
use casemate_event::field;

/// A family of logs: how their paths begin, the protocol, columns with the operation in order of preference,
/// those that tell a unit behind the device's address, and those worth showing.
struct Log {
    path: &'static str,
    protocol: &'static str,
    operation: &'static [&'static str],
    unit: &'static [&'static str],
    status: &'static [&'static str],
    shown: &'static [&'static str],
}

/// The longest paths first.
#[rustfmt::skip]
const LOGS: [Log; 10] = [
    Log {
        path: "modbus", protocol: "modbus", operation: &["func"], unit: &["unit", "unit_id"],
        status: &["exception", "exception_code"],
        shown: &["func", "unit", "address", "quantity", "write_start_address", "write_registers", "request_values", "response_values", "register", "old_val", "new_val", "and_mask", "or_mask", "request_subfunction_code", "request_data", "exception", "exception_code"],
    },
    Log {
        path: "dnp3", protocol: "dnp3", operation: &["function_code", "fc_request", "fc_reply"], unit: &[],
        status: &["status_code"],
        shown: &["function_code", "fc_request", "fc_reply", "block_type", "index_number", "trip_control_code", "operation_type", "object_type", "object_count", "range_low", "range_high", "status_code", "iin"],
    },
    Log {
        path: "s7comm_plus", protocol: "s7comm_plus", operation: &["function_name", "opcode_name"], unit: &[],
        status: &[], shown: &["opcode_name", "function_name"],
    },
    Log {
        path: "s7comm", protocol: "s7comm", operation: &["subfunction_name", "function_name", "szl_id_name", "rosctr_name"], unit: &[],
        status: &["error_class", "return_code_name"],
        shown: &["rosctr_name", "rosctr", "function_name", "subfunction_name", "szl_id_name", "filename", "block_type", "block_number", "destination_filesystem", "error_class", "return_code_name", "automation_system_name", "module_name", "module_serial"],
    },
    Log {
        path: "cotp", protocol: "cotp", operation: &["pdu_name"], unit: &[], status: &[], shown: &["pdu_name"],
    },
    Log {
        path: "enip", protocol: "enip", operation: &["enip_command", "command"], unit: &[],
        status: &["enip_status"], shown: &["enip_command", "enip_status"],
    },
    Log {
        path: "cip", protocol: "cip", operation: &["cip_service", "service"], unit: &[],
        status: &["cip_status"],
        shown: &["direction", "cip_service", "class_name", "class_id", "instance_id", "attribute_id", "cip_status", "vendor_name", "device_type_name", "product_name", "serial_number", "connection_id", "io_data"],
    },
    Log {
        path: "bacnet", protocol: "bacnet", operation: &["pdu_service"], unit: &[],
        status: &["result", "result_code"],
        shown: &["pdu_type", "pdu_service", "object_type", "instance_number", "property", "value", "device_state", "vendor", "object_name", "result", "result_code"],
    },
    Log {
        path: "genisys", protocol: "genisys", operation: &["header"], unit: &["server"],
        status: &[], shown: &["header", "server", "direction", "payload"],
    },
    Log {
        path: "opcua", protocol: "opcua", operation: &["identifier_str", "req_identifier_str", "request_identifier_str", "res_identifier_str", "response_identifier_str", "msg_type"], unit: &[],
        status: &[],
        shown: &["msg_type", "identifier_str", "req_identifier_str", "request_identifier_str", "endpoint_url", "node_id_namespace_idx", "node_id_numeric", "node_id_string", "attribute_id_str", "security_token_id", "source_type_str", "symbolic_name", "status_code", "user_name", "application_uri", "product_uri"],
    },
];

/// What an operation does to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Asks, or keeps up the connection.
    Read,
    /// Changes values, programs or settings.
    Write,
    /// Makes it act, start or stop.
    Control,
}

/// Normalises a record of one of these logs; the columns worth showing.
pub(super) fn by_path(draft: &mut Draft, path: &str) -> Option<&'static [&'static str]> {
    let log = LOGS.iter().find(|log| {
        path.strip_prefix(log.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })?;
    draft.set(field::PROTOCOL, log.protocol);
    // The parsers state who sent this message; the connection only says who opened it.
    if !draft.native("source_h").is_empty() {
        draft.copy(field::SRC_IP, &["source_h"]);
        draft.copy(field::SRC_PORT, &["source_p"]);
        draft.copy(field::DST_IP, &["destination_h"]);
        draft.copy(field::DST_PORT, &["destination_p"]);
    }
    draft.copy(field::API_OPERATION, log.operation);
    let operation = log.operation.iter().map(|name| draft.native(name)).find(|value| !value.is_empty());
    let operation = operation.unwrap_or_default().to_ascii_lowercase().replace(['_', '-'], " ");
    let effect = effect(draft, path, &operation);
    draft.set(
        field::ACTIVITY,
        match effect {
            Effect::Read => "Read",
            Effect::Write => "Write",
            Effect::Control => "Control",
        },
    );
    draft.set(field::ASSET_CHANGED, if effect == Effect::Read { "false" } else { "true" });
    let status = log.status.iter().map(|name| draft.native(name)).find(|value| !value.is_empty());
    if let Some(status) = status.map(str::to_owned) {
        let good = ["success", "no error", "0", "0x00", "good", "normal"];
        let succeeded = good.iter().any(|good| status.eq_ignore_ascii_case(good));
        draft.set(field::STATUS, if succeeded { "Success" } else { "Failure" });
        if !succeeded {
            draft.set(field::STATUS_DETAIL, &status);
        }
    }
    asset(draft, path, log, &operation);
    Some(log.shown)
}

/// The device: who is asked, or who answers.
fn asset(draft: &mut Draft, path: &str, log: &Log, operation: &str) {
    let answers = is_answer(draft, operation);
    let announces = matches!(operation, "i am" | "i have" | "you are");
    if matches!(operation, "who is" | "who has" | "who am i") && path.starts_with("bacnet") {
        // Asked of everyone.
        return;
    }
    let from_source = !draft.native("source_h").is_empty();
    let side = if announces || (from_source && answers) { field::SRC_IP } else { field::DST_IP };
    let Some(address) = draft.fields.get(side) else { return };
    let mut asset = address.to_owned();
    let unit = log.unit.iter().map(|name| draft.native(name)).find(|unit| !unit.is_empty());
    let device =
        (announces && draft.native("object_type") == "device").then(|| draft.native("instance_number"));
    if let Some(unit) = unit.or(device).filter(|unit| !unit.is_empty()) {
        asset.push('/');
        asset.push_str(unit);
    }
    draft.fields.set(field::ASSET, asset);
}

/// Whether this is what a device said, as opposed to what it was asked. Words say so before the connection does:
/// either side may have opened it.
fn is_answer(draft: &Draft, operation: &str) -> bool {
    const NAMES: [&str; 6] =
        ["direction", "request_response", "rosctr_name", "rosctr", "opcode_name", "pdu_type"];
    let words = NAMES.iter().map(|name| draft.native(name)).chain([operation, draft.native("function_name")]);
    for word in words {
        let word = word.to_ascii_lowercase();
        let has = |part: &str| word.contains(part);
        if has("request") {
            return false;
        }
        if has("response") || has("ack") || has("notification") || has("indication") {
            return true;
        }
    }
    matches!(draft.native("is_orig"), "F" | "false")
}

fn effect(draft: &Draft, path: &str, operation: &str) -> Effect {
    let has = |part: &str| operation.contains(part);
    let begins = |part: &str| operation.starts_with(part);
    match path.split('_').next().unwrap_or(path) {
        "modbus" if path == "modbus_register_change" || has("write") => Effect::Write,
        // Restart communications, force listen-only mode.
        "modbus" if begins("diagnostics") => {
            let function = draft.native("request_subfunction_code").to_ascii_lowercase();
            if ["restart", "listen", "clear"].iter().any(|part| function.contains(part)) {
                Effect::Control
            } else {
                Effect::Read
            }
        }
        // A selection arms an output and changes none.
        "dnp3" if matches!(operation, "operate" | "direct operate" | "direct operate nr") => Effect::Control,
        "dnp3" if has("restart") || has("appl") || has("unsolicited") && !has("response") => Effect::Control,
        "dnp3"
            if begins("write")
                || has("freeze")
                || begins("initialize")
                || begins("assign")
                || matches!(
                    operation,
                    "save config" | "activate config" | "delete file" | "record current time"
                ) =>
        {
            Effect::Write
        }
        "s7comm" if has("plc stop") || has("start / stop") || has("plc control") || has("plc start") => {
            Effect::Control
        }
        "s7comm"
            if begins("write")
                || begins("set ")
                || has("download")
                || has("copy ram")
                || has("compress")
                || matches!(operation, "create object" | "delete object" | "delete block") =>
        {
            Effect::Write
        }
        "cip" if path == "cip" && matches!(operation, "reset" | "start" | "stop") => Effect::Control,
        "cip"
            if path == "cip"
                && (begins("set ")
                    || begins("write")
                    || has("write")
                    || matches!(
                        operation,
                        "create"
                            | "delete"
                            | "apply attributes"
                            | "save"
                            | "restore"
                            | "insert member"
                            | "remove member"
                    )) =>
        {
            Effect::Write
        }
        "bacnet" if begins("reinitialize") || begins("device communication") || begins("life safety") => {
            Effect::Control
        }
        "bacnet"
            if begins("write")
                || begins("atomic write")
                || has("list element")
                || matches!(operation, "create object" | "delete object" | "acknowledge alarm")
                || has("time synchronization") =>
        {
            Effect::Write
        }
        "genisys" if has("execute") => Effect::Control,
        "genisys" if has("control") && !has("checkback") => Effect::Write,
        "opcua" if begins("call") => Effect::Control,
        "opcua"
            if path == "opcua_binary_write"
                || begins("write")
                || begins("addnodes")
                || begins("deletenodes")
                || begins("addreferences")
                || begins("deletereferences")
                || begins("historyupdate") =>
        {
            Effect::Write
        }
        _ => Effect::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::Format;

    /// Columns as `name=value`; expects asset, activity and status.
    fn check(path: &str, columns: &[(&str, &str)], asset: &str, activity: &str, status: &str) {
        let mut draft = Draft::new(Format::ZeekTsv);
        draft.native = columns.iter().copied().collect();
        draft.set(field::SRC_IP, "10.0.0.1");
        draft.set(field::DST_IP, "10.0.0.5");
        by_path(&mut draft, path).unwrap();
        let found = [field::ASSET, field::ACTIVITY, field::STATUS]
            .map(|name| draft.fields.get(name).unwrap_or_default());
        assert_eq!(found, [asset, activity, status], "{path} {columns:?}");
        let changes = draft.fields.get(field::ASSET_CHANGED);
        assert_eq!(changes, Some(if activity == "Read" { "false" } else { "true" }));
    }

    const REQUEST: (&str, &str) = ("is_orig", "T");
    const ANSWER: [(&str, &str); 3] =
        [("is_orig", "F"), ("source_h", "10.0.0.5"), ("destination_h", "10.0.0.1")];

    #[test]
    fn operations_that_change_a_device_are_told_from_those_that_ask() {
        let d = "10.0.0.5";
        check("modbus", &[("func", "READ_COILS")], d, "Read", "");
        check(
            "modbus",
            &[("func", "WRITE_SINGLE_COIL"), ("exception", "ILLEGAL_FUNCTION")],
            d,
            "Write",
            "Failure",
        );
        check(
            "modbus_detailed",
            &[("func", "WRITE_MULTIPLE_COILS"), ("unit", "4")],
            "10.0.0.5/4",
            "Write",
            "",
        );
        check(
            "modbus_detailed",
            &[("func", "DIAGNOSTICS"), ("request_subfunction_code", "Force Listen Only Mode")],
            d,
            "Control",
            "",
        );
        check("dnp3", &[("fc_request", "READ"), ("fc_reply", "RESPONSE")], d, "Read", "");
        check("dnp3", &[("fc_request", "COLD_RESTART")], d, "Control", "");
        check("dnp3_control", &[REQUEST, ("function_code", "SELECT")], d, "Read", "");
        check("dnp3_control", &[REQUEST, ("function_code", "OPERATE")], d, "Control", "");
        let [a, b, c] = ANSWER;
        check(
            "dnp3_control",
            &[a, b, c, ("function_code", "RESPONSE"), ("status_code", "Success")],
            d,
            "Read",
            "Success",
        );
        check("s7comm", &[("rosctr_name", "Job-Request"), ("function_name", "PLC Stop")], d, "Control", "");
        check(
            "s7comm",
            &[
                a,
                b,
                c,
                ("rosctr_name", "ACK-Data"),
                ("function_name", "Write Variable"),
                ("error_class", "No error"),
            ],
            d,
            "Write",
            "Success",
        );
        check(
            "s7comm_plus",
            &[("opcode_name", "Request"), ("function_name", "Set Multi Variables")],
            d,
            "Write",
            "",
        );
        check("s7comm_upload_download", &[("function_name", "Request Download")], d, "Write", "");
        check("cip", &[("direction", "request"), ("cip_service", "Set Attributes Single")], d, "Write", "");
        check("cip", &[("direction", "request"), ("cip_service", "Get Attribute List")], d, "Read", "");
        check("cip_io", &[("connection_id", "1")], d, "Read", "");
        check(
            "enip",
            &[("enip_command", "Send Unit Data"), ("enip_status", "Success")],
            d,
            "Read",
            "Success",
        );
        check(
            "bacnet",
            &[("pdu_type", "CONFIRMED_REQUEST"), ("pdu_service", "reinitialize_device")],
            d,
            "Control",
            "",
        );
        check("bacnet_property", &[("pdu_service", "write-property")], d, "Write", "");
        check(
            "bacnet_discovery",
            &[("pdu_service", "i-am"), ("object_type", "device"), ("instance_number", "7")],
            "10.0.0.1/7",
            "Read",
            "",
        );
        check("bacnet_discovery", &[("pdu_service", "who-is")], "", "Read", "");
        check(
            "genisys",
            &[("header", "Execute Controls"), ("server", "3"), ("direction", "request")],
            "10.0.0.5/3",
            "Control",
            "",
        );
        check("genisys", &[("header", "Control Data Checkback"), ("server", "3")], "10.0.0.5/3", "Read", "");
        check("opcua_binary", &[("identifier_str", "WriteRequest")], d, "Write", "");
        check("opcua_binary_read", &[("msg_type", "MSG")], d, "Read", "");
    }

    #[test]
    fn other_logs_are_left_alone() {
        let mut draft = Draft::new(Format::ZeekTsv);
        assert!(by_path(&mut draft, "cipher").is_none());
        assert!(by_path(&mut draft, "conn").is_none());
    }
}
