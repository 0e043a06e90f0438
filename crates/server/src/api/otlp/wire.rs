//! What does an `ExportLogsServiceRequest` say, in protocol buffers?
//!
//! Field numbers are those of opentelemetry-proto 1.x, `logs/v1/logs.proto` and `common/v1/common.proto`.

use super::protobuf::{Field, Fields, Malformed};
use super::record::{Around, Attributes, Fault, Gathered, MAX_RECORD_BYTES, Record};
use serde_json::{Map, Number, Value};

/// Values within values; deeper ones are malformed.
const MAX_DEPTH: u32 = 32;

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed("its protocol buffers do not decode")
    }
}

pub(super) fn read(body: &[u8]) -> Result<Gathered, Fault> {
    let mut gathered = Gathered::default();
    for resource_logs in messages(body, 1) {
        read_resource(resource_logs?, &mut gathered)?;
    }
    Ok(gathered)
}

fn read_resource(resource_logs: &[u8], gathered: &mut Gathered) -> Result<(), Fault> {
    let mut attributes = Attributes::new();
    for resource in messages(resource_logs, 1) {
        attributes.extend(key_values(resource?, 1, MAX_DEPTH)?);
    }
    let around = Around::resource(attributes);
    for scope_logs in messages(resource_logs, 2) {
        let scope_logs = scope_logs?;
        let (mut name, mut version, mut attributes) = (String::new(), String::new(), Attributes::new());
        for scope in messages(scope_logs, 1) {
            let scope = scope?;
            for field in Fields::new(scope) {
                match field? {
                    (1, Field::Bytes(bytes)) => name = text(bytes),
                    (2, Field::Bytes(bytes)) => version = text(bytes),
                    _ => {}
                }
            }
            attributes.extend(key_values(scope, 3, MAX_DEPTH)?);
        }
        let around = around.with_scope(name, version, attributes);
        for record in messages(scope_logs, 2) {
            let record = record?;
            if record.len() > MAX_RECORD_BYTES {
                gathered.add_long(&around, record)?;
            } else {
                gathered.add(&around, read_record(record)?)?;
            }
        }
    }
    Ok(())
}

fn read_record(message: &[u8]) -> Result<Record, Malformed> {
    let mut record = Record { attributes: key_values(message, 6, MAX_DEPTH)?, ..Record::default() };
    for field in Fields::new(message) {
        match field? {
            (1, Field::Fixed64(time)) => record.time = time,
            (2, Field::Varint(number)) => record.severity = number,
            (3, Field::Bytes(bytes)) => record.severity_text = text(bytes),
            (5, Field::Bytes(bytes)) => record.body = any_value(bytes, MAX_DEPTH)?,
            (9, Field::Bytes(bytes)) => record.trace_id = hex(bytes),
            (10, Field::Bytes(bytes)) => record.span_id = hex(bytes),
            (11, Field::Fixed64(time)) => record.observed = time,
            (12, Field::Bytes(bytes)) => record.event_name = text(bytes),
            _ => {}
        }
    }
    Ok(record)
}

/// Messages in the fields with this number.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok((found, Field::Bytes(bytes))) => (found == number).then_some(Ok(bytes)),
        // A field of ours in another shape is not what it claims to be.
        Ok((found, _)) => (found == number).then_some(Err(Malformed)),
        Err(malformed) => Some(Err(malformed)),
    })
}

fn key_values(message: &[u8], number: u64, depth: u32) -> Result<Attributes, Malformed> {
    let pair = |pair: Result<&[u8], Malformed>| {
        let (mut key, mut value) = (String::new(), Value::Null);
        for field in Fields::new(pair?) {
            match field? {
                (1, Field::Bytes(bytes)) => key = text(bytes),
                (2, Field::Bytes(bytes)) => value = any_value(bytes, depth)?,
                _ => {}
            }
        }
        Ok((key, value))
    };
    messages(message, number).map(pair).collect()
}

