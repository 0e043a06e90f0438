//! What does this process give up before it does anything?
//!
//! The right to reach out. A seccomp filter ends the process on `connect`, and refuses what else could send to a
//! stranger, start programs, look into other processes or enter other namespaces; Landlock refuses TCP connections a
//! second time, binding to ports that were not named, and for the server all files but its own. What a kernel does not
//! know is left out and said; nothing is ever regained.

use crate::cli::{Cli, Command, Global, ServeArgs};
use anyhow::{Context, anyhow};
use casemate_server::Address;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the command of a command line has to keep; `None` for one that runs other programs to measure them.
pub(crate) fn needs(cli: &Cli) -> Option<Needs> {
    match &cli.command {
        Command::Bench(_) => None,
        Command::Serve(args) => Some(of_server(&cli.global, args)),
        _ => Some(Needs::default()),
    }
}

fn of_server(global: &Global, args: &ServeArgs) -> Needs {
    let receive = &args.receive;
    let own = match &args.listen {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    };
    let tcp = receive.syslog_tcp.iter().chain(&receive.syslog_tls).chain(own);
    let mut read: Vec<PathBuf> =
        ["/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/etc", "/usr/share/zoneinfo", "/dev/urandom"]
            .map(PathBuf::from)
            .into();
    for dir in [&global.config, &global.models].into_iter().chain(&global.rules) {
        read.push(dir.clone());
        linked(dir, &mut read);
    }
    // What is followed may be rotated: the directory around a file.
    let around = |path: &PathBuf| match path.parent() {
        _ if path.is_dir() => path.clone(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    read.extend(receive.watch.iter().map(around));
    // What is read again when it is replaced: a new file is another one to the kernel, and a link may lead elsewhere then.
    let replaced = [&receive.tls_cert, &receive.tls_key, &receive.tls_client_ca, &args.door.api_client_ca];
    for path in replaced.into_iter().flatten() {
        read.extend([around(path)].into_iter().chain(path.canonicalize().ok().as_ref().map(around)));
    }
    let given = [&global.mappings, &args.model.site, &args.model.head];
    read.extend(given.into_iter().flatten().cloned().chain([PathBuf::from(&args.model.model)]));
    let socket = match &args.listen {
        Address::Unix(path) => path.parent().map(Path::to_owned),
        Address::Tcp(_) => None,
    };
    let write =
        [Some(global.data_dir.clone()), args.keep.backup_dir.clone(), socket, Some("/dev/null".into())];
    Needs {
        tcp: tcp.map(std::net::SocketAddr::port).collect(),
        udp: !receive.syslog_udp.is_empty(),
        files: Some(Files { read, write: write.into_iter().flatten().collect() }),
    }
}

/// Links followed from one directory, and directories within each other.
const MAX_LINKS: usize = 1000;
const MAX_DEPTH: usize = 4;

/// Adds what symbolic links within `dir` lead to: where a file really lies is what counts, and models are often linked.
fn linked(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut left = vec![(dir.to_owned(), MAX_DEPTH)];
    let most = found.len() + MAX_LINKS;
    while let Some((dir, depth)) = left.pop() {
        // What cannot be listed is not there for us, and whoever opens it says so.
        for entry in fs_err::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.canonicalize() {
                Ok(target) if path.is_symlink() && found.len() < most => found.push(target),
                Ok(_) if path.is_dir() && !path.is_symlink() && depth > 1 => left.push((path, depth - 1)),
                _ => {}
            }
        }
    }
}

/// What a command has to keep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// TCP ports it listens on; 0 for one of the system's choice.
    pub(crate) tcp: Vec<u16>,
    /// Whether it receives datagrams.
    pub(crate) udp: bool,
    /// The only files and directories it may read and write, with all in them; any, if there are none.
    pub(crate) files: Option<Files>,
}

/// Files and directories.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

/// What the running kernel enforces.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Seal {
    /// Whether connecting ends the process.
    pub(crate) connect_is_killed: bool,
    /// Whether Landlock refuses TCP connections and unnamed ports.
    pub(crate) landlock_network: bool,
    /// Whether Landlock refuses all but the server's own files.
    pub(crate) landlock_files: bool,
    /// What could not be enforced, and why.
    pub(crate) missing: Vec<String>,
}

