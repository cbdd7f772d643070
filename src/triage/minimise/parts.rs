//! Leaving parts out: delta debugging on a list.
//!
//! After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
//! (<https://www.st.cs.uni-saarland.de/papers/tse2002/>): runs of parts, long ones first, halved until they are single.
//! It goes from the end to the beginning, because what comes last matters least.

/// Leaves out of a list of `count` parts whatever `try_without` lets go. It is given the parts that would stay, as
/// numbers into the list as it is then, and returns the new list's length if it let the others go.
pub(super) fn leave_out(count: usize, mut try_without: impl FnMut(&[usize]) -> Option<usize>) {
    let mut count = count;
    let mut length = count;
    while length > 0 && count > 0 {
        let mut end = count;
        while end > 0 {
            let begin = end.saturating_sub(length);
            let rest: Vec<usize> = (0..begin).chain(end..count).collect();
            if let Some(left) = try_without(&rest) {
                count = left;
            }
            end = begin.min(count);
        }
        length = if length == 1 { 0 } else { length.div_ceil(2).min(count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_stays() {
        let mut list: Vec<u32> = (0..40).collect();
        let mut tries = 0;
        leave_out(list.len(), |rest| {
            tries += 1;
            let candidate: Vec<u32> = rest.iter().map(|&at| list[at]).collect();
            let shows = candidate.contains(&7) && candidate.contains(&31);
            shows.then(|| {
                list = candidate;
                list.len()
            })
        });
        assert_eq!(list, [7, 31]);
        assert!(tries < 80, "{tries}");
    }

    #[test]
    fn everything_goes_if_nothing_is_needed() {
        let mut left = 9;
        leave_out(9, |rest| {
            left = rest.len();
            Some(left)
        });
        assert_eq!(left, 0);
    }
}
