//! `casemate-stage bundle` as a publisher uses it: keys, roots, ceremonies, volumes, and what lies beside them.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Publisher {
    dir: TempDir,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    #[track_caller]
    fn fails(&self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stderr.contains(part), "{part:?} is not said in: {}", self.stderr);
    }
}

impl Publisher {
    fn new() -> Self {
        let publisher = Self { dir: tempfile::tempdir().unwrap() };
        let mut state = 1_u32;
        for (path, bytes) in [
            ("config/rules/linux/sudo.yml", 900),
            ("config/rules/windows.yml", 1800),
            ("config/rules/README.md", 40),
            ("config/playbooks/default.toml", 0),
            ("models/tiny/weights.gguf", 300_000),
            ("models/tiny/tokenizer.json", 5_000),
            ("results.json", 200),
        ] {
            let content: Vec<u8> = (0..bytes)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            publisher.write(path, &content);
        }
        publisher
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_casemate-stage"))
            .arg("bundle")
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let stderr = text(output.stderr);
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr }
    }

    /// Makes a key without a password; its id and where its files are.
    fn key(&self, role: &str) -> Key {
        let made = self.run(&["keygen", "--role", role, "--no-password", "keys", "--json"]);
        assert!(made.stderr.contains("no password"), "{}", made.stderr);
        let made = made.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Key { id: text("id"), secret: text("secret"), public: text("public") }
    }

    /// Root 1 with one root key, one snapshot key and two targets keys, both of which must sign.
    fn root(&self) -> Keys {
        let keys = Keys {
            root: self.key("root"),
            snapshot: self.key("snapshot"),
            targets: [self.key("targets"), self.key("targets")],
        };
        let made = self.run(&[
            "root",
            "--root-key",
            &keys.root.public,
            "--snapshot-key",
            &keys.snapshot.public,
            "--targets-key",
            &keys.targets[0].public,
            &keys.targets[1].public,
            "--targets-threshold",
            "2",
            "--expires",
            "2035-01-01",
            "--key",
            &keys.root.secret,
            "--out",
            "roots",
            "--json",
        ]);
        assert_eq!(made.json()["needed"], serde_json::json!([]), "{}", made.stderr);
        keys
    }

    fn build(&self, keys: &[&Key], more: &[&str]) -> Ran {
        let secret: Vec<&str> = keys.iter().map(|key| key.secret.as_str()).collect();
        let mut args =
            vec!["build", "--root", "roots/1.root.json", "--models", "models", "--config", "config"];
        args.extend(["--component", "config/rules", "models/tiny", "--evaluation", "results.json"]);
        args.extend(["--out", "out", "--json"]);
        // What may be said once only is said here unless the test says it.
        for (name, value) in [("--name", "site"), ("--version", "7"), ("--expires", "2030-06-01")] {
            if !more.contains(&name) {
                args.extend([name, value]);
            }
        }
        if !secret.is_empty() {
            args.push("--key");
            args.extend(secret);
        }
        args.extend(more);
        self.run(&args)
    }
}

struct Key {
    id: String,
    secret: String,
    public: String,
}

struct Keys {
    root: Key,
    snapshot: Key,
    targets: [Key; 2],
}

impl Keys {
    fn signers(&self) -> [&Key; 3] {
        [&self.snapshot, &self.targets[0], &self.targets[1]]
    }
}

fn names(volume: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs_err::File::open(volume).unwrap());
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

