//! `casemate-stage`, the connected side: gets the models of `models/catalog.toml` onto this machine, shows what the
//! appliance does with them, and makes the signed bundles that sites apply. It is the only program of Casemate that reaches a network, and it depends
//! on no other crate of Casemate: the appliance is run as a separate process, the way a site would.
//!
//! Exit status: 0 done, 1 failed, 2 bad usage or input, 130 interrupted.

mod appliance;
mod bundle;
mod catalog;
mod cli;
mod demo;
mod error;
mod fetch;
mod hub;
mod place;
mod progress;
mod wheel;
mod workspace;

use clap::Parser;
use cli::{Cli, Command};
use error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Fetch(args) => fetch::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Bundle(command) => bundle::run(command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("casemate-stage: {error:#}");
        ExitCode::from(error.downcast_ref::<Error>().map_or(1, Error::exit_code))
    })
}
