//! What does an `ExportLogsServiceRequest` say, in JSON (proto3 mapping, identifiers in hex)?

use super::record::{Around, Attributes, Fault, Gathered, MAX_RECORD_BYTES, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

// Parts are kept as they are written until their turn comes: a hostile body costs little more memory than it is
// long.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    scope_logs: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    log_records: Option<Vec<&'a RawValue>>,
}

impl From<serde_json::Error> for Fault {
    fn from(_: serde_json::Error) -> Self {
        Self::Malformed("its JSON is not of the form that OTLP describes")
    }
}

pub(super) fn read(body: &[u8]) -> Result<Gathered, Fault> {
    let mut gathered = Gathered::default();
    let request: Request<'_> = serde_json::from_slice(body)?;
    for resource_logs in request.resource_logs.unwrap_or_default() {
        let resource_logs: ResourceLogs<'_> = serde_json::from_str(resource_logs.get())?;
        let around = Around::resource(attributes(&small(resource_logs.resource)?["attributes"]));
        for scope_logs in resource_logs.scope_logs.unwrap_or_default() {
            let scope_logs: ScopeLogs<'_> = serde_json::from_str(scope_logs.get())?;
            let scope = small(scope_logs.scope)?;
            let around = around.with_scope(
                text(&scope["name"]),
                text(&scope["version"]),
                attributes(&scope["attributes"]),
            );
            for record in scope_logs.log_records.unwrap_or_default() {
                if record.get().len() > MAX_RECORD_BYTES {
                    gathered.add_long(&around, record.get().as_bytes())?;
                } else {
                    gathered.add(&around, read_record(&serde_json::from_str(record.get())?))?;
                }
            }
        }
    }
    Ok(gathered)
}

/// What describes many records, within bounds.
fn small(raw: Option<&RawValue>) -> Result<Value, Fault> {
    match raw.map(RawValue::get) {
        None => Ok(Value::Null),
        Some(raw) if raw.len() > MAX_RECORD_BYTES => Err(Fault::TooMuch),
        Some(raw) => Ok(serde_json::from_str(raw)?),
    }
}

fn read_record(record: &Value) -> Record {
    Record {
        time: number(&record["timeUnixNano"]),
        observed: number(&record["observedTimeUnixNano"]),
        severity: number(&record["severityNumber"]),
        severity_text: text(&record["severityText"]),
        body: any_value(&record["body"]),
        attributes: attributes(&record["attributes"]),
        trace_id: text(&record["traceId"]),
        span_id: text(&record["spanId"]),
        event_name: text(&record["eventName"]),
    }
}

fn attributes(list: &Value) -> Attributes {
    let pairs = list.as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair["key"]), any_value(&pair["value"]))).collect()
}

/// How deep values nest is bounded by the JSON they were read from.
fn any_value(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|one| one.iter().next()) else { return Value::Null };
    let values = || value["values"].as_array().into_iter().flatten();
    match kind.as_str() {
        // 64 bits may come as text.
        "intValue" => value
            .as_str()
            .and_then(|text| text.parse::<i64>().ok())
            .map_or_else(|| value.clone(), Value::from),
        "arrayValue" => Value::Array(values().map(any_value).collect()),
        "kvlistValue" => Value::Object(attributes(&value["values"]).into_iter().collect::<Map<_, _>>()),
        // Text, booleans, doubles; bytes stay in base64.
        _ => value.clone(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The logs example of the OTLP specification, shortened.
    const EXAMPLE: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
        "scopeLogs":[{"scope":{"name":"my.library","version":"1.0.0","attributes":[{"key":"s","value":{"boolValue":true}}]},
        "logRecords":[{"timeUnixNano":"1544712660300000000","observedTimeUnixNano":"1544712660300000000","severityNumber":10,
        "severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
        "body":{"stringValue":"Example log record"},"attributes":[{"key":"int","value":{"intValue":"10"}},
        {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"many"},{"doubleValue":1.5}]}}},
        {"key":"map","value":{"kvlistValue":{"values":[{"key":"some.key","value":{"stringValue":"some value"}}]}}}]}]}]}]}"#;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let gathered = read(EXAMPLE.as_bytes()).unwrap();
        let (raw, beside) = &gathered.told[0];
        assert_eq!(raw, b"Example log record");
        assert_eq!(beside.time.unwrap().to_string(), "2018-12-13T14:51:00.3Z");
        let find = |name: &str| {
            beside.native.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(find("otlp.resource.service.name"), Some("my.service"));
        assert_eq!(find("otlp.scope.attributes.s"), Some("true"));
        assert_eq!(find("otlp.attributes.int"), Some("10"));
        assert_eq!(find("otlp.attributes.list"), Some(r#"["many",1.5]"#));
        assert_eq!(find("otlp.attributes.map"), Some(r#"{"some.key":"some value"}"#));
        assert_eq!(find("otlp.span_id"), Some("EEE19B7EC3C1B174"));
    }

    #[test]
    fn other_bodies_are_refused_or_empty() {
        for body in ["", "[]", "null", "{\"resourceLogs\":{}}", "{\"resourceLogs\":[1]}"] {
            assert!(matches!(read(body.as_bytes()), Err(Fault::Malformed(_))), "{body}");
        }
        assert!(read(br#"{"resourceLogs":null,"new":1}"#).unwrap().told.is_empty());
        let empty = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#;
        assert_eq!(read(empty).unwrap().rejected, 1);
    }
}
