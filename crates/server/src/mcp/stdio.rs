//! How is the protocol spoken over standard input and output? One message a line, both ways; nothing listens.

use super::rpc::{self, Fault, Message, Request};
use super::tools::{self, Caller};
use super::{MAX_BYTES, ON_THEIR_WAY, protocol};
use crate::error::{Error, Result};
use crate::listen::Front;
use crate::serve::{Config, assemble};
use crate::state::App;
use casemate_access::Principal;
use casemate_investigate::Investigator;
use casemate_pipeline::Pipeline;
use serde_json::Value;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc, watch};

/// Calls worked on at once.
const AT_ONCE: usize = 8;

/// What is served, and to whom.
pub struct Served {
    /// The events.
    pub pipeline: Arc<Pipeline>,
    /// What investigates.
    pub investigator: Investigator,
    /// Who runs the program, for the audit record.
    pub operator: String,
}

/// Answers the messages of `input`, a line each, until it ends; writes nothing but the protocol to `output`.
///
/// # Errors
/// If stored investigations cannot be read, or the investigating thread cannot be started. A reader that goes away
/// ends it without one.
pub async fn serve_mcp(
    config: Config,
    served: Served,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> Result<()> {
    let grace = config.grace;
    let (stop, stopping) = watch::channel(false);
    let Served { pipeline, investigator, operator } = served;
    let (app, worker) = assemble(config, (Front::Unix, None), stopping, pipeline, investigator).await?;
    let (answers, written) = mpsc::channel::<Value>(ON_THEIR_WAY);
    let (lines, mut read) = mpsc::channel::<Line>(ON_THEIR_WAY);
    // Plain threads: standard input cannot be waited for otherwise, and need not end with us.
    let writing = thread("mcp-write", move || write_all(output, written))?;
    thread("mcp-read", move || read_all(input, &lines))?;
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(line) = read.recv().await {
        let Line::Whole(bytes) = line else {
            let fault = Fault::new(Fault::PARSE, format!("the message is longer than {MAX_BYTES} bytes"));
            drop(answers.send(rpc::answer(&Value::Null, Err(fault))).await);
            continue;
        };
        match rpc::read(&bytes) {
            Ok(Message::Notification) => {}
            Err((id, fault)) => drop(answers.send(rpc::answer(&id, Err(fault))).await),
            Ok(Message::Request(request)) => {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
                let (app, operator, answers) = (Arc::clone(&app), operator.clone(), answers.clone());
                tokio::spawn(async move {
                    answer(app, operator, request, answers).await;
                    drop(permit);
                });
            }
        }
    }
    // What was asked before the end is answered, if it does not take long.
    drop(tokio::time::timeout(grace, permits.acquire_many(AT_ONCE as u32)).await);
    stop.send_replace(true);
    worker.end(grace).await;
    drop(answers);
    // With a call still running it goes on, and ends with the process.
    drop(tokio::time::timeout(grace, tokio::task::spawn_blocking(move || writing.join())).await);
    Ok(())
}

async fn answer(app: Arc<App>, operator: String, request: Request, answers: mpsc::Sender<Value>) {
    let envelope = match protocol::envelope(&request, None) {
        Ok(envelope) => envelope,
        Err(fault) => {
            drop(answers.send(rpc::answer(&request.id, Err(fault))).await);
            return;
        }
    };
    let token = protocol::progress_token(&request).filter(|_| tools::goes_on(&request));
    let progress = token.map(|token| (token, answers.clone()));
    let caller = Caller { app, who: Principal::local(operator), progress };
    let result = protocol::answer(&caller, &request, &envelope).await;
    drop(answers.send(rpc::answer(&request.id, result)).await);
}

/// A line of input.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Hands over line by line. A line that is too long is passed over without being kept.
fn read_all(mut input: impl BufRead, lines: &mpsc::Sender<Line>) {
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "standard input cannot be read");
                return;
            }
        }
        let is_whole = line.ends_with(b"\n") || line.len() <= MAX_BYTES;
        if !is_whole && !skip_line(&mut input) {
            return;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line = if is_whole { Line::Whole(line) } else { Line::TooLong };
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

/// Passes over the rest of a line; whether there may be another.
fn skip_line(input: &mut impl BufRead) -> bool {
    loop {
        let (used, found) = match input.fill_buf() {
            Ok([]) | Err(_) => return false,
            Ok(held) => match memchr(held) {
                Some(at) => (at + 1, true),
                None => (held.len(), false),
            },
        };
        input.consume(used);
        if found {
            return true;
        }
    }
}

fn memchr(held: &[u8]) -> Option<usize> {
    held.iter().position(|byte| *byte == b'\n')
}

fn write_all(mut output: impl Write, mut written: mpsc::Receiver<Value>) {
    while let Some(message) = written.blocking_recv() {
        // JSON on one line holds no line feed.
        if let Err(error) = writeln!(output, "{message}").and_then(|()| output.flush()) {
            tracing::info!(%error, "nobody reads standard output any more");
            return;
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|source| Error::Task { what: "starting a thread for standard input and output", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_long_are_passed_over() {
        let (lines, mut read) = mpsc::channel(8);
        let long = vec![b'x'; 3 * MAX_BYTES];
        let text = [b"{}\n", &long[..], b"\n\n{\"a\":1}"].concat();
        read_all(&text[..], &lines);
        drop(lines);
        let mut kinds = Vec::new();
        while let Some(line) = read.blocking_recv() {
            kinds.push(match line {
                Line::Whole(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(kinds, ["{}", "too long", "{\"a\":1}"]);
    }
}
