//! Random numbers as mutations and drawn schedules need them.

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// Another value for a field: any, the first, a neighbour, or one bit changed.
    pub(super) fn value(&mut self, old: u8) -> u8 {
        match self.below(8) {
            0 => 0,
            1 => old.wrapping_add(1),
            2 => old.wrapping_sub(1),
            3 => old ^ 1 << self.below(8),
            _ => self.byte(),
        }
    }

    /// Decision points to pass calmly: few more often than many.
    pub(super) fn distance(&mut self) -> u8 {
        self.byte() >> self.below(8)
    }

    /// Where a run of things begins, of `count` that there are, and how long it is: one most often, seldom
    /// many. `None` if there are none.
    pub(super) fn run(&mut self, count: usize) -> Option<(usize, usize)> {
        let first = (count > 0).then(|| self.below(count))?;
        let longest = (count - first).min(1 << self.below(5));
        Some((first, 1 + self.below(longest)))
    }
}
