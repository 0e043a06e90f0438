//! What sessions share and what they must not: pages, passes and turns, on tiny models of random weights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// One range is one range here, not the numbers in it.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use std::time::Instant;

use candle_core::quantized::GgmlDType;
use casemate_inference::{
    Cancel, Chosen, Ending, Error, Isa, LoadOptions, Model, Question, Request, Sampler, Session, Ticket,
    Unconstrained, Watch, generate_batch,
};
use common::{SMALL, Sizes, model_of};

/// Odd numbers of panels in keys and values, rows that fill neither tiles nor blocks.
const ODD: Sizes =
    Sizes { embedding: 288, heads: 6, kv_heads: 3, head_dim: 48, feed_forward: 160, layers: 2 };
/// Heads that tiles can attend with.
const EVEN: Sizes =
    Sizes { embedding: 256, heads: 4, kv_heads: 2, head_dim: 64, feed_forward: 512, layers: 2 };

fn model(sizes: Sizes, dtype: GgmlDType, options: &LoadOptions) -> Model {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny.gguf");
    fs_err::write(&path, model_of("qwen2", sizes).quantised(dtype).build().1).unwrap();
    Model::load_with(&path, options).unwrap()
}

fn small() -> Model {
    model(SMALL, GgmlDType::Q8_0, &LoadOptions::default())
}

fn tokens(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * 37 + seed * 101 + i * i) % 256) as u32).collect()
}

fn read<'m>(model: &'m Model, tokens: &[u32]) -> Session<'m> {
    let mut session = model.session(600).unwrap();
    session.read(tokens, &mut |_| {}).unwrap();
    session
}

fn questions() -> Vec<Question> {
    let question = |i: usize| Question {
        suffix: tokens(5 + i * 3, i + 2),
        candidates: vec![vec![i as u32], vec![5, 6, 7], vec![5, 6, 9, 10]],
    };
    (0..7).map(question).collect()
}

/// All that a model can be asked, as bits.
fn everything(model: &Model) -> Vec<u32> {
    let mut session = read(model, &tokens(210, 1));
    let mut floats = session.logits().unwrap();
    floats.extend(session.score(&questions()).unwrap().concat());
    let mut bits = session.generate(&mut Unconstrained, 20).unwrap();
    floats.extend(session.logits().unwrap());
    bits.extend(floats.into_iter().map(f32::to_bits));
    bits
}

