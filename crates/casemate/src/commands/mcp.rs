//! `casemate mcp`: the Model Context Protocol over standard input and output, for a client on this machine.

use crate::cli::{Global, McpArgs};
use crate::failure::Outcome;
use crate::machine;
use crate::setup::{self, Desk};
use casemate_server::{Config, Served, serve_mcp};
use casemate_store::Limits;
use std::io::{BufReader, stdin, stdout};
use std::process::ExitCode;

pub(crate) fn run(global: &Global, args: &McpArgs) -> Outcome {
    let (desk, held) = setup::desk_or_held(global, &args.model, Limits::default())?;
    let Desk { pipeline, investigator, models } = desk;
    if let Some(why) = &held {
        tracing::warn!(why, "nothing is investigated; all else is answered");
    }
    // What others took in since the last time becomes alerts first.
    pipeline.catch_up(&mut |_, _, _| {})?;
    let served = Served { pipeline, investigator, operator: machine::operator() };
    let config = Config { models, held, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(serve_mcp(config, served, BufReader::new(stdin()), stdout()));
    // A call that still runs is not waited for.
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}
