//! From a pinned root to an active release and back: what a site does, with genuine bundles.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use casemate_bundle::{Check, Damage, Error, Policy, State, Step};
use common::*;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

const ALL: [&str; 3] = ["models/m", "config/rules", "config/playbooks"];

/// A publisher, and a site on which its bundle 5 with all components is active.
fn world(seed: u64) -> (Publisher, Site, Tree) {
    let publisher = Publisher::new();
    let site = Site::trusting(&publisher);
    let content = files(&mut Random(seed), &ALL, 3, 9000);
    let bundle = publisher.bundle(5, &ALL, &content, 2048);
    assert!(site.apply(&[bundle.volume()]).unwrap());
    (publisher, site, content)
}

#[test]
fn a_genuine_bundle_is_verified_staged_and_activated() {
    let (publisher, site, content) = world(1);
    assert_eq!(site.active(), (1, content.clone()));

    let rules = files(&mut Random(2), &["config/rules"], 4, 5000);
    let volume = publisher.bundle(6, &["config/rules"], &rules, 2048).volume();
    let paths = site.volumes(&[volume]);
    let report = site.bundles().verify(&paths, &check_at(NOW), &mut |_| ()).unwrap();
    assert_eq!((report.version, report.missing.len(), report.components.len()), (6, 0, 1));
    assert_eq!(report.components[0].replaces, Some(5));
    assert_eq!(site.active().0, 1, "verify changes nothing");
    assert_eq!(site.staged(), 0);

    let mut steps = Vec::new();
    let staged = site.bundles().stage(&paths, &check_at(NOW), &mut |at| {
        steps.extend((at.step == Step::Volumes).then_some(at.done));
        assert!(at.done <= at.total);
    });
    let staged = staged.unwrap();
    assert!(!steps.is_empty() && steps.is_sorted());
    let release = staged.release.unwrap();
    assert_eq!((release.number, release.base), (2, Some(1)));
    assert_eq!(site.active().0, 1, "staging activates nothing");
    site.bundles().activate(2).unwrap();

    let mut expected = content;
    expected.retain(|path, _| !path.starts_with("config/rules/"));
    expected.extend(rules);
    assert_eq!(site.active(), (2, expected));
    let active = site.bundles().active().unwrap().unwrap();
    let versions: Vec<_> = active.components.values().map(|component| component.version).collect();
    assert_eq!(versions, [5, 6, 5]);
}

#[test]
fn a_file_is_on_disk_once_whatever_releases_hold_it() {
    let (publisher, site, content) = world(3);
    let rules = files(&mut Random(4), &["config/rules"], 2, 5000);
    site.apply(&[publisher.bundle(6, &["config/rules"], &rules, 2048).volume()]).unwrap();
    let path = content.keys().find(|path| path.starts_with("models/")).unwrap();
    let active = site.bundles().active().unwrap().unwrap();
    let metadata = fs_err::metadata(active.dir.join(path)).unwrap();
    assert_eq!(metadata.nlink(), 3, "the file itself and two releases");
    assert_eq!(metadata.mode() & 0o222, 0, "read-only");
}

#[test]
fn volumes_come_one_at_a_time_in_any_order() {
    let (publisher, site, _) = world(5);
    let content = files(&mut Random(6), &["models/m"], 3, 30_000);
    let bundle = publisher.bundle(6, &["models/m"], &content, 2048);
    let [first, second] = bundle.two_volumes(bundle.parts.len() / 3);
    let paths = site.volumes(&[second, first]);
    let staged = site.bundles().stage(&paths[..1], &check_at(NOW), &mut |_| ()).unwrap();
    assert!(staged.release.is_none());
    assert_eq!(staged.report.missing.len(), bundle.parts.len() / 3);
    assert_eq!(site.active().0, 1);
    let staged = site.bundles().stage(&paths[1..], &check_at(NOW), &mut |_| ()).unwrap();
    let release = staged.release.unwrap();
    site.bundles().activate(release.number).unwrap();
    let (_, tree) = site.active();
    assert!(content.iter().all(|(path, bytes)| tree[path] == *bytes));
    assert!(!site.state().join("staging.json").exists());
}

