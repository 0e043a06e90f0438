//! Runs the real `casemate` binary over throw-away data directories.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test support")]

pub(crate) mod described;
pub(crate) mod http;
pub(crate) mod schema;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `tests/data/NAME` of the workspace.
pub(crate) fn data(name: &str) -> PathBuf {
    root().join("tests/data").join(name)
}

/// The models directory; `None`, with a message, where the models have not been fetched.
pub(crate) fn models() -> Option<PathBuf> {
    let dir = std::env::var_os("CASEMATE_MODELS").map_or_else(|| root().join("models"), PathBuf::from);
    let there = dir.join("SmolLM2-135M-Instruct.Q4_1.gguf").is_file();
    if !there {
        eprintln!("skipped: no models in {} (casemate-stage fetch gets them)", dir.display());
    }
    there.then_some(dir)
}

/// A data directory of its own, without models.
pub(crate) struct Site {
    dir: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Output {
    /// Asserts the exit status and that the complaint (stderr or `problems`) contains every part.
    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, parts: &[&str]) {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.code, code, "{self:?}");
        let said = format!("{} {}", self.stderr, self.json["problems"]);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not said in: {said}");
        }
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a file beside the data directory and returns its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs_err::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
        command.args(args).arg("--json").env_clear();
        command.arg("--data-dir").arg(self.data_dir());
        command.arg("--config").arg(root().join("config"));
        if !args.contains(&"--models") {
            command.arg("--models").arg(self.dir.path().join("no-models"));
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args))
    }

    pub(crate) fn ingest_bytes(&self, name: &str, bytes: &[u8]) -> Output {
        self.run(&["ingest", &self.file(name, bytes)])
    }

    /// Starts `casemate serve` without a model on a free port and waits until it says that it serves.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// As [`serve`](Self::serve), with further arguments.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        let args = [&["serve", "--no-auth", "--model", "none", "--listen", "127.0.0.1:0"], args].concat();
        Server::start(&mut self.command(&args))
    }

    /// Runs as a user who may not write the data directory; `None`, with a message, where that cannot be
    /// arranged. Root is above permissions, so as root the binary is copied to where `nobody` can run it.
    pub(crate) fn run_unprivileged_with_read_only_data(&self, args: &[&str]) -> Option<Output> {
        const NOBODY: u32 = 65_534;
        let data = self.data_dir();
        fs_err::create_dir(&data).unwrap();
        for (path, mode) in [(self.dir.path(), 0o755), (data.as_path(), 0o555)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let root_user = fs_err::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t");
        if !root_user {
            return Some(self.run(args));
        }
        let binary = self.dir.path().join("casemate");
        fs_err::copy(env!("CARGO_BIN_EXE_casemate"), &binary).unwrap();
        std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
        let config = self.dir.path().join("config");
        for name in ["rules", "playbooks"] {
            fs_err::create_dir_all(config.join(name)).unwrap();
        }
        let mut command = Command::new(&binary);
        command.args(args).arg("--json").arg("--data-dir").arg(&data).arg("--config").arg(&config);
        command.env_clear().current_dir("/").uid(NOBODY).gid(NOBODY);
        if Command::new(&binary).arg("--version").uid(NOBODY).gid(NOBODY).output().is_err() {
            eprintln!("skipped: cannot run as another user here");
            return None;
        }
        Some(finish(&mut command))
    }
}

fn finish(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running `casemate serve`, ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What was said before it served.
    pub(crate) said: String,
    /// Where receivers listen, by scheme (`syslog+tcp`).
    pub(crate) receivers: Vec<(String, String)>,
}

impl Server {
    /// Starts the command and waits until it says that it serves.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut receivers) = (String::new(), Vec::new());
        let address = loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap();
            said.push_str(&line);
            assert_ne!(read, 0, "the server ended before it served: {said}");
            let Some((scheme, address)) = line.split_once("://") else { continue };
            let scheme = scheme.rsplit(' ').next().unwrap().to_owned();
            let address = address.split(['/', ' ', '\n']).next().unwrap().to_owned();
            if line.starts_with("casemate: serving") {
                // Of a socket the whole path.
                let path =
                    line.split_once("unix://").map(|(_, path)| path.trim_end_matches(" (Ctrl-C stops)\n"));
                break path.map_or(address, str::to_owned);
            }
            receivers.push((scheme, address));
        };
        // What is said later is read, or it would wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, address, said, receivers }
    }

    /// Where the receiver for `scheme` listens.
    pub(crate) fn receiver(&self, scheme: &str) -> &str {
        &self.receivers.iter().find(|(known, _)| known == scheme).unwrap().1
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager would, and waits.
    pub(crate) fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
