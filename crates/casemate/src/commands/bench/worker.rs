//! Our side of a measurement: answers an [`Engine`](super::engine::Engine)'s requests in a process of its own.

use super::engine::{Reply, Request};
use crate::cli::WorkerArgs;
use crate::failure::Outcome;
use crate::machine;
use anyhow::anyhow;
use casemate_inference::{
    Constraint, LoadOptions, Model, Question, Sampler, Session, TokenMask, generate_batch,
};
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

pub(super) fn run(args: &WorkerArgs) -> Outcome {
    let started = Instant::now();
    let options = LoadOptions { isa: args.isa, threads: args.threads, ..LoadOptions::default() };
    let model = Model::load_with(&args.model, &options)?;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let reply = match request {
            Request::Memory => Reply { bytes: machine::peak_rss_bytes(), ..Reply::default() },
            request => match answer(&model, started, request) {
                Ok(seconds) => Reply { seconds: Some(seconds), ..Reply::default() },
                Err(failure) => Reply { error: Some(failure.to_string()), ..Reply::default() },
            },
        };
        serde_json::to_writer(&mut stdout, &reply)?;
        writeln!(stdout)?;
        stdout.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Anything but the end, as the peers are told to go on too.
#[derive(Clone)]
struct Endless(TokenMask);

impl Endless {
    fn new(model: &Model) -> Self {
        let tokens = 0..u32::try_from(model.info().vocabulary).unwrap_or(u32::MAX);
        Self(TokenMask::of(tokens.filter(|token| *token != model.end_token())))
    }
}

impl Constraint for Endless {
    fn allowed(&mut self) -> casemate_inference::Result<TokenMask> {
        Ok(self.0.clone())
    }

    fn accept(&mut self, _: u32) -> casemate_inference::Result<bool> {
        Ok(false)
    }
}

fn answer(model: &Model, started: Instant, request: Request) -> Outcome<f64> {
    // Nothing read for an earlier request shortens this one.
    model.forget();
    let begun = Instant::now();
    let begun = match request {
        Request::First { tokens } => {
            read(model, &tokens, 0)?.logits()?;
            started
        }
        Request::Prefill { tokens } => {
            read(model, &tokens, 0)?.logits()?;
            begun
        }
        Request::Decode { tokens, count } => {
            let mut session = read(model, &tokens, count)?;
            let mut constraint = Endless::new(model);
            let begun = Instant::now();
            generate_batch(&mut [session_request(&mut session, &mut constraint, count)])?;
            begun
        }
        Request::Score { prefix, suffixes, candidates } => {
            let mut session = read(model, &prefix, 0)?;
            let question = |suffix: Vec<u32>| Question {
                suffix,
                candidates: candidates.iter().map(|candidate| vec![*candidate]).collect(),
            };
            session.score(&suffixes.into_iter().map(question).collect::<Vec<_>>())?;
            begun
        }
        Request::Batch { prefix, suffixes, count } => {
            let longest = suffixes.iter().map(Vec::len).max().unwrap_or(0);
            let session = read(model, &prefix, longest + count)?;
            let mut sessions = Vec::new();
            for suffix in &suffixes {
                let mut fork = session.fork()?;
                fork.read(suffix, &mut |_| {})?;
                sessions.push(fork);
            }
            let mut constraints = vec![Endless::new(model); sessions.len()];
            let requests = sessions.iter_mut().zip(&mut constraints);
            let mut requests: Vec<_> =
                requests.map(|(session, constraint)| session_request(session, constraint, count)).collect();
            let begun = Instant::now();
            generate_batch(&mut requests)?;
            begun
        }
        Request::Logits { tokens, path, stepwise } => {
            let mut bytes = Vec::new();
            let mut session = model.session(tokens.len())?;
            session.read_logits(&tokens, stepwise, &mut |_, logits| {
                logits.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
            })?;
            fs_err::write(path, bytes)?;
            begun
        }
        Request::Memory => return Err(anyhow!("memory is no matter of time").into()),
    };
    Ok(begun.elapsed().as_secs_f64())
}

fn read<'m>(model: &'m Model, tokens: &[u32], room: usize) -> Outcome<Session<'m>> {
    let mut session = model.session(tokens.len() + room)?;
    session.read(tokens, &mut |_| {})?;
    Ok(session)
}

fn session_request<'a, 'm>(
    session: &'a mut Session<'m>,
    constraint: &'a mut Endless,
    max_tokens: usize,
) -> casemate_inference::Request<'a, 'm> {
    casemate_inference::Request { session, constraint, sampler: Sampler::Greedy, max_tokens, watch: None }
}
