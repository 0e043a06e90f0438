//! Holds the workspace to its architecture: which crate may depend on which, who may name what, and that nothing
//! in the appliance can open an outgoing connection. Asks cargo, reads no source.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates by layer, lowest first. An edge between two of them goes to a lower layer, never across or up; a new
/// edge has its own commit and a line in ARCHITECTURE.md.
const LAYERS: [&[&str]; 8] = [
    &["casemate-event", "casemate-disk"],
    &["casemate-audit"],
    &[
        "casemate-access",
        "casemate-bundle",
        "casemate-ingest",
        "casemate-detect",
        "casemate-store",
        "casemate-vector",
        "casemate-inference",
    ],
    &["casemate-pipeline"],
    &["casemate-investigate", "casemate-receive"],
    &["casemate-export"],
    &["casemate-server", "casemate-eval"],
    &["casemate", "casemate-stage"],
];

/// Who alone may depend directly on these; `*` at the end stands for any ending.
const OWNERS: [(&str, &[&str]); 25] = [
    ("argon2", &["casemate-access"]),
    ("jsonwebtoken", &["casemate-access"]),
    ("candle-*", &["casemate-inference"]),
    ("tokenizers", &["casemate-inference"]),
    ("llguidance", &["casemate-inference"]),
    ("minijinja*", &["casemate-inference"]),
    ("hf-hub", &["casemate-stage"]),
    ("memmap2", &["casemate-disk"]),
    ("hnsw_rs", &["casemate-vector"]),
    ("tantivy", &["casemate"]),
    ("redb", &["casemate-store"]),
    ("evtx", &["casemate-ingest"]),
    ("syslog_loose", &["casemate-ingest"]),
    ("tar", &["casemate-ingest", "casemate-bundle", "casemate-stage"]),
    ("rsigma-*", &["casemate-detect"]),
    ("rustls*", &["casemate-receive"]),
    ("tokio-rustls", &["casemate-receive"]),
    ("krilla", &["casemate-export"]),
    ("skrifa", &["casemate-export"]),
    ("axum*", &["casemate-server"]),
    ("tower*", &["casemate-server"]),
    ("askama*", &["casemate-server"]),
    ("landlock", &["casemate"]),
    ("seccompiler", &["casemate"]),
    // Verified by the one, made by the other; checkpoints of the audit record are signed.
    ("minisign*", &["casemate-audit", "casemate-bundle", "casemate-stage"]),
];

/// What can call out, and so may not be in the appliance at all: HTTP clients, TLS, DNS resolvers, downloaders.
const CALLS_OUT: [&str; 42] = [
    "attohttpc",
    "aws-*",
    "awc",
    "c-ares*",
    "chttp",
    "curl*",
    "dns-lookup",
    "domain",
    "git2",
    "gix-transport",
    "h2",
    "h3*",
    "hf-hub",
    "hf-xet",
    "hickory-*",
    "http_req",
    "hyper-proxy*",
    "hyper-rustls",
    "hyper-tls",
    "hyper-timeout",
    "isahc",
    "lettre",
    "minreq",
    "native-tls",
    "object_store",
    "opendal*",
    "openssl*",
    "opentelemetry-otlp",
    "quiche",
    "quinn*",
    "reqwest*",
    "rustls*",
    "s2n-*",
    "self_update",
    "sentry*",
    "surf",
    "tokio-rustls",
    "tonic*",
    "trust-dns-*",
    "tungstenite",
    "ureq*",
    "webpki*",
];

/// TLS that `casemate-receive` alone brings in, to be a server (of syslog, of API and page). Its client types are refused by
/// `disallowed-types` in clippy.toml, and no certificates of public authorities come with it.
const SERVES_TLS: [&str; 4] = ["rustls", "rustls-pki-types", "rustls-webpki", "tokio-rustls"];

/// Crates that serve and can also call out: the feature that would make them.
const CLIENT_FEATURES: [(&str, &str); 3] = [("hyper", "client"), ("hyper-util", "client*"), ("axum", "ws")];

#[test]
fn dependencies_between_our_crates_go_down() {
    let metadata = metadata();
    let layers: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, names)| names.iter().map(move |name| (*name, layer)))
        .collect();
    let ours = metadata.workspace_packages();
    let mut edges = 0;
    for package in &ours {
        let Some(&from) = layers.get(package.name.as_str()) else {
            panic!("{} has no layer; give it one in LAYERS and a line in ARCHITECTURE.md", package.name);
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let name = dependency.name.as_str();
            let Some(&to) = layers.get(name) else {
                panic!("{} depends on {name}, which has no layer", package.name)
            };
            assert!(to < from, "{} (layer {from}) may not depend on {name} (layer {to})", package.name);
            edges += 1;
        }
    }
    assert_eq!(layers.len(), ours.len(), "LAYERS names a crate that does not exist");
    assert!(edges > LAYERS.len(), "only {edges} edges between our crates: is this the workspace?");
}