fn any_value(message: &[u8], depth: u32) -> Result<Value, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut value = Value::Null;
    for field in Fields::new(message) {
        value = match field? {
            (1, Field::Bytes(bytes)) => Value::String(text(bytes)),
            (2, Field::Varint(number)) => Value::Bool(number != 0),
            (3, Field::Varint(number)) => Value::from(number.cast_signed()),
            (4, Field::Fixed64(bits)) => {
                let number = f64::from_bits(bits);
                Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
            }
            (5, Field::Bytes(list)) => {
                let values = messages(list, 1).map(|value| any_value(value?, depth));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            (6, Field::Bytes(list)) => {
                Value::Object(key_values(list, 1, depth)?.into_iter().collect::<Map<_, _>>())
            }
            (7, Field::Bytes(bytes)) => bytes_value(bytes),
            _ => continue,
        };
    }
    Ok(value)
}

/// Bytes that are text are text; others are written in hex.
fn bytes_value(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| Value::String(hex(bytes)), Value::from)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::{write_bytes, write_varint};
    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, bytes)| write_bytes(&mut out, *number, bytes));
        out
    }

    /// One request with one record.
    fn request(record: &[u8]) -> Vec<u8> {
        message(&[(1, &message(&[(2, &message(&[(2, record)]))]))])
    }

    #[test]
    fn the_resource_may_come_after_its_records() {
        let name = message(&[(1, b"host.name"), (2, &message(&[(1, b"web1")]))]);
        let scope = message(&[(2, &message(&[(5, &message(&[(1, b"hello")]))]))]);
        let body = message(&[(1, &message(&[(2, &scope), (1, &message(&[(1, &name)]))]))]);
        let gathered = read(&body).unwrap();
        assert_eq!(gathered.told[0].0, b"hello");
        assert_eq!(gathered.told[0].1.host.as_deref(), Some("web1"));
        let native = [("otlp.resource.host.name".to_owned(), "web1".to_owned())];
        assert_eq!(gathered.told[0].1.native, native);
    }

    #[test]
    fn records_without_anything_are_rejected() {
        let gathered = read(&request(&message(&[(5, &message(&[(1, b" ")])), (3, b"INFO")]))).unwrap();
        assert_eq!((gathered.told.len(), gathered.rejected), (0, 1));
        let named = read(&request(&message(&[(12, b"login")]))).unwrap();
        assert_eq!(named.told[0].0, br#"{"event.name":"login"}"#);
    }

    #[test]
    fn values_nest_only_so_deep() {
        let nested = |depth| {
            let list = |inner: Vec<u8>, _| message(&[(5, &message(&[(1, &inner)]))]);
            request(&message(&[(5, &(0..depth).fold(message(&[(1, b"x")]), list))]))
        };
        assert_eq!(read(&nested(3)).unwrap().told[0].0, br#"[[["x"]]]"#);
        assert!(read(&nested(31)).is_ok());
        assert!(matches!(read(&nested(32)), Err(Fault::Malformed(_))));
    }

    #[test]
    fn many_records_with_a_long_resource_are_too_much() {
        let long = vec![b'x'; 1 << 20];
        let name = message(&[(1, b"k"), (2, &message(&[(1, &long)]))]);
        let record = message(&[(5, &message(&[(1, b"r")]))]);
        let scope = message(&vec![(2, record.as_slice()); 1000]);
        let body = message(&[(1, &message(&[(1, &message(&[(1, &name)])), (2, &scope)]))]);
        assert!(matches!(read(&body), Err(Fault::TooMuch)));
    }

    #[test]
    fn cut_or_changed_bodies_are_refused_or_read_but_never_a_panic() {
        let mut record = message(&[(5, &message(&[(1, b"hello")])), (9, &[7; 16]), (3, b"WARN")]);
        write_varint(&mut record, 2, 13);
        let body = request(&record);
        for end in 0..body.len() {
            let _ = read(&body[..end]);
            for bit in 0..8 {
                let mut changed = body.clone();
                changed[end] ^= 1 << bit;
                let _ = read(&changed);
            }
        }
    }
}
