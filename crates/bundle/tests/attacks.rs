//! A thousand generated attacks on one site. Each is refused, or leaves exactly the genuine release; what was active
//! stays so until then, byte for byte; nothing panics.
//!
//! `CASEMATE_ATTACKS=20000` runs more, `CASEMATE_SEED=7` others (keys are drawn anew each time). Bit flips and truncations hit anything; every other
//! kind must be refused for the reason it is made for.
//!
//! - `documents`: what a thief of some keys, a mirror or a mixer of genuine bundles can do
//! - `containers`: what can be done to the file
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

#[path = "attacks/containers.rs"]
mod containers;
#[path = "attacks/documents.rs"]
mod documents;

use casemate_bundle::{Check, Error};
use common::*;
use std::collections::BTreeMap;

pub(crate) const ALL: [&str; 3] = ["models/m", "config/rules", "config/playbooks"];

/// One generated attack.
pub(crate) struct Attack {
    pub(crate) volumes: Vec<Vec<u8>>,
    pub(crate) check: Check,
    /// Whether the error is the one the attack is made for.
    pub(crate) is_expected: fn(&Error) -> bool,
    /// Whether it may pass, as long as the genuine release comes of it.
    pub(crate) may_pass: bool,
}

impl Attack {
    pub(crate) fn new(volumes: Vec<Vec<u8>>, is_expected: fn(&Error) -> bool) -> Self {
        Self { volumes, check: check_at(NOW), is_expected, may_pass: false }
    }
}

pub(crate) type Make = fn(&World, &mut Random) -> Attack;

/// The site, its publisher, and genuine bundles: 5 is active, 6 is what comes next, 7 is another.
pub(crate) struct World {
    pub(crate) publisher: Publisher,
    pub(crate) stranger: Publisher,
    pub(crate) site: Site,
    pub(crate) old: Bundle,
    pub(crate) next: Bundle,
    pub(crate) other: Bundle,
    pub(crate) before: Tree,
    pub(crate) after: Tree,
}

pub(crate) const NEXT: [&str; 2] = ["models/m", "config/rules"];

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let publisher = Publisher::new();
        let site = Site::trusting(&publisher);
        let before = files(&mut random, &ALL, 2, 5000);
        let old = publisher.bundle(4, &ALL, &before, 2048);
        assert!(site.apply(&[publisher.bundle(5, &ALL, &before, 2048).volume()]).unwrap());
        let content = |random: &mut Random| {
            let mut content = files(random, &NEXT, 2, 3000);
            content.insert("models/m/whole.bin".into(), random.bytes(5 * 1024));
            content
        };
        let coming = content(&mut random);
        let next = publisher.bundle(6, &NEXT, &coming, 1024);
        let other = publisher.bundle(7, &NEXT, &content(&mut random), 1024);
        let mut after = before.clone();
        after.retain(|path, _| path.starts_with("config/playbooks/"));
        after.extend(coming);
        Self { publisher, stranger: Publisher::new(), site, old, next, other, before, after }
    }

    /// Runs one attack on a copy of the site; says whether it was refused.
    fn run(&self, attack: &Attack, what: &str) -> bool {
        let site = self.site.copy();
        let paths = site.volumes(&attack.volumes);
        let verified = site.bundles().verify(&paths, &attack.check, &mut |_| ());
        assert_eq!(site.active(), (1, self.before.clone()), "{what}");
        let staged = site.bundles().stage(&paths, &attack.check, &mut |_| ());
        assert_eq!(site.active(), (1, self.before.clone()), "{what}: what was active stays");
        let release = match staged {
            Err(error) => {
                assert!((attack.is_expected)(&error), "{what}: refused for another reason: {error}");
                assert!(
                    error.is_refusal() && !error.to_string().contains(char::is_control),
                    "{what}: {error}"
                );
                if let Ok(report) = &verified {
                    // Only what needs all parts at once is left to staging.
                    assert!(!report.missing.is_empty(), "{what}: verify let it pass, stage said {error}");
                }
                assert_eq!(site.staged(), 0, "{what}: nothing to activate");
                return true;
            }
            Ok(staged) => staged.release,
        };
        let Some(release) = release else {
            assert!(!verified.unwrap().missing.is_empty(), "{what}");
            assert_eq!(site.staged(), 0, "{what}: nothing to activate");
            return true;
        };
        assert!(attack.may_pass, "{what}: passed");
        site.bundles().activate(release.number).unwrap();
        assert_eq!(site.active(), (2, self.after.clone()), "{what}: passed, and is not the genuine release");
        false
    }
}