#[test]
fn the_connected_side_shares_no_code_with_the_appliance() {
    let metadata = metadata();
    let named =
        |name: &str| find(&metadata, name).dependencies.iter().map(|d| d.name.clone()).collect::<Vec<_>>();
    assert!(!named("casemate-stage").iter().any(|name| name.starts_with("casemate")));
    assert!(named("casemate-stage").iter().any(|name| name == "hf-hub"));
}

#[test]
fn each_specialist_library_has_one_home() {
    let metadata = metadata();
    let mut found = BTreeSet::new();
    for package in metadata.workspace_packages() {
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            for (pattern, owners) in OWNERS.iter().filter(|(pattern, _)| is_match(pattern, &dependency.name))
            {
                let is_owner = owners.contains(&package.name.as_str());
                assert!(is_owner, "{} belongs in {owners:?} alone, not in {}", dependency.name, package.name);
                found.insert(pattern);
            }
        }
    }
    for needed in ["candle-*", "tokenizers", "hf-hub", "memmap2", "hnsw_rs", "tantivy"] {
        assert!(found.contains(&needed), "nobody depends on {needed}: OWNERS is out of date");
    }
}

#[test]
fn nothing_in_the_appliance_calls_out() {
    let tree = normal_tree_of("casemate");
    // The walk is real: it reaches the runtime, the model kernels and the HTTP server.
    for expected in ["tokio", "candle-core", "axum", "hyper", "casemate-inference"] {
        assert!(
            tree.contains_key(expected),
            "{expected} is missing: the walk over the dependency tree is broken"
        );
    }
    assert!(tree.len() > 150, "only {} crates", tree.len());
    for (name, features) in &tree {
        for pattern in CALLS_OUT.iter().filter(|_| !SERVES_TLS.contains(&name.as_str())) {
            assert!(!is_match(pattern, name), "{name} is in the appliance and can call out ({pattern})");
        }
        for (of, pattern) in CLIENT_FEATURES.iter().filter(|(of, _)| of == name) {
            let active = features.iter().find(|feature| is_match(pattern, feature));
            assert_eq!(active, None, "{of} is built with a client");
        }
    }
}

#[test]
fn only_the_receivers_bring_tls_in() {
    assert!(normal_tree_of("casemate-receive").contains_key("rustls"));
    let above = ["casemate-receive", "casemate-server", "casemate", "casemate-stage"];
    for name in LAYERS.iter().copied().flatten().filter(|name| !above.contains(name)) {
        let tree = normal_tree_of(name);
        let found: Vec<_> = SERVES_TLS.iter().filter(|tls| tree.contains_key(**tls)).collect();
        assert!(found.is_empty(), "{name} brings in {found:?}");
    }
}

#[test]
fn clippy_refuses_the_client_side_of_tls() {
    let written = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../clippy.toml")).unwrap();
    for name in
        ["rustls::client::ClientConfig", "rustls::client::ClientConnection", "tokio_rustls::TlsConnector"]
    {
        assert!(written.contains(&format!("path = \"{name}\"")), "{name} is not among disallowed-types");
    }
}

#[test]
fn the_walk_finds_a_downloader_where_there_is_one() {
    let tree = normal_tree_of("casemate-stage");
    let found: Vec<_> = CALLS_OUT.iter().filter(|p| tree.keys().any(|name| is_match(p, name))).collect();
    for expected in ["hf-hub", "rustls*", "ureq*"] {
        assert!(found.contains(&&expected), "{expected} is not found in casemate-stage: {found:?}");
    }
}

/// Metadata of the whole workspace, without asking a registry.
fn metadata() -> Metadata {
    MetadataCommand::new().other_options(["--offline".to_owned()]).no_deps().exec().expect("cargo metadata")
}

fn find<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata.packages.iter().find(|package| package.name.as_str() == name).expect(name)
}

/// Everything linked into `package`, with the features each is built with.
///
/// From `cargo tree`, because `cargo metadata` resolves all members at once and would report features that only
/// another member switches on.
fn normal_tree_of(package: &str) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}|{f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut tree = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        let features = features.trim_end_matches("(*)").split(',').map(|feature| feature.trim().to_owned());
        tree.entry(name.to_owned()).or_default().extend(features.filter(|feature| !feature.is_empty()));
    }
    tree
}

fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
