//! One engine under measurement: a process of its own that answers requests, a JSON document on each line.

use crate::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What an engine is asked to do. Answers are seconds, but for [`Request::Memory`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Request {
    /// From the start of loading to the first token after these; only as a process's first request.
    First { tokens: Vec<u32> },
    /// Reads tokens up to the scores of the next.
    Prefill { tokens: Vec<u32> },
    /// Reads tokens; the seconds are those of `count` further, greedily chosen ones.
    Decode { tokens: Vec<u32>, count: usize },
    /// Reads a prefix and weighs the candidates after each of the suffixes.
    Score { prefix: Vec<u32>, suffixes: Vec<Vec<u32>>, candidates: Vec<u32> },
    /// Reads a prefix and suffixes; the seconds are those of `count` further tokens of each.
    Batch { prefix: Vec<u32>, suffixes: Vec<Vec<u32>>, count: usize },
    /// Writes the scores after each token to a file, as little-endian 32-bit floats.
    Logits { tokens: Vec<u32>, path: PathBuf, stepwise: bool },
    /// Peak resident memory.
    Memory,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Reply {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Who computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    LlamaCpp,
    OpenVino,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::LlamaCpp => "llama.cpp",
            Self::OpenVino => "openvino",
        }
    }
}

/// How engines are started.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) python: Option<PathBuf>,
    pub(super) isa: Option<String>,
    pub(super) threads: usize,
    /// Tokens that peers make room for in all their sequences together.
    pub(super) capacity: usize,
}

/// A running engine; ended when dropped.
pub(super) struct Engine {
    pub(super) kind: Kind,
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Engine {
    /// Starts an engine, which loads the model at once.
    pub(super) fn start(kind: Kind, model: &Path, setting: &Setting) -> Outcome<Self> {
        let threads = setting.threads.to_string();
        let script = match kind {
            Kind::Ours => None,
            Kind::LlamaCpp => Some(concat!(include_str!("peer_llama_cpp.py"), include_str!("peer_serve.py"))),
            Kind::OpenVino => Some(concat!(include_str!("peer_openvino.py"), include_str!("peer_serve.py"))),
        };
        let mut command = match script {
            None => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bench", "worker"]).arg(model).args(["--threads", &threads]);
                setting.isa.iter().for_each(|isa| {
                    command.args(["--isa", isa]);
                });
                command
            }
            Some(script) => {
                let python = setting.python.as_ref().ok_or_else(|| {
                    let name = kind.name();
                    Failure::input(anyhow!("{name} needs a Python that has it: give one with --peer-python"))
                })?;
                let mut command = Command::new(python);
                command.args(["-c", script]).arg(model).args([&threads, &setting.capacity.to_string()]);
                command
            }
        };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", kind.name()))?;
        let (Some(requests), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(anyhow!("{} has no pipes", kind.name()).into());
        };
        Ok(Self { kind, child, requests, replies: BufReader::new(replies) })
    }

    /// Asks and waits for the answer.
    pub(super) fn ask(&mut self, request: &Request) -> Outcome<Reply> {
        let gone = || format!("{} has ended; its messages are above", self.kind.name());
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.requests.write_all(line.as_bytes()).with_context(gone)?;
        self.requests.flush().with_context(gone)?;
        let mut reply = String::new();
        loop {
            reply.clear();
            if self.replies.read_line(&mut reply)? == 0 {
                return Err(anyhow!(gone()).into());
            }
            // A library that prints on its own is not an answer.
            if reply.starts_with('{') {
                break;
            }
        }
        let reply: Reply = serde_json::from_str(&reply)?;
        match &reply.error {
            Some(error) => Err(anyhow!("{}: {error}", self.kind.name()).into()),
            None => Ok(reply),
        }
    }

    /// Asks for something that takes time.
    pub(super) fn seconds(&mut self, request: &Request) -> Outcome<f64> {
        let reply = self.ask(request)?;
        Ok(reply.seconds.ok_or_else(|| anyhow!("{} did not say how long it took", self.kind.name()))?)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It ends by itself when its input does; this only makes sure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