fn volumes(built: &Value) -> Vec<PathBuf> {
    built["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| PathBuf::from(one["path"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_volume_has_documents_first_and_parts_in_order() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let built = publisher.build(&keys.signers(), &[]).json();
    let [volume] = &volumes(&built)[..] else { panic!("{built}") };
    let names = names(&publisher.path(volume.to_str().unwrap()));
    let mut targets = [&keys.targets[0].id, &keys.targets[1].id];
    targets.sort();
    let documents = [
        "root/1.root.json".to_owned(),
        format!("root/1.root.json.{}.minisig", keys.root.id),
        "snapshot.json".to_owned(),
        format!("snapshot.json.{}.minisig", keys.snapshot.id),
        "targets.json".to_owned(),
        format!("targets.json.{}.minisig", targets[0]),
        format!("targets.json.{}.minisig", targets[1]),
    ];
    assert_eq!(names[..7], documents);
    let text = fs_err::read_to_string(publisher.path("out/targets.json")).unwrap();
    let listed: Value = serde_json::from_str(&text).unwrap();
    let parts: Vec<String> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|file| file["parts"].as_array().unwrap())
        .map(|part| format!("parts/{}", part["sha256"].as_str().unwrap()))
        .collect();
    assert_eq!(names[7..], parts);
    assert_eq!(listed["components"], serde_json::json!(["config/rules", "evaluation", "models/tiny"]));
    assert_eq!(listed["expires"], "2030-06-01T23:59:59Z");
}

#[test]
fn signatures_are_verified_by_minisign_and_sums_by_sha256sum() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    publisher.build(&keys.signers(), &[]).json();
    let out = publisher.path("out");
    let sums = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&out).output().unwrap();
    assert!(sums.status.success(), "{sums:?}");
    if Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    for key in &keys.targets {
        let signature = format!("targets.json.{}.minisig", key.id);
        let public = publisher.path(&key.public);
        let output = Command::new("minisign")
            .args(["-Vm", "targets.json", "-x", &signature, "-p"])
            .arg(public)
            .current_dir(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_ceremony_adds_signatures_between_two_runs() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let first = publisher.build(&[&keys.snapshot, &keys.targets[0]], &[]);
    first.fails(1, "has 1 of 2 signatures that role targets of root 1 asks for");
    assert_eq!(first.json()["volumes"], serde_json::json!([]));
    assert_eq!(first.json()["needed"][0]["keys"], serde_json::json!([keys.targets[1].id]));
    let signed = publisher.run(&["sign", "out/targets.json", "--key", &keys.targets[1].secret, "--json"]);
    assert!(signed.stderr.contains("targets 7, expires 2030-06-01"), "{}", signed.stderr);
    let second = publisher.build(&[], &[]);
    assert_eq!((second.code, volumes(&second.json()).len()), (Some(0), 1), "{}", second.stderr);
    // What changes afterwards must be signed anew.
    publisher.write("config/rules/windows.yml", b"title: another");
    publisher.build(&[], &[]).fails(1, "has 0 of 2 signatures");
}

#[test]
fn minisign_itself_can_sign() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    if Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    publisher.build(&[&keys.snapshot, &keys.targets[0]], &[]).fails(1, "has 1 of 2");
    let signature = format!("out/targets.json.{}.minisig", keys.targets[1].id);
    let output = Command::new("minisign")
        .args(["-Sm", "out/targets.json", "-x", &signature, "-s", &keys.targets[1].secret])
        .current_dir(publisher.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(publisher.build(&[], &[]).code, Some(0));
}

#[test]
fn an_interrupted_build_goes_on_where_it_was() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let more = ["--volume-size", "96K"];
    let built = publisher.build(&keys.signers(), &more).json();
    let paths = volumes(&built);
    assert!(paths.len() > 2, "{built}");
    let mut parts: Vec<String> = Vec::new();
    for path in &paths {
        assert!(fs_err::metadata(publisher.path(path.to_str().unwrap())).unwrap().len() <= 96 << 10);
        let names = names(&publisher.path(path.to_str().unwrap()));
        assert_eq!(names[0], "root/1.root.json");
        parts.extend(names.into_iter().filter(|name| name.starts_with("parts/")));
    }
    let count = parts.len();
    parts.sort();
    parts.dedup();
    assert_eq!(parts.len(), count, "each part is in one volume");

    let whole = fs_err::read(publisher.path(paths[1].to_str().unwrap())).unwrap();
    fs_err::remove_file(publisher.path(paths[1].to_str().unwrap())).unwrap();
    let mut damaged = fs_err::read(publisher.path(paths[2].to_str().unwrap())).unwrap();
    damaged[40_000] ^= 1;
    fs_err::write(publisher.path(paths[2].to_str().unwrap()), &damaged).unwrap();
    let again = publisher.build(&keys.signers(), &more).json();
    let kept: Vec<bool> =
        again["volumes"].as_array().unwrap().iter().map(|one| one["kept"].as_bool().unwrap()).collect();
    assert_eq!(kept[..3], [true, false, false]);
    assert_eq!(fs_err::read(publisher.path(paths[1].to_str().unwrap())).unwrap(), whole, "the same again");
}

