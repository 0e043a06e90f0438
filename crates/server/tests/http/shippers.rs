use crate::client::{get, send};
use crate::running::start;
use casemate_event::EventId;
use serde_json::json;

#[test]
fn splunk_senders_get_their_acknowledgement_once_it_is_durable() {
    let running = start();
    let headers = [("authorization", "Splunk 0-0"), ("x-splunk-request-channel", "c1")];
    let body = r#"{"time":1700000000.5,"host":"web1","sourcetype":"syslog","event":"<34>Mar  2 09:00:00 h su: one"}{"event":"plain","host":"web2","time":"1700000001"}"#;
    let answer = send(running.addr, "POST", "/services/collector/event", &headers, body.as_bytes()).ok();
    assert_eq!(answer["code"], 0);
    let asked = json!({ "acks": [answer["ackId"]] }).to_string();
    let acks = send(running.addr, "POST", "/services/collector/ack", &headers, asked.as_bytes()).ok();
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
    let raw = send(running.addr, "POST", "/services/collector/raw?host=r1", &headers, b"a\r\n\nb\n").ok();
    assert_eq!(raw["text"], "Success");
    assert_eq!(running.pipeline.store().last_id(), EventId(5));
    assert_eq!(get(running.addr, "/services/collector/health").ok()["code"], 17);
}

#[test]
fn elastic_shippers_get_a_result_per_document() {
    let running = start();
    let info = send(running.addr, "GET", "/", &[("accept", "application/json")], b"");
    assert_eq!(info.header("x-elastic-product"), "Elasticsearch");
    assert!(info.ok()["version"]["number"].as_str().unwrap().starts_with("8."));
    assert!(
        send(running.addr, "GET", "/", &[("accept", "text/html")], b"")
            .header("content-type")
            .contains("html")
    );
    let ndjson = ("content-type", "application/x-ndjson");
    let body = "{\"create\":{\"_index\":\"logs\"}}\n{\"message\":\"hello\"}\n{\"delete\":{\"_id\":\"1\"}}\n";
    let answer = send(running.addr, "POST", "/_bulk", &[ndjson], body.as_bytes());
    assert_eq!(answer.header("x-elastic-product"), "Elasticsearch");
    let answer = answer.ok();
    assert_eq!(answer["errors"], true);
    assert_eq!(answer["items"][0]["create"]["status"], 201);
    let stored = running.pipeline.store().get(EventId(1)).unwrap().unwrap().event;
    assert_eq!(
        (stored.raw.as_slice(), stored.native.get("elastic.index")),
        (br#"{"message":"hello"}"#.as_slice(), Some("logs"))
    );
    let answer =
        send(running.addr, "PUT", "/app-logs/_bulk", &[ndjson], b"{\"index\":{}}\n{\"broken\":\n").ok();
    assert_eq!(answer["errors"], false);
    assert_eq!(running.pipeline.store().counts().unwrap().quarantined.values().sum::<u64>(), 1);
    send(running.addr, "POST", "/_bulk", &[ndjson], b"nonsense\n").problem(400);
    let metrics = get(running.addr, "/metrics").text();
    assert!(metrics.contains("casemate_source_records_total{source=\"elastic-bulk\"} 2"), "{metrics}");
}
