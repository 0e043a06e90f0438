use crate::client::{get, send};
use crate::running::start;
use casemate_event::{EventId, Format};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

#[test]
fn splunk_senders_get_their_acknowledgement_once_it_is_durable() {
    let running = start();
    let headers = [("authorization", "Splunk 0-0"), ("x-splunk-request-channel", "c1")];
    let body = r#"{"time":1700000000.5,"host":"web1","sourcetype":"syslog","event":"<34>Mar  2 09:00:00 h su: one"}{"event":"plain","host":"web2","time":"1700000001"}"#;
    let answer =
        send(running.addr, "POST", "/services/collector/event", &headers, body.as_bytes()).expect_ok();
    assert_eq!(answer["code"], 0);
    let asked = json!({ "acks": [answer["ackId"]] }).to_string();
    let acks = send(running.addr, "POST", "/services/collector/ack", &headers, asked.as_bytes()).expect_ok();
    assert_eq!(acks["acks"][answer["ackId"].to_string()], true);
    let events = running.pipeline.store().scan(EventId(1), 10).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].event.raw, b"<34>Mar  2 09:00:00 h su: one");
    assert_eq!(events[1].event.time.to_string(), "2023-11-14T22:13:21Z");
    assert_eq!(events[1].event.field("device.hostname"), Some("web2"));

    let broken =
        send(running.addr, "POST", "/services/collector", &headers, b"{\"event\":\"kept\"}{\"time\":1}");
    assert_eq!((broken.status, &broken.json()["invalid-event-number"]), (400, &json!(1)));
    assert_eq!(running.pipeline.store().last_id(), EventId(3));
    let raw =
        send(running.addr, "POST", "/services/collector/raw?host=r1", &headers, b"a\r\n\nb\n").expect_ok();
    assert_eq!(raw["text"], "Success");
    assert_eq!(running.pipeline.store().last_id(), EventId(5));
    assert_eq!(get(running.addr, "/services/collector/health").expect_ok()["code"], 17);
}