#[test]
fn rollback_goes_back_and_activation_forward_again() {
    let (publisher, site, content) = world(7);
    for version in 6..10 {
        let rules = files(&mut Random(version), &["config/rules"], 2, 5000);
        assert!(site.apply(&[publisher.bundle(version, &["config/rules"], &rules, 2048).volume()]).unwrap());
    }
    let states = || -> Vec<_> {
        site.bundles().list().unwrap().iter().map(|(release, state)| (release.number, *state)).collect()
    };
    assert_eq!(states(), [(3, State::Earlier), (4, State::Earlier), (5, State::Active)], "three are kept");
    assert_eq!(site.bundles().rollback().unwrap().number, 4);
    assert_eq!(states(), [(3, State::Earlier), (4, State::Active), (5, State::Staged)]);
    let older =
        publisher.bundle(8, &["config/rules"], &files(&mut Random(8), &["config/rules"], 2, 5000), 2048);
    let error = site.apply(&[older.volume()]).unwrap_err();
    assert!(matches!(error, Error::Rollback { found: 8, seen: 9, .. }), "{error}");
    assert_eq!(site.bundles().activate(5).unwrap().number, 5);
    site.bundles().rollback().unwrap();
    site.bundles().rollback().unwrap();
    assert!(matches!(site.bundles().rollback(), Err(Error::NoEarlier)));
    let (number, tree) = site.active();
    assert_eq!(number, 3);
    assert!(
        content
            .iter()
            .filter(|(path, _)| path.starts_with("models/"))
            .all(|(path, bytes)| tree[path] == *bytes)
    );
    let error = site.bundles().activate(5).unwrap_err();
    assert!(error.to_string().contains("staged when another was active"), "{error}");
    site.bundles().discard().unwrap();
    assert_eq!(states(), [(3, State::Active)]);
}

#[test]
fn what_nothing_needs_is_removed() {
    let (publisher, site, _) = world(9);
    for version in 6..10 {
        let content = files(&mut Random(version), &ALL, 2, 5000);
        site.apply(&[publisher.bundle(version, &ALL, &content, 2048).volume()]).unwrap();
    }
    let stored = fs_err::read_dir(site.state().join("files")).unwrap().count();
    assert_eq!(stored, 3 * 6, "three releases of six files");
    let removed = publisher.bundle(10, &["config/playbooks"], &Tree::new(), 2048);
    site.apply(&[removed.volume()]).unwrap();
    assert!(!site.active().1.keys().any(|path| path.starts_with("config/playbooks/")), "no files: removed");
}

#[test]
fn expiry_and_the_clock_are_overridden_by_name_only() {
    let (publisher, site, content) = world(10);
    let volume = publisher.bundle(6, &ALL, &content, 2048).volume();
    let paths = site.volumes(&[volume]);
    let late = "2027-02-01T00:00:00Z";
    let error = site.bundles().stage(&paths, &check_at(late), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Expired { .. }), "{error}");
    let staged = site.bundles().stage(&paths, &overriding(late), &mut |_| ()).unwrap();
    let overrides = &staged.release.as_ref().unwrap().overrides;
    assert_eq!(overrides.len(), 3, "root, snapshot and targets");
    assert!(overrides.iter().all(|one| one.by == "mira" && one.what.contains("expired at 2027-01-01")));
    assert_eq!(*overrides, staged.report.overrides);

    let error = site.bundles().stage(&paths, &check_at(NOW), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::ClockBack { .. }), "{error}");
    let staged = site.bundles().stage(&paths, &overriding(NOW), &mut |_| ()).unwrap();
    assert_eq!(staged.report.overrides.len(), 1);
    site.bundles().stage(&paths, &check_at(NOW), &mut |_| ()).unwrap();
    let hour_before = "2026-06-01T11:00:00Z";
    site.bundles().stage(&paths, &check_at(hour_before), &mut |_| ()).unwrap();
}