#[test]
fn a_build_that_was_killed_ends_as_if_it_had_not_been() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let secret: Vec<&str> = keys.signers().map(|key| key.secret.as_str()).into();
    let common = "build --root roots/1.root.json --name site --version 7 --expires 2030-06-01 --models models \
                  --config config --component config/rules models/tiny --volume-size 96K --json --out";
    let args: Vec<&str> = common.split_whitespace().chain(["out", "--key"]).chain(secret).collect();
    let whole = publisher.run(&args).json();
    let expected: Vec<_> = volumes(&whole)
        .iter()
        .map(|path| fs_err::read(publisher.path(path.to_str().unwrap())).unwrap())
        .collect();
    for path in volumes(&whole) {
        fs_err::remove_file(publisher.path(path.to_str().unwrap())).unwrap();
    }
    fs_err::remove_file(publisher.path("out/.volumes.json")).unwrap();

    for kill_after in 1..expected.len() {
        let mut child = Command::new(env!("CARGO_BIN_EXE_casemate-stage"))
            .arg("bundle")
            .args(&args)
            .current_dir(publisher.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let finished = |line: &String| line.starts_with("written ") || line.starts_with("kept ");
        assert!(lines.map(Result::unwrap).filter(finished).take(kill_after).count() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let built = publisher.run(&args).json();
    assert_eq!(built["volumes"][0]["kept"], true);
    for (path, expected) in volumes(&built).iter().zip(expected) {
        assert_eq!(
            fs_err::read(publisher.path(path.to_str().unwrap())).unwrap(),
            expected,
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_root_rotates_and_a_bundle_carries_the_chain() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let new = publisher.key("root");
    let made = publisher.run(&[
        "root",
        "--previous",
        "roots/1.root.json",
        "--root-key",
        &new.public,
        "--expires",
        "2036-01-01",
        "--out",
        "roots",
        "--key",
        &new.secret,
        "--json",
    ]);
    let needed = &made.json()["needed"];
    assert_eq!(
        (needed[0]["root"].as_u64(), needed[0]["keys"][0].as_str()),
        (Some(1), Some(keys.root.id.as_str()))
    );
    let roots = ["--root", "roots/2.root.json"];
    publisher.build(&keys.signers(), &roots).fails(2, "role root of root 1 asks for");
    publisher.run(&["sign", "roots/2.root.json", "--key", &keys.root.secret]);
    let built = publisher.build(&keys.signers(), &roots).json();
    let names = names(&publisher.path(volumes(&built)[0].to_str().unwrap()));
    assert!(names.contains(&"root/2.root.json".to_owned()), "{names:?}");
    let other = ["--previous", "roots/1.root.json", "--expires", "2037-01-01", "--out", "roots"];
    publisher.run(&[&["root"], &other[..]].concat()).fails(2, "a root is never changed");
}

#[test]
fn keys_with_a_password_ask_for_it() {
    let publisher = Publisher::new();
    let made = publisher
        .run_with(&["keygen", "--role", "root", "--password-stdin", "keys", "--json"], "open sesame\n");
    let made = made.json();
    let (secret, public) = (made["secret"].as_str().unwrap(), made["public"].as_str().unwrap());
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(fs_err::metadata(publisher.path(secret)).unwrap().mode() & 0o777, 0o600);
    let args = [
        "root",
        "--root-key",
        public,
        "--snapshot-key",
        public,
        "--targets-key",
        public,
        "--expires",
        "2035-01-01",
        "--out",
        "roots",
        "--key",
        secret,
        "--password-stdin",
        "--json",
    ];
    publisher.run_with(&args, "open barley\n").fails(2, "Wrong password");
    assert_eq!(publisher.run_with(&args, "open sesame\n").json()["needed"], serde_json::json!([]));
    publisher
        .run_with(&["keygen", "--role", "root", "--password-stdin", "keys"], "\n")
        .fails(2, "--no-password");
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_written() {
    let publisher = Publisher::new();
    let keys = publisher.root();
    let build = |more: &[&str]| publisher.build(&keys.signers(), more);
    build(&["--component", "config/site"]).fails(2, "is no component");
    build(&["--component", "models/none"]).fails(1, "models/none");
    build(&["--remove", "config/rules"]).fails(2, "both in --component and in --remove");
    build(&["--expires", "soon"]).fails(2, "a day such as");
    build(&["--volume-size", "9K"]).fails(2, "too small");
    build(&["--name", "a/b"]).fails(2, "--name a/b");
    build(&["--version", "0"]).fails(2, "--version");
    build(&["--key", &keys.root.secret]).fails(2, "neither targets nor snapshot");
    publisher.write("config/rules/with space.yml", b"x");
    build(&[]).fails(2, "ASCII letters");
    let link = publisher.path("config/playbooks/link.toml");
    std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    build(&["--component", "config/playbooks"]).fails(2, "neither file nor directory");
}

/// Against the schema of CycloneDX itself: `pip install 'cyclonedx-python-lib[json-validation]'`.
#[test]
fn boms_are_valid_cyclonedx() {
    const CHECK: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for path in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())
    if error: sys.exit(f'{path}: {error}')
print('valid', len(sys.argv) - 1)
";
    let publisher = Publisher::new();
    let keys = publisher.root();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let heads = fs_err::read(root.join("config/heads/default.json")).unwrap();
    publisher.write("config/heads/default.json", &heads);
    let built = publisher.build(&keys.signers(), &["--component", "config/heads", "config/rules"]).json();
    let (sbom, ml_bom) = (built["sbom"].as_str().unwrap(), built["ml_bom"].as_str().unwrap());
    let read = |path: &str| -> Value {
        serde_json::from_slice(&fs_err::read(publisher.path(path)).unwrap()).unwrap()
    };
    let program = read(sbom);
    let components = program["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|one| one["name"] == name);
    assert!(components.len() > 150, "{}", components.len());
    for linked in ["tokio", "candle-core", "casemate-ingest"] {
        assert!(named(linked).is_some(), "{linked} is missing");
    }
    for absent in ["hf-hub", "ureq", "casemate-stage", "proptest"] {
        assert!(named(absent).is_none(), "{absent} is not linked into casemate");
    }
    let tokio = named("tokio").unwrap();
    assert_eq!(tokio["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert!(tokio["purl"].as_str().unwrap().starts_with("pkg:cargo/tokio@1."));
    let models = read(ml_bom);
    let head = models["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "config/heads/default.json");
    let card = &head.unwrap()["modelCard"];
    assert!(card["modelParameters"]["datasets"].as_array().unwrap().len() > 3, "{card}");
    assert!(card["quantitativeAnalysis"]["performanceMetrics"].as_array().unwrap().len() > 3, "{card}");

    let output =
        Command::new(python()).args(["-c", CHECK, sbom, ml_bom]).current_dir(publisher.dir.path()).output();
    match output {
        Ok(output) if output.status.success() => {
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "valid 2");
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("ModuleNotFoundError") => {
            eprintln!("skipped: python3 has no cyclonedx");
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("skipped: no python3: {error}"),
    }
}

/// A Python that may have more than the system's: the one that `.ci/run` fits out, where it is.
fn python() -> PathBuf {
    let own = std::env::var_os("CASEMATE_SHIPPERS").map(|dir| Path::new(&dir).join("python/bin/python"));
    own.filter(|path| path.is_file()).unwrap_or_else(|| "python3".into())
}
