//! `casemate bench` measures and compares what it says, on the smallest real model.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Site, models, root};

fn tiny() -> Option<String> {
    Some(models()?.join("SmolLM2-135M-Instruct.Q4_1.gguf").to_string_lossy().into_owned())
}

#[test]
fn every_row_has_its_figure() {
    let Some(tiny) = tiny() else { return };
    let rows = ["prefill_512", "decode_512", "batch_decode_8", "prefill_2048_tiny", "peak_rss", "load"];
    let list = rows.join(",");
    let args = [
        "bench",
        "inference",
        "--model",
        &tiny,
        "--tiny",
        &tiny,
        "--runs",
        "1",
        "--threads",
        "1",
        "--rows",
        &list,
    ];
    let output = Site::new().run(&args);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.json["machine"].as_str().is_some_and(|machine| machine.contains("cores")));
    let found = output.json["rows"].as_array().unwrap();
    let names: Vec<&str> = found.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(
        names,
        ["prefill_512", "decode_512", "batch_decode_8", "prefill_2048_tiny", "peak_rss", "load"]
    );
    for row in found {
        assert!(row["ours"].as_f64().is_some_and(|ours| ours > 0.0) && row.get("peer").is_none(), "{row}");
    }
    // Memory stays near the file's size: cache, vocabulary and buffers are most of the rest of a model so small.
    assert!(found[4]["of_file"].as_f64().is_some_and(|of_file| of_file < 4.0), "{}", found[4]);
}

#[test]
fn exact_arithmetic_is_near() {
    let Some(tiny) = tiny() else { return };
    let text = root().join("tests/data");
    let text = text.to_string_lossy();
    // The quality bench measures two models: here the same one twice would only take twice as long.
    let args = ["bench", "inference", "--quality", "--model", &tiny, "--tiny", "none", "--text", &text];
    let output = Site::new().run(&args);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let rows = output.json["rows"].as_array().unwrap();
    assert_eq!(rows[0]["name"], "kl_divergence");
    assert_eq!(rows[0]["n"], 1024);
    for way in ["ours", "ours_stepwise"] {
        assert!(rows[0][way].as_f64().is_some_and(|nats| (0.0..0.005).contains(&nats)), "{}", rows[0]);
        assert!(rows[1][way].as_f64().is_some_and(|agreed| agreed > 0.9), "{}", rows[1]);
    }
}

#[test]
fn what_cannot_be_measured_is_bad_input() {
    let site = Site::new();
    site.run(&["bench", "inference"]).fails_with(2, &["casemate-stage fetch"]);
    let Some(tiny) = tiny() else { return };
    let inference = |more: &[&str]| {
        let args = ["bench", "inference", "--model", &tiny, "--tiny", &tiny];
        site.run(&[&args[..], more].concat())
    };
    inference(&["--rows", "speed"]).fails_with(2, &["speed", "prefill_512"]);
    inference(&["--peer", "vllm"]).fails_with(2, &["vllm", "llama.cpp"]);
    inference(&["--peer", "llama.cpp", "--rows", "load"]).fails_with(2, &["--peer-python"]);
    inference(&["--quality", "--text", "/nonexistent"]).fails_with(2, &["--text"]);
}
