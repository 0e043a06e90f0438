//! Whole indexes: what is found, and what a damaged file does.

use super::*;
use crate::dot::dot;
use crate::index::Query;
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
        let ids = index.ids().unwrap();
        let mut exact: Vec<f32> =
            ids.iter().map(|&id| dot(&unit, &index.vector(id).unwrap().unwrap())).collect();
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

/// With one candidate a search climbs: no neighbour of what it ends at is better.
#[test]
fn the_narrowest_search_ends_at_a_local_best() {
    let (dimension, count) = (32, 3000);
    let mut random = Random(12);
    let vectors = clustered(&mut random, count, dimension, 100);
    let file = built(dimension, &(0..count as u64).collect::<Vec<_>>(), &vectors);
    let index = Index::open(&file.path).unwrap();
    for vector in vectors.chunks_exact(dimension).step_by(10) {
        let query = Query::new(vector, dimension).unwrap();
        let mut walk = walk::Walk::new(&index, &query.code);
        let found = walk.best_first(1, &|_| true).unwrap()[0];
        for other in walk.links(walk.record(found.point()).unwrap()) {
            let other = walk.candidate(other).unwrap();
            assert!(other < found, "{} is better than {}", other.similarity(), found.similarity());
        }
    }
}

#[test]
fn small_indexes_are_exact() {
    let file = built(3, &[], &[]);
    let index = Index::open(&file.path).unwrap();
    assert!(index.is_empty());
    assert_eq!(index.search(&[1.0, 0.0, 0.0], 5, 10).unwrap(), []);

    let file = built(3, &[42], &[0.0, 3.0, 4.0]);
    let index = Index::open(&file.path).unwrap();
    assert_eq!((index.len(), index.dimension(), index.ids().unwrap()), (1, 3, vec![42]));
    let hits = index.search(&[0.0, 30.0, 40.0], 5, 10).unwrap();
    assert_eq!(ids_of(&hits), [42]);
    assert!((hits[0].similarity - 1.0).abs() < 1e-3);
    assert!((index.vector(42).unwrap().unwrap()[2] - 0.8).abs() < 1e-3);
    assert_eq!(index.vector(41).unwrap(), None);
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

/// All that a reader does: an answer or an error, and whether it was an answer.
fn exercised(path: &std::path::Path, query: &[f32]) -> Result<Vec<Neighbour>> {
    let index = Index::open(path)?;
    let hits = index.search(query, 5, 8)?;
    index.search_among(query, 3, 8, &(0..40).collect::<Vec<u64>>())?;
    for id in index.ids()? {
        index.vector(id)?;
    }
    Ok(hits)
}

#[test]
fn a_flip_is_noticed_or_does_no_harm_and_a_cut_is_noticed() {
    let mut random = Random(5);
    let vectors = clustered(&mut random, 2000, 64, 30);
    let ids: Vec<u64> = (0..2000).collect();
    let file = built(64, &ids, &vectors);
    let good = fs_bytes(&file.path);
    let query = &vectors[..64];
    let expected = Index::open(&file.path).unwrap().search(query, 5, 20).unwrap();
    let copy = file.path.with_extension("copy");
    let (mut noticed, mut harmless) = (0, 0);
    for place in (0..good.len()).step_by(good.len() / 300) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        put(&copy, &bad);
        match Index::open(&copy).and_then(|index| index.search(query, 5, 20)) {
            Ok(found) => {
                assert_eq!(found, expected, "flip in byte {place}");
                harmless += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::Disk(_)), "{error}");
                noticed += 1;
            }
        }
        assert!(Index::open(&copy).and_then(|index| index.verify()).is_err(), "flip in byte {place}");
        put(&copy, &good[..place]);
        assert!(Index::open(&copy).is_err(), "cut to {place}");
    }
    assert!(noticed > 30 && harmless > 0, "{noticed} noticed, {harmless} did no harm");
}

