//! Attacks on what is signed: keys, thresholds, versions, dates, and what the documents say.

use super::{ALL, Attack, Make, NEXT, World};
use crate::common::*;
use casemate_bundle::{Error, Role};
use minisign::KeyPair;

/// Every kind, with how one is made.
pub(crate) const KINDS: &[(&str, Make)] = &[
    ("rollback: an older genuine bundle", |world, _| {
        Attack::new(vec![world.old.volume()], |e| matches!(e, Error::Rollback { .. }))
    }),
    ("rollback: older snapshot of newer targets", |world, random| {
        let mut bundle = world.next.clone();
        let version = 1 + random.next() % 4;
        bundle.snapshot = world.publisher.snapshot_doc(snapshot_text(version, 1, 6, &bundle.targets));
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Rollback { role: Role::Snapshot, .. }))
    }),
    ("rollback: older targets under a newer snapshot", |world, random| {
        let mut bundle = world.old.clone();
        let version = 6 + random.next() % 100;
        bundle.snapshot = world.publisher.snapshot_doc(snapshot_text(version, 1, 4, &bundle.targets));
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Rollback { role: Role::Targets, .. }))
    }),
    ("another bundle of a version seen before", |world, random| {
        let content = files(random, &ALL, 1, 2000);
        let bundle = world.publisher.bundle(5, &ALL, &content, 1024);
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Equivocation { .. }))
    }),
    ("freeze: expired root, snapshot or targets", |world, random| {
        let role = *random.pick(&["root", "snapshot", "targets"]);
        let early = |text: &str| text.replacen(EXPIRES, "2026-05-31T00:00:00Z", 1);
        let mut bundle = world.next.clone();
        let publisher = &world.publisher;
        match role {
            "root" => {
                let mut root = publisher.root_doc(2, None);
                root.text = early(&root.text);
                let root = Doc::new(&root.name, root.text, &[&publisher.root[0], &publisher.root[1]]);
                bundle.roots.push(root);
                bundle.snapshot = publisher.snapshot_doc(snapshot_text(6, 2, 6, &bundle.targets));
            }
            "snapshot" => bundle.snapshot = publisher.snapshot_doc(early(&bundle.snapshot.text)),
            _ => {
                bundle.targets = publisher.targets_doc(early(&bundle.targets.text));
                bundle.snapshot = publisher.snapshot_doc(snapshot_text(6, 1, 6, &bundle.targets));
            }
        }
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Expired { .. }))
    }),
    ("freeze: everything expired since", |world, random| {
        let mut attack = Attack::new(vec![world.next.volume()], |e| matches!(e, Error::Expired { .. }));
        attack.check = check_at(&format!("2027-{:02}-01T00:00:00Z", 1 + random.below(12)));
        attack
    }),
    ("freeze: the clock set back", |world, random| {
        let mut attack = Attack::new(vec![world.next.volume()], |e| matches!(e, Error::ClockBack { .. }));
        attack.check = check_at(&format!("2026-05-{:02}T00:00:00Z", 1 + random.below(30)));
        attack
    }),
    ("mix: snapshot and targets of two bundles", |world, random| {
        let (mut a, b) = if random.below(2) == 0 {
            (world.next.clone(), &world.other)
        } else {
            (world.other.clone(), &world.next)
        };
        a.snapshot = b.snapshot.clone();
        Attack::new(vec![a.volume()], |e| matches!(e, Error::MixAndMatch { .. }))
    }),
    ("mix: targets of a bundle seen before", |world, _| {
        let mut bundle = world.old.clone();
        bundle.snapshot = world.next.snapshot.clone();
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::MixAndMatch { .. }))
    }),
    ("mix: a snapshot that names another version", |world, random| {
        let mut bundle = world.next.clone();
        let version = 7 + random.next() % 9;
        bundle.snapshot = world.publisher.snapshot_doc(snapshot_text(6, 1, version, &bundle.targets));
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::MixAndMatch { .. }))
    }),
    ("mix: parts of another bundle", |world, random| {
        let mut bundle = world.next.clone();
        let at = random.below(bundle.parts.len());
        bundle.parts[at] = random.pick(&world.other.parts).clone();
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Part { .. }))
    }),
    ("mix: volumes of two bundles", |world, random| {
        let [first, _] = world.next.two_volumes(2);
        let [_, second] = world.other.two_volumes(random.below(4));
        Attack::new(vec![first, second], |e| matches!(e, Error::OtherBundle { .. }))
    }),
    ("wrong keys: a stranger signs everything", |world, _| {
        let bundle =
            world.stranger.bundle_of(6, world.stranger.targets_doc(world.next.targets.text.clone()), vec![]);
        let mut attack = Attack::new(vec![bundle.volume()], |e| matches!(e, Error::RootChanged { .. }));
        let mut inside = bundle;
        inside.roots = world.next.roots.clone();
        attack.volumes = vec![inside.volume()];
        attack.is_expected = is_unsigned;
        attack
    }),
    ("wrong keys: a stranger under a known key id", |world, random| {
        let mut bundle = world.next.clone();
        let doc = if random.below(2) == 0 { &mut bundle.snapshot } else { &mut bundle.targets };
        let stranger = &world.stranger.snapshot[0];
        for (id, signature) in &mut doc.signatures {
            // Once only the file says so, once the signature itself.
            *signature = forged(stranger, doc.text.as_bytes(), (random.below(2) == 0).then_some(id));
        }
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("wrong keys: keys of another role", |world, random| {
        let mut bundle = world.next.clone();
        let publisher = &world.publisher;
        let (doc, keys): (&mut Doc, Vec<&KeyPair>) = match random.below(3) {
            0 => (&mut bundle.snapshot, publisher.targets.iter().chain(&publisher.root).collect()),
            1 => (&mut bundle.targets, publisher.snapshot.iter().chain(&publisher.root).collect()),
            _ => {
                bundle.roots.push(Doc::new("root/2.root.json", publisher.root_text(2), &[]));
                (&mut bundle.roots[1], publisher.targets.iter().chain(&publisher.snapshot).collect())
            }
        };
        *doc = Doc::new(&doc.name, doc.text.clone(), &keys);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("threshold: one signature too few", |world, random| {
        let mut bundle = world.next.clone();
        let id = id(random.pick(&world.publisher.targets));
        bundle.targets.signatures.remove(&id);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("threshold: one key signs twice", |world, random| {
        let mut bundle = world.next.clone();
        let [first, second] = &world.publisher.targets[..] else { panic!() };
        let name = if random.below(2) == 0 { id(second) } else { "0123456789ABCDEF".to_owned() };
        bundle.targets.signatures.remove(&id(second));
        let relabelled = (random.below(2) == 0).then_some(&name);
        let again = forged(first, bundle.targets.text.as_bytes(), relabelled);
        bundle.targets.signatures.insert(name, again);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("signature over other bytes", |world, random| {
        let mut bundle = world.next.clone();
        let (doc, from) = match random.below(2) {
            0 => (&mut bundle.snapshot, &world.other.snapshot),
            _ => (&mut bundle.targets, &world.other.targets),
        };
        doc.signatures = from.signatures.clone();
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("signature of the old kind, without hashing", |world, _| {
        let mut bundle = world.next.clone();
        for signature in bundle.snapshot.signatures.values_mut() {
            *signature = signature.replacen("\nRU", "\nRW", 1);
        }
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("no signatures at all", |world, random| {
        let mut bundle = world.next.clone();
        let doc = if random.below(2) == 0 { &mut bundle.snapshot } else { &mut bundle.targets };
        doc.signatures.clear();
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("a document changed after it was signed", |world, random| {
        let mut bundle = world.next.clone();
        match random.below(3) {
            0 => bundle.targets.text = bundle.targets.text.replacen("config/rules/f0", "config/rules/g0", 1),
            1 => bundle.snapshot.text = bundle.snapshot.text.replacen(EXPIRES, "2099-01-01T00:00:00Z", 1),
            _ => bundle.targets.text.push(' '),
        }
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("root rotation: a root left out", |world, random| {
        let next = world.publisher.root_doc(3 + random.next() % 5, None);
        let mut bundle = under_root(world, world.publisher.root_doc(2, None), &world.publisher);
        bundle.roots[1] = next;
        if random.below(2) == 0 {
            bundle.roots.remove(0);
        }
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::RootGap { .. }))
    }),
    ("root rotation: signed by the old side only", |world, _| {
        let keys = [&world.publisher.root[0], &world.publisher.root[1]];
        let root = Doc::new("root/2.root.json", world.stranger.root_text(2), &keys);
        let bundle = under_root(world, root, &world.stranger);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("root rotation: signed by the new side only", |world, random| {
        let mut root = world.stranger.root_doc(2, None);
        if random.below(2) == 0 {
            root.sign(&world.publisher.root[0]);
        }
        let bundle = under_root(world, root, &world.stranger);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("root rotation: what revoked keys signed", |world, _| {
        let root = world.stranger.root_doc(2, Some(&world.publisher));
        let bundle = under_root(world, root, &world.publisher);
        Attack::new(vec![bundle.volume()], is_unsigned)
    }),
    ("root rotation: one key under two ids", |world, _| {
        // The same Ed25519 key, its id changed: it would sign for two.
        let publisher = &world.publisher;
        let key = publisher.root[0].pk.to_base64();
        let twin = format!("RWQ{}{}", "AAAAAAAAAA", &key[13..]);
        let text = publisher.root_text(2).replacen(r#""keys":["#, &format!(r#""keys":["{twin}","#), 1);
        let root = Doc::new("root/2.root.json", text, &[&publisher.root[0], &publisher.root[1]]);
        let bundle = under_root(world, root, publisher);
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Metadata { .. }))
    }),
    ("another root of a trusted version", |world, _| {
        let mut bundle = world.next.clone();
        bundle.roots = vec![world.stranger.root_doc(1, Some(&world.publisher))];
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::RootChanged { .. }))
    }),
    ("made under another root", |world, random| {
        let mut bundle = world.next.clone();
        let root = *random.pick(&[0, 2, 3, u64::MAX]);
        bundle.snapshot = world.publisher.snapshot_doc(snapshot_text(6, root, 6, &bundle.targets));
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::RootVersion { .. }))
    }),
    ("made under the root before", |world, _| {
        let mut bundle = world.next.clone();
        bundle.roots.push(world.publisher.root_doc(2, None));
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::RootVersion { .. }))
    }),
    ("a path that leads elsewhere, signed", |world, random| {
        let paths = [
            "../../etc/cron.d/x",
            "/etc/passwd",
            "config/rules/../../../x",
            "config/rules/./x",
            "config//rules/x",
            "config/rules/.ssh",
            "config/site/site.toml",
            "store/MANIFEST",
            "models/m/..",
            "config/rules/x\\u0000y",
            "config/rules/\\u202ex",
            "config/rules",
            "",
        ];
        let path = *random.pick(&paths);
        signed_files(world, &[path], |e| matches!(e, Error::Path { .. }))
    }),
    ("paths that clash, signed", |world, random| {
        let clashes = [
            ["config/rules/a", "config/rules/A"],
            ["config/rules/a", "config/rules/a"],
            ["config/rules/a", "config/rules/a/b"],
            ["config/rules/D/a", "config/rules/d/b"],
        ];
        let [first, second] = *random.pick(&clashes);
        signed_files(world, &[first, second], |e| matches!(e, Error::Path { .. }))
    }),
    ("a component that no bundle may replace, signed", |world, random| {
        let name =
            *random.pick(&["config/site", "store", "models", "../x", "", "bundles/trusted", "models/.x"]);
        let bundle = world.publisher.bundle(6, &[name], &Tree::new(), 1024);
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Path { .. }))
    }),
    ("wrong file hash over right parts, signed", |world, random| {
        let whole = Sha(&world.after["models/m/whole.bin"]).to_string();
        let wrong = Sha(&random.bytes(9)).to_string();
        let targets = world.publisher.targets_doc(world.next.targets.text.replacen(&whole, &wrong, 1));
        let bundle = world.publisher.bundle_of(6, targets, world.next.parts.clone());
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::File { .. }))
    }),
    ("documents that say what they may not, signed", |world, random| {
        let text = &world.next.targets.text;
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
        let text = match random.below(13) {
            0 => deep("[", "]"),
            1 => deep(r#"{"files":"#, "}"),
            2 => text.replacen('{', r#"{"run":"sh -c reboot","#, 1),
            3 => text.replacen('{', r#"{"version":9,"#, 1),
            4 => text.replacen(r#""targets""#, r#""snapshot""#, 1),
            5 => text.replacen(r#""format":1"#, r#""format":2"#, 1),
            6 => text.replacen(r#""bytes":"#, r#""bytes":1"#, 1),
            7 => text.replacen(r#""bytes":"#, r#""bytes":-"#, 1),
            8 => text.replacen(r#""bytes":"#, r#""bytes":99999999999999999999"#, 1),
            9 => text[..text.len() / 2].to_owned(),
            10 => format!("{text}{text}"),
            11 => text.replacen('{', r#"{"\u001b]0;pwned\u0007\u001b[31m":1,"#, 1),
            _ => text.replacen(r#""requires":"0.1.0""#, r#""requires":"any""#, 1),
        };
        let bundle =
            world.publisher.bundle_of(6, world.publisher.targets_doc(text), world.next.parts.clone());
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Metadata { .. }))
    }),
    ("one document signed as another", |world, _| {
        // The snapshot's key signs, but what it signs is no snapshot.
        let mut bundle = world.next.clone();
        bundle.snapshot = world.publisher.snapshot_doc(bundle.targets.text.clone());
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Metadata { .. }))
    }),
    ("a program too old for it", |world, random| {
        let requires = *random.pick(&["0.1.1", "0.2.0", "1.0.0", "18446744073709551615.0.0"]);
        let text = world.next.targets.text.replacen(
            r#""requires":"0.1.0""#,
            &format!(r#""requires":"{requires}""#),
            1,
        );
        let bundle =
            world.publisher.bundle_of(6, world.publisher.targets_doc(text), world.next.parts.clone());
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Program { .. }))
    }),
];

fn is_unsigned(error: &Error) -> bool {
    matches!(error, Error::Signatures { .. })
}

struct Sha<'a>(&'a [u8]);

impl std::fmt::Display for Sha<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        casemate_bundle::Sha256::of(self.0).fmt(f)
    }
}

/// A signature by `key` that says, inside too, that it is by `id`.
fn forged(key: &KeyPair, bytes: &[u8], id: Option<&String>) -> String {
    let text = signature(key, bytes);
    let Some(id) = id else { return text };
    let number: Vec<u8> =
        (0..8).rev().map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut raw = base64(&lines[1]);
    raw[2..10].copy_from_slice(&number);
    lines[1] = encode(&raw);
    lines.join("\n") + "\n"
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(text: &str) -> Vec<u8> {
    let digits =
        text.trim_end_matches('=').bytes().map(|byte| LETTERS.iter().position(|l| *l == byte).unwrap());
    let bits: Vec<bool> =
        digits.flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
}

fn encode(bytes: &[u8]) -> String {
    let bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let mut text = String::new();
    for six in bits.chunks(6) {
        let digit = six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit)) << (6 - six.len());
        text.push(char::from(LETTERS[digit]));
    }
    text.extend(std::iter::repeat_n('=', text.len().next_multiple_of(4) - text.len()));
    text
}

/// The next bundle, made under root 2 and signed by `signer`'s snapshot and targets keys.
fn under_root(world: &World, root: Doc, signer: &Publisher) -> Bundle {
    let mut bundle = world.next.clone();
    bundle.roots.push(root);
    bundle.targets = signer.targets_doc(bundle.targets.text);
    bundle.snapshot = signer.snapshot_doc(snapshot_text(6, 2, 6, &bundle.targets));
    bundle
}

/// A signed bundle with files of these paths, spelled as they are in JSON.
fn signed_files(world: &World, paths: &[&str], is_expected: fn(&Error) -> bool) -> Attack {
    let content = b"title: believe me".to_vec();
    let tree: Tree =
        (0..).zip(paths).map(|(n, _)| (format!("config/rules/file-{n}"), content.clone())).collect();
    let (mut text, parts) = targets_text(6, &NEXT, &tree, 1024);
    for (number, path) in paths.iter().enumerate() {
        text = text.replacen(&format!("config/rules/file-{number}"), path, 1);
    }
    let bundle = world.publisher.bundle_of(6, world.publisher.targets_doc(text), parts);
    Attack::new(vec![bundle.volume()], is_expected)
}
