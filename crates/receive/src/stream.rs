//! How is syslog received over TCP and TLS?
//!
//! One task per connection: it reads, frames, stores, and reads on when the records are durable. Connections
//! are bounded in number, in all and per address; one that says nothing for an hour, or does not end a message
//! it began within a minute, is closed.

use crate::framing::{Framed, Framer, Shape};
use crate::intake::{Intake, Records, is_stopping};
use crate::{Error, Result, Tls};
use casemate_event::{Batch, QuarantineReason, Quarantined};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

const MAX_CONNECTIONS: usize = 512;
const MAX_PER_ADDRESS: usize = 64;
/// Longest message taken in one piece, as in `casemate_ingest::Options`.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 64 << 10;
/// One append holds no more than this.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RECORDS: usize = 2000;
/// Records wait for others at most this long.
const GATHER: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(3600);
const UNFINISHED: Duration = Duration::from_secs(60);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// First part of a source's name.
pub(crate) fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "syslog+tls" } else { "syslog+tcp" }
}

/// Accepts connections until `stopping`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    intake: Arc<Intake>,
    mut stopping: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let addresses = Addresses::default();
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = is_stopping(&mut stopping) => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = is_stopping(&mut stopping) => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, say: others end meanwhile.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = addresses.enter(peer.ip()) else {
            tracing::warn!(%peer, "refused: {MAX_PER_ADDRESS} connections of this address are open");
            continue;
        };
        let source = source_name(scheme(tls.is_some()), peer);
        let connection = Connection { source, intake: Arc::clone(&intake), stopping: stopping.clone() };
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        connections.spawn(async move {
            let _held = (permit, place);
            let ended = match acceptor {
                None => connection.run(stream).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection.run(stream).await,
                    Ok(Err(error)) => {
                        tracing::warn!(%peer, %error, "no TLS connection came about");
                        Ok(())
                    }
                    Err(_) => Ok(()),
                },
            };
            if let Err(error) = ended {
                tracing::warn!(%peer, %error, "a syslog connection ended");
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

pub(crate) fn source_name(scheme: &str, peer: SocketAddr) -> String {
    format!("{scheme}://{}", peer.ip().to_canonical())
}

/// Open connections by address.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

struct Place {
    addresses: Addresses,
    ip: IpAddr,
}

impl Addresses {
    fn enter(&self, ip: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(ip).or_default();
        if *count >= MAX_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

struct Connection {
    source: String,
    intake: Arc<Intake>,
    stopping: watch::Receiver<bool>,
}

/// What a wait for bytes came to.
enum Read {
    Bytes(usize),
    /// Nothing more came in the time given.
    Pause,
    End,
}

impl Connection {
    async fn run(mut self, mut stream: impl AsyncRead + Unpin) -> Result<()> {
        let mut framer = Framer::new(MAX_MESSAGE_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        let mut position = 0;
        loop {
            let patience = if framer.is_inside() { UNFINISHED } else { IDLE };
            let mut is_over =
                self.fill(&mut stream, &mut buffer, &mut framer, Instant::now() + patience).await;
            let mut messages = Vec::new();
            let mut bytes = drain(&mut framer, &mut messages);
            let gathered_by = Instant::now() + GATHER;
            while !is_over && !messages.is_empty() && bytes < BATCH_BYTES && messages.len() < BATCH_RECORDS {
                match self.read(&mut stream, &mut buffer, gathered_by).await {
                    Read::Bytes(count) => framer.push(buffer.get(..count).unwrap_or_default()),
                    Read::Pause => break,
                    Read::End => is_over = true,
                }
                bytes += drain(&mut framer, &mut messages);
            }
            if is_over {
                messages.extend(std::iter::from_fn(|| framer.finish()));
            }
            self.store(messages, &mut position).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// Reads once; whether that was the end.
    async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        framer: &mut Framer,
        until: Instant,
    ) -> bool {
        match self.read(stream, buffer, until).await {
            Read::Bytes(count) => {
                framer.push(buffer.get(..count).unwrap_or_default());
                false
            }
            Read::Pause | Read::End => true,
        }
    }

    async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        until: Instant,
    ) -> Read {
        tokio::select! {
            biased;
            read = stream.read(buffer) => match read {
                Ok(0) => Read::End,
                Ok(count) => Read::Bytes(count),
                Err(error) => {
                    tracing::debug!(source = self.source, %error, "a connection broke");
                    Read::End
                }
            },
            () = tokio::time::sleep_until(until) => Read::Pause,
            () = is_stopping(&mut self.stopping) => Read::End,
        }
    }

    async fn store(&mut self, messages: Vec<Framed>, position: &mut u64) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let (source, intake, first) = (self.source.clone(), Arc::clone(&self.intake), *position);
        let decoding = tokio::task::spawn_blocking(move || decode(&intake, &source, messages, first));
        let failed =
            |error: tokio::task::JoinError| Error::Task { what: "decoding", reason: error.to_string() };
        let (batch, last) = decoding.await.map_err(failed)??;
        *position = last;
        self.intake.append_patiently(vec![(self.source.clone(), batch)], &mut self.stopping).await
    }
}

fn drain(framer: &mut Framer, messages: &mut Vec<Framed>) -> usize {
    let before = messages.len();
    messages.extend(std::iter::from_fn(|| framer.next()));
    messages.iter().skip(before).map(|message| message.raw.len()).sum()
}

/// Decodes whole messages and quarantines pieces; gives the position of the last.
fn decode(intake: &Intake, source: &str, messages: Vec<Framed>, mut position: u64) -> Result<(Batch, u64)> {
    let mut whole = Vec::new();
    let mut kept = Vec::new();
    for Framed { raw, shape } in messages {
        if !matches!(shape, Shape::Piece(2..)) {
            position += 1;
        }
        let (reason, detail) = match shape {
            Shape::Whole => {
                whole.push((position, raw));
                continue;
            }
            Shape::Piece(number) => {
                let detail = format!("message longer than {MAX_MESSAGE_BYTES} bytes, piece {number}");
                (QuarantineReason::TooLong, detail)
            }
            Shape::Cut(missing) => {
                let detail = format!("the connection ended {missing} bytes before the message");
                (QuarantineReason::DamagedRecord, detail)
            }
        };
        kept.push(Quarantined { source: source.to_owned(), position, reason, detail, raw });
    }
    let mut batch = intake.decode(Records { source, records: &whole })?;
    batch.quarantined.append(&mut kept);
    Ok((batch, position))
}