#[test]
fn the_genuine_bundle_passes() {
    let world = World::new(1);
    let mut attack = Attack::new(vec![world.next.volume()], |_| false);
    attack.may_pass = true;
    assert!(!world.run(&attack, "genuine"));
    attack.volumes = world.next.two_volumes(3).into();
    assert!(!world.run(&attack, "genuine, two volumes"));
}

#[test]
fn generated_attacks_are_refused_or_change_nothing() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let (count, seed) = (number("CASEMATE_ATTACKS", 1000), number("CASEMATE_SEED", 1));
    let kinds: Vec<(&str, Make)> = documents::KINDS.iter().chain(containers::KINDS).copied().collect();
    let world = World::new(seed);
    let mut random = Random(seed);
    let mut tally: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for number in 0..count {
        // Each kind once, then half of the rest anywhere in the bytes.
        let (kind, make) = match usize::try_from(number).unwrap() {
            first if first < kinds.len() => kinds[first],
            later if later % 2 == 0 => *random.pick(&containers::KINDS[..2]),
            _ => *random.pick(&kinds),
        };
        let attack = make(&world, &mut random);
        let refused = world.run(&attack, &format!("attack {number} of seed {seed}, {kind}"));
        let (tried, stopped) = tally.entry(kind).or_default();
        *tried += 1;
        *stopped += u64::from(refused);
    }
    println!("{:<44} {:>6} {:>8} {:>13}", "attack", "tried", "refused", "changed nothing");
    for (kind, (tried, refused)) in &tally {
        println!("{kind:<44} {tried:>6} {refused:>8} {:>13}", tried - refused);
    }
    let refused: u64 = tally.values().map(|(_, refused)| refused).sum();
    println!(
        "{} kinds, {count} attacks, {refused} refused, {} changed nothing",
        tally.len(),
        count - refused
    );
    assert!(count < kinds.len() as u64 || tally.len() == kinds.len());
}

/// Between two volumes, someone changes what lies on the disk.
#[test]
fn bytes_changed_between_volumes_are_never_activated() {
    let world = World::new(3);
    let mut random = Random(3);
    for round in 0..40 {
        let site = world.site.copy();
        let [first, second] = world.next.two_volumes(random.below(world.next.parts.len() - 1) + 1);
        let paths = site.volumes(&[first, second]);
        site.bundles().stage(&paths[..1], &check_at(NOW), &mut |_| ()).unwrap();
        let held: Vec<_> =
            world.before.values().map(|bytes| casemate_bundle::Sha256::of(bytes).to_string()).collect();
        for entry in fs_err::read_dir(site.state().join("files")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if held.contains(&name) || random.below(2) == 0 {
                continue;
            }
            let mut bytes = fs_err::read(&path).unwrap();
            match random.below(4) {
                0 => bytes = random.bytes(bytes.len() + 9),
                1 => bytes.truncate(bytes.len() / 2),
                2 if name.ends_with(".journal") => bytes = b"[0,1,2,3,4,5,6,7,8,9]".to_vec(),
                _ => {
                    let at = random.below(bytes.len().max(1));
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
                }
            }
            fs_err::remove_file(&path).unwrap();
            fs_err::write(&path, bytes).unwrap();
        }
        let mut staged = site.bundles().stage(&paths[1..], &check_at(NOW), &mut |_| ()).unwrap();
        if staged.release.is_none() {
            staged = site.bundles().stage(&paths, &check_at(NOW), &mut |_| ()).unwrap();
        }
        assert_eq!(site.active(), (1, world.before.clone()), "round {round}");
        site.bundles().activate(staged.release.unwrap().number).unwrap();
        assert_eq!(site.active(), (2, world.after.clone()), "round {round}");
    }
}

/// Bytes that are no bundle at all, and bundles with some of their bytes replaced by others.
#[test]
fn random_bytes_never_panic() {
    let world = World::new(4);
    let mut random = Random(4);
    let genuine = world.next.volume();
    let documents: Vec<_> = world.next.documents().into_iter().map(|(_, bytes)| bytes).collect();
    for _ in 0..4000 {
        let mut bytes = match random.below(3) {
            0 => genuine.clone(),
            1 => random.pick(&documents).clone(),
            _ => {
                let length = random.below(4096);
                random.bytes(length)
            }
        };
        for _ in 0..random.below(8) {
            let at = random.below(bytes.len().max(1));
            let put = random.next() as u8;
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = put);
        }
        casemate_bundle::parse_unverified(&bytes);
    }
}
