//! How inputs reach a caged worker, which has no files: its parent writes them to its standard input, and the
//! mutator hands them to libFuzzer as if it had made them.
//!
//! An input is its length (32 bits, little-endian) and its bytes. The end of the stream is the end of the leash.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::libfuzzer::INPUT_MAX;

/// Inputs that libFuzzer has not had yet, first come first served.
static WAITING: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());
/// Whether there are any; spares the mutator the lock.
static SOME: AtomicBool = AtomicBool::new(false);

/// Puts an input into the queue; one that is too long for the engine is passed over.
pub(super) fn offer(input: Vec<u8>) {
    if input.len() > INPUT_MAX {
        return;
    }
    // The queue is whole after a panic elsewhere: each operation on it is one call.
    let mut waiting = WAITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    waiting.push_back(input);
    SOME.store(true, Ordering::Release);
}

/// Moves the next input that fits into `buffer`; its size.
pub(super) fn take(buffer: &mut [u8]) -> Option<usize> {
    if !SOME.load(Ordering::Acquire) {
        return None;
    }
    let mut waiting = WAITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let input = waiting.pop_front();
    SOME.store(!waiting.is_empty(), Ordering::Release);
    let input = input?;
    let into = buffer.get_mut(..input.len())?;
    into.copy_from_slice(&input);
    Some(input.len())
}

/// Takes inputs from `from` until it ends, or says what is no input.
pub(super) fn receive(mut from: impl Read) {
    let mut length = [0; 4];
    while from.read_exact(&mut length).is_ok() {
        let bytes = u32::from_le_bytes(length) as usize;
        if bytes > INPUT_MAX {
            return;
        }
        let mut input = vec![0; bytes];
        if from.read_exact(&mut input).is_err() {
            return;
        }
        offer(input);
    }
}

/// Writes an input for [`receive`].
pub(super) fn send(to: &mut impl Write, input: &[u8]) -> io::Result<()> {
    let length = u32::try_from(input.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(input)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_arrive_in_order_and_a_broken_stream_ends_quietly() {
        let mut pipe = Vec::new();
        for input in [&[1, 2, 3][..], &[], &[9]] {
            send(&mut pipe, input).unwrap();
        }
        pipe.extend([200, 0, 0, 0, 1]);
        receive(&*pipe);
        receive(&[0xFF; 8][..]);
        let mut buffer = [0; 16];
        let mut taken = Vec::new();
        while SOME.load(Ordering::Acquire) {
            taken.extend(take(&mut buffer).map(|size| buffer[..size].to_vec()));
        }
        assert_eq!(taken, [vec![1, 2, 3], vec![], vec![9]]);
        assert_eq!(take(&mut buffer), None);
    }
}
