//! Who computes which piece? Splits buffers over candle's thread pool without `unsafe`.
//!
//! The same pool runs the matrix products, so threads never compete with one another; pieces are fixed by
//! the data's shape, so results do not depend on the number of threads.

use std::sync::Mutex;

use candle_core::utils::barrier_pool;

/// Below this many values the hand-over to other threads costs more than it saves.
const SMALL: usize = 1 << 14;

/// Calls `work(index, piece)` for every piece of `size` values (the last may be shorter), on all cores.
pub(crate) fn for_each_piece(values: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if values.len() <= SMALL {
        values.chunks_mut(size.max(1)).enumerate().for_each(|(i, piece)| work(i, piece));
        return;
    }
    for_each_unit(values, size, work);
}

/// As [`for_each_piece`], for work that is worth sharing however short the buffer is.
pub(crate) fn for_each_unit(values: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let pieces: Vec<_> = values.chunks_mut(size.max(1)).map(|piece| Mutex::new(Some(piece))).collect();
    barrier_pool().execute_chunked(pieces.len(), |range| {
        for index in range {
            // Each index is handed out once, so the lock is never contended and the piece always there.
            let piece = pieces.get(index).and_then(|slot| slot.lock().ok()?.take());
            if let Some(piece) = piece {
                work(index, piece);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_visited_once() {
        for length in [0, 1, 7, 64, 100_000] {
            let mut values = vec![0.0; length];
            for_each_piece(&mut values, 7, |index, piece| {
                for value in piece {
                    *value += index as f32 + 1.0;
                }
            });
            for (i, value) in values.iter().enumerate() {
                assert_eq!(*value, (i / 7) as f32 + 1.0);
            }
        }
    }
}