impl Seal {
    /// What is enforced, for people.
    pub(crate) fn by(&self) -> Vec<&'static str> {
        let mut by = Vec::new();
        if self.connect_is_killed {
            by.push("seccomp: connecting ends the process");
        }
        if self.landlock_network {
            by.push("Landlock: no TCP connection, no port but those named");
        }
        if self.landlock_files {
            by.push("Landlock: no file but its own");
        }
        by
    }
}

/// Newest Landlock that is asked for; the kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;

/// System calls that are refused, whatever their arguments.
const REFUSED: [libc::c_long; 36] = [
    // Sending to somebody named in the call, and what would do any of it unseen.
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The kernel and its namespaces.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Gives up everything but what `needs` names, for this thread and all that come after it. Call it before there are
/// others.
pub(crate) fn seal(needs: &Needs) -> Seal {
    let mut seal = Seal::default();
    match landlock(needs) {
        Ok((network, files)) => (seal.landlock_network, seal.landlock_files) = (network, files),
        Err(error) => seal.missing.push(format!("Landlock: {error:#}")),
    }
    if !seal.landlock_network && seal.missing.is_empty() {
        seal.missing
            .push("Landlock: this kernel has it not, or not for the network (Linux 6.7 has)".to_owned());
    }
    match filters(needs).and_then(|filters| {
        filters
            .iter()
            .try_for_each(|filter| seccompiler::apply_filter(filter).context("installing the filter"))
    }) {
        Ok(()) => seal.connect_is_killed = true,
        Err(error) => seal.missing.push(format!("seccomp: {error:#}")),
    }
    seal
}

/// Says whether network and files are held.
fn landlock(needs: &Needs) -> anyhow::Result<(bool, bool)> {
    let network = AccessNet::BindTcp | AccessNet::ConnectTcp;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(network)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    if needs.files.is_some() {
        rules = rules.handle_access(AccessFs::from_all(LANDLOCK))?;
    }
    let mut rules = rules.create()?;
    for port in &needs.tcp {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    if let Some(files) = &needs.files {
        let read = AccessFs::from_read(LANDLOCK);
        let write = AccessFs::from_all(LANDLOCK);
        for (paths, access) in [(&files.read, read), (&files.write, write)] {
            for path in paths.iter().filter(|path| path.exists()) {
                rules = rules.add_rule(beneath(path, access)?)?;
            }
        }
    }
    let restriction = rules.restrict_self()?;
    let held = restriction.ruleset != RulesetStatus::NotEnforced;
    // The network came with the fourth version.
    let network = matches!(
        restriction.landlock,
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4
    );
    Ok((held && network, held && needs.files.is_some()))
}

/// A file can be given what files can have alone.
fn beneath(path: &PathBuf, access: BitFlags<AccessFs>) -> anyhow::Result<PathBeneath<PathFd>> {
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    Ok(PathBeneath::new(PathFd::new(path)?, access))
}

/// Three filters, since each has one answer: the process ends, `EPERM`, `ENOSYS`.
fn filters(needs: &Needs) -> anyhow::Result<[BpfProgram; 3]> {
    let connect = BTreeMap::from([(libc::SYS_connect, Vec::new())]);
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // With an address, a datagram or a fast opening leaves; without one, it stays on an accepted connection.
    refused.insert(libc::SYS_sendto, vec![rule(vec![(4, SeccompCmpOp::Ne, 0)])?]);
    refused.insert(libc::SYS_socket, sockets(needs)?);
    let namespaces: Result<Vec<SeccompRule>, _> = NAMESPACES
        .iter()
        .map(|flag| rule(vec![(0, SeccompCmpOp::MaskedEq(*flag as u64), *flag as u64)]))
        .collect();
    refused.insert(libc::SYS_clone, namespaces?);
    // Its flags lie in memory, where no filter can look; the C library takes `clone` instead.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([
        compile(unknown, SeccompAction::Errno(libc::ENOSYS as u32))?,
        compile(refused, SeccompAction::Errno(libc::EPERM as u32))?,
        compile(connect, SeccompAction::KillProcess)?,
    ])
}

