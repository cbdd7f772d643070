//! Whether a run reached something that no run of this worker reached before.
//!
//! libFuzzer knows, but tells it only by writing a file, which a caged worker cannot. So a caged worker asks here,
//! and sends what is new to its parent, which keeps it. The answer follows libFuzzer's: a counter counts anew
//! whenever it comes into another of eight ranges.

/// What was reached so far, a byte of ranges for each counter.
#[derive(Debug, Default)]
pub(crate) struct Novelty {
    seen: Vec<u8>,
}

impl Novelty {
    /// Takes a run's counters, the same ones every time; whether anything is new in them.
    pub(crate) fn take(&mut self, counters: &[u8]) -> bool {
        self.seen.resize(counters.len(), 0);
        let mut new = false;
        for (seen, now) in self.seen.chunks_mut(8).zip(counters.chunks(8)) {
            // Most counters are zero in most runs.
            if now.iter().any(|&count| count != 0) {
                new |= merge(seen, now);
            }
        }
        new
    }
}

fn merge(seen: &mut [u8], now: &[u8]) -> bool {
    let mut new = false;
    for (seen, &count) in seen.iter_mut().zip(now) {
        let range = range(count);
        new |= range & !*seen != 0;
        *seen |= range;
    }
    new
}

/// The bit of libFuzzer's range for a count.
fn range(count: u8) -> u8 {
    match count {
        0 => 0,
        1..=3 => 1 << (count - 1),
        4..=7 => 1 << 3,
        8..=15 => 1 << 4,
        16..=31 => 1 << 5,
        32..=127 => 1 << 6,
        128.. => 1 << 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_new_once_in_each_range() {
        let mut novelty = Novelty::default();
        let mut news = |count: u8| {
            let mut counters = [0; 11];
            counters[10] = count;
            novelty.take(&counters)
        };
        assert!(!news(0));
        let new: Vec<u8> = (1..=255).filter(|&count| news(count)).collect();
        assert_eq!(new, [1, 2, 3, 4, 8, 16, 32, 128]);
        assert!(!(0..=255).any(news), "all ranges are known");
    }

    #[test]
    fn the_same_count_elsewhere_is_new() {
        let mut novelty = Novelty::default();
        assert!(novelty.take(&[1, 0, 0, 0]));
        assert!(novelty.take(&[0, 0, 1, 0]));
        assert!(!novelty.take(&[1, 0, 1, 0]));
    }
}
