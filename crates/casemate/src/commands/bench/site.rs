//! A site to measure: the real server in a process of its own, what an estate sends it, and a client.

use crate::cli::Global;
use anyhow::{Context, bail};
use jiff::Timestamp;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const HOSTS: u64 = 200;

/// Of sorted figures, the one below which `share` of them lie.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Lines as an estate of servers sends them, none of which any rule looks at twice.
pub(super) fn ordinary(n: u64, time: Timestamp) -> String {
    let (host, user, pid) = (n * 7919 % HOSTS, n * 104_729 % 300, 300 + n % 30_000);
    let ip = format!("10.{}.{}.{}", n % 4, n / 7 % 250, n * 31 % 250);
    let what = match n % 8 {
        0 => {
            format!("sshd[{pid}]: Accepted publickey for svc{user} from {ip} port {} ssh2", 1024 + n % 60_000)
        }
        1 => format!("sshd[{pid}]: Disconnected from user svc{user} {ip} port {}", 1024 + n % 60_000),
        2 => format!("CRON[{pid}]: (svc{user}) CMD (/usr/local/bin/report --id {n})"),
        3 => format!("systemd[1]: Started Session {n} of User svc{user}."),
        4 => format!("nginx[{pid}]: {ip} \"GET /items/{n} HTTP/1.1\" 200 {}", n % 90_000),
        5 => format!("postfix/smtpd[{pid}]: connect from client{}.plant.example[{ip}]", n % 900),
        6 => format!("kernel: [{n}.123456] eth0: link is up, flow control rx/tx {}", n % 3),
        _ => format!("app[{pid}]: order {n} of customer {} accepted in {} ms", n % 5000, n % 700),
    };
    format!("<38>1 {time:.6} node{host} - - - - {what}\n")
}

/// A short intrusion on a host of its own, which raises alerts.
pub(super) fn intrusion(number: u64) -> String {
    let now = Timestamp::now();
    let host = format!("desk{number}.plant.example");
    let commands = [
        ("cmd.exe", "winword.exe", "cmd.exe /c whoami /all".to_owned()),
        ("powershell.exe", "cmd.exe", format!("powershell.exe -nop -w hidden -enc SQBFAFgA{number:06}")),
        (
            "rundll32.exe",
            "powershell.exe",
            format!(
                r"rundll32.exe C:\\windows\\System32\\comsvcs.dll MiniDump {} C:\\Temp\\l{number}.dmp full",
                600 + number % 90
            ),
        ),
    ];
    let line = |(at, (image, parent, command)): (usize, &(&str, &str, String))| {
        let time = now - jiff::SignedDuration::from_secs(3 - at as i64);
        format!(
            "{{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Provider_Name\":\
             \"Microsoft-Windows-Sysmon\",\"Hostname\":\"{host}\",\"UtcTime\":\"{}\",\"ProcessId\":{},\
             \"Image\":\"C:\\\\Windows\\\\System32\\\\{image}\",\"ParentImage\":\"C:\\\\Windows\\\\System32\\\\{parent}\",\
             \"CommandLine\":\"{command}\",\"User\":\"PLANT\\\\user{number}\"}}\n",
            time.strftime("%Y-%m-%d %H:%M:%S.%3f"),
            4000 + at
        )
    };
    commands.iter().enumerate().map(line).collect()
}

/// Starts the server and waits until it says where it serves.
pub(super) fn start(global: &Global, model: &str, dir: &Path) -> anyhow::Result<(Ended, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--no-auth", "--listen", "127.0.0.1:0", "--model", model]);
    command
        .arg("--data-dir")
        .arg(dir)
        .arg("--config")
        .arg(&global.config)
        .arg("--models")
        .arg(&global.models);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("no stderr")?);
    let mut line = String::new();
    loop {
        line.clear();
        if stderr.read_line(&mut line)? == 0 {
            bail!("the server ended before it served");
        }
        if let Some((_, rest)) = line.split_once("serving on http://") {
            let address = rest.split('/').next().unwrap_or_default().to_owned();
            // What is said later is read, or it would wait for a reader.
            thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
            return Ok((Ended(child), address));
        }
    }
}

/// A server that ends with this.
pub(super) struct Ended(Child);

impl Ended {
    /// Number of its process.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.0.try_wait()? {
            bail!("the server ended by itself: {status}");
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

/// HTTP/1.1 over one connection that is kept.
pub(super) struct Client {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(address: &str) -> anyhow::Result<Self> {
        // An address and no name: nothing here can look one up.
        let stream = TcpStream::connect(address.parse::<SocketAddr>()?)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { address: address.to_owned(), stream: BufReader::new(stream) })
    }

    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address), b"")
    }

    pub(super) fn post(&mut self, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.ask(&head, body)
    }

    fn ask(&mut self, head: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut message = head.as_bytes().to_vec();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the answer is cut short");
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}
