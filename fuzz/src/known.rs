//! What libFuzzer need not be told again: what a driver does in lives in which nothing happens.
//!
//! Every other life does the same as one of them, too, and more: some three hundred branches, each of which libFuzzer looks
//! up after every run, to find that it is neither new nor rare. So what those lives leave in the counters is
//! learned before the first input, and a counter that a run leaves as one of them did goes back to zero before libFuzzer
//! looks. Counts that libFuzzer does not tell apart are alike here, too.

/// Counters that are looked at together: as many as a register of every processor holds.
const GROUP: usize = 16;

/// Counters of one group.
type Counters = [u8; GROUP];

/// What is known of a table of counters.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<Group>);

/// What a life left in a group of counters, some of it not zero and not known before.
#[derive(Debug)]
struct Group {
    number: usize,
    /// The least of the counts that are alike.
    least: Counters,
    /// How many more there are.
    more: Counters,
}

impl Known {
    /// Learns what one more life left in the counters, as many as ever; beyond the last whole group nothing is known.
    pub(crate) fn learn(&mut self, counters: &[u8]) {
        let mut new = counters.to_vec();
        // SAFETY: a copy of the counters is as long as they are.
        unsafe { self.hide(new.as_mut_ptr()) };
        let groups = new.as_chunks::<GROUP>().0.iter().enumerate();
        let touched = groups.filter(|(_, counts)| **counts != [0; GROUP]);
        self.0.extend(touched.map(|(number, counts)| Group {
            number,
            least: counts.map(|count| alike(count).0),
            more: counts.map(|count| alike(count).1),
        }));
    }

    /// Sets to zero what is known.
    ///
    /// # Safety
    ///
    /// The table is as long as the one that was learned from, and valid for reads and writes.
    pub(crate) unsafe fn hide(&self, table: *mut u8) {
        let groups: *mut Counters = table.cast();
        for group in &self.0 {
            // SAFETY: the table has this group; arrays of bytes need no alignment. Not by reference: some of the counters
            // may be this function's own.
            unsafe {
                let place = groups.add(group.number);
                place.write(group.hide(place.read()));
            }
        }
    }
}

impl Group {
    /// Counters without what is known. Without a branch, so that it is a few instructions for all of them.
    #[inline]
    fn hide(&self, mut counters: Counters) -> Counters {
        for (counter, (least, more)) in counters.iter_mut().zip(self.least.iter().zip(&self.more)) {
            let is_known = counter.wrapping_sub(*least) <= *more;
            *counter = if is_known { 0 } else { *counter };
        }
        counters
    }
}

/// The counts that libFuzzer does not tell from `count`: the least, and how many more there are.
const fn alike(count: u8) -> (u8, u8) {
    match count {
        0..=3 => (count, 0),
        4..=7 => (4, 3),
        8..=15 => (8, 7),
        16..=31 => (16, 15),
        32..=127 => (32, 95),
        128..=255 => (128, 127),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `run` for one who knows `life`.
    fn left(life: &[u8], mut run: Vec<u8>) -> Vec<u8> {
        assert_eq!(life.len(), run.len());
        // SAFETY: the lengths are the same.
        unsafe { knowing(&[life]).hide(run.as_mut_ptr()) };
        run
    }

    fn knowing(lives: &[&[u8]]) -> Known {
        let mut known = Known::default();
        lives.iter().for_each(|life| known.learn(life));
        known
    }

    /// The feature that libFuzzer makes of a count; see CounterToFeature in its FuzzerTracePC.h.
    fn bucket(count: u8) -> u32 {
        match count {
            0 => 0,
            128.. => 8,
            32.. => 7,
            16.. => 6,
            8.. => 5,
            4.. => 4,
            count => count.into(),
        }
    }

    #[test]
    fn a_count_is_hidden_if_libfuzzer_cannot_tell_it_from_the_known() {
        for known in 0..=u8::MAX {
            for count in 0..=u8::MAX {
                let expected = if bucket(known) == bucket(count) { 0 } else { count };
                let life: Vec<u8> = [known; GROUP].into();
                assert_eq!(left(&life, vec![count; GROUP]), [expected; GROUP], "{known} {count}");
            }
        }
    }

    #[test]
    fn each_counter_is_compared_with_itself() {
        let mut life = vec![0; 3 * GROUP];
        (life[1], life[GROUP - 1], life[2 * GROUP]) = (1, 2, 3);
        let run: Vec<u8> = (0..3 * GROUP).map(|place| place as u8 % 4).collect();
        let mut expected = run.clone();
        // The other two were left with another count.
        expected[1] = 0;
        assert_eq!(left(&life, run), expected);
    }

    #[test]
    fn the_same_life_again_leaves_nothing() {
        let life: Vec<u8> = (0..16 * GROUP).map(|place| place as u8).collect();
        assert_eq!(left(&life, life.clone()), vec![0; life.len()]);
    }

    #[test]
    fn of_several_lives_each_count_of_each_is_known() {
        let mut lives = [[0; 2 * GROUP]; 3];
        (lives[0][3], lives[1][3], lives[2][3]) = (1, 2, 9);
        (lives[1][GROUP], lives[2][4]) = (7, 1);
        let known = knowing(&lives.each_ref().map(|life| &life[..]));
        for (count, left) in [(0, 0), (1, 0), (2, 0), (3, 3), (7, 7), (8, 0), (15, 0), (16, 16)] {
            let mut run = [0; 2 * GROUP];
            (run[3], run[4], run[GROUP]) = (count, 2, 4);
            // SAFETY: the lengths are the same.
            unsafe { known.hide(run.as_mut_ptr()) };
            assert_eq!((run[3], run[4], run[GROUP]), (left, 2, 0), "{count}");
        }
    }

    #[test]
    fn a_life_that_shows_nothing_new_costs_nothing() {
        let life = [5; 4 * GROUP];
        assert_eq!(knowing(&[&life, &life, &[4; 4 * GROUP]]).0.len(), 4);
    }

    #[test]
    fn what_is_behind_the_last_whole_group_stays() {
        let life = vec![1; GROUP + 3];
        let mut expected = vec![0; GROUP];
        expected.extend([1; 3]);
        assert_eq!(left(&life, life.clone()), expected);
    }
}
