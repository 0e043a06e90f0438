//! A publisher with keys, and a site that trusts it. Writes the format from its description, not with the crate.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test support")]

use casemate_bundle::{Bundles, Check, Policy, Sha256, State};
use jiff::Timestamp;
use minisign::KeyPair;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Long before anything made here expires.
pub(crate) const NOW: &str = "2026-06-01T12:00:00Z";
pub(crate) const EXPIRES: &str = "2027-01-01T00:00:00Z";

pub(crate) type Entries = Vec<(String, Vec<u8>)>;
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// A seeded generator (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

pub(crate) fn id(key: &KeyPair) -> String {
    key.pk.keynum().iter().rev().fold(String::new(), |mut id, byte| {
        write!(id, "{byte:02X}").unwrap();
        id
    })
}

pub(crate) fn signature(key: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(None, &key.sk, bytes, Some("casemate"), Some("a comment nobody signs"))
        .unwrap()
        .to_string()
}

/// A document with signatures, as they go into a volume.
#[derive(Clone)]
pub(crate) struct Doc {
    pub(crate) name: String,
    pub(crate) text: String,
    /// By key id.
    pub(crate) signatures: BTreeMap<String, String>,
}

impl Doc {
    pub(crate) fn new(name: &str, text: String, keys: &[&KeyPair]) -> Self {
        let mut doc = Self { name: name.to_owned(), text, signatures: BTreeMap::new() };
        for key in keys {
            doc.sign(key);
        }
        doc
    }

    pub(crate) fn sign(&mut self, key: &KeyPair) {
        self.signatures.insert(id(key), signature(key, self.text.as_bytes()));
    }

    pub(crate) fn sha256(&self) -> String {
        Sha256::of(self.text.as_bytes()).to_string()
    }

    fn entries(&self) -> Entries {
        let mut entries = vec![(self.name.clone(), self.text.clone().into_bytes())];
        for (id, signature) in &self.signatures {
            entries.push((format!("{}.{id}.minisig", self.name), signature.clone().into_bytes()));
        }
        entries
    }
}

/// Keys of every role: two of three root keys, one snapshot key, two of two targets keys.
pub(crate) struct Publisher {
    pub(crate) root: Vec<KeyPair>,
    pub(crate) snapshot: Vec<KeyPair>,
    pub(crate) targets: Vec<KeyPair>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let keys = |count| (0..count).map(|_| key()).collect();
        Self { root: keys(3), snapshot: keys(1), targets: keys(2) }
    }

    pub(crate) fn root_text(&self, version: u64) -> String {
        let all = self.root.iter().chain(&self.snapshot).chain(&self.targets);
        let keys: Vec<_> = all.map(|key| key.pk.to_base64()).collect();
        let role = |keys: &[KeyPair], threshold: usize| {
            let keys: Vec<_> = keys.iter().map(id).collect();
            format!(r#"{{"keys":{keys:?},"threshold":{threshold}}}"#)
        };
        let roles = [role(&self.root, 2), role(&self.snapshot, 1), role(&self.targets, 2)];
        format!(
            r#"{{"format":1,"role":"root","version":{version},"expires":"{EXPIRES}","keys":{keys:?},
            "roles":{{"root":{},"snapshot":{},"targets":{}}}}}"#,
            roles[0], roles[1], roles[2]
        )
    }

    /// Root `version`, signed by its own keys and by those of `before`.
    pub(crate) fn root_doc(&self, version: u64, before: Option<&Self>) -> Doc {
        let keys = self.root[..2].iter().chain(before.into_iter().flat_map(|before| &before.root[..2]));
        let keys: Vec<_> = keys.collect();
        Doc::new(&format!("root/{version}.root.json"), self.root_text(version), &keys)
    }

    pub(crate) fn targets_doc(&self, text: String) -> Doc {
        Doc::new("targets.json", text, &self.targets.iter().collect::<Vec<_>>())
    }

    pub(crate) fn snapshot_doc(&self, text: String) -> Doc {
        Doc::new("snapshot.json", text, &self.snapshot.iter().collect::<Vec<_>>())
    }

    /// A bundle of these files under root 1, in parts of at most `part` bytes.
    pub(crate) fn bundle(&self, version: u64, components: &[&str], files: &Tree, part: usize) -> Bundle {
        let (text, parts) = targets_text(version, components, files, part);
        self.bundle_of(version, self.targets_doc(text), parts)
    }

    pub(crate) fn bundle_of(&self, version: u64, targets: Doc, parts: Vec<Vec<u8>>) -> Bundle {
        let snapshot = self.snapshot_doc(snapshot_text(version, 1, version, &targets));
        Bundle { roots: vec![self.root_doc(1, None)], snapshot, targets, parts }
    }
}

/// `targets.json` for files, and their parts in order, each once.
pub(crate) fn targets_text(
    version: u64,
    components: &[&str],
    files: &Tree,
    part: usize,
) -> (String, Vec<Vec<u8>>) {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut listed = Vec::new();
    for (path, content) in files {
        let mut own = Vec::new();
        for piece in content.chunks(part) {
            own.push(format!(r#"{{"bytes":{},"sha256":"{}"}}"#, piece.len(), Sha256::of(piece)));
            if !parts.iter().any(|known| known == piece) {
                parts.push(piece.to_vec());
            }
        }
        listed.push(format!(
            r#"{{"path":"{path}","bytes":{},"sha256":"{}","parts":[{}]}}"#,
            content.len(),
            Sha256::of(content),
            own.join(",")
        ));
    }
    let text = format!(
        r#"{{"format":1,"role":"targets","version":{version},"expires":"{EXPIRES}","name":"bundle {version}",
        "notes":"made by a test","requires":"0.1.0","components":{components:?},"files":[{}]}}"#,
        listed.join(",\n")
    );
    (text, parts)
}

