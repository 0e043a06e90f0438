//! What is this machine and process? Read from `/proc`; absent facts are `None`.

use crate::seal::Seal;
use serde::Serialize;

/// Peak resident memory of this process in bytes.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Memory of the machine in bytes.
pub(crate) fn memory_bytes() -> Option<u64> {
    let table = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor as the kernel names it, with the instruction sets inference can use.
#[derive(Debug, Serialize)]
pub(crate) struct Cpu {
    model: String,
    cores: usize,
    features: Vec<&'static str>,
}

impl Cpu {
    pub(crate) fn detect() -> Self {
        let info = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { model, cores, features: features(&info) }
    }

    pub(crate) fn describe(&self) -> String {
        format!("{}, {} cores, {}", self.model, self.cores, self.features.join(" "))
    }

    pub(crate) fn has(&self, feature: &str) -> bool {
        self.features.contains(&feature)
    }
}

fn features(cpuinfo: &str) -> Vec<&'static str> {
    const INTERESTING: [&str; 8] =
        ["avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"];
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    let flags = flags.unwrap_or_default();
    INTERESTING.into_iter().filter(|name| flags.split_whitespace().any(|flag| flag == *name)).collect()
}

/// Whether the machine could carry data away, were this program to try (it holds no code that connects).
#[derive(Debug, Serialize)]
pub(crate) struct Egress {
    /// Whether the kernel makes an outgoing connection impossible.
    pub(crate) sealed: bool,
    /// What enforces it.
    pub(crate) by: Vec<&'static str>,
    /// What was found.
    pub(crate) why: String,
}

impl Egress {
    /// What holds data in, this process being sealed like `seal` says.
    pub(crate) fn check(seal: &Seal) -> Self {
        let mut by = seal.by();
        let interfaces = interfaces();
        if interfaces.is_empty() {
            by.push("network namespace with no interface but loopback");
        }
        let why = if by.is_empty() {
            format!(
                "network interfaces exist ({}), and only this program's lack of any code that connects keeps data \
                 in; leave --unsealed out, on a kernel with seccomp and Landlock",
                interfaces.join(", ")
            )
        } else {
            by.join("; ")
        };
        Self { sealed: seal.connect_is_killed || interfaces.is_empty(), by, why }
    }
}

/// Names of the interfaces other than loopback in this process's network namespace.
///
/// `/sys/class/net` would show those of whoever mounted `/sys`; `/proc/self/net` follows the process.
fn interfaces() -> Vec<String> {
    let table = fs_err::read_to_string("/proc/self/net/dev").unwrap_or_default();
    interfaces_in(&table)
}

fn interfaces_in(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _counters)| name.trim())
        .filter(|name| *name != "lo")
        .map(str::to_owned)
        .collect()
}

/// Bytes of memory that this process can still take: what the machine has left, and what its limits leave.
pub(crate) fn available_bytes() -> Option<u64> {
    let table = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let mut available = 1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current;
    if let Some(limit) = limit {
        let pages = fs_err::read_to_string("/proc/self/statm").ok()?;
        let used = 4096 * pages.split(' ').next()?.parse::<u64>().ok()?;
        available = available.min(limit.saturating_sub(used));
    }
    // As a service manager or container sets it; what else is in the group counts as well.
    let group = fs_err::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if let Some(path) = group.lines().find_map(|line| line.strip_prefix("0::/")) {
        let of = |name: &str| -> Option<u64> {
            let text = fs_err::read_to_string(format!("/sys/fs/cgroup/{path}/{name}")).ok()?;
            text.trim().parse().ok()
        };
        if let (Some(most), Some(used)) = (of("memory.max"), of("memory.current")) {
            available = available.min(most.saturating_sub(used));
        }
    }
    Some(available)
}

/// Who runs this command, for the audit record: the number of the account, which cannot be made up, and its name.
pub(crate) fn operator() -> String {
    let uid = rustix::process::getuid().as_raw();
    let accounts = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_alone_is_sealed() {
        let header = "Inter-|   Receive\n face |bytes    packets\n";
        assert!(interfaces_in(&format!("{header}    lo: 0 0\n")).is_empty());
        assert_eq!(interfaces_in(&format!("{header}    lo: 0 0\n  eth0: 12 1\n")), ["eth0"]);
    }

    #[test]
    fn features_come_from_the_flags_line() {
        assert_eq!(features("model name\t: X\nflags\t\t: fpu avx2 avx512_vnni\n"), ["avx2", "avx512_vnni"]);
    }

    #[test]
    fn peak_memory_is_known_on_linux() {
        assert!(peak_rss_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
