//! `casemate manual DIR`: manual pages and completions, for whoever packages this.

use crate::cli::{Cli, ManualArgs};
use crate::failure::Outcome;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use std::process::ExitCode;

pub(crate) fn run(args: &ManualArgs) -> Outcome {
    let (pages, shells) = (args.dir.join("man"), args.dir.join("completions"));
    fs_err::create_dir_all(&pages)?;
    fs_err::create_dir_all(&shells)?;
    clap_mangen::generate_to(Cli::command(), &pages)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "casemate", &shells)?;
    }
    Ok(ExitCode::SUCCESS)
}
