//! Tells the person waiting how far it is: a bar on a terminal, a line per step anywhere else. Always stderr.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

const STYLE: &str = "{msg:40} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>12} {eta:>4}";

/// Progress of one file.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
}

impl Progress {
    /// Starts the progress of something of `total_bytes`, named `what`.
    pub(crate) fn start(what: &str, total_bytes: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Bytes done so far.
    pub(crate) fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// What is being done now; a line of its own where no bar can show it.
    pub(crate) fn step(&self, what: &str) {
        if self.is_terminal {
            self.bar.set_message(what.to_owned());
        } else {
            eprintln!("{what}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `bytes` for people: `1.12 GB`.
pub(crate) fn human(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// The most memory this process has held so far, where the kernel says.
pub(crate) fn own_peak_rss_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_plausible() {
        if cfg!(target_os = "linux") {
            assert!(own_peak_rss_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(human(1_117_320_768), "1.12 GB");
    }
}
