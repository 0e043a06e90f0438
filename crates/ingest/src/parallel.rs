//! How are the lines of a long stream decoded on all cores? Block by block, each apart from the others, and
//! handed on in order.
//!
//! A block with header lines (Zeek) or behind them is decoded in turn by the one decoder that knows them.

use crate::Result;
use crate::formats::Decoder;
use crate::framing::blocks::{Block, Blocks, Next};
use crate::framing::lines::{Lines, Shape};
use crate::intake::{Intake, Origin};
use crate::record::Record;
use crate::source::{read_lines_in_turn, too_long};
use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Blocks on their way, per thread: bounds memory.
const BLOCKS_PER_THREAD: usize = 3;

/// A record, or a piece of a line that is too long, with the number of its line.
#[allow(clippy::large_enum_variant)] // Nearly all items are events.
enum Item {
    Record(u64, Record),
    Piece(u64, u64, Vec<u8>),
}

/// A block to decode, and where its records are awaited.
type Job = (Block, SyncSender<Vec<Item>>);

/// Takes in the lines that `reader` gives; `before` lines came before.
pub(crate) fn read_lines(
    intake: &mut Intake<'_>,
    name: &str,
    reader: &mut dyn BufRead,
    before: u64,
) -> Result<()> {
    let limit = intake.options.max_record_bytes;
    let mut blocks = Blocks::new(reader, before, limit);
    let first = blocks.next().map_err(|error| intake.read_error(error))?;
    let mut own = Decoder::new(intake);
    let first = match first {
        Next::Block(block) => block,
        Next::Long(block) => return long(intake, name, &mut own, &block, blocks),
        Next::End => return Ok(()),
    };
    if before == 0 {
        own.opens_with(&first.bytes);
    }
    let second = blocks.next().map_err(|error| intake.read_error(error))?;
    if second == Next::End {
        // Not worth a thread.
        return hand_over(intake, name, decode(&mut own, &first, limit));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, waiting) = sync_channel::<Job>(threads * BLOCKS_PER_THREAD);
    let waiting = Arc::new(Mutex::new(waiting));
    std::thread::scope(|scope| {
        // Dropped before the scope waits for the threads, which end when no more can come.
        let jobs = jobs;
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            let mut decoder = own.apart();
            scope.spawn(move || work(&waiting, &mut decoder, limit));
        }
        let mut decoding: VecDeque<Receiver<Vec<Item>>> = VecDeque::new();
        let mut ahead = VecDeque::from([Next::Block(first), second]);
        loop {
            let next = match ahead.pop_front() {
                Some(next) => next,
                None => blocks.next().map_err(|error| intake.read_error(error))?,
            };
            let block = match next {
                Next::Block(block) => block,
                Next::Long(block) => {
                    drain(intake, name, &mut decoding, 0)?;
                    return long(intake, name, &mut own, &block, blocks);
                }
                Next::End => return drain(intake, name, &mut decoding, 0),
            };
            if own.needs_turn(&block.bytes) {
                drain(intake, name, &mut decoding, 0)?;
                hand_over(intake, name, decode(&mut own, &block, limit))?;
                continue;
            }
            let (result, awaited) = sync_channel(1);
            if jobs.send((block, result)).is_err() {
                // No thread is left, which a panic in each of them would do: the scope passes it on.
                return Ok(());
            }
            decoding.push_back(awaited);
            drain(intake, name, &mut decoding, threads * BLOCKS_PER_THREAD)?;
        }
    })
}

/// Hands on what is decoded, in order, until no more than `left` blocks are on their way.
fn drain(
    intake: &mut Intake<'_>,
    name: &str,
    decoding: &mut VecDeque<Receiver<Vec<Item>>>,
    left: usize,
) -> Result<()> {
    while decoding.len() > left {
        let Some(next) = decoding.pop_front() else { break };
        hand_over(intake, name, next.recv().unwrap_or_default())?;
    }
    Ok(())
}

fn work(waiting: &Mutex<Receiver<Job>>, decoder: &mut Decoder, limit: usize) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, result)) = job else { return };
        // Nobody waits any more once handing on has failed.
        drop(result.send(decode(decoder, &block, limit)));
    }
}

fn decode(decoder: &mut Decoder, block: &Block, limit: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = Lines::new(block.bytes.as_slice(), limit);
    // Reading from memory does not fail.
    while let Ok(Some((shape, number, line))) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let number = block.before + number;
        match shape {
            Shape::Whole => items.extend(decoder.line(line).map(|record| Item::Record(number, record))),
            Shape::Piece(piece) => items.push(Item::Piece(number, piece, line.to_vec())),
        }
    }
    items
}

fn hand_over(intake: &mut Intake<'_>, name: &str, items: Vec<Item>) -> Result<()> {
    for item in items {
        match item {
            Item::Record(position, record) => intake.record(Origin { source: name, position }, record)?,
            Item::Piece(position, piece, raw) => {
                too_long(intake, Origin { source: name, position }, "line", piece, &raw)?;
            }
        }
    }
    Ok(())
}

/// Takes in a line too long for a block, and all that follows, piece by piece.
fn long(
    intake: &mut Intake<'_>,
    name: &str,
    decoder: &mut Decoder,
    begun: &Block,
    blocks: Blocks<'_>,
) -> Result<()> {
    let rest = begun.bytes.as_slice().chain(blocks.into_reader());
    let mut rest = std::io::BufReader::new(rest);
    read_lines_in_turn(intake, name, decoder, &mut rest, begun.before)
}
