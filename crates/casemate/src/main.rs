//! `casemate`, the appliance: takes in logs, finds alerts, investigates them on a local model, serves the
//! result. This crate is command line, configuration and wiring; what it does lives in the crates below.
//!
//! Exit status: 0 done, 1 failed, 2 bad usage or input.

mod cli;
mod commands;
mod door;
mod failure;
mod machine;
mod models;
mod output;
mod seal;
mod service;
mod setup;
mod story;

use clap::Parser;
use cli::{Cli, Command};
use seal::Seal;
use service::Manager;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    casemate_disk::few_arenas();
    // Logs and verdicts are for whoever runs this, and for nobody who merely has an account here.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    output::log_to_stderr(&cli.global);
    // A broken release is said, and what it should have brought is not taken from elsewhere.
    match setup::active_release(&cli.global) {
        Ok(release) => cli.global.release = release,
        Err(failure) if matches!(cli.command, Command::Bundle(_) | Command::Doctor(_)) => {
            tracing::error!(%failure, "the active release cannot be used");
        }
        Err(failure) => return failure.report(),
    }
    let manager = match &cli.command {
        Command::Serve(_) => Manager::open(),
        _ => Manager::default(),
    };
    let seal = sealed(&cli);
    let result = match &cli.command {
        Command::Serve(args) => commands::serve::run(&cli.global, args, &seal, manager),
        Command::Ingest(args) => commands::ingest::run(&cli.global, args),
        Command::Search(args) => commands::search::run(&cli.global, args),
        Command::Ask(args) => commands::ask::run(&cli.global, args),
        Command::Investigate(args) => commands::investigate::run(&cli.global, args),
        Command::Mcp(args) => commands::mcp::run(&cli.global, args),
        Command::Eval(args) => commands::eval::run(&cli.global, args),
        Command::Cases(args) => commands::cases::run(&cli.global, args),
        Command::Export(args) => commands::export::run(&cli.global, args),
        Command::User(args) => commands::access::users(&cli.global, args),
        Command::Token(args) => commands::access::tokens(&cli.global, args),
        Command::Access(args) => commands::access::access(&cli.global, args),
        Command::Bundle(args) => commands::bundle::run(&cli.global, args),
        Command::Audit(args) => commands::audit::run(&cli.global, args),
        Command::Plan(args) => commands::plan::run(&cli.global, args),
        Command::Playbook(args) => commands::playbook::run(&cli.global, args),
        Command::Bench(args) => commands::bench::run(&cli.global, args),
        Command::Backup(args) => commands::backup::backup(&cli.global, args),
        Command::Restore(args) => commands::backup::restore(&cli.global, args),
        Command::SupportBundle(args) => commands::support::run(&cli.global, args, &seal),
        Command::Manual(args) => commands::manual::run(args),
        Command::Doctor(args) => commands::doctor::run(&cli.global, args, &seal),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Gives up what the command does not need, before it does anything; nothing, where that was asked for.
fn sealed(cli: &Cli) -> Seal {
    let Some(needs) = seal::needs(cli).filter(|_| !cli.global.unsealed) else { return Seal::default() };
    if let Command::Serve(args) = &cli.command {
        // Only what is there can be kept, files that archives are spooled to among it. Why the directory cannot be
        // made is said when it is opened.
        if let Some(dir) = &args.keep.backup_dir {
            drop(fs_err::create_dir_all(dir));
        }
        let spool = cli.global.data_dir.join("spool");
        if fs_err::create_dir_all(&spool).is_ok() {
            drop(tempfile::env::override_temp_dir(&spool));
        }
    }
    let seal = seal::seal(&needs);
    for missing in &seal.missing {
        tracing::warn!("not sealed by {missing}");
    }
    seal
}
