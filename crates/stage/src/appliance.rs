//! Finds the `casemate` binary and runs it as a separate process, passing on the signals this process gets.

use crate::error::Error;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Runs child processes one at a time.
///
/// Each child is the leader of its own process group, so that it gets Ctrl-C once, from here, whether the signal
/// came from a terminal or was sent to this process alone.
pub(crate) struct Runner {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    child: Option<Pid>,
    is_interrupted: bool,
}

impl Runner {
    /// Takes over SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn start() -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for signal in signals.forever() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.is_interrupted = true;
                if let (Some(child), Some(signal)) = (state.child, Signal::from_named_raw(signal)) {
                    // A child that is gone already needs no signal.
                    let _ = kill_process(child, signal);
                }
            }
        });
        Ok(Self { state })
    }

    /// Runs `command` to its end and returns its status and what it wrote to stdout.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a signal came meanwhile.
    pub(crate) fn capture(&self, command: &mut Command) -> Result<(ExitStatus, Vec<u8>)> {
        let (status, stdout) = self.run(command.stdout(Stdio::piped()))?;
        if self.lock().is_interrupted {
            return Err(Error::Interrupted.into());
        }
        Ok((status, stdout))
    }

    /// Runs `command` until it ends by itself or a signal ends it. Its stdout goes to our stderr, because ours is
    /// kept for results.
    pub(crate) fn serve(&self, command: &mut Command) -> Result<ExitStatus> {
        self.run(command.stdout(io::stderr())).map(|(status, _)| status)
    }

    fn run(&self, command: &mut Command) -> Result<(ExitStatus, Vec<u8>)> {
        if self.lock().is_interrupted {
            return Err(Error::Interrupted.into());
        }
        let name = command.get_program().to_string_lossy().into_owned();
        let start = || format!("cannot run {name}");
        let mut child = command.stdin(Stdio::null()).process_group(0).spawn().with_context(start)?;
        self.lock().child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut stdout = Vec::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_end(&mut stdout).with_context(|| format!("cannot read from {name}"))?;
        }
        let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
        self.lock().child = None;
        Ok((status, stdout))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `casemate` binary: built by the cargo that runs us, so that it is never an old one, else the one beside us.
pub(crate) fn locate(runner: &Runner, root: &Path) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        return build(runner, root, &cargo, profile_of(&own));
    }
    let beside = own.with_file_name(format!("casemate{}", std::env::consts::EXE_SUFFIX));
    if beside.is_file() {
        return Ok(beside);
    }
    bail!(
        "{} does not exist; build it with `cargo build --release -p casemate`, or run this as `cargo run --release \
         -p casemate-stage -- demo`",
        beside.display()
    )
}

/// The cargo profile that made an executable at `own`: profiles name their folder, except `dev`.
fn profile_of(own: &Path) -> &str {
    match own.parent().and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    }
}

fn build(runner: &Runner, root: &Path, cargo: &OsString, profile: &str) -> Result<PathBuf> {
    eprintln!("building casemate (profile {profile})");
    let mut command = Command::new(cargo);
    command.current_dir(root).args([
        "build",
        "--package",
        "casemate",
        "--bin",
        "casemate",
        "--profile",
        profile,
        "--message-format",
        "json-render-diagnostics",
    ]);
    let (status, stdout) = runner.capture(&mut command)?;
    if !status.success() {
        bail!("casemate does not build ({status}); the compiler says why above");
    }
    executable_in(&String::from_utf8_lossy(&stdout))
        .context("cargo built casemate but did not say where it is")
}

/// The path of the `casemate` executable in cargo's JSON messages.
fn executable_in(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "casemate" && message["reason"] == "compiler-artifact")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn profile_is_that_of_the_folder() {
        assert_eq!(profile_of(Path::new("/t/target/release/casemate-stage")), "release");
        assert_eq!(profile_of(Path::new("/t/target/debug/casemate-stage")), "dev");
        assert_eq!(profile_of(Path::new("/t/target/ci/casemate-stage")), "ci");
    }

    #[test]
    fn executable_is_read_from_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"casemate_disk"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"casemate"},"executable":"/t/casemate"}"#,
        );
        assert_eq!(executable_in(messages), Some("/t/casemate".into()));
        assert_eq!(executable_in(""), None);
    }

    #[test]
    fn output_and_status_come_back() {
        let runner = Runner::start().unwrap();
        let (status, stdout) = runner.capture(Command::new("sh").args(["-c", "echo out; exit 3"])).unwrap();
        assert_eq!((status.code(), stdout), (Some(3), b"out\n".to_vec()));
    }
}
