//! `casemate serve`: API and page on loopback until Ctrl-C or SIGTERM.

use crate::cli::{Global, ServeArgs};
use crate::failure::{Failure, Outcome};
use crate::setup::{self, Desk};
use casemate_server::Config;
use std::net::TcpListener;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) fn run(global: &Global, args: &ServeArgs) -> Outcome {
    let listener = casemate_server::bind(args.listen).map_err(Failure::input)?;
    let Desk { pipeline, investigator, models } = setup::desk(global, &args.model)?;
    let config = Config { models, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        announce(&listener)?;
        casemate_server::serve_with(config, listener, pipeline, investigator, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn announce(listener: &TcpListener) -> std::io::Result<()> {
    eprintln!("casemate: serving on http://{}/ (Ctrl-C stops)", listener.local_addr()?);
    Ok(())
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
