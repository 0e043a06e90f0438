//! Whole indexes: what is found, and what a damaged file does.

use super::*;
use crate::dot::dot;
use std::path::PathBuf;

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Roughly normal: the sum of four uniform numbers.
    fn normal(&mut self) -> f32 {
        (0..4).map(|_| (self.next() >> 40) as f32 / (1_u64 << 24) as f32 - 0.5).sum::<f32>() * 1.73
    }
}

/// Vectors around `clusters` centres, as embeddings of log templates are.
fn clustered(random: &mut Random, count: usize, dimension: usize, clusters: usize) -> Vec<f32> {
    let centres: Vec<f32> = (0..clusters * dimension).map(|_| random.normal()).collect();
    let mut vectors = Vec::with_capacity(count * dimension);
    for _ in 0..count {
        let centre = &centres[random.next() as usize % clusters * dimension..][..dimension];
        vectors.extend(centre.iter().map(|x| x + 0.5 * random.normal()));
    }
    vectors
}

struct Built {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn built(dimension: usize, ids: &[u64], vectors: &[f32]) -> Built {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    build(&path, dimension, ids, vectors, Params::default()).unwrap();
    Built { _dir: dir, path }
}

fn ids_of(neighbours: &[Neighbour]) -> Vec<u64> {
    neighbours.iter().map(|neighbour| neighbour.id).collect()
}

/// Share of the `k` truly nearest that are found, by similarity, so that ties count.
fn recall(index: &Index, queries: &[f32], k: usize, ef_search: usize) -> f64 {
    let dimension = index.dimension();
    let mut found = 0;
    for query in queries.chunks_exact(dimension) {
        let mut unit = query.to_vec();
        dot::normalise(&mut unit).unwrap();
        let mut exact: Vec<f32> =
            index.ids().iter().map(|&id| dot(&unit, index.vector(id).unwrap())).collect();
        exact.sort_by(|a, b| b.total_cmp(a));
        let hits = index.search(query, k, ef_search).unwrap();
        found += hits.iter().filter(|hit| hit.similarity >= exact[k - 1] - 1e-6).count();
    }
    found as f64 / (queries.len() / dimension * k) as f64
}

#[test]
fn recall_on_clustered_vectors() {
    let (dimension, count) = (384, 5000);
    let mut random = Random(1);
    let vectors = clustered(&mut random, count + 200, dimension, 100);
    let (vectors, queries) = vectors.split_at(count * dimension);
    let ids: Vec<u64> = (0..count as u64).map(|i| i * 7 + 1).collect();
    let started = std::time::Instant::now();
    let file = built(dimension, &ids, vectors);
    let build_time = started.elapsed();
    let started = std::time::Instant::now();
    let index = Index::open(&file.path).unwrap();
    println!("built in {build_time:?}, opened in {:?}", started.elapsed());
    for ef_search in [32, 64, 128] {
        let started = std::time::Instant::now();
        for query in queries.chunks_exact(dimension) {
            index.search(query, 10, ef_search).unwrap();
        }
        let per_second = 200.0 / started.elapsed().as_secs_f64();
        println!(
            "ef {ef_search}: recall@10 {:.4}, {per_second:.0}/s",
            recall(&index, queries, 10, ef_search)
        );
    }
    let found = recall(&index, queries, 10, 64);
    assert!(found >= 0.95, "recall@10 is {found}");
}

#[test]
fn small_indexes_are_exact() {
    let file = built(3, &[], &[]);
    let index = Index::open(&file.path).unwrap();
    assert!(index.is_empty());
    assert_eq!(index.search(&[1.0, 0.0, 0.0], 5, 10).unwrap(), []);

    let file = built(3, &[42], &[0.0, 3.0, 4.0]);
    let index = Index::open(&file.path).unwrap();
    assert_eq!((index.len(), index.dimension(), index.ids()), (1, 3, &[42_u64][..]));
    let hits = index.search(&[0.0, 30.0, 40.0], 5, 10).unwrap();
    assert_eq!(ids_of(&hits), [42]);
    assert!((hits[0].similarity - 1.0).abs() < 1e-6);
    assert!((index.vector(42).unwrap()[2] - 0.8).abs() < 1e-6);
    assert_eq!(index.vector(41), None);
    assert_eq!(index.search(&[1.0, 0.0, 0.0], 0, 10).unwrap(), []);
}

#[test]
fn duplicates_are_all_found() {
    let dimension = 16;
    let mut random = Random(2);
    let distinct = clustered(&mut random, 40, dimension, 8);
    let copies = 100;
    let ids: Vec<u64> = (0..40 * copies).rev().collect();
    let vectors: Vec<f32> = ids
        .iter()
        .flat_map(|&id| distinct[(id / copies) as usize * dimension..][..dimension].to_vec())
        .collect();
    let file = built(dimension, &ids, &vectors);
    let index = Index::open(&file.path).unwrap();
    assert_eq!(index.len(), ids.len());
    for group in [0, 7, 39] {
        let query = &distinct[group as usize * dimension..][..dimension];
        let expected: Vec<u64> = (group * copies..(group + 1) * copies).collect();
        assert_eq!(ids_of(&index.search(query, 100, 10).unwrap()), expected);
        assert_eq!(ids_of(&index.search(query, 3, 10).unwrap()), expected[..3]);
    }
}

#[test]
fn nearly_equal_vectors_are_all_reachable() {
    let dimension = 32;
    let count = 1000;
    let mut random = Random(3);
    let vectors: Vec<f32> = (0..count)
        .flat_map(|_| (0..dimension).map(|_| 1.0 + 1e-6 * random.normal()).collect::<Vec<_>>())
        .collect();
    let ids: Vec<u64> = (0..count).collect();
    let file = built(dimension, &ids, &vectors);
    let index = Index::open(&file.path).unwrap();
    for ef_search in [1, 50, 999, 1000] {
        let hits = index.search(&vectors[..dimension], ef_search, ef_search).unwrap();
        assert_eq!(hits.len(), ef_search);
    }
}

#[test]
fn same_vectors_same_file() {
    let mut random = Random(4);
    let vectors = clustered(&mut random, 500, 24, 10);
    let ids: Vec<u64> = (0..500).collect();
    let (a, b) = (built(24, &ids, &vectors), built(24, &ids, &vectors));
    assert_eq!(std::fs::metadata(&a.path).unwrap().len(), std::fs::metadata(&b.path).unwrap().len());
    assert!(fs_bytes(&a.path) == fs_bytes(&b.path));
}

#[test]
fn bad_input_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    let refused = |dimension, ids: &[u64], vectors: &[f32], params| {
        let error = build(&path, dimension, ids, vectors, params).unwrap_err().to_string();
        assert!(!path.exists());
        error
    };
    let params = Params::default();
    assert!(refused(2, &[1, 5], &[1.0, 0.0, f32::NAN, 1.0], params).contains("id 5"));
    assert!(refused(2, &[1], &[0.0, 0.0], params).contains("all zero"));
    assert!(refused(2, &[1, 1], &[1.0, 0.0, 0.0, 1.0], params).contains("twice"));
    assert!(refused(2, &[1], &[1.0], params).contains("1 numbers where 2"));
    assert!(refused(0, &[], &[], params).contains("dimension"));
    assert!(refused(2, &[], &[], Params { m: 300, ..params }).contains("m is 300"));