/// Files with right checksums and wrong content: made by hand or by a defect, not by a bad disk.
///
/// `CASEMATE_FUZZ_SEEDS` names a directory that takes some of the payloads, for the fuzzer to begin with.
#[test]
fn wrong_content_under_right_checksums_never_panics() {
    let mut random = Random(6);
    let vectors = clustered(&mut random, 300, 4, 8);
    let ids: Vec<u64> = (0..300).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    build(&path, 4, &ids, &vectors, Params { m: 2, ef_construct: 20 }).unwrap();
    let good = Index::open(&path).unwrap();
    assert!(good.layout.upper.len() > 1, "no upper layers to damage");
    let good = good.file.bytes(0..good.file.len()).unwrap().to_vec();
    if let Some(seeds) = std::env::var_os("CASEMATE_FUZZ_SEEDS") {
        fs_err::create_dir_all(&seeds).unwrap();
        fs_err::write(std::path::Path::new(&seeds).join("small"), &good).unwrap();
    }
    let copy = path.with_extension("copy");
    let (mut opened, mut refused) = (0, 0);
    for place in (0..good.len()).step_by(149).chain(0..136) {
        for value in [0xff, good[place] ^ (1 << (place % 8))] {
            let mut bad = good.clone();
            bad[place] = value;
            casemate_disk::write_sealed(&copy, MAGIC, VERSION, |out| out.write_all(&bad)).unwrap();
            match exercised(&copy, &vectors[..4]) {
                Ok(_) => opened += 1,
                Err(error) => {
                    assert!(matches!(error, Error::Disk(_) | Error::Dimension { .. }), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} answered, {refused} refused");
}

#[test]
fn filters_are_exact_or_nearly() {
    let (dimension, count) = (16, 20_000_u64);
    let mut random = Random(7);
    let vectors = clustered(&mut random, count as usize, dimension, 200);
    let ids: Vec<u64> = (0..count).collect();
    let file = built(dimension, &ids, &vectors);
    let index = Index::open(&file.path).unwrap();
    // Nine in ten are found by the graph, fewer one by one.
    let wanted: [fn(u64) -> bool; 4] = [|_| true, |id| id % 10 != 0, |id| id % 20 == 0, |id| id % 4000 == 0];
    for (case, wanted) in wanted.into_iter().enumerate() {
        let allowed: Vec<u64> = (0..count).filter(|&id| wanted(id)).collect();
        let (mut found, mut all) = (0, 0);
        for query in vectors.chunks_exact(dimension).step_by(2001) {
            let hits = index.search_among(query, 10, 64, &allowed).unwrap();
            assert!(hits.iter().all(|hit| wanted(hit.id)));
            let unit = Query::new(query, dimension).unwrap();
            let mut exact: Vec<f32> = allowed
                .iter()
                .map(|&id| {
                    unit.exact(index.kernel, index.half_bytes(index.point_of(id).unwrap().unwrap()).unwrap())
                })
                .collect();
            exact.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(hits.len(), exact.len().min(10));
            all += hits.len();
            found += hits.iter().filter(|hit| hit.similarity >= exact[hits.len() - 1] - 1e-6).count();
        }
        assert!(found * 100 >= all * 95, "case {case}: {found} of {all}");
    }
    assert!(matches!(index.search_among(&vectors[..dimension], 1, 1, &[2, 1]), Err(Error::Unordered)));
}

fn fs_bytes(path: &std::path::Path) -> Vec<u8> {
    fs_err::read(path).unwrap()
}

fn put(path: &std::path::Path, bytes: &[u8]) {
    casemate_disk::write_atomic(path, |out| out.write_all(bytes)).unwrap();
}

const GROWING: Options =
    Options { dimension: 16, params: Params { m: 10, ef_construct: 100 }, collapse: 0.999 };

fn rows(vectors: &[f32], dimension: usize) -> Vec<Vec<f32>> {
    vectors.chunks_exact(dimension).map(<[f32]>::to_vec).collect()
}

#[test]
fn an_index_grows_and_is_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    let mut random = Random(8);
    let vectors = rows(&clustered(&mut random, 900, 16, 30), 16);
    let ids: Vec<u64> = (0..900).collect();
    let index = Vectors::open(&path, GROWING).unwrap();
    let nearest =
        |index: &Vectors, id: u64| ids_of(&index.search(&vectors[id as usize], 1, 64, None).unwrap());
    let check = |index: &Vectors, until: u64| {
        assert_eq!(index.len() as u64, until - 2);
        for id in (0..900).step_by(7) {
            let here = id < until && id != 3 && id != 301;
            assert_eq!(index.contains(id).unwrap(), here, "{id}");
            assert_eq!(nearest(index, id) == [id], here, "{id}");
        }
    };
    index.add(&ids[..300], &vectors[..300]).unwrap();
    index.add(&ids[..310], &vectors[..310]).unwrap();
    index.remove(&[3, 301, 12_345]).unwrap();
    check(&index, 310);
    drop(index);
    let index = Vectors::open(&path, GROWING).unwrap();
    check(&index, 310);
    index.merge().unwrap();
    check(&index, 310);
    index.add(&ids[310..600], &vectors[310..600]).unwrap();
    check(&index, 600);
    drop(index);
    let index = Vectors::open(&path, GROWING).unwrap();
    check(&index, 600);
    index.merge().unwrap();
    index.add(&ids[600..], &vectors[600..]).unwrap();
    check(&index, 900);
    // Removed from the file, then again with another vector.
    index.remove(&[7]).unwrap();
    index.add(&[7], &[vec![1.0; 16]]).unwrap();
    index.merge().unwrap();
    assert_eq!(ids_of(&index.search(&[1.0; 16], 1, 64, None).unwrap()), [7]);
    let few = index.search(&vectors[20], 3, 64, Some(&[5, 20, 700])).unwrap();
    assert_eq!((few.len(), few[0].id), (3, 20));
}

#[test]
fn near_duplicates_share_a_point_and_leave_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    let index = Vectors::open(&path, GROWING).unwrap();
    let near = |by: f32| (0..16).map(|i| 1.0 + by * i as f32).collect::<Vec<f32>>();
    index.add(&[1, 2], &[near(0.0), near(1e-4)]).unwrap();
    index.merge().unwrap();
    assert_eq!(Index::open(&path).unwrap().layout.points, 1);
    index.add(&[3], &[near(2e-4)]).unwrap();
    let found = |index: &Vectors| ids_of(&index.search(&near(0.0), 9, 9, None).unwrap());
    assert_eq!(found(&index), [1, 2, 3]);
    index.remove(&[1, 2]).unwrap();
    assert_eq!(found(&index), [3]);
    assert_eq!(ids_of(&index.search(&near(0.0), 9, 9, Some(&[1, 3])).unwrap()), [3]);
    drop(index);
    let index = Vectors::open(&path, GROWING).unwrap();
    assert_eq!(found(&index), [3]);
    index.merge().unwrap();
    assert_eq!(found(&index), [3]);
    index.remove(&[3]).unwrap();
    assert_eq!(found(&index), []);
    assert!(index.is_empty());
}

#[test]
fn a_crash_between_the_new_file_and_the_old_logs_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    let mut random = Random(9);
    let vectors = rows(&clustered(&mut random, 60, 16, 30), 16);
    let index = Vectors::open(&path, GROWING).unwrap();
    index.add(&(0..60).collect::<Vec<u64>>(), &vectors).unwrap();
    index.remove(&[5]).unwrap();
    let log = fs_bytes(&path.with_extension("head-0"));
    index.merge().unwrap();
    drop(index);
    put(&path.with_extension("head-0"), &log);
    let index = Vectors::open(&path, GROWING).unwrap();
    assert_eq!(index.len(), 59);
    assert!(!index.contains(5).unwrap());
    assert_eq!(ids_of(&index.search(&vectors[8], 1, 9, None).unwrap()), [8]);
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hnsw");
    put(&path, b"something else that is long enough to have a header, which it does not have at all");
    let index = Vectors::open(&path, GROWING).unwrap();
    assert!(index.is_empty());
    index.add(&[1], &[vec![1.0; 16]]).unwrap();
    index.merge().unwrap();
    assert!(matches!(index.add(&[2], &[vec![1.0; 3]]), Err(Error::Dimension { .. })));
    assert!(matches!(index.add(&[2], &[vec![0.0; 16]]), Err(Error::BadVector { .. })));
    index.restart().unwrap();
    assert!(index.is_empty() && !path.exists());
    drop(index);
    assert!(Vectors::open(&path, GROWING).unwrap().is_empty());
}