#[test]
fn roots_rotate_and_a_stolen_fast_forward_is_recovered_from() {
    let (old, site, content) = world(11);
    // A thief of the old targets and snapshot keys signs the highest version there is.
    let stolen = old.bundle(u64::MAX, &ALL, &content, 2048);
    assert!(site.apply(&[stolen.volume()]).unwrap());
    let new = Publisher::new();
    let mut bundle = new.bundle(6, &ALL, &content, 2048);
    bundle.roots = vec![old.root_doc(1, None), new.root_doc(2, Some(&old))];
    bundle.snapshot = new.snapshot_doc(snapshot_text(6, 2, 6, &bundle.targets));
    assert!(site.apply(&[bundle.volume()]).unwrap());
    assert_eq!(site.bundles().trusted().unwrap().version, 2);
    let error = site.apply(&[stolen.volume()]).unwrap_err();
    assert!(matches!(error, Error::Signatures { .. }), "{error}");
    // From here on root 1 need not come along.
    bundle.roots.remove(0);
    assert!(site.apply(&[bundle.volume()]).unwrap());
    let mut rolled_back = new.bundle(5, &ALL, &content, 2048);
    rolled_back.snapshot = new.snapshot_doc(snapshot_text(5, 2, 5, &rolled_back.targets));
    rolled_back.roots = bundle.roots;
    let error = site.apply(&[rolled_back.volume()]).unwrap_err();
    assert!(matches!(error, Error::Rollback { .. }), "{error}");
}

#[test]
fn a_pinned_root_is_not_replaced() {
    let (_, site, _) = world(12);
    let other = Publisher::new().root_doc(1, None);
    let path = site.file("other.root.json", other.text.as_bytes());
    let unsigned = site.bundles().trust(&path).unwrap_err();
    assert!(matches!(unsigned, Error::Signatures { .. }), "{unsigned}");
    for (id, signature) in &other.signatures {
        site.file(&format!("other.root.json.{id}.minisig"), signature.as_bytes());
    }
    let error = site.bundles().trust(&path).unwrap_err();
    assert!(matches!(error, Error::AlreadyTrusted { .. }), "{error}");
    site.bundles().trust(&site.path("1.root.json")).unwrap();
    let nowhere = Site::new();
    let error = nowhere.bundles().verify(&[path], &check_at(NOW), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotTrusted), "{error}");
}

#[test]
fn damage_to_what_is_active_is_named_and_repaired_by_its_bundle() {
    let (publisher, site, content) = world(13);
    let active = site.bundles().active().unwrap().unwrap();
    let mut paths = content.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(path, _)| path);
    let (changed, missing) = (paths.next().unwrap(), paths.next().unwrap());
    let at = active.dir.join(changed);
    fs_err::set_permissions(&at, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(&at, b"title: believe me").unwrap();
    fs_err::remove_file(active.dir.join(missing)).unwrap();
    fs_err::write(active.dir.join("config/rules/added.yml"), b"title: and me").unwrap();
    let found = site.bundles().rehash(&mut |_| ()).unwrap();
    let what = |path: &str| found.iter().find(|one| one.path == path).map(|one| one.what.clone());
    assert_eq!(found.len(), 3);
    assert!(matches!(what(changed), Some(Damage::Changed(_))));
    assert_eq!(what(missing), Some(Damage::Missing));
    assert_eq!(what("config/rules/added.yml"), Some(Damage::Added));
    // It does not spread into the next release either.
    let model = files(&mut Random(14), &["models/m"], 1, 900);
    let error = site.apply(&[publisher.bundle(6, &["models/m"], &model, 2048).volume()]).unwrap_err();
    assert!(matches!(&error, Error::Damaged { path, .. } if path == changed), "{error}");
    assert!(site.apply(&[publisher.bundle(7, &ALL, &content, 2048).volume()]).unwrap());
    assert_eq!(site.active(), (2, content));
}

