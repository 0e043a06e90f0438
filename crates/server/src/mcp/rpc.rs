//! What does a JSON-RPC message say, and what is said to one that is none? Knows nothing of tools.

use serde_json::{Map, Value, json};

/// A message that a client may send.
#[derive(Debug)]
pub(crate) enum Message {
    /// It is answered.
    Request(Request),
    /// It is not.
    Notification,
}

/// A call that is answered.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
}

/// Why a call is answered with an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) data: Option<Box<Value>>,
}

impl Fault {
    pub(crate) const PARSE: i32 = -32700;
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    /// Headers and body of one request say different things.
    pub(crate) const HEADER_MISMATCH: i32 = -32020;
    /// The revision of the protocol is none of ours.
    pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }
}

/// Reads one message.
///
/// # Errors
/// What is wrong with it, and its id, if that can be told.
pub(crate) fn read(bytes: &[u8]) -> Result<Message, (Value, Fault)> {
    let invalid = |id: Value, why: &str| (id, Fault::new(Fault::INVALID_REQUEST, why));
    // Depth is bounded by the reader of JSON, length by whoever hands the bytes over.
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| (Value::Null, Fault::new(Fault::PARSE, format!("no JSON: {error}"))))?;
    let Value::Object(mut message) = value else {
        return Err(invalid(Value::Null, "send one JSON-RPC object; batches are not taken"));
    };
    let id = match message.remove("id") {
        None => None,
        Some(id) if id.is_string() || id.is_i64() || id.is_u64() => Some(id),
        Some(_) => return Err(invalid(Value::Null, "the id is neither a text nor a whole number")),
    };
    let echoed = || id.clone().unwrap_or(Value::Null);
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid(echoed(), "jsonrpc must be \"2.0\""));
    }
    let Some(Value::String(method)) = message.remove("method") else {
        return Err(invalid(echoed(), "there is no method; casemate asks nothing that could be answered"));
    };
    let params = match message.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err((echoed(), Fault::params("params must be an object"))),
    };
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification,
    })
}

/// The answer to call `id`.
pub(crate) fn answer(id: &Value, result: Result<Value, Fault>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(fault) => {
            let mut error = json!({ "code": fault.code, "message": fault.message });
            if let Some(data) = fault.data {
                error["data"] = *data;
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn refused(text: &str, code: i32, id: &Value) {
        let (of, fault) = read(text.as_bytes()).unwrap_err();
        assert_eq!((fault.code, &of), (code, id), "{text}: {fault:?}");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        refused("", Fault::PARSE, &Value::Null);
        refused("{", Fault::PARSE, &Value::Null);
        refused(&"[".repeat(100_000), Fault::PARSE, &Value::Null);
        for text in ["1", "\"x\"", "null", "[]", r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#] {
            refused(text, Fault::INVALID_REQUEST, &Value::Null);
        }
        refused(r#"{"id":1,"method":"ping"}"#, Fault::INVALID_REQUEST, &json!(1));
        refused(r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, Fault::INVALID_REQUEST, &json!("a"));
        refused(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Fault::INVALID_REQUEST, &json!(1));
        refused(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, Fault::INVALID_REQUEST, &json!(1));
        refused(r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Fault::INVALID_REQUEST, &Value::Null);
        refused(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Fault::INVALID_REQUEST, &Value::Null);
        refused(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, Fault::INVALID_PARAMS, &json!(1));
    }

    #[test]
    fn calls_and_notifications_are_told_apart() {
        let call = read(br#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#).unwrap();
        assert!(
            matches!(call, Message::Request(Request { id, method, .. }) if id == "x" && method == "ping")
        );
        let told = read(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert!(matches!(told, Message::Notification));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err((_, fault)) = read(&bytes) {
                prop_assert!(!fault.message.is_empty());
            }
        }
    }
}