#[test]
fn elastic_shippers_get_a_result_per_document() {
    let running = start();
    let info = send(running.addr, "GET", "/", &[("accept", "application/json")], b"");
    assert_eq!(info.header("x-elastic-product"), "Elasticsearch");
    assert!(info.expect_ok()["version"]["number"].as_str().unwrap().starts_with("8."));
    assert!(
        send(running.addr, "GET", "/", &[("accept", "text/html")], b"")
            .header("content-type")
            .contains("html")
    );
    let ndjson = ("content-type", "application/x-ndjson");
    let body = "{\"create\":{\"_index\":\"logs\"}}\n{\"message\":\"hello\"}\n{\"delete\":{\"_id\":\"1\"}}\n";
    let answer = send(running.addr, "POST", "/_bulk", &[ndjson], body.as_bytes());
    assert_eq!(answer.header("x-elastic-product"), "Elasticsearch");
    let answer = answer.expect_ok();
    assert_eq!(answer["errors"], true);
    assert_eq!(answer["items"][0]["create"]["status"], 201);
    let stored = running.pipeline.store().get(EventId(1)).unwrap().unwrap().event;
    assert_eq!(
        (stored.raw.as_slice(), stored.native.get("elastic.index")),
        (br#"{"message":"hello"}"#.as_slice(), Some("logs"))
    );
    let answer = send(running.addr, "PUT", "/app-logs/_bulk", &[ndjson], b"{\"index\":{}}\n{\"broken\":\n")
        .expect_ok();
    assert_eq!(answer["errors"], false);
    assert_eq!(running.pipeline.store().counts().unwrap().quarantined.values().sum::<u64>(), 1);
    send(running.addr, "POST", "/_bulk", &[ndjson], b"nonsense\n").problem(400);
    let metrics = get(running.addr, "/metrics").text();
    assert!(metrics.contains("casemate_source_records_total{source=\"elastic-bulk\"} 2"), "{metrics}");
}

#[test]
fn otlp_exporters_are_answered_in_their_encoding() {
    let running = start();
    let json = ("content-type", "application/json");
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "host.name", "value": { "stringValue": "web1" } }] },
        "scopeLogs": [{ "scope": { "name": "audit" }, "logRecords": [
            { "timeUnixNano": "1700000000500000000", "severityText": "WARN", "body": { "stringValue": "plain text" } },
            { "body": { "stringValue": "<34>Mar  2 09:00:00 h sshd[7]: Failed password for root from 10.1.2.3 port 22 ssh2" } },
            { "body": { "kvlistValue": { "values": [{ "key": "a", "value": { "intValue": "1" } }] } } },
            { "severityText": "INFO" }
        ] }]
    }] });
    let answer = send(running.addr, "POST", "/v1/logs", &[json], body.to_string().as_bytes()).expect_ok();
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "1");
    let events = running.pipeline.store().scan(EventId(1), 10).unwrap();
    assert_eq!(events.len(), 3);
    let first = &events[0].event;
    assert_eq!(
        (first.field("device.hostname"), first.time.to_string().as_str()),
        (Some("web1"), "2023-11-14T22:13:20.5Z")
    );
    assert_eq!(first.native.get("otlp.scope.name"), Some("audit"));
    assert_eq!(first.native.get("otlp.severity_text"), Some("WARN"));
    assert_eq!(events[1].event.format, Format::SyslogRfc3164);
    assert_eq!(events[1].event.field("src_endpoint.ip"), Some("10.1.2.3"));
    assert_eq!(events[2].event.raw, br#"{"a":1}"#);

    // One record whose body is "hello", by hand.
    let protobuf = ("content-type", "application/x-protobuf");
    let body = b"\x0a\x0f\x12\x0d\x12\x0b\x2a\x07\x0a\x05hello\x1a\x00";
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).unwrap();
    let headers = [protobuf, ("content-encoding", "gzip"), ("idempotency-key", "export 1")];
    let packed = packer.finish().unwrap();
    for _ in 0..2 {
        let answer = send(running.addr, "POST", "/v1/logs", &headers, &packed);
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-protobuf"));
        assert!(answer.body.is_empty(), "{:?}", answer.body);
    }
    assert_eq!(running.pipeline.store().last_id(), EventId(4));
    assert_eq!(running.pipeline.store().get(EventId(4)).unwrap().unwrap().event.raw, b"hello");

    let refused = send(running.addr, "POST", "/v1/logs", &[protobuf], b"\x0a\xff");
    assert_eq!((refused.status, refused.header("content-type")), (400, "application/x-protobuf"));
    assert_eq!(refused.body[..2], [8, 3], "google.rpc.Status with INVALID_ARGUMENT");
    let refused = send(running.addr, "POST", "/v1/logs", &[json], b"{").json();
    assert_eq!(refused["code"], 3);
    send(running.addr, "POST", "/v1/logs", &[("content-type", "text/plain")], b"x").problem(415);
}

#[test]
fn a_request_with_a_key_is_taken_in_once() {
    let running = start();
    let stored = || running.pipeline.store().last_id().0;
    let raw = ("content-type", "application/octet-stream");
    let take = |key: &str, path: &str, body: &[u8]| {
        send(running.addr, "POST", path, &[raw, ("idempotency-key", key)], body).expect_ok()
    };
    let body: String = (0..2500).map(|n| format!("line {n}\n")).collect();
    assert_eq!(take("a", "/v1/ingest/auto", body.as_bytes())["records"], 2500);
    let again = take("a", "/v1/ingest/auto", body.as_bytes());
    assert_eq!(
        (&again["records"], &again["skipped"], &again["event_ids"]),
        (&json!(0), &json!(2500), &json!(null))
    );
    assert_eq!(stored(), 2500);
    // Another key, another body: another request.
    take("b", "/v1/ingest/auto", b"line 0\n");
    take("b", "/v1/ingest/auto", b"line 1\n");
    assert_eq!(stored(), 2502);
    for _ in 0..2 {
        take("c", "/_bulk", b"{\"index\":{}}\n{\"a\":1}\n");
        let event = br#"{"event":"x"}"#;
        let headers = [("authorization", "Splunk 0"), ("idempotency-key", "d")];
        send(running.addr, "POST", "/services/collector", &headers, event).expect_ok();
    }
    assert_eq!(stored(), 2504);
    let long = "k".repeat(300);
    let refused = send(running.addr, "POST", "/v1/ingest/auto", &[raw, ("idempotency-key", &long)], b"x\n");
    assert!(refused.problem(400).contains("Idempotency-Key"));
}
