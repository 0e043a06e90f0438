//! What users hand in that is broken, through the real binary: a clear error that says what to do, exit
//! status 1 or 2, nothing lost, never a panic.
//!
//! - files: truncated EVTX, half a JSON line, invalid UTF-8, a 100 MB line, an empty file, a zip bomb
//! - models: a GGUF cut short, a missing one
//! - surroundings: a port in use, a read-only or locked data directory, a missing path, a bad query

#![allow(clippy::unwrap_used)]

mod common;

use common::Site;
use std::io::Write;
use std::net::TcpListener;

#[test]
fn truncated_evtx_keeps_what_can_be_read() {
    let site = Site::new();
    let whole = common::data("formats").join("small.evtx");
    let bytes = fs_err::read(whole).unwrap();
    let all = site.ingest_bytes("whole", &bytes);
    assert_eq!(all.code, 0, "{all:?}");
    let cut = Site::new().ingest_bytes("cut", &bytes[..bytes.len() * 2 / 3]);
    cut.fails_with(1, &["cut short", "again"]);
    assert!(cut.json["events"]["evtx"].as_u64() <= all.json["events"]["evtx"].as_u64());
    assert!(!cut.json["problems"].as_array().unwrap().is_empty());
}

#[test]
fn half_a_json_line_is_quarantined_and_its_neighbours_kept() {
    let site = Site::new();
    let out = site.ingest_bytes("a", b"{\"a\":1}\n{\"a\":2,\"b\":\n{\"a\":3}\n");
    out.fails_with(1, &[]);
    assert_eq!(out.json["events"]["json_lines"], 2);
    assert_eq!(out.json["quarantined"]["malformed_json"], 1);
    let kept = site.run(&["search", "--quarantine"]);
    assert_eq!(kept.code, 0);
    assert_eq!(kept.json["quarantined"][0]["start"], "{\"a\":2,\"b\":");
}

#[test]
fn invalid_utf8_is_quarantined() {
    let out = Site::new().ingest_bytes("a", b"fine line\n\xff\xfe\xfa broken\nfine again\n");
    out.fails_with(1, &[]);
    assert_eq!(out.json["quarantined"]["invalid_encoding"], 1);
    assert_eq!(out.json["events"]["text"], 2);
}

#[test]
fn a_line_of_100_mb_is_kept_in_pieces_within_bounded_memory() {
    const LENGTH: usize = 100 << 20;
    let site = Site::new();
    let mut bytes = b"before\n".to_vec();
    bytes.resize(bytes.len() + LENGTH, b'x');
    bytes.extend_from_slice(b"\nafter\n");
    let out = site.ingest_bytes("long", &bytes);
    out.fails_with(1, &[]);
    assert_eq!(out.json["events"]["text"], 2);
    let pieces = out.json["quarantined"]["too_long"].as_u64().unwrap();
    let listed = site.run(&["search", "--quarantine", "--limit", "10000"]);
    let listed = listed.json["quarantined"].as_array().unwrap();
    assert_eq!(listed.len() as u64, pieces);
    let kept: u64 = listed.iter().map(|record| record["bytes"].as_u64().unwrap()).sum();
    assert_eq!(kept, LENGTH as u64);
    let peak = out.json["peak_rss_bytes"].as_u64().unwrap();
    assert!(peak < 600 << 20, "peak memory {peak}");
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    Site::new().ingest_bytes("empty", b"").fails_with(1, &["empty"]);
}

#[test]
fn a_zip_bomb_stops_at_the_limit() {
    let site = Site::new();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("logs.json", options).unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..400 {
        zip.write_all(&chunk).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let out = site.ingest_bytes("bomb", &bytes);
    out.fails_with(1, &["unpack"]);
    assert_eq!(out.json["quarantined"]["decompression_limit"], 1);
}

#[test]
fn a_missing_path_is_named() {
    Site::new().run(&["ingest", "/nonexistent/logs"]).fails_with(2, &["/nonexistent/logs"]);
}

#[test]
fn a_gguf_cut_short_is_refused() {
    let site = Site::new();
    let mut header = b"GGUF".to_vec();
    header.extend_from_slice(&3u32.to_le_bytes());
    header.extend_from_slice(&200u64.to_le_bytes());
    header.extend_from_slice(&20u64.to_le_bytes());
    let path = site.file("cut.gguf", &header);
    site.run(&["investigate", "--all", "--model", &path]).fails_with(2, &["cut.gguf"]);
}

#[test]
fn the_real_model_cut_short_is_refused() {
    let Some(models) = common::models() else { return };
    let site = Site::new();
    let bytes = fs_err::read(models.join("SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
    let path = site.file("half.gguf", &bytes[..bytes.len() / 2]);
    site.run(&["investigate", "--all", "--model", &path]).fails_with(2, &["half.gguf"]);
}

#[test]
fn a_missing_model_says_how_to_get_it() {
    Site::new().run(&["investigate", "--all"]).fails_with(2, &["casemate-stage fetch", "--model none"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    Site::new()
        .run(&["serve", "--no-auth", "--model", "none", "--listen", &address])
        .fails_with(2, &[&port, "in use", "--listen"]);
}

#[test]
fn only_loopback_is_served() {
    Site::new()
        .run(&["serve", "--no-auth", "--model", "none", "--listen", "0.0.0.0:0"])
        .fails_with(2, &["without TLS", "--tls"]);
}

#[test]
fn a_read_only_data_directory_is_named() {
    let site = Site::new();
    let logs = site.file("a.log", b"one line\n");
    let Some(out) = site.run_unprivileged_with_read_only_data(&["ingest", &logs]) else { return };
    out.fails_with(1, &["data", "ermission"]);
}

#[test]
fn a_data_directory_in_use_is_named_with_its_holder() {
    let site = Site::new();
    let server = site.serve();
    site.run(&["search", "x"]).fails_with(1, &["in use", &server.id().to_string()]);
}

#[test]
fn a_query_that_does_not_parse_is_bad_input() {
    let site = Site::new();
    assert_eq!(site.ingest_bytes("a", b"one line\n").code, 0);
    site.run(&["search", "user:(alice"]).fails_with(2, &["query"]);
}

#[test]
fn a_damaged_playbook_or_site_file_is_named() {
    let site = Site::new();
    let path = site.file("site.toml", b"[[asset]]\nnmae = 1\n");
    site.run(&["investigate", "--all", "--model", "none", "--site", &path]).fails_with(2, &["site.toml"]);
}

#[test]
fn the_same_bytes_are_taken_in_once_unless_asked() {
    let site = Site::new();
    let path = site.file("a.log", b"one line\nanother line\n");
    let again = site.file("b.log", b"one line\nanother line\n");
    assert_eq!(site.run(&["ingest", &path]).json["records"], 2);
    let second = site.run(&["ingest", &path, &again]);
    assert_eq!(
        (second.code, &second.json["records"], &second.json["files_skipped"]),
        (0, &0.into(), &2.into())
    );
    assert_eq!(site.run(&["search"]).json["total"], 2);
    assert_eq!(site.run(&["ingest", "--again", &path]).json["records"], 2);
    assert_eq!(site.run(&["search"]).json["total"], 4);
}
