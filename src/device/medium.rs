//! The medium of a simulated disk: blocks in memory, all zeros at power-on, at no cost.

use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: u32 = 512;
/// As a power of two.
pub(super) const BLOCK_SHIFT: u8 = 9;
/// Blocks of the disk.
pub(super) const BLOCKS: u32 = 128;

/// The blocks. A block that was not written since power-on, or was deallocated, reads as zeros.
#[derive(Debug)]
pub(super) struct Medium {
    bytes: Box<[u8]>,
    /// In which generation each block was last written; of any other it holds old runs' data, and reads
    /// as zeros.
    written: [u32; BLOCKS as usize],
    /// Goes up at power-on, so that wiping the disk costs nothing.
    generation: u32,
}

impl Medium {
    pub(super) fn new() -> Self {
        Medium {
            bytes: vec![0; (BLOCKS * BLOCK_BYTES) as usize].into_boxed_slice(),
            written: [0; BLOCKS as usize],
            generation: 1,
        }
    }

    /// Every block reads as zeros.
    pub(super) fn wipe(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.written.fill(0);
            self.generation = 1;
        }
    }

    /// The bytes of some blocks, after writing down the zeros that they read as.
    pub(super) fn materialise(&mut self, blocks: Range<usize>) -> &mut [u8] {
        let block_bytes = BLOCK_BYTES as usize;
        for block in blocks.clone() {
            if self.written[block] != self.generation {
                let start = block * block_bytes;
                self.bytes[start..start + block_bytes].fill(0);
                self.written[block] = self.generation;
            }
        }
        &mut self.bytes[blocks.start * block_bytes..blocks.end * block_bytes]
    }

    /// These blocks read as zeros.
    pub(super) fn deallocate(&mut self, blocks: Range<usize>) {
        self.written[blocks].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_holds_when_generations_run_out() {
        let whole = || 0..BLOCKS as usize;
        let mut medium = Medium::new();
        medium.materialise(whole()).fill(1);
        medium.generation = u32::MAX;
        medium.materialise(whole()).fill(2);
        for _ in 0..2 {
            medium.wipe();
            assert!(medium.materialise(whole()).iter().all(|&byte| byte == 0));
            medium.materialise(whole()).fill(3);
        }
    }
}
