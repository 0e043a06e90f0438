//! What `casemate-stage bundle build` makes, `casemate_bundle` accepts. The two share no code; this is what holds
//! them to one format, together with `tests/walkthrough.sh` over the two programs.

#![allow(clippy::unwrap_used, clippy::panic)]

use casemate_bundle::{Bundles, Check, Error, Policy, Role, State};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const NOW: &str = "2026-06-01T12:00:00Z";

/// A publisher's laptop and a site, each a directory.
struct World {
    dir: TempDir,
    stage: PathBuf,
}

impl World {
    /// `None`, with a message, where `casemate-stage` has not been built beside this test.
    fn new() -> Option<Self> {
        let own = std::env::current_exe().unwrap();
        let stage = own.parent().and_then(Path::parent).unwrap().join("casemate-stage");
        if !stage.is_file() {
            eprintln!("skipped: {} is not built (cargo build -p casemate-stage)", stage.display());
            return None;
        }
        Some(Self { dir: tempfile::tempdir().unwrap(), stage })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// Runs `casemate-stage bundle`, words split at spaces.
    fn stage(&self, args: &str) -> Value {
        let mut command = Command::new(&self.stage);
        command.arg("bundle").args(args.split_whitespace()).arg("--json").current_dir(self.dir.path());
        // Without a checkout there is no SBOM to make: this is about the format.
        let output = command.env_remove("CARGO_MANIFEST_DIR").output().unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn key(&self, role: &str) -> (String, String) {
        let made = self.stage(&format!("keygen --role {role} --no-password keys"));
        (made["secret"].as_str().unwrap().to_owned(), made["public"].as_str().unwrap().to_owned())
    }

    fn volumes(&self, built: &Value) -> Vec<PathBuf> {
        let paths = built["volumes"].as_array().unwrap();
        paths.iter().map(|volume| self.path(volume["path"].as_str().unwrap())).collect()
    }

    fn bundles(&self) -> Bundles {
        Bundles::open(&self.path("site"))
    }
}

fn check() -> Check {
    Check { now: NOW.parse().unwrap(), policy: Policy::Enforce, program: "0.1.0".into() }
}

#[test]
fn a_site_accepts_what_the_connected_side_builds() {
    let Some(world) = World::new() else { return };
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let weights: Vec<u8> =
        std::iter::successors(Some(1_u32), step).map(|state| (state >> 24) as u8).take(400_000).collect();
    world.write("models/tiny/weights.gguf", &weights);
    world.write("models/tiny/tokenizer.json", b"{}");
    world.write("config/rules/linux/sudo.yml", b"title: sudo");
    world.write("config/rules/empty.yml", b"");
    world.write("figures.json", b"{\"auroc\":0.9}");

    let (root, root_public) = world.key("root");
    let (snapshot, snapshot_public) = world.key("snapshot");
    let (targets, targets_public) = world.key("targets");
    let (other, other_public) = world.key("targets");
    world.stage(&format!(
        "root --root-key {root_public} --snapshot-key {snapshot_public} --targets-key {targets_public} {other_public} \
         --targets-threshold 2 --expires 2035-01-01 --key {root} --out roots"
    ));
    let pinned = world.bundles().trust(&world.path("roots/1.root.json")).unwrap();
    assert_eq!(pinned.roles[&Role::Targets].threshold, 2);

    let build = |version: u64, more: &str| {
        world.stage(&format!(
            "build --root roots/1.root.json --name all --version {version} --expires 2030-01-01 --requires 0.1.0 \
             --models models --config config --key {snapshot} {targets} {other} --out out-{version} {more}"
        ))
    };
    let built = build(1, "--component models/tiny config/rules --evaluation figures.json --volume-size 128K");
    let volumes = world.volumes(&built);
    assert!(volumes.len() > 3, "{built}");

    let report = world.bundles().verify(&volumes, &check(), &mut |_| ()).unwrap();
    assert_eq!((report.version, report.missing.len(), report.components.len()), (1, 0, 3));
    assert_eq!(built["targets_sha256"], report.sha256.to_string());
    let mut release = None;
    for volume in volumes.into_iter().rev() {
        assert!(release.is_none(), "complete before the last volume");
        release = world.bundles().stage(&[volume], &check(), &mut |_| ()).unwrap().release;
    }
    let active = world.bundles().activate(release.unwrap().number).unwrap();
    assert_eq!(fs_err::read(active.dir.join("models/tiny/weights.gguf")).unwrap(), weights);
    assert_eq!(fs_err::read(active.dir.join("config/rules/linux/sudo.yml")).unwrap(), b"title: sudo");
    assert_eq!(fs_err::read(active.dir.join("config/rules/empty.yml")).unwrap(), b"");
    assert!(active.dir.join("evaluation/figures.json").is_file());
    assert_eq!(world.bundles().rehash(&mut |_| ()).unwrap(), []);

    // Rules alone, then the same version again with other rules, then an older one.
    world.write("config/rules/linux/sudo.yml", b"title: sudo, better");
    let next = world.volumes(&build(2, "--component config/rules"));
    let staged = world.bundles().stage(&next, &check(), &mut |_| ()).unwrap();
    let active = world.bundles().activate(staged.release.unwrap().number).unwrap();
    assert_eq!(fs_err::read(active.dir.join("config/rules/linux/sudo.yml")).unwrap(), b"title: sudo, better");
    assert_eq!(fs_err::read(active.dir.join("models/tiny/weights.gguf")).unwrap(), weights);
    let third = world.volumes(&build(3, "--remove evaluation"));
    let staged = world.bundles().stage(&third, &check(), &mut |_| ()).unwrap();
    assert!(!staged.release.unwrap().components.contains_key("evaluation"));
    world.bundles().discard().unwrap();
    let older = world.volumes(&built);
    let error = world.bundles().stage(&older, &check(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Rollback { .. }), "{error}");
    assert_eq!(world.bundles().rollback().unwrap().number, 1);
    let states: Vec<_> = world.bundles().list().unwrap().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [State::Active, State::Staged]);
}

#[test]
fn a_root_that_the_connected_side_rotates_is_followed() {
    let Some(world) = World::new() else { return };
    world.write("config/rules/a.yml", b"title: a");
    let (old, old_public) = world.key("root");
    let (new, new_public) = world.key("root");
    let (signer, signer_public) = world.key("targets");
    world.stage(&format!(
        "root --root-key {old_public} --snapshot-key {signer_public} --targets-key {signer_public} \
         --expires 2035-01-01 --key {old} --out roots"
    ));
    world.bundles().trust(&world.path("roots/1.root.json")).unwrap();
    world.stage(&format!(
        "root --previous roots/1.root.json --root-key {new_public} --expires 2036-01-01 --key {new} {old} --out roots"
    ));
    let built = world.stage(&format!(
        "build --root roots/1.root.json roots/2.root.json --name rules --version 1 --expires 2030-01-01 \
         --models models --config config --component config/rules --key {signer} --out out"
    ));
    let staged = world.bundles().stage(&world.volumes(&built), &check(), &mut |_| ()).unwrap();
    assert!(staged.release.is_some());
    assert_eq!(world.bundles().trusted().unwrap().version, 2);
}

#[test]
fn the_walkthrough_from_a_laptop_to_a_server_works() {
    let Some(world) = World::new() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/walkthrough.sh");
    let output = Command::new("sh")
        .arg(script)
        .arg(world.path("walkthrough"))
        .env("CASEMATE", env!("CARGO_BIN_EXE_casemate"))
        .env("CASEMATE_STAGE", &world.stage)
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