pub(crate) fn snapshot_text(version: u64, root: u64, targets_version: u64, targets: &Doc) -> String {
    format!(
        r#"{{"format":1,"role":"snapshot","version":{version},"expires":"{EXPIRES}","root":{root},
        "targets":{{"version":{targets_version},"bytes":{},"sha256":"{}"}}}}"#,
        targets.text.len(),
        targets.sha256()
    )
}

/// Everything that goes into volumes.
#[derive(Clone)]
pub(crate) struct Bundle {
    pub(crate) roots: Vec<Doc>,
    pub(crate) snapshot: Doc,
    pub(crate) targets: Doc,
    pub(crate) parts: Vec<Vec<u8>>,
}

impl Bundle {
    pub(crate) fn documents(&self) -> Entries {
        self.roots.iter().chain([&self.snapshot, &self.targets]).flat_map(Doc::entries).collect()
    }

    /// Entries of a volume that holds everything.
    pub(crate) fn entries(&self) -> Entries {
        self.entries_of(&self.parts)
    }

    pub(crate) fn entries_of(&self, parts: &[Vec<u8>]) -> Entries {
        let parts = parts.iter().map(|part| (format!("parts/{}", Sha256::of(part)), part.clone()));
        self.documents().into_iter().chain(parts).collect()
    }

    pub(crate) fn volume(&self) -> Vec<u8> {
        tar(&self.entries())
    }

    /// Two volumes, the parts cut at `at`.
    pub(crate) fn two_volumes(&self, at: usize) -> [Vec<u8>; 2] {
        let (first, second) = self.parts.split_at(at);
        [tar(&self.entries_of(first)), tar(&self.entries_of(second))]
    }
}

pub(crate) fn header(name: &str, bytes: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes as u64);
    header.set_cksum();
    header
}

pub(crate) fn tar(entries: &Entries) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in entries {
        push(&mut bytes, &header(name, content.len()), content);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub(crate) fn push(bytes: &mut Vec<u8>, header: &tar::Header, content: &[u8]) {
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// A directory with a site's state, and room for volumes.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Trusts root 1 of `publisher`.
    pub(crate) fn trusting(publisher: &Publisher) -> Self {
        let site = Self::new();
        let root = publisher.root_doc(1, None);
        for (name, content) in root.entries() {
            site.file(name.trim_start_matches("root/"), &content);
        }
        site.bundles().trust(&site.path("1.root.json")).unwrap();
        site
    }

    /// A copy, so that each attack meets the same site.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(self.dir.path(), copy.dir.path());
        copy
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("bundles")
    }

    pub(crate) fn bundles(&self) -> Bundles {
        Bundles::open(&self.state())
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs_err::write(&path, content).unwrap();
        path
    }

    pub(crate) fn volumes(&self, volumes: &[Vec<u8>]) -> Vec<PathBuf> {
        volumes.iter().enumerate().map(|(n, bytes)| self.file(&format!("volume-{n}"), bytes)).collect()
    }

    /// Stages and activates.
    pub(crate) fn apply(&self, volumes: &[Vec<u8>]) -> casemate_bundle::Result<bool> {
        let paths = self.volumes(volumes);
        let staged = self.bundles().stage(&paths, &check_at(NOW), &mut |_| ())?;
        let Some(release) = staged.release else { return Ok(false) };
        self.bundles().activate(release.number)?;
        Ok(true)
    }

    /// Number and content of the active release, which must be as it was staged.
    pub(crate) fn active(&self) -> (u64, Tree) {
        let bundles = self.bundles();
        assert_eq!(bundles.rehash(&mut |_| ()).unwrap(), []);
        let active = bundles.active().unwrap().unwrap();
        (active.number, tree(&active.dir))
    }

    pub(crate) fn staged(&self) -> usize {
        self.bundles().list().unwrap().iter().filter(|(_, state)| *state == State::Staged).count()
    }
}

pub(crate) fn check_at(now: &str) -> Check {
    Check { now: now.parse::<Timestamp>().unwrap(), policy: Policy::Enforce, program: "0.1.0".into() }
}

pub(crate) fn overriding(now: &str) -> Check {
    let policy = Policy::Override { by: "mira".into(), reason: "no newer bundle on site".into() };
    Check { policy, ..check_at(now) }
}

/// What a release holds, apart from what describes it.
pub(crate) fn tree(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    for top in ["models", "config", "evaluation"] {
        if dir.join(top).exists() {
            walk(dir, &dir.join(top), &mut tree);
        }
    }
    tree
}

fn walk(root: &Path, dir: &Path, tree: &mut Tree) {
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            tree.insert(name, fs_err::read(&path).unwrap());
        }
    }
}

/// Copies a directory; hard links between its files are kept, as a site has them.
fn copy_tree(from: &Path, to: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let mut links: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut pending = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = pending.pop() {
        fs_err::create_dir_all(&to).unwrap();
        for entry in fs_err::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                pending.push((source, target));
            } else if let Some(first) = links.get(&metadata.ino()) {
                fs_err::hard_link(first, &target).unwrap();
            } else {
                fs_err::copy(&source, &target).unwrap();
                links.insert(metadata.ino(), target);
            }
        }
    }
}

/// Files for tests: `count` under each component, of up to `bytes` bytes.
pub(crate) fn files(random: &mut Random, components: &[&str], count: usize, bytes: usize) -> Tree {
    let mut tree = Tree::new();
    for component in components {
        for number in 0..count {
            let size = random.below(bytes);
            tree.insert(format!("{component}/f{number}.bin"), random.bytes(size));
        }
    }
    tree
}