/// Sockets that are refused: all but streams and datagrams of the families that are needed.
fn sockets(needs: &Needs) -> anyhow::Result<Vec<SeccompRule>> {
    const KIND: u64 = 0xf;
    // The old way to frames; deprecated, and still there.
    const SOCK_PACKET: libc::c_int = 10;
    let mut families = vec![libc::AF_UNIX];
    if needs.udp || !needs.tcp.is_empty() {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    let others = families.iter().map(|family| (0, SeccompCmpOp::Ne, *family as u64)).collect();
    let kind = |kind: libc::c_int| rule(vec![(1, SeccompCmpOp::MaskedEq(KIND), kind as u64)]);
    let mut refused = vec![rule(others)?, kind(libc::SOCK_RAW)?, kind(SOCK_PACKET)?];
    if !needs.udp {
        for family in [libc::AF_INET, libc::AF_INET6] {
            refused.push(rule(vec![
                (0, SeccompCmpOp::Eq, family as u64),
                (1, SeccompCmpOp::MaskedEq(KIND), libc::SOCK_DGRAM as u64),
            ])?);
        }
    }
    Ok(refused)
}

/// A rule that holds where all its conditions (argument, comparison, value) do.
fn rule(conditions: Vec<(u8, SeccompCmpOp, u64)>) -> anyhow::Result<SeccompRule> {
    let conditions: Result<Vec<SeccompCondition>, _> = conditions
        .into_iter()
        .map(|(argument, compare, value)| {
            // Families, kinds and flags are 32 bits wide, and what stands above them is not theirs; addresses are 64.
            let length = if argument == 4 { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
            SeccompCondition::new(argument, length, compare, value)
        })
        .collect();
    Ok(SeccompRule::new(conditions?)?)
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, answer: SeccompAction) -> anyhow::Result<BpfProgram> {
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|_| anyhow!("no filter is known for {}", std::env::consts::ARCH))?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    /// Set for the process that a test seals.
    const TRIED: &str = "CASEMATE_TEST_SEALED";

    /// Runs `sealed_process` in a process of its own, which tries what `what` says.
    fn tried(what: &str) -> Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seal::tests::sealed_process", "--nocapture", "--test-threads", "1"])
            .env(TRIED, what)
            .output()
            .unwrap()
    }

    /// What the child does; nothing where no test asked for it.
    #[test]
    fn sealed_process() {
        let Ok(what) = std::env::var(TRIED) else { return };
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = here.local_addr().unwrap();
        let files = Files { read: Vec::new(), write: vec![dir.path().to_owned()] };
        let seal = match what.as_str() {
            "files" => seal(&Needs { files: Some(files), ..Needs::default() }),
            "serve" | "connect" => seal(&Needs { tcp: vec![0], ..Needs::default() }),
            _ => seal(&Needs::default()),
        };
        println!("sealed {}", serde_json::to_string(&seal).unwrap());
        match what.as_str() {
            "connect" => drop(TcpStream::connect(address)),
            "serve" => {
                TcpListener::bind("127.0.0.1:0").unwrap();
                assert!(UdpSocket::bind("127.0.0.1:0").is_err(), "no datagrams were asked for");
                assert!(TcpListener::bind("127.0.0.1:39217").is_err() || !seal.landlock_network);
                std::thread::spawn(|| ()).join().unwrap();
            }
            "others" => {
                assert!(TcpListener::bind("127.0.0.1:0").is_err());
                assert!(TcpStream::connect(address).is_err(), "there is not even a socket to connect with");
                assert!(Command::new("/bin/true").status().is_err());
                assert!(UdpSocket::bind("127.0.0.1:0").is_err());
            }
            "files" => {
                fs_err::write(dir.path().join("own"), "x").unwrap();
                let other = fs_err::write(outside.path().join("other"), "x");
                assert!(other.is_err() || !seal.landlock_files);
            }
            other => panic!("{other}"),
        }
        println!("went on");
    }

    #[test]
    fn connecting_ends_the_process() {
        let output = tried("connect");
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains("\"connect_is_killed\":false") {
            eprintln!("skipped: this kernel has no seccomp filters: {said}");
            return;
        }
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output:?}");
        assert!(!said.contains("went on"), "{said}");
    }

    #[test]
    fn where_links_lead_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let target = other.path().join("m.gguf");
        fs_err::write(&target, "x").unwrap();
        fs_err::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("a/m.gguf")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("broken")).unwrap();
        let mut found = Vec::new();
        linked(dir.path(), &mut found);
        assert_eq!(found, [target.canonicalize().unwrap()]);
    }

    #[test]
    fn what_was_not_asked_for_is_refused_and_what_was_works() {
        for what in ["serve", "others", "files"] {
            let output = tried(what);
            assert!(output.status.success(), "{what}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("went on"), "{what}: {output:?}");
        }
    }
}
