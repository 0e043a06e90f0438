//! Attacks on the file: flipped and missing bytes, entries that are not what they should be, sizes that lie.

use super::{Attack, Make};
use crate::common::*;
use casemate_bundle::Error;

/// Every kind, with how one is made; the first two may hit any byte.
pub(crate) const KINDS: &[(&str, Make)] = &[
    ("a bit flipped anywhere", |world, random| {
        let mut volume = world.next.volume();
        for _ in 0..=random.below(2) {
            let at = random.below(volume.len());
            volume[at] ^= 1 << random.below(8);
        }
        Attack { may_pass: true, ..Attack::new(vec![volume], Error::is_refusal) }
    }),
    ("cut off anywhere", |world, random| {
        let mut volume = world.next.volume();
        volume.truncate(random.below(volume.len()));
        Attack::new(vec![volume], |e| matches!(e, Error::Truncated { .. }))
    }),
    ("bytes behind the end", |world, random| {
        let mut volume = world.next.volume();
        let more = 1 + random.below(2000);
        volume.extend(if random.below(2) == 0 { vec![0; more] } else { random.bytes(more) });
        Attack::new(vec![volume], is_container)
    }),
    ("bytes moved, left out or doubled", |world, random| {
        let volume = world.next.volume();
        let from = random.below(volume.len() - 1);
        let to = (from + 1 + random.below(1500)).min(volume.len());
        let piece = volume[from..to].to_vec();
        let at = random.below(from + 1);
        let mut changed = volume.clone();
        match random.below(3) {
            0 => drop(changed.drain(from..to)),
            1 => drop(changed.splice(at..at, piece)),
            _ => {
                changed.drain(from..to);
                changed.splice(at..at, piece);
            }
        }
        let unchanged = changed == volume;
        Attack { may_pass: unchanged, ..Attack::new(vec![changed], Error::is_refusal) }
    }),
    ("entries swapped", |world, random| {
        let mut entries = world.next.entries();
        let first = random.below(entries.len());
        let second = (first + 1 + random.below(entries.len() - 1)) % entries.len();
        entries.swap(first, second);
        Attack::new(vec![tar(&entries)], |e| {
            matches!(e, Error::Container { .. } | Error::Signatures { .. } | Error::TooLarge { .. })
        })
    }),
    ("an entry doubled", |world, random| {
        let mut entries = world.next.entries();
        let at = random.below(entries.len());
        let to = random.below(entries.len() + 1);
        entries.insert(to, entries[at].clone());
        Attack::new(vec![tar(&entries)], |e| matches!(e, Error::Container { .. } | Error::Signatures { .. }))
    }),
    ("a document left out", |world, random| {
        let mut entries = world.next.entries();
        let documents: Vec<_> = (0..entries.len()).filter(|&at| entries[at].0.ends_with(".json")).collect();
        entries.remove(*random.pick(&documents));
        Attack::new(vec![tar(&entries)], is_container)
    }),
    ("a part left out", |world, random| {
        let mut bundle = world.next.clone();
        let part = random.below(bundle.parts.len());
        bundle.parts.remove(part);
        Attack::new(vec![bundle.volume()], |_| false)
    }),
    ("an entry of another name", |world, random| {
        let long = format!("parts/{}", "a".repeat(80));
        let names = [
            "../../etc/passwd",
            "/etc/passwd",
            "config/rules/x.yml",
            "parts/../x",
            "parts/x",
            "root/01.root.json",
            "root/0x1.root.json",
            "snapshot.json/",
            "./snapshot.json",
            "targets.json.minisig",
            "snapshot.json.0123.minisig",
            &long,
            "\u{feff}snapshot.json",
            "",
        ];
        let mut entries = world.next.entries();
        let name = random.pick(&names).to_string();
        let at = random.below(entries.len() + 1);
        entries.insert(at, (name, random.bytes(20)));
        Attack::new(vec![tar(&entries)], is_container)
    }),
    ("a part that nobody signed", |world, random| {
        let mut bundle = world.next.clone();
        let part = random.bytes(300);
        let at = random.below(bundle.parts.len() + 1);
        bundle.parts.insert(at, part);
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::Part { .. }))
    }),
    ("links, devices, directories, extensions", |world, random| {
        // Hard and symbolic link, devices, directory, FIFO, contiguous, long names, sparse, pax, and none of POSIX.
        let kinds = *b"1234567LKSgxVAD\0";
        let kind = *random.pick(&kinds);
        let replaces = random.below(2) == 0;
        with_header(
            world,
            random,
            replaces,
            move |header| {
                header.as_mut_bytes()[156] = kind;
                header.as_mut_bytes()[157..168].copy_from_slice(b"/etc/passwd");
            },
            |e| matches!(e, Error::NotAFile { .. }),
        )
    }),
    ("a header that says more than a name and a size", |world, random| {
        let what = random.below(9);
        with_header(
            world,
            random,
            true,
            move |header| match what {
                0 => header.set_mode(0o4755),
                1 => header.set_mtime(1),
                2 => header.set_uid(1000),
                3 => header.as_mut_bytes()[265..269].copy_from_slice(b"root"),
                4 => header.as_mut_bytes()[345..350].copy_from_slice(b"../.."),
                5 => header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0"),
                6 => header.as_mut_bytes()[500..505].copy_from_slice(b"stuff"),
                7 => header.as_mut_bytes()[157..160].copy_from_slice(b"etc"),
                _ => header.as_mut_bytes()[329..336].copy_from_slice(b"0000007"),
            },
            |e| matches!(e, Error::Container { .. }),
        )
    }),
    ("a wrong checksum", |world, random| {
        let mut volume = world.next.volume();
        volume[148 + random.below(6)] ^= 1 + random.below(7) as u8;
        Attack::new(vec![volume], is_container)
    }),
    ("a document longer than may be", |world, random| {
        let mut bundle = world.next.clone();
        let padding = " ".repeat(70 << 10);
        match random.below(3) {
            0 => bundle.roots[0].text.push_str(&padding),
            1 => bundle.snapshot.text.push_str(&padding),
            _ => bundle.targets.signatures.values_mut().for_each(|text| text.push_str(&padding)),
        }
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::TooLarge { .. }))
    }),
    ("a size that lies", |world, random| {
        let (documents, all) = (world.next.documents(), world.next.entries());
        let at = random.below(all.len());
        let is_document = at < documents.len();
        let kind = random.below(4);
        let mut bytes = Vec::new();
        for (number, (name, content)) in all.iter().enumerate() {
            let mut header = header(name, content.len());
            if number == at {
                match kind {
                    0 => header.set_size(8 << 30),
                    1 => header.set_size(u64::MAX),
                    2 => header.set_size((8 << 30) - 1),
                    _ => header.as_mut_bytes()[124..136].copy_from_slice(b"77777777777z"),
                }
                header.set_cksum();
            }
            push(&mut bytes, &header, content);
        }
        bytes.resize(bytes.len() + 1024, 0);
        let is_expected: fn(&Error) -> bool = match (kind, is_document) {
            (3, _) => is_container,
            (_, true) => |e| matches!(e, Error::TooLarge { .. }),
            (_, false) => |e| matches!(e, Error::Part { .. }),
        };
        Attack::new(vec![bytes], is_expected)
    }),
    ("a part longer or shorter than signed", |world, random| {
        let mut entries = world.next.entries();
        let at = entries.len() - 1 - random.below(world.next.parts.len());
        match random.below(2) {
            0 => entries[at].1.push(0),
            _ => drop(entries[at].1.pop()),
        }
        Attack::new(vec![tar(&entries)], |e| matches!(e, Error::Part { .. }))
    }),
    ("a part with other bytes", |world, random| {
        let mut entries = world.next.entries();
        let at = entries.len() - 1 - random.below(world.next.parts.len());
        let length = entries[at].1.len();
        entries[at].1 = random.bytes(length);
        Attack::new(vec![tar(&entries)], |e| matches!(e, Error::Part { .. }))
    }),
    ("more signatures than may be", |world, random| {
        let mut bundle = world.next.clone();
        for number in 0..70 {
            bundle.snapshot.signatures.insert(format!("{number:016X}"), "x".repeat(random.below(900)));
        }
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::TooLarge { .. }))
    }),
    ("more roots than may be", |world, _| {
        let mut bundle = world.next.clone();
        for version in 2..=70 {
            bundle.roots.push(Doc::new(&format!("root/{version}.root.json"), "{}".into(), &[]));
        }
        Attack::new(vec![bundle.volume()], |e| matches!(e, Error::TooLarge { .. }))
    }),
    ("not a bundle at all", |_, random| {
        let length = random.below(5000);
        let bytes = match random.below(3) {
            0 => random.bytes(length),
            1 => vec![0; length],
            _ => [b"\x1f\x8b\x08\0".to_vec(), random.bytes(length)].concat(),
        };
        Attack::new(vec![bytes], Error::is_refusal)
    }),
];

fn is_container(error: &Error) -> bool {
    matches!(error, Error::Container { .. })
}

/// The next bundle with one header changed, or with one more entry of such a header.
fn with_header(
    world: &super::World,
    random: &mut Random,
    replaces: bool,
    change: impl Fn(&mut tar::Header),
    is_expected: fn(&Error) -> bool,
) -> Attack {
    let entries = world.next.entries();
    let at = random.below(entries.len());
    let mut bytes = Vec::new();
    for (number, (name, content)) in entries.iter().enumerate() {
        let mut changed = header(name, content.len());
        change(&mut changed);
        changed.set_cksum();
        if number == at {
            push(&mut bytes, &changed, content);
        }
        if number != at || !replaces {
            push(&mut bytes, &header(name, content.len()), content);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    Attack::new(vec![bytes], is_expected)
}