#[test]
fn a_release_that_was_rewritten_with_its_description_is_not_what_was_signed() {
    let (publisher, site, content) = world(17);
    let rules = files(&mut Random(18), &["config/rules"], 2, 500);
    assert!(site.apply(&[publisher.bundle(6, &["config/rules"], &rules, 2048).volume()]).unwrap());
    let active = site.bundles().active().unwrap().unwrap();
    let playbook = content.keys().find(|path| path.starts_with("config/playbooks/")).unwrap();
    let (file, description) = (active.dir.join(playbook), active.dir.join("release.json"));
    let text = fs_err::read_to_string(&description).unwrap();
    let (before, after) =
        (casemate_bundle::Sha256::of(&content[playbook]), casemate_bundle::Sha256::of(b"mine"));
    fs_err::remove_file(&file).unwrap();
    fs_err::write(&file, b"mine").unwrap();
    let bytes = format!(r#""bytes": {},"#, content[playbook].len());
    let forged = text.replace(before.as_ref(), after.as_ref()).replacen(&bytes, r#""bytes": 4,"#, 1);
    fs_err::write(&description, forged).unwrap();
    let found = site.bundles().rehash(&mut |_| ()).unwrap();
    let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["config/playbooks"], "{found:?}");
    assert!(
        matches!(&found[0].what, Damage::Unsigned(reason) if reason.contains("other files")),
        "{found:?}"
    );

    // So are documents that others signed.
    fs_err::write(&description, text).unwrap();
    let signed = active.dir.join("signed").join(active.components["config/playbooks"].targets.as_ref());
    for signature in fs_err::read_dir(&signed).unwrap().map(|entry| entry.unwrap().path()) {
        if signature.extension().is_some_and(|extension| extension == "minisig") {
            fs_err::remove_file(signature).unwrap();
        }
    }
    let found = site.bundles().rehash(&mut |_| ()).unwrap();
    let unsigned = |one: &&casemate_bundle::Damaged| matches!(one.what, Damage::Unsigned(_));
    assert_eq!(found.iter().filter(unsigned).count(), 2, "models and playbooks came with it: {found:?}");
}

#[test]
fn an_older_program_is_told_what_the_bundle_needs() {
    let (publisher, site, content) = world(14);
    let paths = site.volumes(&[publisher.bundle(6, &ALL, &content, 2048).volume()]);
    let check = Check { program: "0.0.9".into(), policy: Policy::Enforce, ..check_at(NOW) };
    let error = site.bundles().verify(&paths, &check, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Program { .. }), "{error}");
}

#[test]
fn a_bundle_larger_than_the_disk_is_refused_before_anything_is_written() {
    let (publisher, site, _) = world(16);
    // Sixteen times 512 GiB in parts of 1 GiB, none of which the volume holds.
    let sum = |n: usize| format!("{n:064x}");
    let part = |n| format!(r#"{{"bytes":{},"sha256":"{}"}}"#, 1_u64 << 30, sum(n));
    let parts: Vec<_> = (1..8192).map(part).collect();
    let file = format!(
        r#"{{"path":"models/m/huge","bytes":{},"sha256":"{}","parts":[{}]}}"#,
        (1_u64 << 30) * 8191,
        sum(9999),
        parts.join(",")
    );
    let (text, _) = targets_text(6, &["models/m"], &Tree::new(), 2048);
    let text = text.replacen(r#""files":[]"#, &format!(r#""files":[{file}]"#), 1);
    let bundle = publisher.bundle_of(6, publisher.targets_doc(text), Vec::new());
    let error = site.apply(&[bundle.volume()]).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
}

#[test]
fn an_auditor_verifies_what_is_active_with_minisign() {
    let (publisher, site, _) = world(15);
    if std::process::Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    let active = site.bundles().active().unwrap().unwrap();
    let dir = active.dir.join("signed").join(active.components["models/m"].targets.as_ref());
    for (document, key) in
        [("targets.json", &publisher.targets[0]), ("snapshot.json", &publisher.snapshot[0])]
    {
        let signature = format!("{document}.{}.minisig", id(key));
        let output = std::process::Command::new("minisign")
            .args(["-Vm", document, "-x", &signature, "-P", &key.pk.to_base64()])
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