#[test]
fn threads_change_no_bit() {
    for (sizes, dtype) in [(ODD, GgmlDType::Q4_1), (ODD, GgmlDType::Q8_0), (EVEN, GgmlDType::Q4K)] {
        for isa in
            [Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Portable].into_iter().filter(|isa| isa.is_available())
        {
            let of = |threads| {
                let options =
                    LoadOptions { isa: Some(isa), threads: Some(threads), ..LoadOptions::default() };
                everything(&model(sizes, dtype, &options))
            };
            let one = of(1);
            for threads in [2, 3, 5] {
                assert!(of(threads) == one, "{isa}, {dtype:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn instructions_that_are_not_there_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny.gguf");
    fs_err::write(&path, model_of("qwen2", SMALL).build().1).unwrap();
    for isa in [Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Amx] {
        let options = LoadOptions { isa: Some(isa), ..LoadOptions::default() };
        assert_eq!(Model::load_with(&path, &options).is_ok(), isa.is_available(), "{isa}");
    }
}

#[test]
fn instruction_sets_agree() {
    let logits = |isa| {
        let options = LoadOptions { isa: Some(isa), ..LoadOptions::default() };
        read(&model(EVEN, GgmlDType::Q4K, &options), &tokens(150, 1)).logits().unwrap()
    };
    let plain = logits(Isa::Portable);
    let spread = (plain.iter().map(|x| x * x).sum::<f32>() / plain.len() as f32).sqrt();
    for isa in [Isa::Avx2, Isa::Avx512, Isa::Amx].into_iter().filter(|isa| isa.is_available()) {
        let error = logits(isa).iter().zip(&plain).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let relative = (error / plain.len() as f32).sqrt() / spread;
        println!("{isa}: {relative:.5}");
        // Tiles round activations to bfloat16 where the others round them to eight bits.
        assert!(relative < if isa == Isa::Amx { 0.05 } else { 1e-3 }, "{isa}: {relative}");
    }
}

#[test]
fn what_was_read_before_gives_the_same_bits() {
    let model = small();
    let text = tokens(400, 1);
    let fresh = read(&model, &text).logits().unwrap();
    // From the cache, then computed again, then continued from a shared beginning.
    assert_eq!(read(&model, &text).logits().unwrap(), fresh);
    model.forget();
    assert_eq!(read(&model, &text).logits().unwrap(), fresh);
    model.forget();
    drop(read(&model, &text[..300]));
    assert_eq!(read(&model, &text).logits().unwrap(), fresh);
}

#[test]
fn forks_part_ways() {
    let model = small();
    let mut session = read(&model, &tokens(100, 1));
    let mut fork = session.fork().unwrap();
    session.read(&tokens(50, 2), &mut |_| {}).unwrap();
    fork.read(&tokens(50, 3), &mut |_| {}).unwrap();
    for (mut session, seed) in [(session, 2), (fork, 3)] {
        let whole = [tokens(100, 1), tokens(50, seed)].concat();
        assert_eq!(session.tokens(), whole);
        let mut alone = model.session(600).unwrap();
        alone.read(&whole[..100], &mut |_| {}).unwrap();
        alone.read(&whole[100..], &mut |_| {}).unwrap();
        assert_eq!(session.logits().unwrap(), alone.logits().unwrap());
    }
}

#[test]
fn questions_and_writers_do_not_hear_their_neighbours() {
    let model = small();
    let mut session = read(&model, &tokens(150, 1));
    let together = session.score(&questions()).unwrap();
    for (question, answers) in questions().iter().zip(&together) {
        assert_eq!(&session.score(std::slice::from_ref(question)).unwrap()[0], answers);
    }
    let start = |seed: usize| {
        let mut fork = session.fork().unwrap();
        fork.read(&tokens(8, seed), &mut |_| {}).unwrap();
        fork
    };
    let alone: Vec<_> = (0..5).map(|seed| start(seed).generate(&mut Unconstrained, 20).unwrap()).collect();
    let mut sessions: Vec<_> = (0..5).map(start).collect();
    let mut constraints = [Unconstrained; 5];
    let mut requests: Vec<Request> = sessions
        .iter_mut()
        .zip(&mut constraints)
        .map(|(session, constraint)| Request {
            session,
            constraint,
            sampler: Sampler::Greedy,
            max_tokens: 20,
            watch: None,
        })
        .collect();
    let together = generate_batch(&mut requests).unwrap();
    assert_eq!(together.into_iter().map(|generated| generated.tokens).collect::<Vec<_>>(), alone);
    drop(requests);
    for (seed, (session, written)) in sessions.iter_mut().zip(&alone).enumerate() {
        assert_eq!(session.tokens()[158..], *written);
        let mut again = start(seed);
        again.generate(&mut Unconstrained, 20).unwrap();
        assert_eq!(session.logits().unwrap(), again.logits().unwrap());
    }
}

/// What is told of each token is what the model computes there, and who watches can end it.
#[test]
fn tokens_are_told_with_their_log_probabilities() {
    let model = small();
    let mut session = read(&model, &tokens(40, 1));
    let mut told: Vec<Chosen> = Vec::new();
    let mut each = |chosen: &Chosen| {
        told.push(chosen.clone());
        told.len() < 5
    };
    let watch = Some(Watch { top: Some(3), each: &mut each });
    let (constraint, sampler) = (&mut Unconstrained, Sampler::Greedy);
    let request = Request { session: &mut session, constraint, sampler, max_tokens: 30, watch };
    let generated = generate_batch(&mut [request]).unwrap().remove(0);
    assert_eq!((generated.tokens.len(), generated.ending), (5, Ending::Stopped));
    let mut again = read(&model, &tokens(40, 1));
    for chosen in &told {
        let logits = again.logits().unwrap();
        let total = logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        let expected = f64::from(logits[chosen.token as usize]) - total;
        assert!((f64::from(chosen.logprob.unwrap()) - expected).abs() < 1e-4, "{chosen:?} {expected}");
        assert_eq!((chosen.top.len(), chosen.top[0]), (3, (chosen.token, chosen.logprob.unwrap())));
        again.generate(&mut Unconstrained, 1).unwrap();
    }
}

#[test]
fn what_was_read_before_is_counted() {
    let model = small();
    let first = read(&model, &tokens(200, 1));
    assert_eq!(first.known(), 0);
    drop(first);
    assert_eq!(read(&model, &tokens(200, 1)).known(), 192);
    assert_eq!(read(&model, &tokens(200, 2)).known(), 0);
}

#[test]
fn seeds_reproduce() {
    let model = small();
    let write = |seed| {
        let mut session = read(&model, &tokens(40, 1));
        let sampler = Sampler::random(seed, 1.5, 0.95);
        let constraint = &mut Unconstrained;
        let request = Request { session: &mut session, constraint, sampler, max_tokens: 30, watch: None };
        generate_batch(&mut [request]).unwrap()
    };
    assert_eq!(write(7), write(7));
    assert_ne!(write(7), write(8));
}

#[test]
fn pooled_states_do_not_depend_on_chunks() {
    let model = small();
    let text = tokens(560, 4);
    let ranges = [0..1, 10..20, 500..560];
    let mut session = model.session(560).unwrap();
    let pooled = session.read_pooled(&text, &[0, 1], &ranges).unwrap();
    assert_eq!(pooled.len(), 6);
    assert_eq!((pooled[4].layer, pooled[4].tokens.clone()), (1, 10..20));
    for pooled in &pooled {
        assert!(pooled.mean.iter().zip(&pooled.max).all(|(mean, max)| mean <= max && max.is_finite()));
    }
    // One token's mean is its maximum; and a part of the text says the same of that part.
    assert_eq!(pooled[0].mean, pooled[0].max);
    let mut shorter = model.session(560).unwrap();
    let again = shorter.read_pooled(&text[..30], &[1], &[10..20]).unwrap();
    assert_eq!(again[0].mean, pooled[4].mean);
    assert_eq!(session.logits().unwrap().len(), shorter.logits().unwrap().len());
    assert!(matches!(session.read_pooled(&[1], &[9], &ranges), Err(Error::ContextLength { .. })));
    assert!(matches!(shorter.read_pooled(&[1], &[9], &[30..31]), Err(Error::BadRequest(_))));
    assert!(matches!(shorter.read_pooled(&[1], &[0], &[29..31]), Err(Error::BadRequest(_))));
}

#[test]
fn logits_of_given_text_are_those_of_reading() {
    let model = small();
    let text = tokens(40, 5);
    for stepwise in [false, true] {
        let mut all = Vec::new();
        let mut session = model.session(40).unwrap();
        session.read_logits(&text, stepwise, &mut |_, logits| all.push(logits.to_vec())).unwrap();
        assert_eq!(all.len(), 40);
        for length in [1, 7, 40] {
            let direct = read(&model, &text[..length]).logits().unwrap();
            if !stepwise {
                assert_eq!(all[length - 1], direct);
            }
            // One by one activations are rounded to eight bits, where there are tiles to bfloat16 else.
            let error: f32 = all[length - 1].iter().zip(&direct).map(|(a, b)| (a - b).powi(2)).sum();
            let size: f32 = direct.iter().map(|x| x * x).sum();
            assert!(error < size * 0.01, "{} of {}", error.sqrt(), size.sqrt());
        }
    }
}

#[test]
fn full_caches_and_ended_tickets_are_errors_that_lose_nothing() {
    // Room for two pages: 2 (keys, values) × 2 bytes × 2 layers.
    let page = 64 * SMALL.layers * (SMALL.kv_heads * SMALL.head_dim) as usize * 2 * 2;
    let options = LoadOptions { cache_bytes: Some(2 * page), ..LoadOptions::default() };
    let model = model(SMALL, GgmlDType::Q8_0, &options);
    let mut session = read(&model, &tokens(100, 1));
    let before = session.logits().unwrap();
    assert!(matches!(session.read(&tokens(100, 2), &mut |_| {}), Err(Error::CacheFull { limit: 128 })));
    assert!(matches!(session.score(&questions()), Err(Error::CacheFull { .. })));
    assert_eq!(session.len(), 100);
    assert_eq!(session.logits().unwrap(), before);
    // A second writer has no page to copy the shared one to: neither has moved.
    let mut fork = session.fork().unwrap();
    let (mut a, mut b) = (Unconstrained, Unconstrained);
    let mut requests = [
        Request {
            session: &mut session,
            constraint: &mut a,
            sampler: Sampler::Greedy,
            max_tokens: 4,
            watch: None,
        },
        Request {
            session: &mut fork,
            constraint: &mut b,
            sampler: Sampler::Greedy,
            max_tokens: 4,
            watch: None,
        },
    ];
    assert!(matches!(generate_batch(&mut requests), Err(Error::CacheFull { .. })));
    assert_eq!((session.len(), fork.len()), (100, 100));
    drop(fork);
    session.generate(&mut Unconstrained, 4).unwrap();

    let cancel = Cancel::default();
    let ticket = Ticket { cancel: cancel.clone(), ..Ticket::default() };
    let mut ended = model.session_with(50, ticket).unwrap();
    cancel.cancel();
    assert!(matches!(ended.read(&[1], &mut |_| {}), Err(Error::Cancelled)));
    let late = Ticket { deadline: Some(Instant::now()), ..Ticket::default() };
    assert!(matches!(model.session_with(50, late).unwrap().read(&[1], &mut |_| {}), Err(Error::Deadline)));
}
