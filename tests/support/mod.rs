//! What several test crates need: random inputs that are the same everywhere.

/// A generator of inputs, from a seed.
#[derive(Debug)]
pub(crate) struct Inputs(u64);

impl Inputs {
    /// Every seed but 0 gives its own sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Inputs(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Up to `bytes_max` random bytes.
    pub(crate) fn bytes(&mut self, bytes_max: usize) -> Vec<u8> {
        let length = self.next() as usize % (bytes_max + 1);
        (0..length).map(|_| (self.next() >> 24) as u8).collect()
    }
}