    let file = built(2, &[1], &[1.0, 0.0]);
    let index = Index::open(&file.path).unwrap();
    assert!(matches!(index.search(&[1.0], 1, 1), Err(Error::Dimension { .. })));
    assert!(matches!(index.search(&[f32::NAN, 1.0], 1, 1), Err(Error::BadVector { .. })));
    assert!(matches!(index.search(&[0.0, 0.0], 1, 1), Err(Error::BadVector { .. })));
}

fn fs_bytes(path: &std::path::Path) -> Vec<u8> {
    #[allow(clippy::disallowed_methods)] // no fs_err among the dependencies of this crate
    std::fs::read(path).unwrap()
}

fn put(path: &std::path::Path, bytes: &[u8]) {
    casemate_disk::write_atomic(path, |out| out.write_all(bytes)).unwrap();
}

#[test]
fn every_flip_and_every_cut_is_noticed() {
    let mut random = Random(5);
    let vectors = clustered(&mut random, 30, 4, 3);
    let ids: Vec<u64> = (0..30).collect();
    let file = built(4, &ids, &vectors);
    let good = fs_bytes(&file.path);
    let copy = file.path.with_extension("copy");
    for place in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        put(&copy, &bad);
        assert!(Index::open(&copy).is_err(), "flip in byte {place}");
        put(&copy, &good[..place]);
        assert!(Index::open(&copy).is_err(), "cut to {place}");
    }
}

/// Files with a right checksum and wrong content: made by hand or by a defect, not by a bad disk.
#[test]
fn wrong_content_under_a_right_checksum_never_panics() {
    let mut random = Random(6);
    let vectors = clustered(&mut random, 30, 4, 3);
    let ids: Vec<u64> = (0..30).collect();
    let file = built(4, &ids, &vectors);
    let good = fs_bytes(&file.path)[64..].to_vec();
    let copy = file.path.with_extension("copy");
    let mut opened = 0;
    for place in (0..good.len()).step_by(7) {
        for value in [0, 0xff, good[place] ^ (1 << (place % 8))] {
            let mut bad = good.clone();
            bad[place] = value;
            casemate_disk::write_checked(&copy, layout::MAGIC, layout::VERSION, |out| out.write_all(&bad))
                .unwrap();
            if let Ok(index) = Index::open(&copy) {
                opened += 1;
                index.search(&vectors[..4], 5, 8).unwrap();
                index.vector(7);
            }
        }
    }
    println!("{opened} altered files opened");
}
