//! How is syslog received over UDP, and how much of it was lost?
//!
//! One datagram is one message. UDP cannot make a sender wait: what our queue or the kernel's buffer has no room
//! for is lost, and counted under the receiver's own address.

use crate::intake::{Intake, Records, is_stopping};
use crate::stream::source_name;
use crate::{Error, Result};
use casemate_event::Batch;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

pub(crate) const SCHEME: &str = "syslog+udp";
/// Datagrams that may wait for the disk.
const QUEUE: usize = 16_384;
/// Bytes of them; the kernel's buffer is asked for as much.
const QUEUE_BYTES: usize = 16 << 20;
const MAX_DATAGRAM: usize = 65_536;
const BATCH: usize = 2000;
const GATHER: Duration = Duration::from_millis(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Datagram = (SocketAddr, Vec<u8>);

/// Binds a socket with a large buffer.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(address);
    let socket = socket.map_err(|source| Error::Listen { kind: "UDP", address, source })?;
    if let Err(error) = SockRef::from(&socket).set_recv_buffer_size(QUEUE_BYTES) {
        tracing::warn!(%error, "the kernel gives no larger buffer for UDP");
    }
    Ok(socket)
}

/// Receives until `stopping`.
pub(crate) async fn serve(socket: UdpSocket, intake: Arc<Intake>, mut stopping: watch::Receiver<bool>) {
    let own_name =
        socket.local_addr().map_or_else(|_| SCHEME.to_owned(), |local| format!("{SCHEME}://{local}"));
    let inode = rustix::fs::fstat(socket.as_fd()).map_or(0, |stat| stat.st_ino);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let storing = tokio::spawn(store(receiver, Arc::clone(&intake), stopping.clone()));
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut lost_before = 0;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        tokio::select! {
            () = is_stopping(&mut stopping) => break,
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, peer)) => {
                    let datagram = buffer.get(..length).unwrap_or_default().to_vec();
                    if sender.try_send((peer, datagram)).is_err() {
                        intake.sources().count_dropped(&own_name, 1);
                    }
                }
                Err(error) => tracing::debug!(%error, "a datagram could not be read"),
            },
            _ = look.tick() => {
                let lost = kernel_drops(inode);
                if lost > lost_before {
                    tracing::warn!(lost = lost - lost_before, "the kernel dropped datagrams: its buffer was full");
                    intake.sources().count_dropped(&own_name, lost - lost_before);
                    lost_before = lost;
                }
            }
        }
    }
    drop(sender);
    let _ = storing.await;
}

async fn store(
    mut receiver: mpsc::Receiver<Datagram>,
    intake: Arc<Intake>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut position = 0;
    loop {
        let mut datagrams = Vec::new();
        if receiver.recv_many(&mut datagrams, BATCH).await == 0 {
            return;
        }
        let gathered_by = tokio::time::Instant::now() + GATHER;
        while datagrams.len() < BATCH {
            let room = BATCH - datagrams.len();
            match tokio::time::timeout_at(gathered_by, receiver.recv_many(&mut datagrams, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let of_task = Arc::clone(&intake);
        let first = position;
        position += datagrams.len() as u64;
        let decoded = tokio::task::spawn_blocking(move || decode(&of_task, datagrams, first)).await;
        let parts = match decoded {
            Ok(Ok(parts)) => parts,
            Ok(Err(error)) => {
                tracing::error!(%error, "datagrams could not be decoded");
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "datagrams could not be decoded");
                continue;
            }
        };
        if let Err(error) = intake.append_patiently(parts, &mut stopping).await {
            tracing::error!(%error, "received datagrams are lost");
            return;
        }
    }
}

/// One batch per sender, in order of arrival.
fn decode(intake: &Intake, datagrams: Vec<Datagram>, mut position: u64) -> Result<Vec<(String, Batch)>> {
    let mut by_sender: BTreeMap<String, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for (peer, mut raw) in datagrams {
        position += 1;
        while matches!(raw.last(), Some(b'\n' | b'\r' | 0)) {
            raw.pop();
        }
        by_sender.entry(source_name(SCHEME, peer)).or_default().push((position, raw));
    }
    let mut parts = Vec::new();
    for (source, records) in by_sender {
        let batch = intake.decode(Records { source: &source, records: &records })?;
        parts.push((source, batch));
    }
    Ok(parts)
}

/// Datagrams the kernel dropped for the socket with this inode: the last column of `/proc/net/udp`.
fn kernel_drops(inode: u64) -> u64 {
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs_err::read_to_string(path).unwrap_or_default());
    tables.iter().find_map(|table| drops_in(table, inode)).unwrap_or(0)
}

fn drops_in(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let columns = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let row = columns.into_iter().find(|row| row.get(9) == Some(&inode.as_str()))?;
    row.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_kernels_table() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            123: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 42\n";
        assert_eq!(drops_in(table, 4711), Some(42));
        assert_eq!(drops_in(table, 4712), None);
    }

    #[test]
    fn a_full_buffer_is_counted_by_the_kernel() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            sender.send_to(&[b'x'; 1000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(kernel_drops(inode) > 0);
    }
}
