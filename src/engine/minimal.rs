//! Minimal corpora: the inputs that cover what all do, and of which none could be spared.

use crate::coverage::{COUNTERS, CoverageMap};
use crate::scenario::{Scenario, codec};

/// An input, and what it covers.
#[derive(Clone, Debug)]
pub struct Candidate {
    bytes: Vec<u8>,
    covers: Vec<u16>,
}

impl Candidate {
    /// A scenario that has just been run.
    #[must_use]
    pub fn new(scenario: &Scenario, map: &CoverageMap) -> Candidate {
        let mut bytes = Vec::new();
        codec::encode(scenario, &mut bytes);
        // There are fewer counters than numbers of 16 bits.
        let covers = (0..COUNTERS).filter(|&at| map.0[at] != 0).map(|at| at as u16).collect();
        Candidate { bytes, covers }
    }
}

/// The bytes of inputs that cover what all candidates do, short ones by preference; each covers something that no
/// other does. Their order does not depend on that of the candidates.
#[must_use]
pub fn minimal(mut candidates: Vec<Candidate>) -> Vec<Vec<u8>> {
    candidates.sort_by(|a, b| (a.bytes.len(), &a.bytes).cmp(&(b.bytes.len(), &b.bytes)));
    let mut times = [0_u32; COUNTERS];
    candidates.retain(|candidate| {
        let is_new = candidate.covers.iter().any(|&at| times[usize::from(at)] == 0);
        if is_new {
            candidate.covers.iter().for_each(|&at| times[usize::from(at)] += 1);
        }
        is_new
    });
    // A later one may cover all that an earlier one was taken for. The longest go first.
    candidates.reverse();
    candidates.retain(|candidate| {
        let is_needed = candidate.covers.iter().any(|&at| times[usize::from(at)] == 1);
        if !is_needed {
            candidate.covers.iter().for_each(|&at| times[usize::from(at)] -= 1);
        }
        is_needed
    });
    candidates.reverse();
    candidates.into_iter().map(|candidate| candidate.bytes).collect()
}

/// FNV-1a: a name for the same bytes everywhere.
#[must_use]
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(bytes: &[u8], covers: &[u16]) -> Candidate {
        Candidate { bytes: bytes.to_vec(), covers: covers.to_vec() }
    }

    #[test]
    fn each_covers_something_that_no_other_does() {
        let all = vec![
            candidate(&[9, 9, 9], &[1, 2, 3]),
            candidate(&[1], &[1]),
            candidate(&[2, 2], &[1, 2]),
            candidate(&[3], &[]),
            candidate(&[4, 4], &[4]),
        ];
        // [1] and [2, 2] were taken first, and [9, 9, 9] covers what they do.
        assert_eq!(minimal(all.clone()), [vec![4, 4], vec![9, 9, 9]]);
        let mut turned = all;
        turned.reverse();
        assert_eq!(minimal(turned), [vec![4, 4], vec![9, 9, 9]]);
    }
}
